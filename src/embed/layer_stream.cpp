#include "embed/layer_stream.hpp"

#include <c10/core/InferenceMode.h>
#include <omp.h>

#include <string>

#include "device/allocation_failure.hpp"
#include "device/device.hpp"
#include "embed/precision.hpp"
#include "knowmap/error.hpp"

namespace knowmap {

namespace {
constexpr std::int64_t kHeldLayers = 2;
// What fails while no other layer is held may still pass when it is tried again:
// workers let memory go meanwhile.
constexpr int kTries = 5;
}  // namespace

LayerStream::LayerStream(const Transformer& model, std::int64_t uses)
    : model_(model), slots_(static_cast<std::size_t>(model.layers())) {
  for (Slot& slot : slots_) slot.uses_left = uses;
  reader_ = std::thread([this] { read_all(); });
}

LayerStream::~LayerStream() {
  stop();
  reader_.join();
}

void LayerStream::read_all() {
  // The workers compute meanwhile: this thread takes no more than one core.
  omp_set_num_threads(1);
  for (std::int64_t i = 0; i < model_.layers(); ++i) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return held_ < kHeldLayers || stopped_; });
      if (stopped_) return;
    }
    if (!read_one(i)) return;
  }
}

bool LayerStream::read_one(std::int64_t i) {
  for (int tries = 1;; ++tries) {
    std::exception_ptr error;
    try {
      const c10::InferenceMode no_gradients;
      auto layer = model_.read_layer(i);
      const std::lock_guard lock(mutex_);
      slots_[static_cast<std::size_t>(i)].layer = std::move(layer);
      ++held_;
      changed_.notify_all();
      return true;
    } catch (...) {
      error = std::current_exception();
    }
    const auto message = allocation_failure(error);
    if (message) {
      error = nullptr;
      release_cache(model_.backend().device());
    }
    std::unique_lock lock(mutex_);
    if (message && held_ > 0) {
      const std::int64_t before = held_;
      changed_.wait(lock, [&] { return held_ < before || stopped_; });
      if (stopped_) return false;
      continue;
    }
    if (message && tries < kTries) continue;
    error_ = message ? std::make_exception_ptr(OutOfMemoryError(
                           "one layer's weights, " + std::to_string(model_.layer_bytes()) +
                           " bytes, do not fit into memory; free some, or take a smaller model (" +
                           *message + ")"))
                     : error;
    changed_.notify_all();
    return false;
  }
}

std::shared_ptr<const Transformer::Layer> LayerStream::wait_for(std::int64_t i) {
  Slot& slot = slots_[static_cast<std::size_t>(i)];
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return slot.layer != nullptr || error_ || stopped_; });
  if (slot.layer != nullptr) return slot.layer;
  if (error_) std::rethrow_exception(error_);
  throw CancelledError("stopped while a layer was read");
}

void LayerStream::done_with(std::int64_t i) {
  std::shared_ptr<const Transformer::Layer> gone;
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[static_cast<std::size_t>(i)];
  if (--slot.uses_left > 0) return;
  gone = std::move(slot.layer);
  slot.layer = nullptr;
  gone.reset();
  --held_;
  changed_.notify_all();
}

void LayerStream::stop() noexcept {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace knowmap
