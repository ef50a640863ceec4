#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace knowmap {

/// "auto", "cpu", "cuda", "cuda:1", "mps" → a device that this libtorch has.
/// Throws `std::invalid_argument` naming what there is.
c10::Device resolve_device(const std::string& name);

/// Bytes free on the device for this process; 0 where that can't be told.
std::uint64_t free_memory(c10::Device device);

/// Gives memory that the device's allocator holds in reserve back to it.
void release_cache(c10::Device device);

}  // namespace knowmap
