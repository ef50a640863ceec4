#pragma once

#include <cstddef>

#include "neighbors/kernels.hpp"

namespace knowmap::neighbors {

/// One metric that is no product of rows: `tile` scores panels of rows (as
/// Kernels::product takes them), `distance` is the metric itself, summed in
/// double over eight fixed lanes. `p` is minkowski's exponent.
struct MetricKernel {
  /// c[r][j] = a number that falls as the distance of a's row r and b's row j grows.
  void (*tile)(const float* a, std::size_t a_panels, const float* b, std::size_t b_panels,
               std::size_t depth, float p, float* c, std::size_t ldc);
  double (*distance)(const float* a, const float* b, std::size_t n, double p);
};

struct MetricKernels {
  MetricKernel manhattan, chebyshev, minkowski, canberra, braycurtis, hamming, jaccard;
};

/// The table for this machine, capped by KNOWMAP_MAX_ISA.
const MetricKernels& metric_kernels();

}  // namespace knowmap::neighbors
