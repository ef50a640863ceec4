#include "knowmap/umap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

#include "support/hash128.hpp"
#include "support/parallel.hpp"
#include "umap/curve.hpp"
#include "umap/level.hpp"
#include "umap/make_map.hpp"
#include "umap/options.hpp"
#include "umap/projector.hpp"
#include "umap/transform.hpp"

namespace knowmap {

namespace {

std::string hash_of(const neighbors::RowReader& rows) {
  constexpr std::size_t kRun = 4096;
  Hasher hasher;
  std::vector<float> room;
  for (std::size_t begin = 0; begin < rows.rows; begin += kRun) {
    const std::size_t end = std::min(rows.rows, begin + kRun);
    hasher.update(rows.run(begin, end, room), (end - begin) * rows.cols * sizeof(float));
  }
  return hex(hasher.finish());
}

Matrix copy_of(MatrixView<const float> rows) {
  Matrix copy(rows.rows, rows.cols);
  std::copy_n(rows.data, rows.size(), copy.data());
  return copy;
}

Matrix picked(MatrixView<const float> rows, const std::vector<std::size_t>& which) {
  Matrix some(which.size(), rows.cols);
  for (std::size_t i = 0; i < which.size(); ++i) {
    std::copy_n(rows.row(which[i]), rows.cols, some.row(i));
  }
  return some;
}

Matrix column_of(std::span<const float> numbers) {
  if (numbers.empty()) return {};
  Matrix column(numbers.size(), 1);
  std::copy(numbers.begin(), numbers.end(), column.data());
  return column;
}

/// Throws where a row's weight is none.
void check_weights(std::span<const float> weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= 0 && std::isfinite(weights[i])) continue;
    throw std::invalid_argument("the sample weight of row " + std::to_string(i) + " is " +
                                std::to_string(weights[i]) + "; it must be 0 or more");
  }
}

void check_shapes(const UmapData& data, std::size_t n, std::size_t dims) {
  if (n == 0) throw std::invalid_argument("the data have no rows; a map needs at least one");
  if (n > std::numeric_limits<std::int32_t>::max() / dims) {
    throw std::invalid_argument("a map of " + std::to_string(n) + " rows and " +
                                std::to_string(dims) + " columns is too large");
  }
  const auto refuse = [&](const char* what, std::size_t rows) {
    throw std::invalid_argument(std::string(what) + " have " + std::to_string(rows) +
                                " rows; the data have " + std::to_string(n));
  };
  for (const auto& [what, places] :
       {std::pair{"initial", data.initial}, std::pair{"earlier", data.earlier}}) {
    if (places.empty() || (places.rows == n && places.cols == dims)) continue;
    throw std::invalid_argument("the " + std::string(what) + " places have the shape (" +
                                std::to_string(places.rows) + ", " + std::to_string(places.cols) +
                                "), not (" + std::to_string(n) + ", " + std::to_string(dims) + ")");
  }
  if (!data.initial.empty() && !data.earlier.empty()) {
    throw std::invalid_argument("initial and earlier places were both given; give one of them");
  }
  for (std::size_t i = 0; i < data.earlier.size(); ++i) {
    if (!std::isinf(data.earlier.data[i])) continue;
    throw std::invalid_argument("earlier places: row " + std::to_string(i / dims) +
                                " holds infinity");
  }
  if (!data.classes.empty() && data.classes.size() != n) refuse("classes", data.classes.size());
  if (!data.targets.empty() && data.targets.rows != n) refuse("targets", data.targets.rows);
  if (!data.sample_weights.empty() && data.sample_weights.size() != n) {
    refuse("sample weights", data.sample_weights.size());
  }
  check_weights(data.sample_weights);
  const bool any = data.sample_weights.empty() ||
                   std::any_of(data.sample_weights.begin(), data.sample_weights.end(),
                               [](float weight) { return weight > 0; });
  if (!any) throw std::invalid_argument("all sample weights are zero; one at least must be more");
  if (!data.classes.empty() && !data.targets.empty()) {
    throw std::invalid_argument("classes and targets were both given; give one of them");
  }
  for (const auto& [what, numbers] :
       {std::pair{"initial places", data.initial}, std::pair{"targets", data.targets}}) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (!std::isfinite(numbers.data[i])) {
        throw std::invalid_argument(std::string(what) + ": row " +
                                    std::to_string(i / numbers.cols) + " holds NaN or infinity");
      }
    }
  }
}

}  // namespace

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

UmapOptions UmapProjector::Impl::with_curve() const {
  UmapOptions all = options;
  all.a = a;
  all.b = b;
  return all;
}

