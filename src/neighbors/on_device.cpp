#include "neighbors/on_device.hpp"

#include <ATen/Context.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/topk.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "device/allocation_failure.hpp"
#include "device/device.hpp"
#include "knowmap/error.hpp"
#include "neighbors/ranking.hpp"
#include "neighbors/rows.hpp"

namespace knowmap::neighbors {

namespace {

// A tile's scores take 512 MiB, and as much twice over while the best of them are picked. The
// sizes are the same on any device with that much room, so that its answers are too.
constexpr std::size_t kQueriesMost = 4096;
constexpr std::size_t kDataMost = 32768;
constexpr std::size_t kLeast = 64;

/// Rows in the form that products score (`Scoring`), on the device.
struct Block {
  at::Tensor rows;  // (count, d) float32
  at::Tensor bias;  // (1, count)
};

class DeviceSearch {
 public:
  DeviceSearch(const RowReader& data, MatrixView<const float> queries, bool leave_self,
               const KnnOptions& options, c10::Device device, Workers& workers,
               const DeviceTiles& tiles)
      : data_(data),
        queries_(queries),
        leave_self_(leave_self),
        device_(device),
        workers_(workers),
        scoring_(data, options.metric, options.p, workers),
        count_(leave_self ? data.rows : queries.rows),
        before_tile_(tiles.before_tile),
        monitor_(options.progress, "neighbors", count_, "rows") {
    if (!scoring_.is_product()) {
      throw std::invalid_argument("metric '" + std::string(metric_name(options.metric)) +
                                  "' is searched for on the CPU alone; on device '" + device.str() +
                                  "' take cosine, euclidean, inner_product or correlation");
    }
    const std::size_t most = std::max<std::size_t>(data.rows, 1);
    candidates_ =
        BasicMatrix<std::int32_t>(count_, std::min(with_margin(options.n_neighbors), most), -1);
    size_tiles(tiles);
  }

  void run() {
    for (std::size_t begin = 0; begin < count_;) {
      monitor_.throw_if_cancelled();
      const std::size_t end = std::min(count_, begin + tile_queries_);
      std::optional<std::string> failure;
      try {
        search(begin, end);
      } catch (const CancelledError&) {
        throw;
      } catch (...) {
        failure = allocation_failure(std::current_exception());
        if (!failure) throw;
      }
      if (failure) {  // outside the catch block: what the exception held is given back first
        shrink(*failure);
        continue;
      }
      monitor_.add(end - begin);
      begin = end;
    }
    held_.clear();
  }

  KnnGraph graph(const KnnOptions& options) {
    const std::size_t k = options.n_neighbors;
    KnnGraph graph{{count_, k}, {count_, k}};
    const Ranking ranking(data_, options.metric, options.p, workers_);
    Ranking::Questions questions;
    questions.count = count_;
    questions.queries = queries_;
    questions.row = [](std::size_t q) { return q; };
    questions.candidates = [&](std::size_t q, std::vector<std::int32_t>& out) {
      const std::int32_t* row = candidates_.row(q);
      out.assign(row, std::find(row, row + candidates_.cols(), -1));
    };
    questions.answer = [&](std::size_t q) {
      return std::pair{std::span(graph.indices.row(q), k), std::span(graph.distances.row(q), k)};
    };
    ranking.answer(questions, &monitor_);
    monitor_.finish();
    return graph;
  }

 private:
  void size_tiles(const DeviceTiles& tiles) {
    tile_queries_ = tiles.queries > 0 ? tiles.queries : std::min(count_, kQueriesMost);
    tile_queries_ = std::max<std::size_t>(tile_queries_, 1);
    tile_data_ = std::min(tiles.data > 0 ? tiles.data : kDataMost, data_.rows);
    tile_data_ = std::max<std::size_t>(tile_data_, 1);
    const std::uint64_t free = free_memory(device_);
    while (free > 0 && 12 * tile_queries_ * tile_data_ > free / 2 && tile_data_ > kLeast) {
      tile_data_ = (tile_data_ + 1) / 2;
    }
    may_hold_ = data_.rows * data_.cols * sizeof(float) <= free / 4;
  }

  void shrink(const std::string& failure) {
    held_.clear();
    may_hold_ = false;  // the data take the room that a tile lacks
    release_cache(device_);
    if (tile_data_ > kLeast && tile_data_ * 4 > tile_queries_) {
      tile_data_ = (tile_data_ + 1) / 2;
    } else if (tile_queries_ > kLeast) {
      tile_queries_ = (tile_queries_ + 1) / 2;
    } else {
      throw OutOfMemoryError("no room on device '" + device_.str() + "' for " +
                             std::to_string(tile_queries_) + " rows beside " +
                             std::to_string(tile_data_) +
                             " to search for neighbours; take device 'cpu' (" + failure + ")");
    }
  }

