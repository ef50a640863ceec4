#include "knowmap/row_source.hpp"

#include "common.hpp"
#include "knowmap/pipeline.hpp"

namespace knowmap::python {

namespace {

NumberType type_of(const py::array& array) {
  switch (array.dtype().char_()) {
    case 'f':
      return NumberType::float32;
    case 'e':
      return NumberType::float16;
    case 'b':
      return NumberType::int8;
    case 'B':
    case '?':
      return NumberType::uint8;
    default:
      throw py::type_error("rows of dtype " + py::str(array.dtype()).cast<std::string>() +
                           " are not taken as they are; convert them to float32");
  }
}

}  // namespace

/// What rows are read from where they are not a float32 array; keeps it alive.
void register_row_source(py::module_& m) {
  py::class_<RowSource>(m, "RowSource")
      .def_static(
          "of_store", [](const CheckpointStore& store) { return rows_of(store); }, py::arg("store"),
          py::keep_alive<0, 1>())
      .def_static(
          "of_array",
          [](const py::array& array, bool resident) {
            if (array.ndim() != 2 || (array.flags() & py::array::c_style) == 0) {
              throw std::invalid_argument("rows must be an array (rows, columns) in C order");
            }
            return rows_in_memory(array.data(), type_of(array),
                                  static_cast<std::size_t>(array.shape(0)),
                                  static_cast<std::size_t>(array.shape(1)), resident);
          },
          py::arg("array"), py::arg("resident"), py::keep_alive<0, 1>())
      .def_property_readonly(
          "shape", [](const RowSource& self) { return py::make_tuple(self.rows(), self.cols()); });
}

}  // namespace knowmap::python
