#pragma once

#include <cstddef>
#include <cstdint>

namespace knowmap {

inline constexpr int kFileEnded = -1;

/// Fills `out` with the bytes of a file from `offset` on, through interruptions and short
/// reads. Gives 0, the errno, or `kFileEnded` where the file ends before.
int read_at(int fd, void* out, std::size_t bytes, std::uint64_t offset);

}  // namespace knowmap
