#include "label/density_basins.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "label/kd_tree.hpp"

namespace knowmap::label {

namespace {

constexpr std::size_t kNeighbors = 10;
constexpr std::size_t kGrain = 2048;
constexpr int kSmoothings = 1;

}  // namespace

Basins density_basins(MatrixView<const float> map, Workers& workers, Monitor& monitor) {
  const std::size_t n = map.rows;
  Basins basins;
  basins.of_row.assign(n, -1);
  if (n == 0) return basins;
  const std::size_t k = std::min(kNeighbors, n - 1);

  std::unique_ptr<KdTree> tree;
  workers.run(
      1, [&](std::size_t, int) { tree = std::make_unique<KdTree>(map, &monitor); }, &monitor);

  // A distance of 0 has no logarithm: the floor is far below any that matters.
  float low[2] = {map(0, 0), map(0, 1)};
  float high[2] = {map(0, 0), map(0, 1)};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], map(i, axis));
      high[axis] = std::max(high[axis], map(i, axis));
    }
  }
  const double extent =
      std::max(static_cast<double>(high[0]) - low[0], static_cast<double>(high[1]) - low[1]);
  const double floor = extent > 0 ? extent * extent * 1e-12 : 1.0;

  std::vector<std::int32_t> neighbors(n * k, -1);
  std::vector<float> density(n);
  workers.run_ranges(
      n, kGrain,
      [&](std::size_t begin, std::size_t end, int) {
        if (monitor.cancelled()) return;
        std::vector<KdTree::Neighbor> found(k);
        for (std::size_t i = begin; i < end; ++i) {
          const std::size_t count =
              tree->nearest(map(i, 0), map(i, 1), static_cast<std::int32_t>(i), found);
          double sum = 0;
          for (std::size_t j = 0; j < count; ++j) {
            sum += found[j].squared;
            neighbors[i * k + j] = found[j].row;
          }
          density[i] = static_cast<float>(
              -std::log(sum / static_cast<double>(std::max<std::size_t>(count, 1)) + floor));
        }
        monitor.add(end - begin);
      },
      &monitor);
  tree.reset();

  std::vector<float> smoothed(n);
  for (int round = 0; round < kSmoothings; ++round) {
    workers.run_ranges(
        n, kGrain,
        [&](std::size_t begin, std::size_t end, int) {
          for (std::size_t i = begin; i < end; ++i) {
            float sum = density[i];
            for (std::size_t j = 0; j < k; ++j) sum += density[neighbors[i * k + j]];
            smoothed[i] = sum / static_cast<float>(k + 1);
          }
        },
        &monitor);
    density.swap(smoothed);
  }

  // Up the hill: the densest of the neighbours, or nobody at a peak. A tie goes
  // to the lower row, so the ways can't run in a circle.
  std::vector<std::int32_t> up(n);
  workers.run_ranges(
      n, kGrain,
      [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
          auto best = static_cast<std::int32_t>(i);
          for (std::size_t j = 0; j < k; ++j) {
            const std::int32_t other = neighbors[i * k + j];
            if (density[other] > density[best] ||
                (density[other] == density[best] && other < best)) {
              best = other;
            }
          }
          up[i] = best;
        }
      },
      &monitor);
  const auto settle = [&](std::size_t, int) {
    std::vector<std::int32_t> path;
    for (std::size_t i = 0; i < n; ++i) {
      if ((i & 65535) == 0) monitor.throw_if_cancelled();
      std::int32_t at = static_cast<std::int32_t>(i);
      path.clear();
      while (basins.of_row[at] < 0 && up[at] != at) {
        path.push_back(at);
        at = up[at];
      }
      if (basins.of_row[at] < 0) basins.of_row[at] = static_cast<std::int32_t>(basins.count++);
      for (const std::int32_t row : path) basins.of_row[row] = basins.of_row[at];
    }

    for (std::size_t i = 0; i < n; ++i) {
      if ((i & 65535) == 0) monitor.throw_if_cancelled();
      for (std::size_t j = 0; j < k; ++j) {
        const std::int32_t a = basins.of_row[i];
        const std::int32_t b = basins.of_row[neighbors[i * k + j]];
        if (a != b) basins.borders.emplace_back(std::min(a, b), std::max(a, b));
      }
    }
    std::sort(basins.borders.begin(), basins.borders.end());
    basins.borders.erase(std::unique(basins.borders.begin(), basins.borders.end()),
                         basins.borders.end());
  };
  workers.run(1, settle, &monitor);
  return basins;
}

}  // namespace knowmap::label
