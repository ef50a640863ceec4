#pragma once

#include <cstddef>
#include <cstdint>

#include "model/cpu_kernels.hpp"

namespace knowmap {

/// Numbers along the sum that share a scale: rows longer than this have several,
/// since one large number would make the steps of all others coarse.
inline constexpr std::size_t kInt8Group = 384;
constexpr std::size_t int8_groups(std::size_t in) { return (in + kInt8Group - 1) / kInt8Group; }

/// Rows in 8 bits: number k of row i is scale[i][g] · (q[i][k] − zero[i][g]), q
/// unsigned, g = k / kInt8Group. Scales and zeros come from the row's own least
/// and greatest numbers: no calibration set is needed, and a row never depends on
/// the rows beside it.
struct Int8Rows {
  std::uint8_t* q = nullptr;  ///< (rows, stride)
  std::size_t stride = 0;     ///< bytes, a multiple of 4: what lies beyond the width is 0
  float* scale = nullptr;     ///< (rows, groups)
  float* zero = nullptr;      ///< (rows, groups), whole numbers
};

/// Weights in 8 bits, one scale an output channel and group, laid out for `product`.
struct Int8Weights {
  const std::int8_t* packed = nullptr;
  const float* scale = nullptr;    ///< (groups, channels)
  const float* col_sum = nullptr;  ///< (groups, channels): the sum of the group's numbers
  const float* bias = nullptr;     ///< (channels)
  std::size_t out = 0;
  std::size_t in = 0;
  std::size_t channels = 0;  ///< `out` rounded up by the kernels' `channels`
};

/// Products of 8-bit rows and 8-bit weights. Sums are whole numbers, so that
/// every instruction set gives the same ones; `T` is the format of rows outside.
template <class T>
struct Int8Kernels {
  /// x (rows, dim), rows `stride` apart, times `factors` (dim; null for ones) → q.
  void (*quantize)(const T* x, std::size_t stride, std::size_t rows, std::size_t dim,
                   const float* factors, const Int8Rows& q);

  /// Output channels with those that fill up the last block.
  std::size_t (*channels)(std::size_t out);
  /// `weight` (out, in), whole numbers in −127 … 127 → `packed` (channels · `in`
  /// rounded up to 4).
  void (*pack)(const std::int8_t* weight, std::size_t out, std::size_t in, std::int8_t* packed);

  /// y[i] = activation(x[i] Wᵀ + bias), (rows, out); GELU as `CpuKernels::gelu`.
  void (*product)(const Int8Rows& x, std::size_t rows, const Int8Weights& weights, bool gelu, T* y);
  /// The same, the results times `factors` (out; null for ones) brought to 8 bits for a
  /// product to come, while they lie in the cache and before they are rounded to T.
  void (*product_to_rows)(const Int8Rows& x, std::size_t rows, const Int8Weights& weights,
                          bool gelu, const float* factors, const Int8Rows& y);
};

/// The kernels for this machine.
template <class T>
const Int8Kernels<T>& int8_kernels();

#define KNOWMAP_DECLARE_INT8_KERNELS(isa)                  \
  namespace isa {                                          \
  extern const Int8Kernels<float> kFloatInt8Kernels;       \
  extern const Int8Kernels<BFloat16> kBFloat16Int8Kernels; \
  }
KNOWMAP_DECLARE_INT8_KERNELS(generic)
KNOWMAP_DECLARE_INT8_KERNELS(avx2)
KNOWMAP_DECLARE_INT8_KERNELS(avxvnni)
KNOWMAP_DECLARE_INT8_KERNELS(avx512)
KNOWMAP_DECLARE_INT8_KERNELS(avx512vnni)
KNOWMAP_DECLARE_INT8_KERNELS(avx512bf16)
#undef KNOWMAP_DECLARE_INT8_KERNELS

}  // namespace knowmap
