#include "support/memory.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "support/read_at.hpp"

namespace knowmap {

namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

namespace fs = std::filesystem;

std::uint64_t read_number(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t value = kNone;
  // "max" in cgroup v2, and a number near 2^63 in v1, mean no limit.
  if (!(in >> value) || value > (kNone >> 2)) return kNone;
  return value;
}

std::uint64_t left(std::uint64_t limit, std::uint64_t usage) {
  if (limit == kNone || usage == kNone) return kNone;
  return limit > usage ? limit - usage : 0;
}

/// Bytes of a group's page cache that the kernel gives up when asked.
std::uint64_t reclaimable(const fs::path& stat_file) {
  std::ifstream in(stat_file);
  std::string key;
  std::uint64_t value = 0;
  std::uint64_t total = 0;
  while (in >> key >> value) {
    if (key == "inactive_file" || key == "active_file") total += value;
  }
  return total;
}

/// The least room in a group and those above it.
std::uint64_t room_in_groups(const fs::path& root, fs::path group, const char* limit_name,
                             const char* usage_name) {
  std::uint64_t least = kNone;
  for (;; group = group.parent_path()) {
    const fs::path here = root / group.relative_path();
    const std::uint64_t usage = read_number(here / usage_name);
    std::uint64_t room = left(read_number(here / limit_name), usage);
    if (room != kNone) room += std::min(usage, reclaimable(here / "memory.stat"));
    least = std::min(least, room);
    if (group.empty() || group == group.root_path()) return least;
  }
}

std::uint64_t cgroup_left() {
  // "0::/path" in version 2, "5:memory:/path" in version 1.
  std::ifstream in("/proc/self/cgroup");
  std::uint64_t least = kNone;
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {
      least =
          std::min(least, room_in_groups("/sys/fs/cgroup", group, "memory.max", "memory.current"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, room_in_groups("/sys/fs/cgroup/memory", group,
                                             "memory.limit_in_bytes", "memory.usage_in_bytes"));
    }
  }
  return least;
}

/// A line of /proc/self/status, in bytes.
std::uint64_t status(const std::string& wanted) {
  std::ifstream in("/proc/self/status");
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind(wanted + ":", 0) == 0) return std::stoull(line.substr(wanted.size() + 1)) * 1024;
  }
  return kNone;
}

std::uint64_t rlimit_left(int resource, const char* used) {
  struct rlimit limit {};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return kNone;
  }
  return left(limit.rlim_cur, status(used));
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
  const std::uint64_t free =
      std::min({mem_available(), cgroup_left(), rlimit_left(RLIMIT_DATA, "VmData"),
                rlimit_left(RLIMIT_AS, "VmSize")});
  return free == kNone ? 0 : free;
}

std::uint64_t resident_memory() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(in >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t resident_memory(const void* begin, std::uint64_t bytes) {
  if (bytes == 0) return 0;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(begin);
  const std::uint64_t from = first / page;
  const std::uint64_t to = (first + bytes + page - 1) / page;
  // One word a page; the highest bit: present.
  const int map = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map < 0) return 0;
  constexpr std::uint64_t kPages = 8192;
  std::vector<std::uint64_t> words(std::min(to - from, kPages));
  std::uint64_t present = 0;
  for (std::uint64_t at = from; at < to;) {
    const std::uint64_t size = std::min(to - at, kPages) * sizeof(std::uint64_t);
    const std::uint64_t place = at * sizeof(std::uint64_t);
    if (read_at(map, words.data(), size, place) != 0) {
      present = 0;
      break;
    }
    const std::uint64_t count = size / sizeof(std::uint64_t);
    for (std::uint64_t i = 0; i < count; ++i) present += words[i] >> 63;
    at += count;
  }
  ::close(map);
  return std::min(bytes, present * page);
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::uint64_t peak_memory() {
  const std::uint64_t peak = status("VmHWM");
  return peak == kNone ? 0 : peak;
}

}  // namespace knowmap
