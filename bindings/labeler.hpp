#pragma once

#include "common.hpp"
#include "knowmap/labeler.hpp"

namespace knowmap::python {

/// "uniform", "distance", "membership", "function"; throws `std::invalid_argument`.
KnnLabelerOptions::Weights weights_from_name(const std::string& name);
std::string weights_name(KnnLabelerOptions::Weights weights);

/// From a dictionary of the fields' names, and back; an unknown name throws.
KnnLabelerOptions labeler_options(const py::dict& params);
py::dict options_dict(const KnnLabelerOptions& options);
/// `function(distances)` answers an array of the same shape; None sets nothing.
void set_weight_function(KnnLabelerOptions& options, const py::object& function);

/// All of a fitted labeler but its options, as numbers and NumPy arrays; and back.
py::dict labeler_state(const LabelerState& state);
KnnLabeler labeler_from_state(const py::dict& params, const py::object& weight_function,
                              const py::dict& state);

/// Two arrays of one shape (n, k); throws `std::invalid_argument`.
KnnGraph graph_of(const IntArray& indices, const FloatArray& distances);

/// (classes (m, t), shares (m, t))
py::tuple top_arrays(const TopClasses& top);

}  // namespace knowmap::python
