#include "knowmap/embedder.hpp"

#include "common.hpp"

namespace knowmap::python {

namespace {

Residency residency_from_name(const std::string& name) {
  if (name == "auto") return Residency::automatic;
  if (name == "resident") return Residency::resident;
  if (name == "streamed") return Residency::streamed;
  throw std::invalid_argument("residency '" + name +
                              "' is not known; take auto, resident or streamed");
}

template <class Byte>
py::array_t<Byte> bytes_array(const std::vector<Byte>& bytes, py::ssize_t rows) {
  const auto cols = rows == 0 ? 0 : static_cast<py::ssize_t>(bytes.size()) / rows;
  py::array_t<Byte> out({rows, cols});
  std::copy(bytes.begin(), bytes.end(), out.mutable_data());
  return out;
}

}  // namespace

void register_embedder(py::module_& m) {
  py::class_<EmbedReport>(m, "EmbedReport")
      .def_readonly("texts", &EmbedReport::texts)
      .def_readonly("tokens", &EmbedReport::tokens)
      .def_readonly("batches", &EmbedReport::batches)
      .def_readonly("backoffs", &EmbedReport::backoffs)
      .def_readonly("seconds", &EmbedReport::seconds)
      .def_readonly("peak_bytes", &EmbedReport::peak_bytes)
      .def_readonly("planned_peak_bytes", &EmbedReport::planned_peak_bytes)
      .def_readonly("batch_tokens_planned", &EmbedReport::batch_tokens_planned)
      .def_readonly("batch_tokens_final", &EmbedReport::batch_tokens_final)
      .def_readonly("device", &EmbedReport::device)
      .def_readonly("precision", &EmbedReport::precision)
      .def_readonly("precision_reason", &EmbedReport::precision_reason)
      .def_readonly("streamed", &EmbedReport::streamed);

  py::class_<EmbedPlan>(m, "EmbedPlan")
      .def_readonly("available", &EmbedPlan::available)
      .def_readonly("weights", &EmbedPlan::weights)
      .def_readonly("layer", &EmbedPlan::layer)
      .def_readonly("streamed", &EmbedPlan::streamed)
      .def_readonly("activations", &EmbedPlan::activations)
      .def_readonly("workspace", &EmbedPlan::workspace)
      .def_readonly("lasting", &EmbedPlan::lasting)
      .def_readonly("held", &EmbedPlan::held)
      .def_readonly("peak", &EmbedPlan::peak)
      .def_readonly("batch_tokens", &EmbedPlan::batch_tokens)
      .def_readonly("super_batch_tokens", &EmbedPlan::super_batch_tokens)
      .def_readonly("chunk_rows", &EmbedPlan::chunk_rows)
      .def_readonly("workers", &EmbedPlan::workers);

  py::class_<Embedder>(m, "Embedder")
      .def(py::init([](const std::filesystem::path& folder, std::string device,
                       const std::string& precision, std::size_t max_seq_length,
                       std::uint64_t memory_limit, std::size_t batch_tokens, int threads,
                       const std::string& residency) {
             EmbedderOptions options;
             options.device = std::move(device);
             options.precision = precision_from_name(precision);
             options.max_seq_length = max_seq_length;
             options.memory_limit = memory_limit;
             options.batch_tokens = batch_tokens;
             options.threads = threads;
             options.residency = residency_from_name(residency);
             const py::gil_scoped_release nogil;
             return std::make_unique<Embedder>(Embedder::load(folder, options));
           }),
           py::arg("folder"), py::kw_only(), py::arg("device") = "auto",
           py::arg("precision") = "auto", py::arg("max_seq_length") = 0,
           py::arg("memory_limit") = 0, py::arg("batch_tokens") = 0, py::arg("threads") = 0,
           py::arg("residency") = "auto")
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
          "encode_tokens",
          [](Embedder& self, const py::sequence& texts, const py::object& progress) {
            const Texts views(texts);
            const ProgressCallback callback = progress_callback(progress);
            std::vector<Matrix> rows;
            {
              const py::gil_scoped_release nogil;
              rows = self.encode_tokens(views.views(), callback);
            }
            py::list out;
            for (Matrix& matrix : rows) out.append(to_numpy(std::move(matrix)));
            return out;
          },
          py::arg("texts"), py::kw_only(), py::arg("progress") = py::none(),
          "Last hidden states of each text's tokens: a list of float32 (tokens, hidden).")
      .def(
          "set_encode_options",
          [](Embedder& self, std::optional<std::string> prompt, std::string prompt_name,
             bool normalize, std::size_t truncate_dim) {
            self.set_encode_options(
                {std::move(prompt), std::move(prompt_name), normalize, truncate_dim});
          },
          py::kw_only(), py::arg("prompt") = py::none(), py::arg("prompt_name") = "",
          py::arg("normalize") = false, py::arg("truncate_dim") = 0,
          "What following calls do to texts before the model, and to vectors after it.")
      .def(
          "plan",
          [](const Embedder& self, const std::optional<py::sequence>& texts) {
            if (!texts) return self.plan();
            const Texts views(*texts);
            const py::gil_scoped_release nogil;
            return self.plan(views.views());
          },
          py::arg("texts") = py::none(),
          "How a run would be laid out in memory: for these texts, or for any of max_seq_length.")
      .def_property_readonly("prompts", &Embedder::prompts)
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

  const auto calibrated = [](const std::optional<FloatArray>& rows) {
    return rows ? matrix_view(*rows) : MatrixView<const float>{};
  };
  m.def(
      "quantize_uint8",
      [calibrated](const FloatArray& rows, const std::optional<FloatArray>& calibration) {
        return bytes_array(quantize_uint8(matrix_view(rows), calibrated(calibration)),
                           rows.shape(0));
      },
      py::arg("embeddings"), py::arg("calibration") = py::none());
  m.def(
      "quantize_int8",
      [calibrated](const FloatArray& rows, const std::optional<FloatArray>& calibration) {
        return bytes_array(quantize_int8(matrix_view(rows), calibrated(calibration)),
                           rows.shape(0));
      },
      py::arg("embeddings"), py::arg("calibration") = py::none());
  m.def(
      "quantize_binary",
      [](const FloatArray& rows) {
        return bytes_array(quantize_binary(matrix_view(rows)), rows.shape(0));
      },
      py::arg("embeddings"));
}

}  // namespace knowmap::python
