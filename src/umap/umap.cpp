#include "knowmap/umap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

#include "support/parallel.hpp"
#include "umap/curve.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/initial.hpp"
#include "umap/layout.hpp"
#include "umap/options.hpp"
#include "umap/spectral.hpp"
#include "umap/transform.hpp"

namespace knowmap {

namespace {

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

}  // namespace

struct UmapProjector::Impl {
  UmapOptions options;
  float a = 0;
  float b = 0;
  bool fitted = false;
  Matrix data;
  Matrix embedding;
  std::string init_used;

  Matrix start(const umap::SparseGraph& graph, MatrixView<const float> rows, Workers& workers);
  void lay_out(MatrixView<const float> rows, const KnnGraph& graph, std::size_t columns,
               Workers& workers);
};

Matrix UmapProjector::Impl::start(const umap::SparseGraph& graph, MatrixView<const float> rows,
                                  Workers& workers) {
  const std::size_t n = graph.rows();
  const std::size_t dims = options.n_components;
  UmapOptions::Init init = options.init;
  std::string reason;
  Monitor monitor(options.progress, "spectral", 1, "steps");
  if (init == UmapOptions::Init::spectral) {
    std::optional<Matrix> found =
        umap::spectral_start(graph, rows, dims, options.seed, workers, &monitor);
    monitor.add(1);
    monitor.finish();
    if (found) {
      init_used = "spectral";
      umap::scale_with_noise(*found, options.seed);
      return std::move(*found);
    }
    reason = " (the eigensolver did not converge)";
    init = UmapOptions::Init::pca;
  }
  if (init == UmapOptions::Init::pca && rows.empty()) {
    reason += reason.empty() ? " (pca needs the data)" : "";
    init = UmapOptions::Init::random;
  }
  if (init == UmapOptions::Init::pca) {
    Matrix found = umap::pca_start(rows, dims, options.seed, workers, &monitor);
    umap::scale_with_noise(found, options.seed);
    init_used = "pca" + reason;
    return found;
  }
  init_used = "random" + reason;
  return umap::random_start(n, dims, options.seed);
}

void UmapProjector::Impl::lay_out(MatrixView<const float> rows, const KnnGraph& graph,
                                  std::size_t columns, Workers& workers) {
  const std::size_t n = graph.size();
  // umap-learn goes down to 200 at 10,000 rows; our epochs are cheap enough to
  // keep the better map for longer.
  const std::size_t by_size = n <= 25000 ? 500 : 200;
  const std::size_t n_epochs = options.n_epochs == 0 ? by_size : options.n_epochs;
  umap::SparseGraph fuzzy;
  {
    const umap::Smoothed smoothed =
        umap::smooth_distances(graph, columns, options.local_connectivity, true, workers);
    const Matrix strengths = umap::membership_strengths(graph, columns, smoothed, false, workers);
    fuzzy = umap::fuzzy_union(graph, strengths, options.set_op_mix_ratio, workers);
  }
  umap::drop_weak_edges(fuzzy, n_epochs > 10 ? n_epochs : by_size);
  Matrix at = start(fuzzy, rows, workers);
  umap::fit_to_box(at);
  Monitor monitor(options.progress, "layout", n_epochs, "epochs");
  umap::Layout layout(
      fuzzy, std::move(at),
      {.n_epochs = n_epochs,
       .learning_rate = options.learning_rate,
       .a = a,
       .b = b,
       .repulsion_strength = options.repulsion_strength,
       .negative_sample_rate = static_cast<std::uint32_t>(options.negative_sample_rate),
       .seed = options.seed});
  layout.run(n_epochs, workers, &monitor);
  monitor.finish();
  embedding = std::move(layout).take();
}

UmapProjector::UmapProjector(UmapOptions options) : impl_(std::make_unique<Impl>()) {
  umap::check_options(options);
  impl_->options = std::move(options);
  impl_->a = impl_->options.a;
  impl_->b = impl_->options.b;
  if (!(impl_->a > 0)) {
    const umap::Curve curve = umap::fit_curve(static_cast<double>(impl_->options.min_dist),
                                              static_cast<double>(impl_->options.spread));
    impl_->a = static_cast<float>(curve.a);
    impl_->b = static_cast<float>(curve.b);
  }
}
UmapProjector::UmapProjector(UmapProjector&&) noexcept = default;
UmapProjector& UmapProjector::operator=(UmapProjector&&) noexcept = default;
UmapProjector::~UmapProjector() = default;

const Matrix& UmapProjector::fit(MatrixView<const float> data) {
  const UmapOptions& o = impl_->options;
  if (data.rows == 0) throw std::invalid_argument("data has no rows; a map needs at least one");
  if (data.cols == 0) throw std::invalid_argument("data has no columns");
  KnnOptions knn;
  // One that is always there, so that two equal rows and one row are no special case.
  knn.n_neighbors = std::max<std::size_t>(1, std::min(o.n_neighbors, data.rows - 1) - 1);
  if (data.rows <= 2) knn.n_neighbors = 1;
  knn.metric = o.metric;
  knn.seed = o.seed;
  knn.threads = o.threads;
  knn.progress = o.progress;
  const KnnGraph graph = knn_graph(data, knn);
  return fit(data, graph);
}

const Matrix& UmapProjector::fit(MatrixView<const float> data, const KnnGraph& graph) {
  Impl& s = *impl_;
  const std::size_t n = graph.size();
  if (n == 0)
    throw std::invalid_argument("the neighbour graph has no rows; a map needs at least one");
  if (n > std::numeric_limits<std::int32_t>::max() / s.options.n_components) {
    throw std::invalid_argument("a map of " + std::to_string(n) + " rows and " +
                                std::to_string(s.options.n_components) + " columns is too large");
  }
  // umap-learn lowers n_neighbors to n - 1 where there are no more rows than it.
  const std::size_t counted =
      n <= s.options.n_neighbors ? std::max<std::size_t>(2, n - 1) : s.options.n_neighbors;
  const std::size_t columns = counted - 1;
  check_graph(graph, data.empty() ? n : data.rows, columns);
  s.fitted = false;
  Workers workers(s.options.threads);
  if (n == 1) {
    s.embedding = Matrix(1, s.options.n_components, 0.0f);
    s.init_used = "random (a single row)";
  } else {
    s.lay_out(data, graph, columns, workers);
  }
  Matrix copy(data.rows, data.cols);
  std::copy(data.data, data.data + data.size(), copy.data());
  s.data = std::move(copy);
  s.fitted = true;
  return s.embedding;
}

const Matrix& UmapProjector::embedding() const { return impl_->embedding; }

Matrix UmapProjector::transform(MatrixView<const float> rows) const {
  const Impl& s = *impl_;
  if (!s.fitted) throw std::invalid_argument("transform needs a fitted map: call fit first");
  if (s.data.empty()) {
    throw std::invalid_argument(
        "transform needs the data that the map was made of; fit was given none");
  }
  if (rows.cols != s.data.cols()) {
    throw std::invalid_argument("rows have " + std::to_string(rows.cols) +
                                " columns, the map's data " + std::to_string(s.data.cols()));
  }
  if (rows.rows == 0) return Matrix(0, s.options.n_components);
  KnnOptions knn;
  knn.n_neighbors = std::min(s.options.n_neighbors, s.data.rows());
  knn.metric = s.options.metric;
  knn.threads = s.options.threads;
  knn.progress = s.options.progress;
  const KnnGraph graph = knn_query(s.data, rows, knn);
  Workers workers(s.options.threads);
  Monitor monitor(s.options.progress, "layout", rows.rows, "rows");
  Matrix placed =
      umap::place_new_rows(rows, graph, s.embedding, s.options, s.a, s.b, workers, &monitor);
  monitor.add(rows.rows);
  monitor.finish();
  return placed;
}

const UmapOptions& UmapProjector::options() const { return impl_->options; }
float UmapProjector::a() const { return impl_->a; }
float UmapProjector::b() const { return impl_->b; }
const std::string& UmapProjector::init_used() const { return impl_->init_used; }

}  // namespace knowmap