void UmapProjector::Impl::keep(const neighbors::RowReader& given, bool own) {
  n_features = given.cols;
  rows_hash = given.empty() ? std::string() : hash_of(given);
  data = Matrix();
  rows = {};
  searched.reset();
  if (given.empty() || !given.is_direct() || options.keep_rows == UmapOptions::KeepRows::none) {
    return;
  }
  if (own || options.keep_rows == UmapOptions::KeepRows::copy) {
    data = copy_of(given.view());
    rows = data;
  } else {
    rows = given.view();
  }
}

void UmapProjector::Impl::take(umap::MapResult&& made, const std::vector<std::size_t>* which,
                               Workers& workers) {
  init_used = std::move(made.init_used);
  graph = std::move(made.graph);
  snapshots = std::move(made.snapshots);
  radii = std::move(made.radii);
  placed = std::move(made.embedding);
  if (which != nullptr) {
    placed = picked(placed, *which);
    if (!radii.empty()) radii = picked(radii, *which);
    for (Matrix& snapshot : snapshots) snapshot = picked(snapshot, *which);
  }
  leveled = Matrix();
  if (options.density_leveling > 0) {
    Monitor monitor(options.progress, "level", 30, "rounds");
    leveled = umap::level(placed, options.density_leveling, workers, &monitor);
    monitor.finish();
  }
}

KnnOptions UmapProjector::Impl::search(std::size_t among) const {
  KnnOptions knn;
  // One that is always there, so that two equal rows and one row are no special case.
  knn.n_neighbors = std::max<std::size_t>(1, std::min(options.n_neighbors, among - 1) - 1);
  if (among <= 2) knn.n_neighbors = 1;
  knn.metric = options.metric;
  knn.p = options.p;
  knn.seed = options.seed;
  knn.threads = options.threads;
  knn.device = options.device;
  knn.progress = options.progress;
  return knn;
}

KnnGraph UmapProjector::Impl::neighbours(MatrixView<const float> of) const {
  return knn_graph(of, search(of.rows));
}

const Matrix& UmapProjector::fit(const UmapData& data) {
  Impl& s = *impl_;
  const UmapOptions& o = s.options;
  if (data.source != nullptr && (data.rows.rows > 0 || o.unique)) {
    throw std::invalid_argument(data.rows.rows > 0
                                    ? "rows and a source of rows were both given; give one of them"
                                    : "unique needs the rows in memory: read them first");
  }
  const neighbors::RowReader given =
      data.source != nullptr ? neighbors::RowReader(*data.source) : data.rows;
  if (data.graph == nullptr && given.rows > 0 && given.cols == 0) {
    throw std::invalid_argument("the data have no columns");
  }
  const std::size_t n = data.graph != nullptr ? data.graph->size() : given.rows;
  check_shapes(data, n, o.n_components);
  if (o.unique && data.graph != nullptr) {
    throw std::invalid_argument("unique does not go with neighbours given; leave one of them out");
  }
  if (!data.sample_weights.empty() && (o.densmap || o.serial)) {
    throw std::invalid_argument("sample weights do not go with densmap or serial");
  }
  s.fitted = false;
  s.supervised = !data.classes.empty() || !data.targets.empty();

  umap::MapInput input;
  input.rows = given;
  input.go_on = !data.earlier.empty();
  const MatrixView<const float> start = input.go_on ? data.earlier : data.initial;
  input.initial = start;
  input.classes = data.classes;
  input.targets = data.targets;
  umap::Distinct distinct;
  Matrix rows, initial, targets;
  std::vector<std::int32_t> classes;
  std::vector<float> weights;
  input.sample_weights = data.sample_weights;
  if (o.unique) {
    distinct = umap::distinct_rows(data.rows);
    input.rows = rows = picked(data.rows, distinct.first);
    if (!start.empty()) input.initial = initial = picked(start, distinct.first);
    if (!data.targets.empty()) input.targets = targets = picked(data.targets, distinct.first);
    for (const std::size_t i : distinct.first) {
      if (!data.classes.empty()) classes.push_back(data.classes[i]);
    }
    input.classes = classes;
    if (!data.sample_weights.empty()) {  // equal rows pull together
      weights.assign(distinct.first.size(), 0.0f);
      for (std::size_t i = 0; i < n; ++i) weights[distinct.which[i]] += data.sample_weights[i];
      input.sample_weights = weights;
    }
  }

  KnnGraph found;
  input.graph = data.graph;
  if (input.graph == nullptr) {
    found = data.source != nullptr ? knn_graph(*data.source, s.search(n))
                                   : s.neighbours(input.rows.view());
    input.graph = &found;
  }
  s.recall = input.graph == &found ? found.recall : std::numeric_limits<double>::quiet_NaN();
  // umap-learn lowers n_neighbors to n - 1 where there are no more rows than it.
  const std::size_t laid_out = input.graph->size();
  input.columns =
      (laid_out <= o.n_neighbors ? std::max<std::size_t>(2, laid_out - 1) : o.n_neighbors) - 1;
  umap::check_graph(*input.graph, input.rows.empty() ? laid_out : input.rows.rows, input.columns);
  Workers workers(o.threads);
  s.take(umap::make_map(input, s.with_curve(), workers), o.unique ? &distinct.which : nullptr,
         workers);
  s.keep(given, false);
  s.weights = column_of(data.sample_weights);
  s.fitted = true;
  return embedding();
}

