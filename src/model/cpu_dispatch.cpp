#include "model/cpu_kernels.hpp"
#include "support/isa.hpp"

namespace knowmap {

namespace {

struct Both {
  const CpuKernels<float>* float32;
  const CpuKernels<BFloat16>* bfloat16;
};

Both choose() {
  switch (best_isa()) {
#if defined(KNOWMAP_X86)
    case Isa::avx512:
      if (__builtin_cpu_supports("avx512bf16")) {
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

}  // namespace knowmap
