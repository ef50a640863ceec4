#include "umap/make_map.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "support/random.hpp"
#include "umap/densmap.hpp"
#include "umap/initial.hpp"
#include "umap/layout.hpp"
#include "umap/serial_layout.hpp"
#include "umap/spectral.hpp"
#include "umap/targets.hpp"

namespace knowmap {

std::size_t default_epochs(std::size_t rows, bool densmap) {
  // umap-learn takes 500, and from 10,000 rows on 200; our epochs are cheap enough to make the
  // better map of few rows and to keep it for longer. densMAP gets 200 more, as there.
  return (rows <= 4096 ? 1000 : rows <= 25000 ? 500 : 200) + (densmap ? 200 : 0);
}

namespace umap {

namespace {

struct Start {
  Matrix places;
  std::string used;
};

Start make_start(const SparseGraph& graph, const MapInput& input, const UmapOptions& options,
                 Workers& workers) {
  const std::size_t dims = options.n_components;
  if (!input.initial.empty()) {
    Matrix given(input.initial.rows, dims);
    std::copy_n(input.initial.data, input.initial.size(), given.data());
    if (input.go_on) place_among_neighbors(given, graph);
    part_equal_places(given, options.seed);
    return {std::move(given), "given"};
  }
  UmapOptions::Init init = options.init;
  std::string reason;
  Monitor monitor(options.progress, "spectral", 1, "steps");
  if (init == UmapOptions::Init::spectral) {
    std::optional<Matrix> found =
        spectral_start(graph, input.rows, dims, options.seed, workers, &monitor);
    monitor.add(1);
    monitor.finish();
    if (found) {
      scale_with_noise(*found, options.seed);
      return {std::move(*found), "spectral"};
    }
    reason = " (the eigensolver did not converge)";
    init = UmapOptions::Init::pca;
  }
  if (init == UmapOptions::Init::pca && input.rows.empty()) {
    reason += reason.empty() ? " (pca needs the data)" : "";
    init = UmapOptions::Init::random;
  }
  if (init == UmapOptions::Init::pca) {
    Matrix found = pca_start(input.rows, dims, options.seed, workers, &monitor);
    scale_with_noise(found, options.seed);
    return {std::move(found), "pca" + reason};
  }
  return {random_start(graph.rows(), dims, options.seed), "random" + reason};
}

/// Logarithms of the radii on a finished map, from its own fuzzy graph.
std::vector<float> map_radii(const Matrix& map, std::size_t columns, const UmapOptions& options,
                             Workers& workers) {
  KnnOptions knn;
  knn.n_neighbors = columns;
  knn.metric = Metric::euclidean;
  knn.seed = options.seed;
  knn.threads = options.threads;
  knn.progress = options.progress;
  const KnnGraph near = knn_graph(map, knn);
  const Smoothed smoothed = smooth_distances(near, columns, 1.0f, true, workers);
  const Matrix strengths = membership_strengths(near, columns, smoothed, false, workers);
  const SparseGraph fuzzy = fuzzy_union(near, strengths, 1.0f, workers);
  return log_radii(fuzzy, edge_distances(fuzzy, near, columns, workers), 1, workers);
}

SparseGraph with_targets(SparseGraph graph, const MapInput& input, const UmapOptions& options,
                         Workers& workers) {
  if (!input.classes.empty()) {
    return intersect_classes(std::move(graph), input.classes, options.target_weight, workers);
  }
  if (input.targets.empty()) return graph;
  const std::size_t counted =
      options.target_n_neighbors == 0 ? input.columns + 1 : options.target_n_neighbors;
  KnnOptions knn;
  knn.n_neighbors = std::max<std::size_t>(1, std::min(counted, input.targets.rows) - 1);
  knn.metric = options.target_metric;
  knn.p = options.target_p;
  knn.seed = options.seed;
  knn.threads = options.threads;
  knn.progress = options.progress;
  const KnnGraph near = knn_graph(input.targets, knn);
  const Smoothed smoothed = smooth_distances(near, knn.n_neighbors, 1.0f, true, workers);
  const Matrix strengths = membership_strengths(near, knn.n_neighbors, smoothed, false, workers);
  return intersect_targets(graph, near, strengths, options.target_weight, workers);
}

/// Each edge, from the row that it moves, in proportion to the weight of the row
/// that pulls: as if that one were there so many times.
void weigh(SparseGraph& graph, std::span<const float> weights) {
  if (weights.empty()) return;
  const float largest = *std::max_element(weights.begin(), weights.end());
  for (std::size_t e = 0; e < graph.size(); ++e) {
    graph.weights[e] *= weights[static_cast<std::size_t>(graph.columns[e])] / largest;
  }
}

/// Runs to the end, keeping the map after each of the epochs asked for.
template <class Run, class Positions>
void run_with_snapshots(std::size_t n_epochs, const std::vector<std::size_t>& wanted,
                        const Run& run, const Positions& positions, std::vector<Matrix>& kept) {
  std::size_t done = 0;
  for (const std::size_t epoch : wanted) {
    if (epoch > n_epochs) break;
    run(epoch - done);
    done = epoch;
    kept.push_back(positions().clone());
  }
  run(n_epochs - done);
}

}  // namespace

MapResult make_map(const MapInput& input, const UmapOptions& options, Workers& workers) {
  const std::size_t n = input.graph->size();
  MapResult result;
  if (n == 1) {
    result.embedding = Matrix(1, options.n_components, 0.0f);
    result.init_used = "random (a single row)";
    if (input.go_on && std::isfinite(input.initial.data[0])) {
      std::copy_n(input.initial.data, options.n_components, result.embedding.data());
      result.init_used = "given";
    }
    if (options.output_dens) result.radii = Matrix(1, 2, 0.0f);
    return result;
  }
  const std::size_t by_size = default_epochs(n, options.densmap);
  std::size_t n_epochs = options.n_epochs == 0 ? by_size : options.n_epochs;
  if (input.go_on) n_epochs = std::max<std::size_t>(n_epochs / 3, 1);

  const std::optional<KnnGraph> cut =
      without_far(*input.graph, input.columns, cut_distance(options), {});
  const KnnGraph& near = cut ? *cut : *input.graph;
  SparseGraph fuzzy;
  {
    const Smoothed smoothed =
        smooth_distances(near, input.columns, options.local_connectivity, true, workers);
    const Matrix strengths = membership_strengths(near, input.columns, smoothed, false, workers);
    fuzzy = fuzzy_union(near, strengths, options.set_op_mix_ratio, workers);
  }
  fuzzy = with_targets(std::move(fuzzy), input, options, workers);
  std::vector<std::size_t> cut_off;
  for (std::size_t i = 0; cut && i < n; ++i) {
    if (fuzzy.offsets[i] == fuzzy.offsets[i + 1]) cut_off.push_back(i);
  }
  if (options.keep_graph) result.graph = fuzzy;
  drop_weak_edges(fuzzy, n_epochs > 10 ? n_epochs : by_size);

  std::vector<float> radii;
  if (options.densmap || options.output_dens) {
    radii = log_radii(fuzzy, edge_distances(fuzzy, near, input.columns, workers), 2, workers);
  }
  Start start = make_start(fuzzy, input, options, workers);
  result.init_used = std::move(start.used);
  if (!input.go_on) fit_to_box(start.places);

  LayoutOptions layout_options;
  layout_options.n_epochs = n_epochs;
  layout_options.learning_rate = options.learning_rate * (input.go_on ? 0.1f : 1.0f);
  layout_options.a = options.a;
  layout_options.b = options.b;
  layout_options.repulsion_strength = options.repulsion_strength;
  layout_options.negative_sample_rate = static_cast<std::uint32_t>(options.negative_sample_rate);
  layout_options.seed = options.seed;
  layout_options.dens_frac = options.densmap ? options.dens_frac : 0;
  Monitor monitor(options.progress, "layout", n_epochs, "epochs");
  if (options.serial) {
    SerialLayout layout(fuzzy, std::move(start.places), layout_options, serial_state(options.seed));
    run_with_snapshots(
        n_epochs, options.snapshot_epochs,
        [&](std::size_t epochs) { layout.run(epochs, &monitor); },
        [&]() -> const Matrix& { return layout.positions(); }, result.snapshots);
    result.embedding = std::move(layout).take();
  } else {
    weigh(fuzzy, input.sample_weights);
    std::optional<DensityTerm> density;
    if (options.densmap) {
      density.emplace(fuzzy, radii, options.dens_lambda, options.dens_var_shift, options.a,
                      options.b);
    }
    Layout layout(fuzzy, std::move(start.places), layout_options, density ? &*density : nullptr);
    if (!density) fuzzy = SparseGraph{};  // the layout has its own order of the edges
    run_with_snapshots(
        n_epochs, options.snapshot_epochs,
        [&](std::size_t epochs) { layout.run(epochs, workers, &monitor); },
        [&]() -> const Matrix& { return layout.positions(); }, result.snapshots);
    result.embedding = std::move(layout).take();
  }
  monitor.finish();
  if (input.go_on) turn_back(result.embedding, input.initial);
  if (!options.snapshot_epochs.empty()) result.snapshots.push_back(result.embedding.clone());
  if (options.output_dens) {
    const std::vector<float> there = map_radii(result.embedding, input.columns, options, workers);
    result.radii = Matrix(n, 2);
    for (std::size_t i = 0; i < n; ++i) {
      result.radii(i, 0) = radii[i];
      result.radii(i, 1) = there[i];
    }
  }
  for (const std::size_t i : cut_off) {
    for (std::size_t d = 0; d < options.n_components; ++d) {
      result.embedding(i, d) = std::numeric_limits<float>::quiet_NaN();
    }
  }
  return result;
}

void check_graph(const KnnGraph& graph, std::size_t rows, std::size_t columns) {
  if (graph.size() != rows || graph.distances.rows() != rows ||
      graph.distances.cols() != graph.indices.cols()) {
    throw std::invalid_argument("the neighbour graph has " + std::to_string(graph.size()) +
                                " rows of indices and " + std::to_string(graph.distances.rows()) +
                                " of distances; the data have " + std::to_string(rows));
  }
  if (graph.n_neighbors() < columns) {
    throw std::invalid_argument("the neighbour graph has " + std::to_string(graph.n_neighbors()) +
                                " columns; n_neighbors - 1 = " + std::to_string(columns) +
                                " are needed");
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const std::int32_t other = graph.indices(i, j);
      if (other < -1 || (other >= 0 && static_cast<std::size_t>(other) >= rows)) {
        throw std::invalid_argument("row " + std::to_string(i) +
                                    " of the neighbour graph names row " + std::to_string(other) +
                                    " of " + std::to_string(rows));
      }
      if (other >= 0 && !std::isfinite(graph.distances(i, j))) {
        throw std::invalid_argument("row " + std::to_string(i) +
                                    " of the neighbour graph holds a distance that is not finite");
      }
    }
  }
}

float cut_distance(const UmapOptions& options) {
  if (!std::isnan(options.disconnection_distance)) return options.disconnection_distance;
  const std::string_view name = metric_name(options.metric);
  if (name == "cosine" || name == "correlation") return 2;
  if (name == "jaccard") return 1;
  return std::numeric_limits<float>::infinity();
}

std::optional<KnnGraph> without_far(const KnnGraph& graph, std::size_t columns, float distance,
                                    const Matrix& places) {
  const auto goes = [&](std::size_t i, std::size_t j) {
    const std::int32_t other = graph.indices(i, j);
    if (other < 0) return false;
    return graph.distances(i, j) >= distance ||
           (places.rows() > 0 && std::isnan(places(static_cast<std::size_t>(other), 0)));
  };
  bool any = false;
  for (std::size_t i = 0; i < graph.size() && !any; ++i) {
    for (std::size_t j = 0; j < columns && !any; ++j) any = goes(i, j);
  }
  if (!any) return std::nullopt;
  KnnGraph kept{{graph.size(), columns}, {graph.size(), columns}};
  for (std::size_t i = 0; i < graph.size(); ++i) {
    std::size_t at = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      if (goes(i, j)) continue;
      kept.indices(i, at) = graph.indices(i, j);
      kept.distances(i, at++) = graph.distances(i, j);
    }
    for (; at < columns; ++at) {
      kept.indices(i, at) = -1;
      kept.distances(i, at) = std::numeric_limits<float>::infinity();
    }
  }
  return kept;
}

