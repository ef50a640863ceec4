#include "embed/streamed_run.hpp"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <string>
#include <utility>

#include "device/allocation_failure.hpp"
#include "device/device.hpp"
#include "embed/layer_stream.hpp"
#include "embed/precision.hpp"
#include "knowmap/error.hpp"

namespace knowmap {

namespace {

constexpr std::int64_t kSmallestChunk = 16;

class LayerMajorRun {
 public:
  LayerMajorRun(const Transformer& model, std::vector<PackedBatch> batches, const RunPlan& plan,
                const TakeHidden& take)
      : model_(model),
        batches_(std::move(batches)),
        passages_(batches_.size()),
        layers_done_(batches_.size(), 0),
        chunk_rows_(plan.chunk_rows),
        lanes_(plan.workers),
        take_(take),
        stream_(model, static_cast<std::int64_t>(batches_.size())) {}

  std::size_t items() const { return batches_.size() * static_cast<std::size_t>(model_.layers()); }

  /// Items are started in order, so what one waits for has been started.
  void run(std::size_t item, const Monitor& monitor) {
    const auto layer = static_cast<std::int64_t>(item / batches_.size());
    const std::size_t batch = item % batches_.size();
    try {
      if (monitor.cancelled()) throw CancelledError("cancelled between two layers");
      wait_for_turn(batch, layer);
      step(batch, layer);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      // The first failure is what the caller is told; others only follow from it.
      if (!failure_) failure_ = std::current_exception();
      stream_.stop();
      turn_.notify_all();
      std::rethrow_exception(failure_);
    }
    const std::lock_guard lock(mutex_);
    ++layers_done_[batch];
    turn_.notify_all();
  }

  std::uint64_t backoffs() const { return backoffs_; }

 private:
  void wait_for_turn(std::size_t batch, std::int64_t layer) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return layers_done_[batch] == layer || failure_; });
    if (failure_) throw CancelledError("stopped by another batch's failure");
  }

  void step(std::size_t batch, std::int64_t number) {
    const c10::InferenceMode no_gradients;
    Passage& passage = passages_[batch];
    if (number == 0) {
      with_retries(batch, [&](std::int64_t) { passage = model_.begin(batches_[batch].view()); });
    }
    const auto layer = stream_.wait_for(number);
    const Lane lane(lanes_);
    at::Tensor before;  // a pass that fails half-way has changed some rows
    with_retries(batch, [&](std::int64_t chunk) {
      if (before.defined()) passage.x.copy_(before);
      if (!before.defined()) before = passage.x.clone();
      model_.pass(*layer, passage, chunk);
    });
    stream_.done_with(number);
    if (number + 1 < model_.layers()) return;
    at::Tensor hidden;
    with_retries(batch, [&](std::int64_t) { hidden = model_.finish(passage); });
    with_retries(batch, [&](std::int64_t) { take_(batch, hidden); });
    passage = {};
  }

  /// Beside other batches first, then alone and with ever fewer rows at a time.
  template <class Work>
  void with_retries(std::size_t batch, const Work& work) {
    std::string failure;
    {
      const std::shared_lock beside(alone_);
      if (attempt(work, chunk_rows_, &failure)) return;
    }
    const std::unique_lock alone(alone_);
    for (std::int64_t chunk = chunk_rows_;; chunk = std::max(kSmallestChunk, chunk / 4)) {
      if (attempt(work, chunk, &failure)) return;
      if (chunk <= kSmallestChunk) break;
    }
    throw OutOfMemoryError(
        "a layer over " + std::to_string(batches_[batch].ids.size()) +
        " tokens does not fit into memory, though it ran alone and in chunks of " +
        std::to_string(kSmallestChunk) +
        " rows; lower max_seq_length or batch_tokens, or free memory (" + failure + ")");
  }

  template <class Work>
  bool attempt(const Work& work, std::int64_t chunk, std::string* failure) {
    std::exception_ptr error;
    try {
      work(chunk);
      return true;
    } catch (...) {
      error = std::current_exception();
    }
    const auto message = allocation_failure(error);
    if (!message) std::rethrow_exception(error);
    *failure = *message;
    error = nullptr;
    ++backoffs_;
    release_cache(model_.backend().device());
    return false;
  }

  /// One of the batches that there is room for at a time. Its holder waits for no
  /// item that still needs one.
  struct Lane {
    explicit Lane(std::counting_semaphore<>& all) : lanes(all) { lanes.acquire(); }
    ~Lane() { lanes.release(); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    std::counting_semaphore<>& lanes;
  };

  const Transformer& model_;
  std::vector<PackedBatch> batches_;
  std::vector<Passage> passages_;
  std::vector<std::int64_t> layers_done_;
  std::int64_t chunk_rows_;
  std::counting_semaphore<> lanes_;
  const TakeHidden& take_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::exception_ptr failure_{};
  std::shared_mutex alone_;
  std::atomic<std::uint64_t> backoffs_{0};
  LayerStream stream_;
};

}  // namespace

std::uint64_t run_layer_by_layer(const Transformer& model, std::vector<PackedBatch> batches,
                                 const RunPlan& plan, Workers& workers, Monitor& monitor,
                                 const TakeHidden& take) {
  if (batches.empty()) return 0;
  LayerMajorRun run(model, std::move(batches), plan, take);
  workers.run(
      run.items(), [&](std::size_t item, int) { run.run(item, monitor); }, &monitor);
  return run.backoffs();
}

}  // namespace knowmap
