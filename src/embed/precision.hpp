#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "knowmap/embedder.hpp"

namespace knowmap {

/// The format that a model has on the device apart from products in 8 bits:
/// `automatic` and `int8` → bfloat16 where the device multiplies it natively,
/// else float32. Throws `std::invalid_argument` for int8 elsewhere than on a CPU.
Precision own_precision(Precision wanted, c10::Device device);

/// Whether 8-bit products are to be tried, for a model with weights of so many bytes.
bool try_int8(Precision wanted, c10::Device device, std::uint64_t weight_bytes);

c10::ScalarType scalar_type(Precision precision);

/// Has the CPU's allocator keep what activations need from one layer to the next.
void keep_activation_memory(c10::Device device);

}  // namespace knowmap
