#include "model/row_kernels.hpp"
#include "support/isa.hpp"

namespace knowmap {

namespace {

struct Both {
  const RowKernels<float>* float32;
  const RowKernels<BFloat16>* bfloat16;
};

Both choose() {
  switch (best_isa()) {
#if defined(KNOWMAP_X86)
    case Isa::avx512:
      return {&avx512::kFloatRowKernels, &avx512::kBFloat16RowKernels};
    case Isa::avx2:
      return {&avx2::kFloatRowKernels, &avx2::kBFloat16RowKernels};
#endif
    default:
      return {&generic::kFloatRowKernels, &generic::kBFloat16RowKernels};
  }
}

const Both& chosen() {
  static const Both both = choose();
  return both;
}

}  // namespace

template <>
const RowKernels<float>& row_kernels<float>() {
  return *chosen().float32;
}

template <>
const RowKernels<BFloat16>& row_kernels<BFloat16>() {
  return *chosen().bfloat16;
}

}  // namespace knowmap
