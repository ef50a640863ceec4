#include "umap/transform.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "support/random.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/layout.hpp"
#include "umap/layout_kernels.hpp"

namespace knowmap::umap {

namespace {

std::uint32_t key_of_row(std::uint64_t seed, const float* row, std::size_t cols) {
  std::uint64_t key = random_bits(seed, RandomStage::transform, cols);
  for (std::size_t j = 0; j < cols; ++j) {
    const float value = row[j] + 0.0f;  // minus zero is zero
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    key = mix(key ^ (bits + 0x9e3779b97f4a7c15ULL));
  }
  return static_cast<std::uint32_t>(key >> 32);
}

}  // namespace

Matrix place_new_rows(MatrixView<const float> rows, const KnnGraph& graph, const Matrix& map,
                      const UmapOptions& options, float a, float b, Workers& workers,
                      Monitor* monitor) {
  const std::size_t n = rows.rows;
  const std::size_t dims = map.cols();
  const std::size_t columns = graph.n_neighbors();
  // umap-learn gives 100 epochs to batches up to 10,000 rows and 30 to larger
  // ones; here the batch must not matter.
  const std::size_t n_epochs =
      options.n_epochs == 0 ? 100 : std::max<std::size_t>(options.n_epochs / 3, 1);
  const float connectivity = std::max(0.0f, options.local_connectivity - 1.0f);
  const Smoothed smoothed = smooth_distances(graph, columns, connectivity, false, workers);
  const Matrix strengths = membership_strengths(graph, columns, smoothed, true, workers);

  Matrix start(n, dims, 0.0f);
  std::vector<std::size_t> offsets(n + 1);
  std::vector<std::int32_t> tails(n * columns);
  std::vector<std::uint8_t> heads(n * columns);
  std::vector<std::uint32_t> rates(n * columns);
  std::vector<std::uint32_t> keys(n);
  for (std::size_t i = 0; i <= n; ++i) offsets[i] = i * columns;
  workers.run_ranges(n, 256, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      keys[i] = key_of_row(options.transform_seed, rows.row(i), rows.cols);
      double sum = 0;
      float largest = 0;
      std::size_t same = columns;
      for (std::size_t j = 0; j < columns; ++j) {
        sum += static_cast<double>(strengths(i, j));
        largest = std::max(largest, strengths(i, j));
        if (same == columns && strengths(i, j) >= 1 && graph.distances(i, j) <= 0) same = j;
      }
      for (std::size_t d = 0; d < dims; ++d) {
        double at = 0;
        for (std::size_t j = 0; j < columns; ++j) {
          if (!(strengths(i, j) > 0)) continue;
          at += static_cast<double>(strengths(i, j)) / sum *
                static_cast<double>(map(static_cast<std::size_t>(graph.indices(i, j)), d));
        }
        // A row that was there before starts where it lies.
        if (same < columns) {
          at = static_cast<double>(map(static_cast<std::size_t>(graph.indices(i, same)), d));
        }
        start(i, d) = static_cast<float>(at);
        if (!(sum > 0)) start(i, d) = std::numeric_limits<float>::quiet_NaN();
      }
      const std::vector<std::uint32_t> row_rates =
          sample_rates({strengths.row(i), columns}, std::max(largest, 1e-30f));
      for (std::size_t j = 0; j < columns; ++j) {
        const bool weak = strengths(i, j) * static_cast<float>(n_epochs) < largest;
        rates[i * columns + j] = weak ? 0 : row_rates[j];
        tails[i * columns + j] = std::max(graph.indices(i, j), 0);
        heads[i * columns + j] = static_cast<std::uint8_t>(i % kLayoutGrain);
      }
    }
  });

  LayoutStep step{};
  step.others = map.data();
  step.dims = dims;
  step.n_others = static_cast<std::uint32_t>(map.rows());
  step.offsets = offsets.data();
  step.tails = tails.data();
  step.heads = heads.data();
  step.rates = rates.data();
  step.negatives = static_cast<std::uint32_t>(options.negative_sample_rate);
  step.vertex_keys = keys.data();
  step.same = false;
  step.a = a;
  step.b = b;
  step.gamma = options.repulsion_strength;
  // Rows don't act on one another: each run of them goes through all its epochs.
  Matrix next(n, dims);
  const LayoutKernel kernel = layout_kernel();
  workers.run_ranges(
      n, kLayoutGrain,
      [&](std::size_t begin, std::size_t end, int) {
        LayoutStep mine = step;
        LayoutScratch scratch{};
        std::vector<std::int32_t> sampled((end - begin) * columns + 16);
        scratch.tails = sampled.data();
        float* from = start.data();
        float* to = next.data();
        for (std::size_t epoch = 1; epoch < n_epochs; ++epoch) {
          if (monitor != nullptr && monitor->cancelled()) return;
          mine.positions = from;
          mine.next = to;
          mine.epoch = static_cast<std::uint32_t>(epoch);
          mine.key = random_bits(options.transform_seed, RandomStage::transform, 0, epoch);
          mine.alpha = learning_rate_at(options.learning_rate / 4, epoch, n_epochs);
          kernel(mine, begin, end, scratch);
          std::swap(from, to);
        }
        if (from != start.data()) {
          std::memcpy(start.row(begin), from + begin * dims, (end - begin) * dims * sizeof(float));
        }
      },
      monitor);
  return start;
}

Matrix rows_at(MatrixView<const float> points, const Matrix& map, MatrixView<const float> rows,
               const UmapOptions& options) {
  // Rows without a place (NaN) are nobody's neighbours.
  std::vector<std::size_t> placed;
  for (std::size_t i = 0; i < map.rows(); ++i) {
    if (std::isfinite(map(i, 0))) placed.push_back(i);
  }
  Matrix places(placed.size(), map.cols());
  for (std::size_t i = 0; i < placed.size(); ++i) {
    std::copy_n(map.row(placed[i]), map.cols(), places.row(i));
  }
  KnnOptions knn;
  knn.n_neighbors = std::min(options.n_neighbors, placed.size());
  knn.metric = Metric::euclidean;
  knn.threads = options.threads;
  knn.progress = options.progress;
  const KnnGraph near = knn_query(places, points, knn);
  Matrix result(points.rows, rows.cols);
  Workers workers(options.threads);
  workers.run_ranges(points.rows, 64, [&](std::size_t begin, std::size_t end, int) {
    std::vector<double> mean(rows.cols);
    for (std::size_t i = begin; i < end; ++i) {
      std::fill(mean.begin(), mean.end(), 0.0);
      double sum = 0;
      for (std::size_t j = 0; j < near.n_neighbors(); ++j) {
        const auto d = static_cast<double>(near.distances(i, j));
        const double weight = 1 / (1 + static_cast<double>(options.a) *
                                           std::pow(d, 2 * static_cast<double>(options.b)));
        const float* row = rows.row(placed[static_cast<std::size_t>(near.indices(i, j))]);
        for (std::size_t c = 0; c < rows.cols; ++c) mean[c] += weight * static_cast<double>(row[c]);
        sum += weight;
      }
      for (std::size_t c = 0; c < rows.cols; ++c) {
        result(i, c) = static_cast<float>(mean[c] / sum);
      }
    }
  });
  return result;
}

}  // namespace knowmap::umap
