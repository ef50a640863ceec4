#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "embed/batch_planner.hpp"
#include "model/transformer.hpp"
#include "support/parallel.hpp"

namespace knowmap {

/// Ids and offsets of a batch's texts, laid end to end.
struct PackedBatch {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};
  PackedTokens view() const { return {ids, offsets}; }
};

/// Takes the last hidden states (tokens, hidden) of batch `i`; on any worker.
using TakeHidden = std::function<void(std::size_t i, const at::Tensor& hidden)>;

/// Layer by layer over all batches, for a model whose layers are not resident:
/// a batch goes on to the next layer once it is read, while others are still in
/// the last, so that cores wait neither for the file nor for each other. Hidden
/// states of all batches are held at once. A layer over a batch that fails for
/// want of memory is done again alone, in ever smaller chunks. No more than
/// `plan.workers` batches are computed at a time.
///
/// Returns the number of failed allocations. Throws `OutOfMemoryError`,
/// `CancelledError`.
std::uint64_t run_layer_by_layer(const Transformer& model, std::vector<PackedBatch> batches,
                                 const RunPlan& plan, Workers& workers, Monitor& monitor,
                                 const TakeHidden& take);

}  // namespace knowmap
