#include "umap/fuzzy_graph.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace knowmap::umap {

namespace {

constexpr double kTolerance = 1e-5;
constexpr double kSmallestScale = 1e-3;
constexpr int kBisections = 64;
constexpr std::size_t kGrain = 1024;

struct Row {
  float sigma;
  float rho;
};

/// One row. `d` are the finite distances in rising order; `counted` of them in
/// all belong to umap-learn's mean; `skip` leading ones are not summed.
Row smooth_row(std::span<const float> d, std::size_t counted, std::size_t skip, double target,
               float local_connectivity, double mean_distance) {
  std::size_t first = 0;  // distances of 0 don't count as neighbours
  while (first < d.size() && d[first] <= 0) ++first;
  const std::size_t positive = d.size() - first;
  const std::span<const float> near = d.subspan(first);
  float rho = 0;
  if (static_cast<float>(positive) >= local_connectivity && positive > 0) {
    const auto index = static_cast<std::size_t>(std::floor(local_connectivity));
    const float rest = local_connectivity - static_cast<float>(index);
    if (index > 0) {
      rho = near[index - 1];
      if (static_cast<double>(rest) > kTolerance) rho += rest * (near[index] - near[index - 1]);
    } else {
      rho = rest * near[0];
    }
  } else if (positive > 0) {
    rho = near.back();
  }

  constexpr float kLargest = std::numeric_limits<float>::max();
  float low = 0;
  float high = kLargest;
  float mid = 1;
  for (int n = 0; n < kBisections; ++n) {
    float sum = 0;
    for (std::size_t j = skip; j < d.size(); ++j) {
      const float beyond = d[j] - rho;
      sum += beyond > 0 ? std::exp(-(beyond / mid)) : 1.0f;
    }
    if (std::abs(static_cast<double>(sum) - target) < kTolerance) break;
    if (static_cast<double>(sum) > target) {
      high = mid;
      mid = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
    } else {
      low = mid;
      if (high >= kLargest) {
        if (mid > kLargest / 2) break;  // fewer neighbours than the target: any width will do
        mid *= 2;
      } else {
        mid = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
      }
    }
  }
  double mean = mean_distance;
  if (rho > 0 || mean_distance < 0) {
    double sum = 0;
    for (const float x : d) sum += static_cast<double>(x);
    mean = sum / static_cast<double>(std::max<std::size_t>(counted, 1));
  }
  return {std::max(mid, static_cast<float>(kSmallestScale * mean)), rho};
}

std::size_t finite_count(const KnnGraph& graph, std::size_t row, std::size_t columns) {
  std::size_t count = 0;
  while (count < columns && graph.indices(row, count) >= 0 &&
         graph.distances(row, count) < std::numeric_limits<float>::infinity()) {
    ++count;
  }
  return count;
}

}  // namespace

Smoothed smooth_distances(const KnnGraph& graph, std::size_t columns, float local_connectivity,
                          bool self_first, Workers& workers) {
  const std::size_t n = graph.size();
  Smoothed result{std::vector<float>(n), std::vector<float>(n)};
  const double target = std::log2(static_cast<double>(columns + (self_first ? 1 : 0)));
  double mean = -1;
  if (self_first) {
    std::vector<double> sums((n + kGrain - 1) / kGrain);
    workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
      double sum = 0;
      for (std::size_t i = begin; i < end; ++i) {
        const std::size_t count = finite_count(graph, i, columns);
        for (std::size_t j = 0; j < count; ++j) sum += static_cast<double>(graph.distances(i, j));
      }
      sums[begin / kGrain] = sum;
    });
    mean = 0;
    for (const double sum : sums) mean += sum;
    mean /= static_cast<double>(n) * static_cast<double>(columns + 1);
  }
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t count = finite_count(graph, i, columns);
      const Row row = smooth_row({graph.distances.row(i), count}, count + (self_first ? 1 : 0),
                                 self_first ? 0 : 1, target, local_connectivity, mean);
      result.sigmas[i] = row.sigma;
      result.rhos[i] = row.rho;
    }
  });
  return result;
}

Matrix membership_strengths(const KnnGraph& graph, std::size_t columns, const Smoothed& smoothed,
                            bool bipartite, Workers& workers) {
  Matrix strengths(graph.size(), columns);
  workers.run_ranges(graph.size(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t j = 0; j < columns; ++j) {
        const std::int32_t other = graph.indices(i, j);
        const float beyond = graph.distances(i, j) - smoothed.rhos[i];
        float strength = 1;
        if (other < 0 || (!bipartite && static_cast<std::size_t>(other) == i)) {
          strength = 0;
        } else if (beyond > 0 && smoothed.sigmas[i] > 0) {
          strength = std::exp(-(beyond / smoothed.sigmas[i]));
        }
        strengths(i, j) = strength;
      }
    }
  });
  return strengths;
}

