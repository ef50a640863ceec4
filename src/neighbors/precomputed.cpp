#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "neighbors/search.hpp"

namespace knowmap::neighbors {

KnnGraph precomputed_graph(MatrixView<const float> distances, bool leave_self,
                           const KnnOptions& options, Workers& workers) {
  const std::size_t k = options.n_neighbors;
  KnnGraph graph{{distances.rows, k}, {distances.rows, k}};
  Monitor monitor(options.progress, "neighbors", distances.rows, "rows");
  workers.run_ranges(
      distances.rows, 16,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::pair<float, std::int32_t>> ranked;
        for (std::size_t i = begin; i < end; ++i) {
          ranked.clear();
          for (std::size_t j = 0; j < distances.cols; ++j) {
            if (leave_self && i == j) continue;
            const float distance = distances(i, j);
            if (std::isnan(distance)) {
              throw std::invalid_argument("the distance from row " + std::to_string(i) +
                                          " to row " + std::to_string(j) + " is NaN");
            }
            if (std::isfinite(distance))
              ranked.emplace_back(distance, static_cast<std::int32_t>(j));
          }
          const std::size_t count = std::min(k, ranked.size());
          std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count),
                            ranked.end());
          for (std::size_t r = 0; r < k; ++r) {
            graph.indices(i, r) = r < count ? ranked[r].second : -1;
            graph.distances(i, r) =
                r < count ? ranked[r].first : std::numeric_limits<float>::infinity();
          }
        }
        monitor.add(end - begin);
      },
      &monitor);
  monitor.finish();
  return graph;
}

}  // namespace knowmap::neighbors