  /// Rows [begin, end), brought into form and to the device.
  Block upload(const RowReader& rows, std::size_t begin, std::size_t end) {
    const auto count = static_cast<std::int64_t>(end - begin);
    const auto dims = static_cast<std::int64_t>(scoring_.dims());
    // Pinned memory goes over without a copy in between.
    const auto options = at::TensorOptions().dtype(at::kFloat).pinned_memory(device_.is_cuda());
    Block block{at::empty({count, dims}, options), at::empty({1, count}, options)};
    float* to = block.rows.data_ptr<float>();
    float* bias = block.bias.data_ptr<float>();
    workers_.run_ranges(
        end - begin, 1024,
        [&](std::size_t first, std::size_t last, int) {
          std::vector<float> room;
          const float* row = rows.run(begin + first, begin + last, room);
          for (std::size_t i = first; i < last; ++i, row += rows.cols) {
            bias[i] = scoring_.prepare(row, to + i * scoring_.dims());
          }
        },
        &monitor_);
    if (device_.is_cpu()) return block;
    return {block.rows.to(device_, /*non_blocking=*/true), block.bias.to(device_, true)};
  }

  const Block& data_block(std::size_t begin, std::size_t end) {
    const std::size_t at = begin / tile_data_;
    if (!may_hold_) {
      passing_ = Block{};  // let go of first
      return passing_ = upload(data_, begin, end);
    }
    if (held_.size() <= at) held_.push_back(upload(data_, begin, end));
    return held_[at];
  }

  void search(std::size_t begin, std::size_t end) {
    const c10::InferenceMode no_gradients;
    const at::NoTF32Guard whole_float32;  // whatever the process allows its other products
    const RowReader& asked = leave_self_ ? data_ : RowReader(queries_);
    const Block queries = upload(asked, begin, end);
    at::Tensor best, which;
    for (std::size_t from = 0; from < data_.rows; from += tile_data_) {
      monitor_.throw_if_cancelled();
      const std::size_t to = std::min(data_.rows, from + tile_data_);
      if (before_tile_) before_tile_(end - begin, to - from);
      const Block& block = data_block(from, to);
      at::Tensor scores = at::addmm(block.bias, queries.rows, block.rows.t());
      if (leave_self_ && from < end && begin < to) {
        scores.diagonal(static_cast<std::int64_t>(begin) - static_cast<std::int64_t>(from))
            .fill_(-std::numeric_limits<float>::infinity());
      }
      const auto wanted = static_cast<std::int64_t>(candidates_.cols());
      auto [found, rows] = at::topk(scores, std::min(wanted, scores.size(1)), 1, true, false);
      scores.reset();
      rows.add_(static_cast<std::int64_t>(from));
      if (best.defined()) {
        found = at::cat({best, found}, 1);
        rows = at::cat({which, rows}, 1);
        const auto [kept, places] =
            at::topk(found, std::min(wanted, found.size(1)), 1, true, false);
        rows = at::gather(rows, 1, places);
        found = kept;
      }
      best = found;
      which = rows;
    }
    if (!best.defined()) return;
    best = best.cpu().contiguous();
    which = which.cpu().contiguous();
    const auto columns = static_cast<std::size_t>(best.size(1));
    for (std::size_t q = begin; q < end; ++q) {
      const float* score = best.data_ptr<float>() + (q - begin) * columns;
      const std::int64_t* row = which.data_ptr<std::int64_t>() + (q - begin) * columns;
      std::int32_t* out = candidates_.row(q);
      for (std::size_t c = 0; c < columns; ++c) {
        // The row itself alone has no score at all.
        if (score[c] > -std::numeric_limits<float>::infinity()) {
          *out++ = static_cast<std::int32_t>(row[c]);
        }
      }
    }
  }

  RowReader data_;
  MatrixView<const float> queries_;
  bool leave_self_;
  c10::Device device_;
  Workers& workers_;
  Scoring scoring_;
  std::size_t count_;
  std::function<void(std::size_t, std::size_t)> before_tile_;
  Monitor monitor_;
  BasicMatrix<std::int32_t> candidates_;
  std::size_t tile_queries_ = 0;
  std::size_t tile_data_ = 0;
  /// Whether all of the data stay on the device, and those that are there by now.
  bool may_hold_ = false;
  std::vector<Block> held_;
  Block passing_;
};

}  // namespace

KnnGraph graph_on_device(const RowReader& data, const KnnOptions& options, c10::Device device,
                         Workers& workers, const DeviceTiles& tiles) {
  DeviceSearch search(data, {}, true, options, device, workers, tiles);
  search.run();
  return search.graph(options);
}

KnnGraph query_on_device(const RowReader& data, MatrixView<const float> queries,
                         const KnnOptions& options, c10::Device device, Workers& workers,
                         const DeviceTiles& tiles) {
  if (queries.rows == 0) return KnnGraph{{0, options.n_neighbors}, {0, options.n_neighbors}};
  DeviceSearch search(data, queries, false, options, device, workers, tiles);
  search.run();
  return search.graph(options);
}

}  // namespace knowmap::neighbors
