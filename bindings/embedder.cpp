#include "knowmap/embedder.hpp"

#include "common.hpp"

namespace knowmap::python {

void register_embedder(py::module_& m) {
  py::class_<EmbedReport>(m, "EmbedReport")
      .def_readonly("texts", &EmbedReport::texts)
      .def_readonly("tokens", &EmbedReport::tokens)
      .def_readonly("batches", &EmbedReport::batches)
      .def_readonly("backoffs", &EmbedReport::backoffs)
      .def_readonly("seconds", &EmbedReport::seconds)
      .def_readonly("peak_bytes", &EmbedReport::peak_bytes)
      .def_readonly("batch_tokens_planned", &EmbedReport::batch_tokens_planned)
      .def_readonly("batch_tokens_final", &EmbedReport::batch_tokens_final)
      .def_readonly("device", &EmbedReport::device)
      .def_readonly("precision", &EmbedReport::precision);

  py::class_<Embedder>(m, "Embedder")
      .def(py::init([](const std::filesystem::path& folder, std::string device,
                       const std::string& precision, std::size_t max_seq_length,
                       std::uint64_t memory_limit, std::size_t batch_tokens, int threads) {
             EmbedderOptions options;
             options.device = std::move(device);
             options.precision = precision_from_name(precision);
             options.max_seq_length = max_seq_length;
             options.memory_limit = memory_limit;
             options.batch_tokens = batch_tokens;
             options.threads = threads;
             const py::gil_scoped_release nogil;
             return std::make_unique<Embedder>(Embedder::load(folder, options));
           }),
           py::arg("folder"), py::kw_only(), py::arg("device") = "auto",
           py::arg("precision") = "auto", py::arg("max_seq_length") = 0,
           py::arg("memory_limit") = 0, py::arg("batch_tokens") = 0, py::arg("threads") = 0)
      .def(
          "encode",
          [](Embedder& self, const py::sequence& texts, const py::object& progress) {
            const Texts views(texts);
            const ProgressCallback callback = progress_callback(progress);
            Matrix rows;
            {
              const py::gil_scoped_release nogil;
              rows = self.encode(views.views(), callback);
            }
            return to_numpy(std::move(rows));
          },
          py::arg("texts"), py::kw_only(), py::arg("progress") = py::none(),
          "Embeddings of a list of str: float32 (texts, dimension).")
      .def(
          "tokenize",
          [](const Embedder& self, const py::sequence& texts) {
            const Texts views(texts);
            const py::gil_scoped_release nogil;
            return self.tokenize(views.views());
          },
          py::arg("texts"), "Token ids of each text, special tokens in, cut to max_seq_length.")
      .def_property_readonly("dimension", &Embedder::dimension)
      .def_property_readonly("max_seq_length", &Embedder::max_seq_length)
      .def_property_readonly("device", &Embedder::device)
      .def_property_readonly("precision",
                             [](const Embedder& e) { return precision_name(e.precision()); })
      .def_property_readonly("report", [](const Embedder& e) { return EmbedReport(e.report()); })
      .def_property_readonly("fingerprint", &Embedder::fingerprint);
}

}  // namespace knowmap::python
