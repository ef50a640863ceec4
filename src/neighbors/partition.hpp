#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "neighbors/candidate_rows.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

using RowSet = std::vector<std::int32_t>;

/// Rows of a leaf that a partition aims at, for few neighbours.
inline constexpr std::size_t kLeafAim = 320;

/// `count` of the rows, drawn by the smallest hashes, in their order.
RowSet draw(const RowSet& rows, std::size_t count, std::uint64_t key);

/// Rows that others are assigned to, packed. `rows` must outlive it.
class Leaders {
 public:
  /// At most 65,536 leaders.
  Leaders(const CandidateRows& rows, std::span<const std::int32_t> leaders);

  /// Writes the numbers of the `fanout` nearest leaders of each of `some` rows of
  /// `others`, nearest first and ties by the lower one: (some.size(), fanout).
  void nearest(const CandidateRows& others, std::span<const std::int32_t> some, std::size_t fanout,
               std::uint16_t* out) const;

 private:
  const CandidateRows& rows_;
  std::size_t count_;
  std::vector<std::byte> panels_;
  std::vector<float> bias_;
};

/// Divides all rows into overlapping leaves of near rows: each row goes to the
/// `fanout` random leaders it is nearest to, and what then has more than 2.4 times
/// `leaf_aim` rows is divided again. Leaves come in an order in which neighbouring
/// ones share rows.
std::vector<RowSet> random_partition(const CandidateRows& rows, std::size_t fanout,
                                     std::size_t leaf_aim, std::uint64_t key, Workers& workers,
                                     Monitor* monitor);

}  // namespace knowmap::neighbors
