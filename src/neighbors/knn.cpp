#include "knowmap/knn.hpp"

#include <limits>
#include <stdexcept>
#include <string>

#include "neighbors/rows.hpp"
#include "neighbors/search.hpp"

namespace knowmap {

namespace {

void check_options(MatrixView<const float> data, const KnnOptions& options) {
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
}

}  // namespace

Metric metric_from_name(std::string_view name) {
  if (name == "euclidean") return Metric::euclidean;
  if (name == "cosine") return Metric::cosine;
  if (name == "inner_product") return Metric::inner_product;
  throw std::invalid_argument("unknown metric '" + std::string(name) +
                              "'; known are euclidean, cosine, inner_product");
}

std::string_view metric_name(Metric metric) noexcept {
  switch (metric) {
    case Metric::euclidean:
      return "euclidean";
    case Metric::cosine:
      return "cosine";
    case Metric::inner_product:
      return "inner_product";
  }
  return "unknown";
}

KnnGraph knn_graph(MatrixView<const float> data, const KnnOptions& options) {
  check_options(data, options);
  Workers workers(options.threads);
  neighbors::check_finite(data, "data", workers);
  const bool exact =
      options.search == KnnOptions::Search::exact ||
      (options.search == KnnOptions::Search::automatic && data.rows <= options.exact_limit);
  return exact ? neighbors::exact_graph(data, options, workers)
               : neighbors::approximate_graph(data, options, workers);
}

KnnGraph knn_query(MatrixView<const float> data, MatrixView<const float> queries,
                   const KnnOptions& options) {
  check_options(data, options);
  if (data.cols != queries.cols) {
    throw std::invalid_argument("queries have " + std::to_string(queries.cols) + " columns, data " +
                                std::to_string(data.cols));
  }
  Workers workers(options.threads);
  neighbors::check_finite(data, "data", workers);
  neighbors::check_finite(queries, "queries", workers);
  return neighbors::exact_query(data, queries, options, workers);
}

}  // namespace knowmap
