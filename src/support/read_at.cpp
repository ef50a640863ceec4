#include "support/read_at.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace knowmap {

int read_at(int fd, void* out, std::size_t bytes, std::uint64_t offset) {
  // One call never gives more than 2 GiB on Linux, and less elsewhere.
  constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, to, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return kFileEnded;
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return 0;
}

}  // namespace knowmap