const Matrix& UmapProjector::embedding() const {
  return impl_->leveled.empty() ? impl_->placed : impl_->leveled;
}
const Matrix& UmapProjector::unleveled() const { return impl_->placed; }
const std::vector<Matrix>& UmapProjector::snapshots() const { return impl_->snapshots; }
const Matrix& UmapProjector::radii() const { return impl_->radii; }
UmapGraphView UmapProjector::graph() const {
  if (impl_->graph.rows() == 0) return {};
  return {impl_->graph.offsets, impl_->graph.columns, impl_->graph.weights};
}

void UmapProjector::Impl::require_rows(const char* what) const {
  if (!fitted) {
    throw std::invalid_argument(std::string(what) + " needs a fitted map: call fit first");
  }
  if (rows.empty()) {
    throw std::invalid_argument(std::string(what) +
                                " needs the rows that the map was made of, and they were not kept: "
                                "fit with them, save with_rows, or call attach_rows");
  }
}

void UmapProjector::Impl::require_columns(MatrixView<const float> given) const {
  if (given.cols == rows.cols) return;
  throw std::invalid_argument("rows have " + std::to_string(given.cols) +
                              " columns, the map's data " + std::to_string(rows.cols));
}

KnnGraph UmapProjector::Impl::neighbours_of_new(MatrixView<const float> given) const {
  KnnOptions knn;
  knn.n_neighbors = std::min(options.n_neighbors, rows.rows);
  knn.metric = options.metric;
  knn.p = options.p;
  knn.threads = options.threads;
  knn.progress = options.progress;
  if (knn.metric == Metric::precomputed) return knn_query(rows, given, knn);
  Workers workers(options.threads);
  neighbors::check_finite(given, "queries", workers);
  std::shared_ptr<const neighbors::Searched> known;
  {
    const std::scoped_lock lock(searched_lock);
    if (!searched) {
      neighbors::check_finite(rows, "data", workers);
      searched = std::make_shared<const neighbors::Searched>(rows, knn.metric, knn.p, workers);
    }
    known = searched;
  }
  return neighbors::exact_query(*known, given, knn, workers);
}

Matrix UmapProjector::Impl::place(MatrixView<const float> given, const KnnGraph& near) const {
  const std::optional<KnnGraph> cut =
      umap::without_far(near, near.n_neighbors(), umap::cut_distance(options), placed);
  Workers workers(options.threads);
  Monitor monitor(options.progress, "layout", given.rows, "rows");
  Matrix result =
      umap::place_new_rows(given, cut ? *cut : near, placed, options, a, b, workers, &monitor);
  monitor.add(given.rows);
  monitor.finish();
  return result;
}

Matrix UmapProjector::transform(MatrixView<const float> rows) const {
  const Impl& s = *impl_;
  s.require_rows("transform");
  s.require_columns(rows);
  if (rows.rows == 0) return Matrix(0, s.options.n_components);
  return transform(rows, s.neighbours_of_new(rows));
}

Matrix UmapProjector::transform(MatrixView<const float> rows, const KnnGraph& graph) const {
  const Impl& s = *impl_;
  if (!s.fitted) throw std::invalid_argument("transform needs a fitted map: call fit first");
  if (graph.size() != rows.rows || graph.n_neighbors() == 0 ||
      graph.n_neighbors() > s.options.n_neighbors) {
    throw std::invalid_argument(
        "neighbours of new rows have the shape (" + std::to_string(graph.size()) + ", " +
        std::to_string(graph.n_neighbors()) + "), not (" + std::to_string(rows.rows) + ", 1 to " +
        std::to_string(s.options.n_neighbors) + ")");
  }
  for (std::size_t i = 0; i < graph.indices.size(); ++i) {
    const std::int32_t other = graph.indices.data()[i];
    if (other >= 0 && static_cast<std::size_t>(other) >= s.placed.rows()) {
      throw std::invalid_argument("a neighbour of a new row is row " + std::to_string(other) +
                                  " of " + std::to_string(s.placed.rows()));
    }
  }
  if (rows.rows == 0) return Matrix(0, s.options.n_components);
  Matrix result = s.place(rows, graph);
  if (s.leveled.empty()) return result;
  return umap::follow(result, s.placed, s.leveled, s.options.threads);
}

