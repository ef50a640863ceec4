#pragma once

#include <cstddef>
#include <cstdint>

namespace knowmap::neighbors {

/// Rows that lie side by side in packed data: packed[(row / 48) panel][k][row % 48].
inline constexpr std::size_t kPanel = 48;
/// Rows of one side of a tile; a multiple of kPanel.
inline constexpr std::size_t kBlock = 480;

/// A sort key beyond every pair's.
inline constexpr std::uint64_t kNoKey = ~std::uint64_t{0};

/// The loops that take the time, one table for each instruction set.
struct Kernels {
  /// c[r][j] = sum_k a(r, k) * b(j, k) for `a_panels` × `b_panels` panels of
  /// packed rows; `ldc` is b_panels * kPanel or more. Each sum is taken in the
  /// order of k, so a pair's product doesn't depend on where in a tile it lies.
  void (*product)(const float* a, std::size_t a_panels, const float* b, std::size_t b_panels,
                  std::size_t depth, float* c, std::size_t ldc);
  /// Positions j in [0, n) with v[j] + bias[j] >= threshold; answers how many.
  std::size_t (*scan_row)(const float* v, const float* bias, float threshold, std::size_t n,
                          std::uint16_t* hits);
  /// Positions j in [0, n) with v[j] + bias >= thresholds[j].
  std::size_t (*scan_column)(const float* v, float bias, const float* thresholds, std::size_t n,
                             std::uint16_t* hits);
  /// to[c][r] = from[r][c] for kPanel × kPanel floats; both have `ld` columns.
  void (*mirror)(const float* from, float* to, std::size_t ld);
  /// Puts each (scores[j] + bias[j], indices[j]), j in [0, n), into a row's list
  /// of the best: `capacity` sort keys (top_k.hpp), a multiple of 8, ascending.
  /// Pairs that are there already, and those whose score is NaN, are passed over.
  void (*offer)(std::uint64_t* keys, std::size_t capacity, const float* scores, const float* bias,
                const std::int32_t* indices, std::size_t n);
  /// Sums in double over eight fixed lanes, then over the lanes in order.
  double (*dot)(const float* a, const float* b, std::size_t n);
  double (*squared_distance)(const float* a, const float* b, std::size_t n);
};

/// The table for this machine, capped by KNOWMAP_MAX_ISA.
const Kernels& kernels();

}  // namespace knowmap::neighbors
