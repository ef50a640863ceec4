#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "model/transformer.hpp"

namespace knowmap {

/// The layers of a model that is larger than memory, one after the other: a
/// thread reads the next while the last is in use; never more than two are held.
/// Where memory is too short for two, the next is read once the last is gone.
class LayerStream {
 public:
  /// Each layer is used `uses` times, then let go.
  LayerStream(const Transformer& model, std::int64_t uses);
  /// Stops the reading.
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  /// Waits for layer `i`; throws what its reading threw. Layers are asked for in
  /// their order.
  std::shared_ptr<const Transformer::Layer> wait_for(std::int64_t i);
  /// One of the uses of layer `i` is over.
  void done_with(std::int64_t i);
  /// Wakes those who wait, with `CancelledError`.
  void stop() noexcept;

 private:
  struct Slot {
    std::shared_ptr<const Transformer::Layer> layer;
    std::int64_t uses_left = 0;
  };
  void read_all();
  bool read_one(std::int64_t i);

  const Transformer& model_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::int64_t held_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;
  std::thread reader_;
};

}  // namespace knowmap
