#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "knowmap/matrix.hpp"
#include "label/merge_tree.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// Where a region's name stands: at its densest part as seen from afar, on one
/// of its rows, so that it lies inside however the region is bent.
std::pair<float, float> place_name(std::span<const std::int32_t> rows, MatrixView<const float> map);

/// The region that most of a group's rows are in, the lower number on a tie; -1 where none is in
/// one.
struct Majority {
  std::int32_t region = -1;
  std::size_t in_any = 0;  ///< rows of the group that are in a region
};
/// Of each group. `region_of_row`: -1 = in none.
std::vector<Majority> majorities(const Groups& groups, std::span<const std::int32_t> region_of_row);

/// The `most` rows of each region that are nearest to its centre, in the
/// embedding's directions or, where it is empty, on the map.
std::vector<std::vector<std::int64_t>> typical_rows(const Groups& groups,
                                                    MatrixView<const float> map,
                                                    MatrixView<const float> embedding,
                                                    std::size_t most, Workers& workers,
                                                    Monitor& monitor);

}  // namespace knowmap::label
