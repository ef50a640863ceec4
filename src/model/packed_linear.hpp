#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "model/activation.hpp"
#include "model/backend.hpp"

namespace knowmap {

/// oneDNN's product on the CPU, `weight` (out, in) and `bias` (out) laid out for it
/// once; float32 or bfloat16, which rows and results have too.
///
/// oneDNN makes and keeps a kernel for each number of rows that it meets: rows are
/// rounded up to a multiple of 16, so that there are few. Where memory has no
/// room for one more, rows go through in numbers whose kernels were made with the
/// first product of this shape: a product that could be loaded can be computed.
std::unique_ptr<Linear> make_packed_linear(const at::Tensor& weight, const at::Tensor& bias,
                                           Activation activation);

}  // namespace knowmap
