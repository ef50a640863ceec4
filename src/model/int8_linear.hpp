#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "model/backend.hpp"

namespace knowmap {

/// A linear with 8-bit weights (a scale an output channel) whose rows are brought
/// to 8 bits as they come (a scale and a zero a row). `dtype` is the rows' format
/// outside, float32 or bfloat16. Rows of the result do not depend on one another.
///
/// `channel_sizes` (in), where defined, says how large each input channel gets:
/// large channels are made smaller, and their weights larger, by powers of two,
/// so that no channel spoils the steps of all others (Xiao et al. 2022,
/// SmoothQuant, arXiv 2211.10438).
std::unique_ptr<Linear> make_int8_linear(const at::Tensor& weight, const at::Tensor& bias,
                                         Activation activation, at::ScalarType dtype,
                                         const at::Tensor& channel_sizes = {});

/// Whether this machine multiplies 8-bit numbers faster than any others.
bool int8_is_fast();

/// Computes by `linear` and notes the greatest size of each input channel in `sizes`.
std::unique_ptr<Linear> make_watched_linear(std::unique_ptr<Linear> linear, at::Tensor& sizes);

/// Of two forms of a product (out, in) over rows of `dtype`; begins in the mode `own`.
std::unique_ptr<SwitchableLinear> make_switchable_linear(std::unique_ptr<Linear> own,
                                                         std::unique_ptr<Linear> int8,
                                                         std::int64_t out, std::int64_t in,
                                                         at::ScalarType dtype);

}  // namespace knowmap
