#include "neighbors/search.hpp"

namespace knowmap::neighbors {

KnnGraph approximate_graph(MatrixView<const float> data, const KnnOptions& options,
                           Workers& workers) {
  return exact_graph(data, options, workers);
}

}  // namespace knowmap::neighbors
