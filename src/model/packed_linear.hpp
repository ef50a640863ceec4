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
/// oneDNN makes a kernel for each number of rows that it meets. Where memory has no
/// room for one more, rows go through in numbers whose kernels were made with the
/// first product of this shape: a product that could be loaded can be computed.
std::unique_ptr<Linear> make_packed_linear(const at::Tensor& weight, const at::Tensor& bias,
                                           Activation activation);

/// Weights held in 16 bits and brought to float32 as they are used: half the
/// memory, for the price of reading them once for each product. For fp16 on
/// processors without arithmetic for it.
std::unique_ptr<Linear> make_half_linear(const at::Tensor& weight, const at::Tensor& bias,
                                         Activation activation);

/// Seconds that `linear` takes for some hundred rows of `in` numbers on the calling
/// thread (to which OpenMP should leave one core): the best of some times.
double product_seconds(const Linear& linear, std::int64_t in, at::ScalarType dtype);

}  // namespace knowmap
