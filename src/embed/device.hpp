#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "knowmap/embedder.hpp"

namespace knowmap {

/// "auto", "cpu", "cuda", "cuda:1", "mps" → a device that this libtorch has.
/// Throws `std::invalid_argument` naming what there is.
c10::Device resolve_device(const std::string& name);

/// `automatic` → bfloat16 where the device multiplies it natively, else float32.
Precision resolve_precision(Precision wanted, c10::Device device);

c10::ScalarType scalar_type(Precision precision);

/// Bytes free on the device for this process; 0 where that can't be told.
std::uint64_t free_memory(c10::Device device);

/// Has the CPU's allocator keep what activations need from one layer to the next.
void keep_activation_memory(c10::Device device);

/// Gives memory that the device's allocator holds in reserve back to it.
void release_cache(c10::Device device);

}  // namespace knowmap
