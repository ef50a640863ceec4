#include "knowmap/tokenizer.hpp"

#include "common.hpp"

namespace knowmap::python {

void register_tokenizer(py::module_& m) {
  py::class_<Tokenizer>(
      m, "Tokenizer",
      "Token ids as HF `tokenizers` gives them, from the same tokenizer.json. Thread-safe.")
      .def(py::init([](const std::filesystem::path& file) {
             const py::gil_scoped_release nogil;
             return Tokenizer::load(file);
           }),
           py::arg("file"), "Reads a tokenizer.json. Raises TokenizerError.")
      .def_static(
          "from_json",
          [](const std::string& json) {
            const py::gil_scoped_release nogil;
            return Tokenizer::from_json(json);
          },
          py::arg("json"), "The same from the text of the file.")
      .def(
          "encode",
          [](const Tokenizer& self, const py::sequence& texts, std::size_t max_length,
             int threads) {
            const Texts views(texts);
            auto batch = std::make_unique<TokenBatch>();
            {
              const py::gil_scoped_release nogil;
              *batch = self.encode_batch(views.views(), max_length, threads);
            }
            TokenBatch* owned = batch.release();
            const py::capsule owner(owned, [](void* p) { delete static_cast<TokenBatch*>(p); });
            return py::make_tuple(
                py::array_t<std::int32_t>(static_cast<py::ssize_t>(owned->ids.size()),
                                          owned->ids.data(), owner),
                py::array_t<std::int64_t>(static_cast<py::ssize_t>(owned->offsets.size()),
                                          owned->offsets.data(), owner));
          },
          py::arg("texts"), py::kw_only(), py::arg("max_length") = 0, py::arg("threads") = 0,
          "(ids, offsets) of a list of str, special tokens in: int32 (tokens,) and int64\n"
          "(texts + 1,); text i owns ids[offsets[i]:offsets[i + 1]]. max_length counts the "
          "special\n"
          "tokens, 0 = no limit; threads 0 = one for each core.")
      .def_property_readonly("vocabulary_size", &Tokenizer::vocabulary_size)
      .def_property_readonly("special_tokens", &Tokenizer::special_tokens)
      .def("id", &Tokenizer::id, py::arg("token"), "The id of a token, or -1.")
      .def("token", &Tokenizer::token, py::arg("id"), "The token of an id, or \"\".");
}

}  // namespace knowmap::python
