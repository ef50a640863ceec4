#pragma once

#include <cstddef>
#include <cstdint>

#include "model/activation.hpp"
#include "model/cpu_kernels.hpp"

namespace knowmap {

/// What the newer families do to rows beside products and attention; as
/// `CpuKernels`, one set for each instruction set, float32 arithmetic.
template <class T>
struct RowKernels {
  /// out[i] = norm(x[i]); `beta` may be null, `out` may be `x`.
  void (*norm)(const T* x, const float* gamma, const float* beta, float eps, bool rms,
               std::size_t rows, std::size_t dim, T* out);
  /// x += y.
  void (*add)(T* x, const T* y, std::size_t n);
  /// x = activation(x).
  void (*activate)(T* x, Activation activation, std::size_t n);
  /// out[i] (dim) = activation(first half of x[i]) · second half; x[i] has 2 dim.
  void (*gate)(const T* x, Activation activation, std::size_t rows, std::size_t dim, T* out);
  /// `heads` heads of `head_dim` numbers side by side in each row of `x`, rows
  /// `stride` apart: each is divided by its root mean square and multiplied by
  /// `gamma` (where not null), then turned by row `positions[i]` of `table`
  /// (where not null): head_dim / 2 cosines, then as many sines.
  void (*turn)(T* x, std::size_t stride, std::size_t rows, std::size_t heads, std::size_t head_dim,
               const float* gamma, float eps, const std::int32_t* positions, const float* table);
};

/// The kernels for this machine.
template <class T>
const RowKernels<T>& row_kernels();

#define KNOWMAP_DECLARE_KERNELS(isa)                     \
  namespace isa {                                        \
  extern const RowKernels<float> kFloatRowKernels;       \
  extern const RowKernels<BFloat16> kBFloat16RowKernels; \
  }
KNOWMAP_DECLARE_KERNELS(generic)
KNOWMAP_DECLARE_KERNELS(avx2)
KNOWMAP_DECLARE_KERNELS(avx512)
#undef KNOWMAP_DECLARE_KERNELS

}  // namespace knowmap
