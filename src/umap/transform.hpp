#pragma once

#include "knowmap/umap.hpp"
#include "support/parallel.hpp"

namespace knowmap::umap {

/// New rows on a map that stays as it is: the mean of their neighbours' places,
/// weighted by membership strength, then epochs in which they alone move. Every
/// row's random numbers follow from its own values, so its result depends on
/// nothing but the row and the map. `graph` has the rows' neighbours in the map; a
/// row without any gets NaN.
Matrix place_new_rows(MatrixView<const float> rows, const KnnGraph& graph, const Matrix& map,
                      const UmapOptions& options, float a, float b, Workers& workers,
                      Monitor* monitor);

/// Rows (m, d) for points (m, dims) of the map: the means of the rows of the
/// n_neighbors nearest places, weighted by the strength 1 / (1 + a d^2b) that
/// their distance on the map means. `options` with a and b set.
Matrix rows_at(MatrixView<const float> points, const Matrix& map, MatrixView<const float> rows,
               const UmapOptions& options);

}  // namespace knowmap::umap
