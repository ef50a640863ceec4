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

/// The names that regions keep from an earlier map, "" for those that are new.
///
/// A region and an earlier one are the same where the rows that both have make
/// up more than half of the rows that either has, rows that only one map has
/// left aside (an overlap after Jaccard 1912). Above one half no region has two
/// such counterparts in a level. A name that a region above keeps is not kept
/// twice.
std::vector<std::vector<std::string>> earlier_names(std::span<const RegionLevel> levels,
                                                    std::span<const RegionLevel> earlier,
                                                    std::span<const std::int64_t> rows);

}  // namespace knowmap::label
