#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "knowmap/checkpoint_store.hpp"

namespace knowmap {

/// Rows whose texts stand elsewhere now, as where one was put in before them: what
/// a text's hash says is held is copied to its new place, not computed.
///
/// A row may be overwritten before all that want it have copied it; those are then
/// computed. Where texts were put in or taken out that is a few, where they were
/// shuffled about half. int8 rows are not moved: rounding them again might change them.
class MovedRows {
 public:
  /// `wanted`: the hash of each text. Reads the hashes of all rows held.
  MovedRows(const CheckpointStore& store, std::span<const std::uint64_t> wanted);

  /// Rows below the last text that hold another text than they should, and those of
  /// shards that reach beyond it.
  const std::vector<std::uint64_t>& changed() const { return changed_; }
  const std::vector<RowRange>& beyond() const { return beyond_; }
  /// How many rows may be moved.
  std::uint64_t count() const { return targets_.size(); }

  /// Moves them: cut off anywhere, each row of the store is whole, with its own text's
  /// hash. `go_on` is asked between two commits. `changed` is then what is left of it.
  /// Gives how many were moved.
  std::uint64_t move(CheckpointStore& store, const std::function<void()>& go_on);

 private:
  struct Target {
    std::uint64_t row = 0, source = 0;
  };
  bool stands(const Target& target) const;
  Matrix gather(const CheckpointStore& store, std::span<const Target> targets) const;
  std::vector<std::uint64_t> hashes_of(std::span<const Target> targets) const;

  std::span<const std::uint64_t> wanted_;
  std::vector<RowRange> ranges_;  // that stay where they are
  std::vector<RowRange> beyond_;
  std::vector<std::uint64_t> held_;  // the hash of each row held, by row
  std::vector<std::uint64_t> changed_;
  std::vector<Target> targets_;  // by row
};

}  // namespace knowmap
