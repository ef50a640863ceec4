#include "embed/batch_runner.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "device/allocation_failure.hpp"
#include "knowmap/error.hpp"

namespace knowmap {

namespace {
constexpr std::int64_t kSmallestChunk = 16;
constexpr int kSuccessesToGrow = 16;
}  // namespace

BatchRunner::BatchRunner(const RunPlan& plan, std::span<const std::int64_t> lengths,
                         Compute compute, std::function<void()> release)
    : plan_(plan),
      lengths_(lengths),
      compute_(std::move(compute)),
      release_(std::move(release)),
      budget_(plan.batch_tokens) {}

std::int64_t BatchRunner::tokens(std::span<const std::size_t> texts) const {
  std::int64_t total = 0;
  for (const std::size_t text : texts) total += lengths_[text];
  return total;
}

std::size_t BatchRunner::fitting(std::span<const std::size_t> texts) const {
  const std::int64_t budget = budget_.load();
  std::int64_t total = 0;
  std::size_t count = 0;
  while (count < texts.size() && (total += lengths_[texts[count]]) <= budget) ++count;
  return std::max<std::size_t>(count, 1);
}

void BatchRunner::run(const Batch& batch) {
  std::span<const std::size_t> left(batch.texts);
  while (!left.empty()) {
    // A batch planned before an earlier failure may be too large by now.
    const auto part = left.first(fitting(left));
    if (try_beside_others(part)) {
      grow();
    } else {
      shrink(tokens(part));
      if (part.size() > 1) continue;  // the same texts, fewer at a time
      run_alone(part.front());
    }
    left = left.subspan(part.size());
  }
}

bool BatchRunner::try_beside_others(std::span<const std::size_t> texts) {
  const std::shared_lock lock(alone_);
  std::string failure;
  return try_compute(texts, plan_.chunk_rows, &failure);
}

void BatchRunner::run_alone(std::size_t text) {
  const std::unique_lock lock(alone_);
  std::string failure;
  for (std::int64_t chunk = plan_.chunk_rows;; chunk = std::max(kSmallestChunk, chunk / 4)) {
    if (try_compute({&text, 1}, chunk, &failure)) return;
    ++backoffs_;
    if (chunk <= kSmallestChunk) break;
  }
  throw OutOfMemoryError("one text of " + std::to_string(lengths_[text]) +
                         " tokens does not fit into memory, though it ran alone and in chunks of " +
                         std::to_string(kSmallestChunk) +
                         " rows; lower max_seq_length, free memory, or take a smaller model (" +
                         failure + ")");
}

bool BatchRunner::try_compute(std::span<const std::size_t> texts, std::int64_t chunk_rows,
                              std::string* failure) {
  std::exception_ptr error;
  try {
    compute_(texts, chunk_rows);
    ++batches_;
    return true;
  } catch (...) {
    error = std::current_exception();
  }
  const auto message = allocation_failure(error);
  if (!message) std::rethrow_exception(error);
  *failure = *message;
  // The exception may hold tensors; nothing is freed while it lives.
  error = nullptr;
  release_();
  return false;
}

void BatchRunner::shrink(std::int64_t failed_tokens) {
  ++backoffs_;
  successes_ = 0;
  const std::int64_t smaller = std::max<std::int64_t>(1, failed_tokens / 2);
  std::int64_t budget = budget_.load();
  while (smaller < budget && !budget_.compare_exchange_weak(budget, smaller)) {
  }
}

void BatchRunner::grow() {
  std::int64_t budget = budget_.load();
  if (budget >= plan_.batch_tokens) return;
  if (++successes_ < kSuccessesToGrow) return;
  successes_ = 0;
  // Where another thread has shrunk it meanwhile, that stands.
  budget_.compare_exchange_strong(budget, std::min(plan_.batch_tokens, budget + budget / 4 + 1));
}

}  // namespace knowmap
