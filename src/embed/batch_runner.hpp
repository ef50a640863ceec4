#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <span>

#include "embed/batch_planner.hpp"

namespace knowmap {

/// Runs batches and answers failed allocations: the budget is halved and the
/// batch in hand goes on in parts that fit it, down to one text; then that text
/// runs alone, with no other worker in a batch, in ever smaller chunks. What is
/// done stays done. The budget grows back by a quarter after a row of successes.
class BatchRunner {
 public:
  /// Computes some texts of a batch (positions as in `Batch::texts`) with at
  /// most `chunk_rows` rows in the feed-forward at a time.
  using Compute = std::function<void(std::span<const std::size_t> texts, std::int64_t chunk_rows)>;

  /// `release` gives the device's cached memory back; called after a failure,
  /// once the exception is gone.
  BatchRunner(const RunPlan& plan, std::span<const std::int64_t> lengths, Compute compute,
              std::function<void()> release);

  /// Thread-safe. Throws `OutOfMemoryError` when one text in the smallest chunks
  /// fails, and passes on what is no failed allocation.
  void run(const Batch& batch);

  std::uint64_t batches() const { return batches_; }
  std::uint64_t backoffs() const { return backoffs_; }
  std::int64_t batch_tokens() const { return budget_; }

 private:
  std::size_t fitting(std::span<const std::size_t> texts) const;
  bool try_beside_others(std::span<const std::size_t> texts);
  void run_alone(std::size_t text);
  bool try_compute(std::span<const std::size_t> texts, std::int64_t chunk_rows,
                   std::string* failure);
  std::int64_t tokens(std::span<const std::size_t> texts) const;
  void shrink(std::int64_t failed_tokens);
  void grow();

  RunPlan plan_;
  std::span<const std::int64_t> lengths_;
  Compute compute_;
  std::function<void()> release_;
  // Batches hold it shared; a text that must run alone holds it exclusively.
  std::shared_mutex alone_;
  std::atomic<std::int64_t> budget_;
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> backoffs_{0};
  std::atomic<int> successes_{0};
};

}  // namespace knowmap
