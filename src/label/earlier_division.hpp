#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/labeler.hpp"
#include "label/density_basins.hpp"

namespace knowmap::label {

/// How an earlier map was divided, carried over to the basins of this one.
struct EarlierDivision {
  /// Earlier levels, coarse to fine; 0 = nothing is known of an earlier map.
  std::size_t levels = 0;
  /// (basins, levels) the earlier region that a basin continues, level by level, -1 = none.
  std::vector<std::int32_t> region_of;

  bool empty() const { return levels == 0; }
  /// 1 + the finest level on which two basins continue the same region; 0 where there is none.
  std::size_t common(std::int32_t a, std::int32_t b) const;
  /// Whether a basin continues no region on any level.
  bool is_new(std::int32_t basin) const;
  /// Basin `a` continues from now on what `b` does.
  void take(std::int32_t a, std::int32_t b);
};

/// On each level a basin continues the earlier region that most of its earlier rows were in, where
/// at least a third of all its rows were in one. Empty where no basin continues any. `rows` as
/// `RegionOptions::earlier_rows`.
EarlierDivision carry_over(std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                           const Basins& basins);

}  // namespace knowmap::label
