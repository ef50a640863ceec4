#pragma once

#include "knowmap/matrix.hpp"
#include "support/parallel.hpp"

namespace knowmap::umap {

/// `level_density` with threads that are there already.
Matrix level(MatrixView<const float> map, float strength, Workers& workers,
             Monitor* monitor = nullptr);

/// Moves `points` as the nearest rows of `from` move to `to`: by the mean of
/// their shifts, weighted by the inverse of their squared distances; a point
/// that lies on a row goes where that row goes.
Matrix follow(MatrixView<const float> points, const Matrix& from, const Matrix& to, int threads);

}  // namespace knowmap::umap
