#pragma once

#include <cstdint>

namespace knowmap {

/// Bytes that this process may still take: MemAvailable, and what is left of
/// the cgroup's limit (v1 and v2). 0 where nothing says so.
std::uint64_t available_memory();

/// Bytes of this process that are resident now.
std::uint64_t resident_memory();

}  // namespace knowmap
