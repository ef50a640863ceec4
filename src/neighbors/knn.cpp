#include "knowmap/knn.hpp"

#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#ifdef KNOWMAP_WITH_TORCH
#include "device/device.hpp"
#include "neighbors/on_device.hpp"
#endif
#include "neighbors/rows.hpp"
#include "neighbors/search.hpp"

namespace knowmap {

namespace {

constexpr std::pair<Metric, std::string_view> kMetricNames[] = {
    {Metric::euclidean, "euclidean"},
    {Metric::cosine, "cosine"},
    {Metric::inner_product, "inner_product"},
    {Metric::correlation, "correlation"},
    {Metric::manhattan, "manhattan"},
    {Metric::chebyshev, "chebyshev"},
    {Metric::minkowski, "minkowski"},
    {Metric::canberra, "canberra"},
    {Metric::braycurtis, "braycurtis"},
    {Metric::hamming, "hamming"},
    {Metric::jaccard, "jaccard"},
    {Metric::precomputed, "precomputed"},
};

}  // namespace

namespace neighbors {

void check_options(const RowReader& data, const KnnOptions& options) {
  if (options.n_neighbors == 0) {
    throw std::invalid_argument("n_neighbors must be at least 1, not 0");
  }
  constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
  if (options.n_neighbors > kMost) {
    throw std::invalid_argument("n_neighbors must be at most " + std::to_string(kMost) + ", not " +
                                std::to_string(options.n_neighbors));
  }
  if (data.rows > kMost) {
    throw std::invalid_argument("data has " + std::to_string(data.rows) +
                                " rows; row numbers go up to " + std::to_string(kMost));
  }
  if (!(options.p >= 1)) {
    throw std::invalid_argument("p must be at least 1, not " + std::to_string(options.p));
  }
  if (!(options.target_recall >= 0 && options.target_recall <= 1)) {
    throw std::invalid_argument("target_recall must be from 0 to 1, not " +
                                std::to_string(options.target_recall));
  }
}

}  // namespace neighbors

Metric metric_from_name(std::string_view name) {
  std::string known;
  for (const auto& [metric, its_name] : kMetricNames) {
    if (name == its_name) return metric;
    known += (known.empty() ? "" : ", ") + std::string(its_name);
  }
  throw std::invalid_argument("unknown metric '" + std::string(name) + "'; known are " + known);
}

std::string_view metric_name(Metric metric) noexcept {
  for (const auto& [known, name] : kMetricNames) {
    if (known == metric) return name;
  }
  return "unknown";
}

namespace {

using neighbors::RowReader;

/// The search on the device that the options name, where that is not the CPU: of `queries`, or
/// without them of the data's own rows.
std::optional<KnnGraph> on_device(const RowReader& data, const MatrixView<const float>* queries,
                                  const KnnOptions& options, Workers& workers) {
  if (options.device == "cpu") return std::nullopt;
  const bool any = options.device == "auto";  // then the CPU will do where a device can't
  if (any && neighbors::metric_kernel(options.metric) != nullptr) return std::nullopt;
#ifdef KNOWMAP_WITH_TORCH
  const c10::Device device = resolve_device(options.device);
  if (device.is_cpu()) return std::nullopt;
  return queries == nullptr ? neighbors::graph_on_device(data, options, device, workers)
                            : neighbors::query_on_device(data, *queries, options, device, workers);
#else
  static_cast<void>(data), static_cast<void>(queries), static_cast<void>(workers);
  if (any) return std::nullopt;
  throw std::invalid_argument("device '" + options.device +
                              "': this build has no libtorch; take device 'cpu'");
#endif
}

KnnGraph graph_of_rows(const RowReader& data, const KnnOptions& options, Workers& workers) {
  neighbors::check_finite(data, "data", workers);
  auto found = on_device(data, nullptr, options, workers);
  if (found) return *std::move(found);
  const bool exact =
      options.search == KnnOptions::Search::exact ||
      (options.search == KnnOptions::Search::automatic && data.rows <= options.exact_limit);
  return exact ? neighbors::exact_graph(data, options, workers)
               : neighbors::approximate_graph(data, options, workers);
}

KnnGraph query_of_rows(const RowReader& data, MatrixView<const float> queries,
                       const KnnOptions& options, Workers& workers) {
  if (data.cols != queries.cols) {
    throw std::invalid_argument("queries have " + std::to_string(queries.cols) + " columns, data " +
                                std::to_string(data.cols));
  }
  neighbors::check_finite(data, "data", workers);
  neighbors::check_finite(queries, "queries", workers);
  auto found = on_device(data, &queries, options, workers);
  if (found) return *std::move(found);
  return neighbors::exact_query(data, queries, options, workers);
}

void check_source(const RowSource& source, const KnnOptions& options) {
  neighbors::check_options(source, options);
  if (options.metric == Metric::precomputed) {
    throw std::invalid_argument("precomputed distances are taken as a float32 matrix in memory");
  }
}

}  // namespace

KnnGraph knn_graph(const RowSource& data, const KnnOptions& options) {
  check_source(data, options);
  Workers workers(options.threads);
  return graph_of_rows(data, options, workers);
}

KnnGraph knn_query(const RowSource& data, MatrixView<const float> queries,
                   const KnnOptions& options) {
  check_source(data, options);
  Workers workers(options.threads);
  return query_of_rows(data, queries, options, workers);
}

KnnGraph knn_graph(MatrixView<const float> data, const KnnOptions& options) {
  neighbors::check_options(data, options);
  Workers workers(options.threads);
  if (options.metric == Metric::precomputed) {
    if (data.rows != data.cols) {
      throw std::invalid_argument("precomputed distances must be a square matrix, not (" +
                                  std::to_string(data.rows) + ", " + std::to_string(data.cols) +
                                  ")");
    }
    return neighbors::precomputed_graph(data, true, options, workers);
  }
  return graph_of_rows(data, options, workers);
}

KnnGraph knn_query(MatrixView<const float> data, MatrixView<const float> queries,
                   const KnnOptions& options) {
  neighbors::check_options(data, options);
  Workers workers(options.threads);
  if (options.metric == Metric::precomputed) {
    return neighbors::precomputed_graph(queries, false, options, workers);
  }
  return query_of_rows(data, queries, options, workers);
}

}  // namespace knowmap
