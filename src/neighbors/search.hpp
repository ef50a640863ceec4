#pragma once

#include <vector>

#include "knowmap/knn.hpp"
#include "neighbors/row_reader.hpp"
#include "neighbors/rows.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// Throws `std::invalid_argument` for what is out of range.
void check_options(const RowReader& data, const KnnOptions& options);

// The searches behind `knn_graph` and `knn_query`. `data` has been checked.
KnnGraph exact_graph(const RowReader& data, const KnnOptions& options, Workers& workers);
KnnGraph approximate_graph(const RowReader& data, const KnnOptions& options, Workers& workers);
KnnGraph exact_query(const RowReader& data, MatrixView<const float> queries,
                     const KnnOptions& options, Workers& workers);

/// What a search of the same rows again and again reckons only once.
struct Searched {
  Searched(const RowReader& rows, Metric metric, double p, Workers& workers);

  RowReader data;
  Scoring scoring;
  std::vector<double> norms;
};
/// The same answers. `options` have the metric and the exponent of `searched`.
KnnGraph exact_query(const Searched& searched, MatrixView<const float> queries,
                     const KnnOptions& options, Workers& workers);
/// The finite distances of each row, in order. `leave_self`: without the diagonal.
KnnGraph precomputed_graph(MatrixView<const float> distances, bool leave_self,
                           const KnnOptions& options, Workers& workers);

}  // namespace knowmap::neighbors
