#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace knowmap {

/// Texts that go through the model together: positions in the list of lengths.
struct Batch {
  std::vector<std::size_t> texts;
  std::int64_t tokens = 0;
};

/// Orders texts from the longest to the shortest and fills batches up to
/// `budget` tokens; a text longer than that has a batch of its own. Memory so
/// falls from batch to batch: what fits at the start fits to the end. Equal
/// lengths stay in the caller's order. Every text is in just one batch.
std::vector<Batch> plan_batches(std::span<const std::int64_t> lengths, std::int64_t budget);

/// What a run may use, and what its parts need.
struct MemoryNeeds {
  std::uint64_t available = 0;            ///< for activations; 0 = not known
  std::uint64_t bytes_per_token = 0;      ///< of one worker's batch
  std::uint64_t bytes_per_chunk_row = 0;  ///< of its feed-forward
};

/// How a run is laid out in memory.
struct RunPlan {
  std::int64_t batch_tokens = 0;
  std::int64_t chunk_rows = 0;
  int workers = 1;
};

/// What a unit's texts are like, in tokens.
struct TextSizes {
  std::int64_t longest = 0;
  std::int64_t next = 0;  ///< the longest but one
  std::int64_t total = 0;
};
TextSizes sizes_of(std::span<const std::int64_t> lengths);

/// What a run that is laid out so takes beside the model: every worker holds a
/// batch, which is one text at least.
struct RunBytes {
  std::uint64_t activations = 0;
  std::uint64_t chunks = 0;
};
RunBytes bytes_of(const RunPlan& plan, const MemoryNeeds& needs, const TextSizes& sizes);

/// Fewer workers, where texts are so long that all at once would take more than
/// three quarters of what is available.
RunPlan narrowed(RunPlan plan, const MemoryNeeds& needs, const TextSizes& sizes);

/// The widest plan that fits into half of what is available (the other half is
/// for what can't be known: the allocator's slack, oneDNN's scratch, the rest
/// of the user's program): first the batch shrinks, then the workers.
RunPlan plan_run(const MemoryNeeds& needs, std::int64_t wanted_batch_tokens,
                 std::int64_t wanted_chunk_rows, int wanted_workers);

}  // namespace knowmap
