#pragma once

#include <cstddef>
#include <cstdint>

#include "knowmap/matrix.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"

namespace knowmap::umap {

/// Numbers drawn evenly from [-10, 10).
Matrix random_start(std::size_t rows, std::size_t dims, std::uint64_t seed);

/// The rows' scores on their first principal axes (of zeros where there are fewer).
Matrix pca_start(const neighbors::RowReader& data, std::size_t dims, std::uint64_t seed,
                 Workers& workers, Monitor* monitor = nullptr);

/// Scales the largest coordinate to 10 and adds noise of standard deviation
/// 1e-4, so that equal rows part, as umap-learn does.
void scale_with_noise(Matrix& start, std::uint64_t seed);

/// Adds noise far smaller than the gaps between places where some are equal: no
/// force would ever part them.
void part_equal_places(Matrix& start, std::uint64_t seed);

/// Gives rows whose place holds NaN one: the mean of their neighbours' in the graph (symmetric),
/// weighted by membership strength, going on from row to row. Those that no way leads
/// to from a row with a place begin beside the map, each group of them at a point of its own.
void place_among_neighbors(Matrix& places, const SparseGraph& graph);

/// Shifts and turns a map as a whole so that its rows come as near as they can to `places`, rows
/// with NaN in either left aside (Kabsch 1976). A layout drifts, and no distance in it changes.
void turn_back(Matrix& map, MatrixView<const float> places);

/// Shifts and scales each column to [0, 10].
void fit_to_box(Matrix& start);

}  // namespace knowmap::umap
