#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <span>
#include <vector>

#include "embed/batch_planner.hpp"
#include "knowmap/embedder.hpp"
#include "model/transformer.hpp"

namespace knowmap {

/// On a CPU a worker's batch need only fill the multiplication's blocks.
inline constexpr std::int64_t kCpuBatchTokens = 512;
inline constexpr std::int64_t kCpuChunkRows = 256;

/// Memory that a run brings in and that stays: rows of the table of words, in a file
/// that is mapped, as words are met; and what is given back.
class LastingBytes {
 public:
  /// `table` (vocabulary, dim) where it lies in a mapped file; `results`: bytes of what is
  /// given back and not in memory yet, at once or for each token.
  LastingBytes(const at::Tensor* table, std::uint64_t results, std::uint64_t results_per_token);

  void meet(std::span<const std::int32_t> ids);
  /// As many tokens of which nothing is known.
  void meet_any(std::uint64_t tokens);

  std::uint64_t results() const { return results_; }
  /// With all that has been met so far.
  std::uint64_t bytes() const;

 private:
  /// Bytes of the table between these addresses that are not in memory.
  std::uint64_t missing(std::uintptr_t begin, std::uintptr_t end) const;

  std::uintptr_t table_ = 0;
  std::uint64_t table_bytes_ = 0;
  std::uint64_t row_bytes_ = 0;
  std::uint64_t results_;
  std::uint64_t results_per_token_;
  std::uint64_t tokens_ = 0;
  std::uint64_t unknown_ = 0;
  std::vector<bool> met_;     // blocks of the table that come in together
  std::uint64_t coming_ = 0;  // bytes of those that were missing
};

/// Lays runs of one model out in the memory that there is, and foresees what they take.
class RunPlanner {
 public:
  /// All outlive it; `threads` compute.
  RunPlanner(c10::Device device, const EmbedderOptions& options, const Transformer& model,
             int threads)
      : device_(device), options_(options), model_(model), threads_(threads) {}

  /// Whether all layers are to be held: as wished, else where they leave a third
  /// of the room to activations and to what can't be known.
  bool holds_layers() const;
  /// Bytes held now: the process's, or the model's on another device.
  std::uint64_t held() const;
  /// `results`: where rows are written; or how many bytes they will have.
  LastingBytes lasting(MatrixView<float> results) const;
  LastingBytes lasting(std::uint64_t results, std::uint64_t results_per_token = 0) const;

  RunPlan plan(const LastingBytes& lasting) const;
  /// How a unit of such texts is run, and what it will take; `lasting` has met what
  /// the run meets up to this unit's end.
  EmbedPlan foresee(const RunPlan& wide_plan, const TextSizes& sizes,
                    const LastingBytes& lasting) const;

 private:
  /// What a run may take beside what is held; 0 = can't be told.
  std::uint64_t room() const;
  /// What activations need, and what of `free` is there for them.
  MemoryNeeds needs(std::uint64_t free) const;
  /// Tokens whose hidden states are held while layers come and go, beside the batches
  /// in hand, which take `busy`.
  std::int64_t super_batch_tokens(const RunPlan& plan, const MemoryNeeds& needs,
                                  const RunBytes& busy, std::int64_t longest) const;
  std::uint64_t hidden_bytes() const;

  c10::Device device_;
  const EmbedderOptions& options_;
  const Transformer& model_;
  int threads_;
};

}  // namespace knowmap
