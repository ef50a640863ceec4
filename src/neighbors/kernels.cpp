#include "neighbors/kernels.hpp"

#include "neighbors/metric_kernels.hpp"
#include "neighbors/small_kernels.hpp"
#include "support/isa.hpp"

namespace knowmap::neighbors {

namespace generic {
extern const Kernels kKernels;
extern const MetricKernels kMetricKernels;
extern const SmallKernels kSmallKernels;
}  // namespace generic
#if defined(KNOWMAP_X86)
namespace avx2 {
extern const Kernels kKernels;
extern const MetricKernels kMetricKernels;
extern const SmallKernels kSmallKernels;
}  // namespace avx2
namespace avx512 {
extern const Kernels kKernels;
extern const MetricKernels kMetricKernels;
extern const SmallKernels kSmallKernels;
}  // namespace avx512
namespace avx512vnni {
extern const SmallKernels kSmallKernels;
}
#endif

const Kernels& kernels() {
#if defined(KNOWMAP_X86)
  switch (best_isa()) {
    case Isa::avx512:
      return avx512::kKernels;
    case Isa::avx2:
      return avx2::kKernels;
    case Isa::generic:
      break;
  }
#endif
  return generic::kKernels;
}

const MetricKernels& metric_kernels() {
#if defined(KNOWMAP_X86)
  switch (best_isa()) {
    case Isa::avx512:
      return avx512::kMetricKernels;
    case Isa::avx2:
      return avx2::kMetricKernels;
    case Isa::generic:
      break;
  }
#endif
  return generic::kMetricKernels;
}

const SmallKernels& small_kernels() {
#if defined(KNOWMAP_X86)
  switch (best_isa()) {
    case Isa::avx512:
      return __builtin_cpu_supports("avx512vnni") ? avx512vnni::kSmallKernels
                                                  : avx512::kSmallKernels;
    case Isa::avx2:
      return avx2::kSmallKernels;
    case Isa::generic:
      break;
  }
#endif
  return generic::kSmallKernels;
}

}  // namespace knowmap::neighbors
