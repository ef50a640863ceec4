#include "umap/targets.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace knowmap::umap {

namespace {

constexpr std::size_t kGrain = 1024;

/// Edges of weight 0 taken out.
SparseGraph without_zeros(SparseGraph graph) {
  std::size_t kept = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < graph.rows(); ++i) {
    const std::size_t end = graph.offsets[i + 1];
    for (std::size_t e = begin; e < end; ++e) {
      if (!(graph.weights[e] > 0)) continue;
      graph.columns[kept] = graph.columns[e];
      graph.weights[kept++] = graph.weights[e];
    }
    begin = end;
    graph.offsets[i + 1] = kept;
  }
  graph.columns.resize(kept);
  graph.weights.resize(kept);
  return graph;
}

/// Each row divided by its largest weight, then the union with the transpose.
SparseGraph reset_connectivity(SparseGraph graph, Workers& workers) {
  const std::size_t n = graph.rows();
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto first = graph.weights.begin() + static_cast<std::ptrdiff_t>(graph.offsets[i]);
      const auto last = graph.weights.begin() + static_cast<std::ptrdiff_t>(graph.offsets[i + 1]);
      if (first == last) continue;
      const float most = *std::max_element(first, last);
      for (auto w = first; w != last; ++w) *w /= most;
    }
  });
  return fuzzy_union(graph, workers);
}

}  // namespace

SparseGraph intersect_classes(SparseGraph graph, std::span<const std::int32_t> classes,
                              float target_weight, Workers& workers) {
  const double far = target_weight < 1 ? 2.5 / (1.0 - static_cast<double>(target_weight)) : 1e12;
  const auto unknown = static_cast<float>(std::exp(-1.0));
  const auto different = static_cast<float>(std::exp(-far));
  workers.run_ranges(graph.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const std::int32_t other = classes[static_cast<std::size_t>(graph.columns[e])];
        if (classes[i] == -1 || other == -1) {
          graph.weights[e] *= unknown;
        } else if (classes[i] != other) {
          graph.weights[e] *= different;
        }
      }
    }
  });
  return reset_connectivity(without_zeros(std::move(graph)), workers);
}

SparseGraph intersect_targets(const SparseGraph& graph, const KnnGraph& neighbours,
                              const Matrix& strengths, float target_weight, Workers& workers) {
  const std::size_t n = graph.rows();
  const std::size_t k = strengths.cols();
  float left_least = graph.weights.empty() ? 1.0f : graph.weights[0];
  for (const float w : graph.weights) left_least = std::min(left_least, w);
  float right_least = 1;
  for (std::size_t at = 0; at < strengths.size(); ++at) {
    if (strengths.data()[at] > 0) right_least = std::min(right_least, strengths.data()[at]);
  }
  left_least = std::max(left_least / 2, 1e-8f);
  right_least = std::min(std::max(right_least / 2, 1e-8f), 1e-4f);
  // A strength that is not there is told by -1.
  const auto mixed = [&](float left, float right) {
    if (!(left > left_least) && !(right > right_least))
      return std::max(left, 0.0f) + std::max(right, 0.0f);
    if (left < 0) left = left_least;
    if (right < 0) right = right_least;
    const float w = target_weight;
    return w < 0.5f ? left * std::pow(right, w / (1 - w)) : std::pow(left, (1 - w) / w) * right;
  };

  SparseGraph result;
  result.offsets.assign(n + 1, 0);
  const auto merge = [&](std::size_t i, std::vector<std::pair<std::int32_t, float>>& right,
                         const auto& emit) {
    right.clear();
    for (std::size_t j = 0; j < k; ++j) {
      if (strengths(i, j) > 0) right.emplace_back(neighbours.indices(i, j), strengths(i, j));
    }
    std::sort(right.begin(), right.end());
    std::size_t e = graph.offsets[i];
    const std::size_t end = graph.offsets[i + 1];
    std::size_t r = 0;
    while (e < end || r < right.size()) {
      const bool from_left = r == right.size() || (e < end && graph.columns[e] <= right[r].first);
      const std::int32_t column = from_left ? graph.columns[e] : right[r].first;
      const float x = e < end && graph.columns[e] == column ? graph.weights[e++] : -1.0f;
      const float y = r < right.size() && right[r].first == column ? right[r++].second : -1.0f;
      const float weight = mixed(x, y);
      if (weight > 0) emit(column, weight);
    }
  };
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<std::pair<std::int32_t, float>> right;
    for (std::size_t i = begin; i < end; ++i) {
      std::size_t count = 0;
      merge(i, right, [&](std::int32_t, float) { ++count; });
      result.offsets[i + 1] = count;
    }
  });
  for (std::size_t i = 0; i < n; ++i) result.offsets[i + 1] += result.offsets[i];
  result.columns.resize(result.offsets[n]);
  result.weights.resize(result.offsets[n]);
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<std::pair<std::int32_t, float>> right;
    for (std::size_t i = begin; i < end; ++i) {
      std::size_t at = result.offsets[i];
      merge(i, right, [&](std::int32_t column, float weight) {
        result.columns[at] = column;
        result.weights[at++] = weight;
      });
    }
  });
  return reset_connectivity(std::move(result), workers);
}

}  // namespace knowmap::umap
