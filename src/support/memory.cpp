#include "support/memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace knowmap {

namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

std::uint64_t read_number(const char* file) {
  std::ifstream in(file);
  std::uint64_t value = kNone;
  // "max" in cgroup v2, and a number near 2^63 in v1, mean no limit.
  if (!(in >> value) || value > (kNone >> 2)) return kNone;
  return value;
}

std::uint64_t cgroup_left(const char* limit_file, const char* usage_file) {
  const std::uint64_t limit = read_number(limit_file);
  const std::uint64_t usage = read_number(usage_file);
  if (limit == kNone || usage == kNone) return kNone;
  return limit > usage ? limit - usage : 0;
}

std::uint64_t mem_available() {
  std::ifstream in("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  std::string unit;
  while (in >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(in, unit);
  }
  return kNone;
}

}  // namespace

std::uint64_t available_memory() {
  const std::uint64_t free = std::min(
      {mem_available(), cgroup_left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
       cgroup_left("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                   "/sys/fs/cgroup/memory/memory.usage_in_bytes")});
  return free == kNone ? 0 : free;
}

std::uint64_t resident_memory() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(in >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace knowmap
