#pragma once

#include <span>
#include <vector>

#include "knowmap/knn.hpp"
#include "neighbors/partition.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// Rows drawn at random whose true neighbours are known, to estimate recall on.
struct Sample {
  Sample(const RowReader& data, const KnnOptions& options, Workers& workers);

  /// How many of the distances found for the `s`-th row are those of true
  /// neighbours. By distance, not by number: of equally far rows any will do.
  std::size_t hits(std::size_t s, std::span<const float> distances) const;

  RowSet rows;
  /// The distance of the last of each row's true neighbours.
  std::vector<float> farthest;
};

}  // namespace knowmap::neighbors
