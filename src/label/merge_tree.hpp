#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/matrix.hpp"
#include "label/density_basins.hpp"
#include "label/earlier_division.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// How basins become regions: a binary tree of merges, whose cuts are nested.
class MergeTree {
 public:
  /// Merges neighbouring basins, the pair first whose union adds least to the
  /// spread (Ward 1963) within regions: of the texts' directions (`embedding`,
  /// (n, d) or empty) and of the places on the map. Basins of fewer than
  /// `min_size` rows come first. Islands are neighbours of the nearest islands.
  /// What an earlier map had in one region is merged before what it had in two, level by
  /// level, so that its regions come up again; the larger of two says whose the union is. A
  /// region of new rows goes to the one that it costs least with.
  MergeTree(const Basins& basins, MatrixView<const float> map, MatrixView<const float> embedding,
            std::size_t min_size, EarlierDivision earlier, Workers& workers, Monitor& monitor);

  /// How many regions a cut has, level by level as the earlier map was divided, where earlier
  /// regions are whole and new ones are about as large.
  const std::vector<std::size_t>& whole() const { return whole_; }

  /// Most regions that a cut can have with none below `min_size` rows.
  std::size_t most() const { return most_; }
  /// Region of each basin after cutting the tree into min(`count`, most())
  /// regions, numbered as they come up in order of basins.
  std::vector<std::int32_t> cut(std::size_t count) const;

 private:
  std::size_t n_basins_ = 0;
  std::size_t most_ = 0;
  std::vector<std::size_t> whole_;
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;  // basins that stand for the two
};

/// Rows of each group one after another, in order: `rows[offsets[g] …
/// offsets[g + 1])`. Rows of group -1 are in none.
struct Groups {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> rows;

  Groups(std::span<const std::int32_t> group_of_row, std::size_t n_groups);
  std::size_t size() const { return offsets.size() - 1; }
  std::span<const std::int32_t> of(std::size_t group) const {
    return {rows.data() + offsets[group], rows.data() + offsets[group + 1]};
  }
};

}  // namespace knowmap::label