Matrix UmapProjector::inverse_transform(MatrixView<const float> points) const {
  const Impl& s = *impl_;
  s.require_rows("inverse_transform");
  if (points.cols != s.options.n_components) {
    throw std::invalid_argument("points have " + std::to_string(points.cols) +
                                " columns, the map " + std::to_string(s.options.n_components));
  }
  if (points.rows == 0) return Matrix(0, s.rows.cols);
  if (s.leveled.empty()) return umap::rows_at(points, s.placed, s.rows, s.with_curve());
  const Matrix back = umap::follow(points, s.leveled, s.placed, s.options.threads);
  return umap::rows_at(back, s.placed, s.rows, s.with_curve());
}

const Matrix& UmapProjector::update(MatrixView<const float> rows, std::span<const float> weights) {
  Impl& s = *impl_;
  s.require_rows("update");
  s.require_columns(rows);
  if (s.supervised) {
    throw std::invalid_argument("a map with targets cannot be updated: fit it anew");
  }
  if (!weights.empty() && weights.size() != rows.rows) {
    throw std::invalid_argument("sample weights have " + std::to_string(weights.size()) +
                                " entries; the rows to add are " + std::to_string(rows.rows));
  }
  check_weights(weights);
  if (!weights.empty() && (s.options.densmap || s.options.serial)) {
    throw std::invalid_argument("sample weights do not go with densmap or serial");
  }
  if (rows.rows == 0) return embedding();
  const std::size_t before = s.rows.rows;
  const std::size_t n = before + rows.rows;
  Matrix all(n, rows.cols);
  std::copy_n(s.rows.data, s.rows.size(), all.data());
  std::copy_n(rows.data, rows.size(), all.row(before));
  Matrix initial(n, s.options.n_components, std::numeric_limits<float>::quiet_NaN());
  std::copy_n(s.placed.data(), s.placed.size(), initial.data());
  const KnnGraph found = s.neighbours(all);
  umap::MapInput input;
  input.rows = all;
  input.graph = &found;
  input.columns =
      (n <= s.options.n_neighbors ? std::max<std::size_t>(2, n - 1) : s.options.n_neighbors) - 1;
  input.initial = initial;
  input.go_on = true;
  Matrix pulls;
  if (!weights.empty() || !s.weights.empty()) {
    pulls = Matrix(n, 1, 1.0f);
    std::copy_n(s.weights.data(), s.weights.size(), pulls.data());
    std::copy(weights.begin(), weights.end(), pulls.data() + before);
    input.sample_weights = {pulls.data(), n};
  }
  Workers workers(s.options.threads);
  s.take(umap::make_map(input, s.with_curve(), workers), nullptr, workers);
  s.keep(all, true);
  s.recall = found.recall;
  s.weights = std::move(pulls);
  return embedding();
}

void UmapProjector::attach_rows(MatrixView<const float> rows) {
  Impl& s = *impl_;
  if (!s.fitted) throw std::invalid_argument("attach_rows needs a fitted map");
  if (rows.rows != s.placed.rows() || rows.cols != s.n_features || hash_of(rows) != s.rows_hash) {
    throw std::invalid_argument("these are not the rows that the map was made of");
  }
  s.keep(rows, false);
}

void UmapProjector::check_rows(const RowSource& source) const {
  const Impl& s = *impl_;
  if (!s.fitted) throw std::invalid_argument("check_rows needs a fitted map");
  const neighbors::RowReader rows(source);
  if (rows.rows != s.placed.rows() || rows.cols != s.n_features || hash_of(rows) != s.rows_hash) {
    throw std::invalid_argument("these are not the rows that the map was made of");
  }
}

void UmapProjector::set_run(int threads, ProgressCallback progress,
                            UmapOptions::KeepRows keep_rows) {
  impl_->options.threads = threads;
  impl_->options.progress = std::move(progress);
  impl_->options.keep_rows = keep_rows;
}

const UmapOptions& UmapProjector::options() const { return impl_->options; }
float UmapProjector::a() const { return impl_->a; }
float UmapProjector::b() const { return impl_->b; }
std::size_t UmapProjector::n_features() const { return impl_->n_features; }
const std::string& UmapProjector::init_used() const { return impl_->init_used; }
double UmapProjector::recall() const { return impl_->recall; }
const std::string& UmapProjector::note() const { return impl_->note; }

}  // namespace knowmap
