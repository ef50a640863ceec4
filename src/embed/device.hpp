#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "knowmap/embedder.hpp"

namespace knowmap {

/// "auto", "cpu", "cuda", "cuda:1", "mps" → a device that this libtorch has.
/// Throws `std::invalid_argument` naming what there is.
c10::Device resolve_device(const std::string& name);

/// The format that a model has on the device apart from products in 8 bits:
/// `automatic` and `int8` → bfloat16 where the device multiplies it natively,
/// else float32. Throws `std::invalid_argument` for int8 elsewhere than on a CPU.
Precision own_precision(Precision wanted, c10::Device device);

/// Whether 8-bit products are to be tried, for a model with weights of so many bytes.
bool try_int8(Precision wanted, c10::Device device, std::uint64_t weight_bytes);

c10::ScalarType scalar_type(Precision precision);

/// Bytes free on the device for this process; 0 where that can't be told.
std::uint64_t free_memory(c10::Device device);

/// Has the CPU's allocator keep what activations need from one layer to the next.
void keep_activation_memory(c10::Device device);

/// Gives memory that the device's allocator holds in reserve back to it.
void release_cache(c10::Device device);

}  // namespace knowmap
