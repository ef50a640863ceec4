#pragma once

#include <optional>
#include <string>
#include <vector>

#include "knowmap/umap.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"

namespace knowmap::umap {

/// From neighbours to a map: fuzzy graph, targets, start, layout.
struct MapInput {
  neighbors::RowReader rows;  ///< may be empty
  const KnnGraph* graph = nullptr;
  /// Columns of the graph in use: n_neighbors - 1.
  std::size_t columns = 14;
  MatrixView<const float> initial;
  std::span<const std::int32_t> classes;
  MatrixView<const float> targets;
  std::span<const float> sample_weights;
  /// `initial` is a map to be gone on with: it is not scaled, rows with NaN are new, and
  /// it moves for a third of the epochs at a tenth of the learning rate.
  bool go_on = false;
};

struct MapResult {
  Matrix embedding;
  std::vector<Matrix> snapshots;
  SparseGraph graph;  ///< where asked for
  Matrix radii;       ///< where asked for
  std::string init_used;
};

/// `options` with a and b set.
MapResult make_map(const MapInput& input, const UmapOptions& options, Workers& workers);

/// Throws `std::invalid_argument` where a graph given by the caller is broken.
void check_graph(const KnnGraph& graph, std::size_t rows, std::size_t columns);

/// The distance from which neighbours are none.
float cut_distance(const UmapOptions& options);

/// The graph without neighbours at `distance` or farther, nor those that
/// `places` (where it has rows) has no place for; nothing where that changes
/// nothing.
std::optional<KnnGraph> without_far(const KnnGraph& graph, std::size_t columns, float distance,
                                    const Matrix& places);

/// The distinct ones among rows, and which of them each row is.
struct Distinct {
  std::vector<std::size_t> first;  ///< their first rows, rising
  std::vector<std::size_t> which;  ///< (n)
};
Distinct distinct_rows(MatrixView<const float> rows);

}  // namespace knowmap::umap
