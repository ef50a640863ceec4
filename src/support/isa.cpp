#include "support/isa.hpp"

#include <cstdlib>
#include <string_view>

namespace knowmap {

namespace {

Isa supported() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd")) {
    return Isa::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    return Isa::avx2;
  }
#endif
  return Isa::generic;
}

Isa cap() {
  const char* name = std::getenv("KNOWMAP_MAX_ISA");
  if (name == nullptr) return Isa::avx512;
  if (std::string_view(name) == "generic") return Isa::generic;
  if (std::string_view(name) == "avx2") return Isa::avx2;
  return Isa::avx512;
}

}  // namespace

Isa best_isa() {
  static const Isa best = [] {
    const Isa have = supported();
    const Isa limit = cap();
    return have < limit ? have : limit;
  }();
  return best;
}

}  // namespace knowmap
