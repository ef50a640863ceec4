// A weights file of any bytes is read, or is a ModelError: no read outside it.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "knowmap/error.hpp"
#include "model/safetensors.hpp"

namespace {

/// A file without a disk.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size) : fd_(::memfd_create("fuzz", 0)) {
    if (fd_ < 0 || ::write(fd_, data, size) != static_cast<ssize_t>(size)) std::abort();
  }
  ~MemoryFile() { ::close(fd_); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file(data, size);
  try {
    const knowmap::SafeTensors tensors(file.path());
    unsigned sum = 0;
    for (const auto& [name, entry] : tensors.entries()) {
      for (std::size_t i = 0; i < entry.bytes; ++i) {
        sum += static_cast<unsigned char>(entry.data[i]);
      }
    }
    [[maybe_unused]] static volatile unsigned kept;
    kept = sum;
  } catch (const knowmap::ModelError&) {
    // What a damaged file is to end in.
  }
  return 0;
}