namespace {

struct Edge {
  std::int32_t column;
  float weight;
  bool operator<(const Edge& other) const { return column < other.column; }
};

/// The union of a directed graph with its transpose. `each(i, emit)` calls
/// emit(column, weight) for every edge of row i, in any order.
template <class Each>
SparseGraph symmetric(std::size_t n, float mix_ratio, const Each& each, Workers& workers) {
  // The transpose, by counting: rows come out with their columns rising.
  std::vector<std::size_t> offsets(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) {
    each(i, [&](std::int32_t column, float) { ++offsets[static_cast<std::size_t>(column) + 1]; });
  }
  for (std::size_t i = 0; i < n; ++i) offsets[i + 1] += offsets[i];
  std::vector<Edge> back(offsets[n]);
  {
    std::vector<std::size_t> next(offsets.begin(), offsets.end() - 1);
    for (std::size_t i = 0; i < n; ++i) {
      each(i, [&](std::int32_t column, float weight) {
        back[next[static_cast<std::size_t>(column)]++] = {static_cast<std::int32_t>(i), weight};
      });
    }
  }

  // Each row of the union is the merge of its row and its column. Once to
  // count, once to write: then rows can be shared out.
  SparseGraph result;
  result.offsets.assign(n + 1, 0);
  const auto merge = [&](std::size_t i, std::vector<Edge>& forth, const auto& emit) {
    forth.clear();
    each(i, [&](std::int32_t column, float weight) { forth.push_back({column, weight}); });
    std::sort(forth.begin(), forth.end());
    const Edge* b = back.data() + offsets[i];
    const Edge* b_end = back.data() + offsets[i + 1];
    std::size_t f = 0;
    while (f < forth.size() || b < b_end) {
      float x = 0;
      float y = 0;
      std::int32_t column;
      if (b == b_end || (f < forth.size() && forth[f].column <= b->column)) {
        column = forth[f].column;
      } else {
        column = b->column;
      }
      if (f < forth.size() && forth[f].column == column) x = forth[f++].weight;
      if (b < b_end && b->column == column) y = (b++)->weight;
      const float both = x * y;
      const float weight = mix_ratio * (x + y - both) + (1.0f - mix_ratio) * both;
      if (weight > 0) emit(column, weight);
    }
  };
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<Edge> forth;
    for (std::size_t i = begin; i < end; ++i) {
      std::size_t count = 0;
      merge(i, forth, [&](std::int32_t, float) { ++count; });
      result.offsets[i + 1] = count;
    }
  });
  for (std::size_t i = 0; i < n; ++i) result.offsets[i + 1] += result.offsets[i];
  result.columns.resize(result.offsets[n]);
  result.weights.resize(result.offsets[n]);
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<Edge> forth;
    for (std::size_t i = begin; i < end; ++i) {
      std::size_t at = result.offsets[i];
      merge(i, forth, [&](std::int32_t column, float weight) {
        result.columns[at] = column;
        result.weights[at++] = weight;
      });
    }
  });
  return result;
}

}  // namespace

SparseGraph fuzzy_union(const KnnGraph& graph, const Matrix& strengths, float mix_ratio,
                        Workers& workers) {
  const auto each = [&](std::size_t i, const auto& emit) {
    for (std::size_t j = 0; j < strengths.cols(); ++j) {
      if (strengths(i, j) > 0) emit(graph.indices(i, j), strengths(i, j));
    }
  };
  return symmetric(strengths.rows(), mix_ratio, each, workers);
}

SparseGraph fuzzy_union(const SparseGraph& directed, Workers& workers) {
  const auto each = [&](std::size_t i, const auto& emit) {
    for (std::size_t e = directed.offsets[i]; e < directed.offsets[i + 1]; ++e) {
      emit(directed.columns[e], directed.weights[e]);
    }
  };
  return symmetric(directed.rows(), 1.0f, each, workers);
}

void drop_weak_edges(SparseGraph& graph, std::size_t n_epochs) {
  if (graph.weights.empty() || n_epochs == 0) return;
  const float largest = *std::max_element(graph.weights.begin(), graph.weights.end());
  const float least = largest / static_cast<float>(n_epochs);
  std::size_t kept = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < graph.rows(); ++i) {
    const std::size_t end = graph.offsets[i + 1];
    for (std::size_t e = begin; e < end; ++e) {
      if (graph.weights[e] < least) continue;
      graph.columns[kept] = graph.columns[e];
      graph.weights[kept++] = graph.weights[e];
    }
    begin = end;
    graph.offsets[i + 1] = kept;
  }
  graph.columns.resize(kept);
  graph.weights.resize(kept);
}

std::vector<double> epochs_per_sample(std::span<const float> weights, std::size_t n_epochs) {
  std::vector<double> result(weights.size(), -1.0);
  if (weights.empty()) return result;
  const float largest = *std::max_element(weights.begin(), weights.end());
  for (std::size_t e = 0; e < weights.size(); ++e) {
    const float samples = static_cast<float>(n_epochs) * (weights[e] / largest);
    if (samples > 0) result[e] = static_cast<double>(n_epochs) / static_cast<double>(samples);
  }
  return result;
}

}  // namespace knowmap::umap
