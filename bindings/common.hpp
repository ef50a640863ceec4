#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"

namespace knowmap::python {

namespace py = pybind11;

/// float32 rows; other numbers are converted, a copy only where it must be.
using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;
using HashArray = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>;
using IntArray = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

inline MatrixView<const float> matrix_view(const FloatArray& array) {
  if (array.ndim() != 2) {
    throw std::invalid_argument("expected an array of shape (rows, columns), got one with " +
                                std::to_string(array.ndim()) + " dimension(s)");
  }
  return {array.data(), static_cast<std::size_t>(array.shape(0)),
          static_cast<std::size_t>(array.shape(1))};
}

/// Hands an owned matrix to NumPy without a copy.
template <class T>
py::array_t<T> to_numpy(BasicMatrix<T>&& matrix) {
  auto owner = std::make_unique<BasicMatrix<T>>(std::move(matrix));
  const auto rows = static_cast<py::ssize_t>(owner->rows());
  const auto cols = static_cast<py::ssize_t>(owner->cols());
  T* data = owner->data();
  py::capsule base(owner.release(), [](void* p) { delete static_cast<BasicMatrix<T>*>(p); });
  return py::array_t<T>({rows, cols}, data, base);
}

template <class T>
py::array_t<T> to_numpy(const std::vector<T>& values) {
  py::array_t<T> out(static_cast<py::ssize_t>(values.size()));
  if (!values.empty()) std::memcpy(out.mutable_data(), values.data(), values.size() * sizeof(T));
  return out;
}

/// Views of a list of str, without copying their bytes: the list keeps them.
/// Lone surrogates, which have no UTF-8, are read as U+FFFD.
class Texts {
 public:
  explicit Texts(const py::sequence& texts) : kept_(py::len(texts)) {
    views_.reserve(kept_.size());
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      kept_[i] = texts[i];
      views_.push_back(view(kept_[i], i));
    }
  }
  std::span<const std::string_view> views() const { return views_; }

 private:
  std::string_view view(py::object& item, std::size_t i) {
    if (!PyUnicode_Check(item.ptr())) {
      throw py::type_error("text " + std::to_string(i) + " is of type " +
                           std::string(Py_TYPE(item.ptr())->tp_name) + ", not str");
    }
    Py_ssize_t size = 0;
    const char* data = PyUnicode_AsUTF8AndSize(item.ptr(), &size);
    if (data == nullptr) {
      PyErr_Clear();
      item = item.attr("encode")("utf-16", "surrogatepass").attr("decode")("utf-16", "replace");
      data = PyUnicode_AsUTF8AndSize(item.ptr(), &size);
      if (data == nullptr) throw py::error_already_set();
    }
    return {data, static_cast<std::size_t>(size)};
  }

  std::vector<py::object> kept_;
  std::vector<std::string_view> views_;
};

/// A callback that always looks for Ctrl-C, and calls `progress(stage, done,
/// total, unit)` unless that is None; what it returns is of no matter, what it
/// raises ends the call.
inline ProgressCallback progress_callback(const py::object& progress) {
  // Options are copied where the GIL is not held, so the Python object is shared
  // and let go of under the GIL.
  const std::shared_ptr<py::object> kept(new py::object(progress), [](py::object* p) {
    const py::gil_scoped_acquire gil;
    delete p;
  });
  return [kept](const Progress& p) {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!kept->is_none()) (*kept)(std::string(p.stage), p.done, p.total, std::string(p.unit));
    return true;
  };
}

void register_errors(py::module_& m);
void register_checkpoint_store(py::module_& m);
void register_embedder(py::module_& m);
void register_knn(py::module_& m);
void register_label_graph(py::module_& m);
void register_labeler(py::module_& m);
void register_pipeline(py::module_& m);
void register_regions(py::module_& m);
void register_row_source(py::module_& m);
void register_tokenizer(py::module_& m);
void register_umap(py::module_& m);

}  // namespace knowmap::python
