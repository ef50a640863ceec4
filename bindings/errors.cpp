#include "common.hpp"
#include "knowmap/error.hpp"

namespace knowmap::python {

// std::invalid_argument becomes ValueError by pybind11's own rule.
void register_errors(py::module_& m) {
  // NOLINTBEGIN: pybind11 keeps the types alive with the module.
  static auto base = py::register_exception<Error>(m, "Error");
  base.doc() = "The root of all errors of the engine, but for wrong arguments (ValueError).";
  py::register_exception<ModelError>(m, "ModelError", base);
  py::register_exception<TokenizerError>(m, "TokenizerError", base);
  py::register_exception<CheckpointError>(m, "CheckpointError", base);
  py::register_exception<OutOfMemoryError>(m, "OutOfMemoryError",
                                           py::make_tuple(base, py::handle(PyExc_MemoryError)));
  py::register_exception<CancelledError>(m, "CancelledError", base);
  // NOLINTEND
}

}  // namespace knowmap::python
