#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common.hpp"
#include "knowmap/error.hpp"
#include "knowmap/labeler.hpp"

namespace knowmap::python {

/// Calls `namer(name=…, phrases=…, titles=…, parent=…, level=…, size=…)`. What it
/// raises is a failure of that one name; but Ctrl-C and its like end the call.
class PythonNamer {
 public:
  explicit PythonNamer(const py::function& namer) : namer_(namer) {}
  std::string operator()(const NamingRequest& request) {
    const py::gil_scoped_acquire gil;
    try {
      std::vector<py::str> titles;
      for (const std::string_view title : request.titles) titles.push_back(text(title));
      std::vector<py::str> phrases;
      for (const std::string& phrase : request.phrases) phrases.push_back(text(phrase));
      const py::object answer =
          namer_(py::arg("name") = text(request.name), py::arg("phrases") = phrases,
                 py::arg("titles") = titles, py::arg("parent") = text(request.parent),
                 py::arg("level") = request.level, py::arg("size") = request.size);
      if (answer.is_none()) return "";
      if (!py::isinstance<py::str>(answer)) {
        throw std::runtime_error("it answered a " + std::string(Py_TYPE(answer.ptr())->tp_name) +
                                 ", not a str");
      }
      return answer.cast<std::string>();
    } catch (py::error_already_set& error) {
      if (error.matches(PyExc_Exception)) throw std::runtime_error(error.what());
      interrupted_ = std::current_exception();
      throw CancelledError("the namer was interrupted");
    }
  }
  /// Throws what ended the call, if the namer did.
  void rethrow_interrupt() const {
    if (interrupted_) std::rethrow_exception(interrupted_);
  }

 private:
  static py::str text(std::string_view bytes) {
    return py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
  }
  py::function namer_;
  std::exception_ptr interrupted_;
};

/// Calls `warn(message)`; None is told nothing. `warn` must outlive the callback.
inline WarningCallback warning_callback(const py::object& warn) {
  if (warn.is_none()) return {};
  return [&warn](std::string_view message) {
    const py::gil_scoped_acquire gil;
    warn(std::string(message));
  };
}

}  // namespace knowmap::python
