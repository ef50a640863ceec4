#pragma once

#include <cstddef>
#include <cstdint>

#include "model/cpu_kernels.hpp"

namespace knowmap {

/// A float16 as its 16 bits.
struct Float16 {
  std::uint16_t bits;
};

/// A product's weights, laid out by `TileKernels::pack`.
template <class W>
struct TileWeights {
  const W* packed = nullptr;
  const float* bias = nullptr;  ///< (channels)
  std::size_t out = 0;
  std::size_t in = 0;
};

/// Products of rows of `T` with weights of `W`: float32 by float32 or float16,
/// bfloat16 by bfloat16. A number of the result is a sum in float32, from the first to the
/// last, in blocks that are always the same: it depends neither on the rows beside it nor
/// on how rows and columns were cut.
template <class T, class W>
struct TileKernels {
  /// Output channels with those that fill up the last panel.
  std::size_t (*channels)(std::size_t out);
  /// `weight` (out, in) → `packed` (channels · in). `in` is even for bfloat16.
  void (*pack)(const W* weight, std::size_t out, std::size_t in, W* packed);
  /// y[i] = activation(x[i] Wᵀ + bias) for rows `x_stride` and `y_stride` apart;
  /// GELU exact for float32, as `CpuKernels::gelu` for bfloat16.
  void (*product)(const T* x, std::size_t x_stride, std::size_t rows, const TileWeights<W>& weights,
                  bool gelu, T* y, std::size_t y_stride);
};

/// The kernels for this machine.
template <class T, class W>
const TileKernels<T, W>& tile_kernels();

#define KNOWMAP_DECLARE_TILE_KERNELS(isa)                            \
  namespace isa {                                                    \
  extern const TileKernels<float, float> kFloatTileKernels;          \
  extern const TileKernels<float, Float16> kHalfTileKernels;         \
  extern const TileKernels<BFloat16, BFloat16> kBFloat16TileKernels; \
  }
KNOWMAP_DECLARE_TILE_KERNELS(generic)
KNOWMAP_DECLARE_TILE_KERNELS(avx2)
KNOWMAP_DECLARE_TILE_KERNELS(avx512)
KNOWMAP_DECLARE_TILE_KERNELS(avx512bf16)
#undef KNOWMAP_DECLARE_TILE_KERNELS

}  // namespace knowmap
