#pragma once

#include <cstdint>

namespace knowmap {

/// Bytes that this process can still take: what is least of the machine's
/// available memory, the room in its control groups (version 1 or 2), and the
/// room under RLIMIT_DATA and RLIMIT_AS. 0 = can't be told.
std::uint64_t available_memory();

/// Resident bytes of this process; 0 = can't be told.
std::uint64_t resident_memory();

/// Has `peak_memory` count from now on, where the system allows it.
void reset_peak_memory();
/// Highest resident bytes of this process; 0 = can't be told.
std::uint64_t peak_memory();

}  // namespace knowmap
