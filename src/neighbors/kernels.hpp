#pragma once

#include <cstddef>
#include <cstdint>

namespace knowmap::neighbors {

/// Rows that lie side by side in packed data: packed[(row / 48) panel][k][row % 48].
inline constexpr std::size_t kPanel = 48;
/// Rows of one side of a tile; a multiple of kPanel.
inline constexpr std::size_t kBlock = 480;

/// The loops that take the time, one table for each instruction set.
struct Kernels {
  /// c[r][j] = sum_k a(r, k) * b(j, k) for `a_panels` × `b_panels` panels of
  /// packed rows; `ldc` is b_panels * kPanel or more. Each sum is taken in the
  /// order of k, so a pair's product doesn't depend on where in a tile it lies.
  void (*product)(const float* a, std::size_t a_panels, const float* b, std::size_t b_panels,
                  std::size_t depth, float* c, std::size_t ldc);
  /// The same for small integers in [-63, 63], four to a group: packed[panel][k / 4][row % 48][k %
  /// 4], `groups` of them. Exact, so the same on every instruction set.
  void (*product_int)(const std::int8_t* a, std::size_t a_panels, const std::int8_t* b,
                      std::size_t b_panels, std::size_t groups, std::int32_t* c, std::size_t ldc);
  /// Positions j in [0, n) with v[j] + bias[j] >= threshold; answers how many.
  std::size_t (*scan_row)(const float* v, const float* bias, float threshold, std::size_t n,
                          std::uint16_t* hits);
  /// Positions j in [0, n) with v[j] + bias >= thresholds[j].
  std::size_t (*scan_column)(const float* v, float bias, const float* thresholds, std::size_t n,
                             std::uint16_t* hits);
  /// v[j] = c[j] * scale as floats.
  void (*to_float)(const std::int32_t* c, float scale, std::size_t n, float* v);
  /// Sums in double over eight fixed lanes, then over the lanes in order.
  double (*dot)(const float* a, const float* b, std::size_t n);
  double (*squared_distance)(const float* a, const float* b, std::size_t n);
};

/// The table for this machine, capped by KNOWMAP_MAX_ISA.
const Kernels& kernels();

}  // namespace knowmap::neighbors
