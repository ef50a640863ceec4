#pragma once

#include <cstddef>
#include <cstdint>

#include "neighbors/kernels.hpp"

namespace knowmap::neighbors {

// Small numbers: integers x in [-63, 63], kept as the bytes x + 64. Such a byte
// reads the same with and without a sign, and two products of them fit 16 bits,
// so every instruction set multiplies them exactly. With S the sum of a row's d
// bytes, the product of two rows is u·u' - 64 (S + S') + 4096 d; half of the
// last two terms is a row's correction.

inline constexpr std::int32_t kSmallMost = 63;
inline constexpr std::int32_t kSmallZero = 64;

/// Bytes of a row of small numbers: whole cache lines, filled up with 0.
inline constexpr std::size_t small_stride(std::size_t dims) { return (dims + 63) / 64 * 64; }

/// A panel of kPanel rows: bytes [k / 4][row][k % 4], then the corrections.
inline constexpr std::size_t small_panel_bytes(std::size_t groups) {
  return kPanel * 4 * groups + kPanel * sizeof(std::int32_t);
}

struct SmallKernels {
  /// scores[r][c] = scale * (product of row r of panel a, row c of panels b);
  /// kPanel rows of `ld` floats, b_panels * kPanel of them written.
  void (*product)(const std::uint8_t* a, const std::uint8_t* b, std::size_t b_panels,
                  std::size_t groups, float scale, float* scores, std::size_t ld);
  /// The products u·u' of all pairs of `count` rows of `stride` bytes, into the
  /// upper right of `products` (count, ld); ld is a multiple of 4, count or more.
  void (*pairs)(const std::uint8_t* const* rows, std::size_t count, std::size_t stride,
                std::int32_t* products, std::size_t ld);
  /// Writes row * by, rounded and cut to small numbers; answers their bytes' sum.
  std::int32_t (*quantize)(const float* row, std::size_t dims, float by, std::uint8_t* out);
};

/// The table for this machine, capped by KNOWMAP_MAX_ISA.
const SmallKernels& small_kernels();

}  // namespace knowmap::neighbors
