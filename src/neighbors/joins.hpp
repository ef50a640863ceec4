#pragma once

#include <mutex>
#include <vector>

#include "neighbors/candidate_rows.hpp"
#include "neighbors/partition.hpp"
#include "neighbors/top_k.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// One lock for each row, shared among some.
class RowLocks {
 public:
  std::mutex& of(std::size_t row) { return locks_[row % kCount]; }

 private:
  static constexpr std::size_t kCount = 8192;
  std::vector<std::mutex> locks_ = std::vector<std::mutex>(kCount);
};

/// Offers every pair of rows that share a leaf to both.
void join_leaves(const CandidateRows& rows, const std::vector<RowSet>& leaves, TopK& best,
                 RowLocks& locks, Workers& workers, Monitor* monitor);

/// One pass of NN-descent: offers every pair of rows that have a common
/// neighbour, or are a common row's neighbours from either side, to both. Takes
/// the neighbours as they stand when it starts, so threads don't matter.
void join_neighbours(const CandidateRows& rows, TopK& best, RowLocks& locks, Workers& workers,
                     Monitor* monitor);

}  // namespace knowmap::neighbors
