#include "model/cpu_kernels.hpp"
#include "model/int8_kernels.hpp"
#include "model/int8_linear.hpp"
#include "model/tile_kernels.hpp"
#include "model/tiled_linear.hpp"
#include "support/isa.hpp"

namespace knowmap {

namespace {

struct Both {
  const CpuKernels<float>* float32;
  const CpuKernels<BFloat16>* bfloat16;
};

struct BothInt8 {
  const Int8Kernels<float>* float32;
  const Int8Kernels<BFloat16>* bfloat16;
};

struct AllTiles {
  const TileKernels<float, float>* float32;
  const TileKernels<float, Float16>* float16;
  const TileKernels<BFloat16, BFloat16>* bfloat16;
};

#if defined(KNOWMAP_X86)
bool has_vnni() { return __builtin_cpu_supports("avx512vnni"); }
bool has_bf16() { return __builtin_cpu_supports("avx512bf16") && has_vnni(); }
#endif

Both choose() {
  switch (best_isa()) {
#if defined(KNOWMAP_X86)
    case Isa::avx512:
      if (has_bf16()) {
        return {&avx512::kFloatKernels, &avx512bf16::kBFloat16Kernels};
      }
      return {&avx512::kFloatKernels, &avx512::kBFloat16Kernels};
    case Isa::avx2:
      return {&avx2::kFloatKernels, &avx2::kBFloat16Kernels};
#endif
    default:
      return {&generic::kFloatKernels, &generic::kBFloat16Kernels};
  }
}

BothInt8 choose_int8() {
  switch (best_isa()) {
#if defined(KNOWMAP_X86)
    case Isa::avx512:
      if (has_bf16()) {
        return {&avx512vnni::kFloatInt8Kernels, &avx512bf16::kBFloat16Int8Kernels};
      }
      if (has_vnni()) {
        return {&avx512vnni::kFloatInt8Kernels, &avx512vnni::kBFloat16Int8Kernels};
      }
      return {&avx512::kFloatInt8Kernels, &avx512::kBFloat16Int8Kernels};
    case Isa::avx2:
      if (__builtin_cpu_supports("avxvnni")) {
        return {&avxvnni::kFloatInt8Kernels, &avxvnni::kBFloat16Int8Kernels};
      }
      return {&avx2::kFloatInt8Kernels, &avx2::kBFloat16Int8Kernels};
#endif
    default:
      return {&generic::kFloatInt8Kernels, &generic::kBFloat16Int8Kernels};
  }
}

AllTiles choose_tiles() {
  switch (best_isa()) {
#if defined(KNOWMAP_X86)
    case Isa::avx512:
      return {&avx512::kFloatTileKernels, &avx512::kHalfTileKernels,
              has_bf16() ? &avx512bf16::kBFloat16TileKernels : &avx512::kBFloat16TileKernels};
    case Isa::avx2:
      return {&avx2::kFloatTileKernels, &avx2::kHalfTileKernels, &avx2::kBFloat16TileKernels};
#endif
    default:
      return {&generic::kFloatTileKernels, &generic::kHalfTileKernels,
              &generic::kBFloat16TileKernels};
  }
}

const AllTiles& chosen_tiles() {
  static const AllTiles all = choose_tiles();
  return all;
}

const BothInt8& chosen_int8() {
  static const BothInt8 both = choose_int8();
  return both;
}

const Both& chosen() {
  static const Both both = choose();
  return both;
}

}  // namespace

template <>
const CpuKernels<float>& cpu_kernels<float>() {
  return *chosen().float32;
}

template <>
const CpuKernels<BFloat16>& cpu_kernels<BFloat16>() {
  return *chosen().bfloat16;
}

bool tiles_are_fast(at::ScalarType weights, std::int64_t in) {
  if (best_isa() == Isa::generic) return false;
#if defined(KNOWMAP_X86)
  if (weights == at::kBFloat16 && __builtin_cpu_supports("amx-bf16")) return false;
#endif
  return weights != at::kBFloat16 || in % 2 == 0;
}

bool int8_is_fast() {
#if defined(KNOWMAP_X86)
  if (best_isa() == Isa::avx512) return has_vnni();
  return best_isa() == Isa::avx2 && __builtin_cpu_supports("avxvnni");
#else
  return false;
#endif
}

template <>
const Int8Kernels<float>& int8_kernels<float>() {
  return *chosen_int8().float32;
}

template <>
const Int8Kernels<BFloat16>& int8_kernels<BFloat16>() {
  return *chosen_int8().bfloat16;
}

template <>
const TileKernels<float, float>& tile_kernels<float, float>() {
  return *chosen_tiles().float32;
}

template <>
const TileKernels<float, Float16>& tile_kernels<float, Float16>() {
  return *chosen_tiles().float16;
}

template <>
const TileKernels<BFloat16, BFloat16>& tile_kernels<BFloat16, BFloat16>() {
  return *chosen_tiles().bfloat16;
}

}  // namespace knowmap
