#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "model/activation.hpp"
#include "model/backend.hpp"

namespace knowmap {

/// Whether `make_tiled_linear` is the fastest way to products of `weights` (float32,
/// float16 or bfloat16) over rows of `in` numbers on this machine. It is not where
/// oneDNN has units that multiply matrices (AMX), or knows the processor better.
bool tiles_are_fast(at::ScalarType weights, std::int64_t in);

/// Our own product on the CPU: `weight` (out, in) in float32, float16 (rows and
/// arithmetic are float32's then) or bfloat16 (`in` is even then), which rows and results have too;
/// `bias` (out). As fast as oneDNN's over many rows, faster over few: any number of rows will do,
/// and no code is made for it.
std::unique_ptr<Linear> make_tiled_linear(const at::Tensor& weight, const at::Tensor& bias,
                                          Activation activation);

}  // namespace knowmap