Distinct distinct_rows(MatrixView<const float> rows) {
  const std::size_t n = rows.rows;
  const auto equal = [&](std::size_t a, std::size_t b) {
    return std::equal(rows.row(a), rows.row(a) + rows.cols, rows.row(b));
  };
  std::vector<std::pair<std::uint64_t, std::size_t>> hashed(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t hash = 0;
    for (std::size_t j = 0; j < rows.cols; ++j) {
      const float value = rows(i, j) + 0.0f;  // minus zero is zero
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      hash = mix(hash ^ (bits + 0x9e3779b97f4a7c15ULL));
    }
    hashed[i] = {hash, i};
  }
  std::sort(hashed.begin(), hashed.end());
  // Where rows share a hash, they are compared with those that came before.
  std::vector<std::size_t> owner(n);
  for (std::size_t begin = 0; begin < n;) {
    std::size_t end = begin;
    std::vector<std::size_t> found;
    for (; end < n && hashed[end].first == hashed[begin].first; ++end) {
      const std::size_t row = hashed[end].second;
      const auto same = std::find_if(found.begin(), found.end(),
                                     [&](std::size_t other) { return equal(other, row); });
      owner[row] = same == found.end() ? row : *same;
      if (same == found.end()) found.push_back(row);
    }
    begin = end;
  }
  Distinct result;
  result.which.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (owner[i] == i) {
      result.which[i] = result.first.size();
      result.first.push_back(i);
    } else {
      result.which[i] = result.which[owner[i]];
    }
  }
  return result;
}

}  // namespace umap
}  // namespace knowmap
