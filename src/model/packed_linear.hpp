#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "model/activation.hpp"
#include "model/backend.hpp"

namespace knowmap {

/// oneDNN makes and keeps a kernel for each number of rows that it meets: these are rounded
/// up, so that there are few.
inline constexpr std::int64_t kPackedRowMultiple = 16;
/// What those kernels take of a run's memory, code and all: some half MiB each.
inline constexpr std::uint64_t kPackedKernelBytes = std::uint64_t{24} << 20;

/// oneDNN's product on the CPU, `weight` (out, in) and `bias` (out) laid out for it
/// once; float32 or bfloat16, which rows and results have too.
///
/// Where memory has no room for one more kernel, rows go through in numbers whose kernels were made
/// with the first product of this shape: a product that could be loaded can be computed.
std::unique_ptr<Linear> make_packed_linear(const at::Tensor& weight, const at::Tensor& bias,
                                           Activation activation);

}  // namespace knowmap
