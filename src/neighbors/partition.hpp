#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "neighbors/candidate_rows.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

using RowSet = std::vector<std::int32_t>;

/// Rows of a leaf that a partition aims at, for few neighbours.
inline constexpr std::size_t kLeafAim = 400;

/// `count` of the rows, drawn by the smallest hashes, in their order.
RowSet draw(const RowSet& rows, std::size_t count, std::uint64_t key);

/// Divides all rows into overlapping leaves of near rows: each row goes to the
/// `fanout` random leaders it is nearest to, and what then has more than 2.4 times
/// `leaf_aim` rows is divided again. Leaves come in an order in which neighbouring
/// ones share rows.
std::vector<RowSet> random_partition(const CandidateRows& rows, std::size_t fanout,
                                     std::size_t leaf_aim, std::uint64_t key, Workers& workers,
                                     Monitor* monitor);

}  // namespace knowmap::neighbors
