#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "knowmap/labeler.hpp"

namespace knowmap::label {

/// Throws `std::invalid_argument` where the earlier regions do not fit together,
/// or name rows that a map of `n` rows does not have.
void check_earlier(std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                   std::size_t n);

/// The name of a region's counterpart in an earlier map.
struct EarlierName {
  std::string name;    ///< "" where there is none
  double overlap = 0;  ///< rows that both have by rows that either has (Jaccard 1912)
  double known = 0;    ///< share of the region's rows that the earlier map had

  /// Where both are above one half the region is the same, and its name stays. Else it
  /// stays where it still says what the region is about.
  bool is_same() const { return overlap > 0.5 && known > 0.5; }
};

/// The counterparts of all regions, by level. Rows that only one of the maps has
/// are left aside. Pairs are taken by their overlap, of all levels together, each region
/// once in a level; what overlaps by less than a fifth is new. A name that a region above or
/// within keeps is not kept twice.
std::vector<std::vector<EarlierName>> earlier_names(std::span<const RegionLevel> levels,
                                                    std::span<const RegionLevel> earlier,
                                                    std::span<const std::int64_t> rows);

}  // namespace knowmap::label
