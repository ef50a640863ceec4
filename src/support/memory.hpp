#pragma once

#include <cstdint>

namespace knowmap {

/// Bytes that this process can still take: what is least of the machine's
/// available memory, the room in its control groups (version 1 or 2), and the
/// room under RLIMIT_DATA and RLIMIT_AS. 0 = can't be told.
std::uint64_t available_memory();

/// Resident bytes of this process; 0 = can't be told.
std::uint64_t resident_memory();
/// Of the `bytes` from `begin` on, those in pages that are resident; 0 also where that can't be
/// told.
std::uint64_t resident_memory(const void* begin, std::uint64_t bytes);

/// Has `peak_memory` count from now on, where the system allows it.
void reset_peak_memory();
/// Highest resident bytes of this process; 0 = can't be told.
std::uint64_t peak_memory();

}  // namespace knowmap
