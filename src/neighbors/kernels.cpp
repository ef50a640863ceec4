#include "neighbors/kernels.hpp"

#include "support/isa.hpp"

namespace knowmap::neighbors {

namespace generic {
extern const Kernels kKernels;
}
#if defined(KNOWMAP_X86)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
extern const Kernels kKernelsVnni;
}  // namespace avx512
#endif

const Kernels& kernels() {
#if defined(KNOWMAP_X86)
  switch (best_isa()) {
    case Isa::avx512:
      return __builtin_cpu_supports("avx512vnni") ? avx512::kKernelsVnni : avx512::kKernels;
    case Isa::avx2:
      return avx2::kKernels;
    case Isa::generic:
      break;
  }
#endif
  return generic::kKernels;
}

}  // namespace knowmap::neighbors
