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
  /// (basins, levels) the earlier region that a basin continues, level by level; -1 in all
  /// levels where most of its rows are new.
  std::vector<std::int32_t> region_of;

  bool empty() const { return levels == 0; }
  /// Levels, from the coarsest, on which two basins are of the same region: `levels` where
  /// they are of the same one on the finest too.
  std::size_t common(std::int32_t a, std::int32_t b) const;
  bool is_new(std::int32_t basin) const {
    return region_of[(static_cast<std::size_t>(basin) + 1) * levels - 1] < 0;
  }
  /// Basin `a` continues from now on what `b` does.
  void take(std::int32_t a, std::int32_t b);
};

/// A basin continues the finest earlier region that most of its earlier rows were in, and the
/// regions above that one; it is new where fewer than a third of its rows are earlier ones.
/// `rows` as `RegionOptions::earlier_rows`.
EarlierDivision carry_over(std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                           const Basins& basins);

}  // namespace knowmap::label
