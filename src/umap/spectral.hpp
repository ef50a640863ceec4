#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "knowmap/matrix.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"

namespace knowmap::umap {

/// Smallest eigenpairs of a connected graph's normalised Laplacian
/// I - D^-1/2 W D^-1/2, the trivial one left out.
struct Eigenpairs {
  std::vector<double> values;  ///< rising
  Matrix vectors;              ///< (n, count), columns of length 1
  double residual = 0;         ///< the largest ‖Lv - λv‖
};

struct SpectralOptions {
  std::size_t count = 2;
  double tolerance = 1e-4;
  /// Goes on, down to 1e-5, until the residuals are below this share of the gap to the
  /// first eigenvalue that is not wanted: vectors are off by about their quotient. 0 = no such
  /// bound.
  double of_gap = 0;
  /// Products of the matrix with a block of vectors, at most.
  std::size_t max_products = 3000;
  std::uint64_t seed = 42;
};

/// Dense for small graphs, else block subspace iteration with Chebyshev filters
/// (Zhou, Saad, Tiago, Chelikowsky 2006). Every sum that decides is taken in a
/// fixed order: the same bytes for any number of threads. `graph` is connected
/// and has more than `count` + 1 vertices. Look at `residual`.
Eigenpairs laplacian_eigenpairs(const SparseGraph& graph, const SpectralOptions& options,
                                Workers& workers, Monitor* monitor = nullptr);

/// The connected component of each vertex, numbered by their first vertices.
struct Components {
  std::vector<std::int32_t> labels;
  std::size_t count = 0;
};
Components connected_components(const SparseGraph& graph);

/// A start for the layout from the eigenvectors of each component, components
/// placed apart: on the axes where they are few, else by the principal axes of
/// their centroids in `data`, and in a spiral where there is no data. Nothing
/// where a component's solver did not come near a solution.
std::optional<Matrix> spectral_start(const SparseGraph& graph, const neighbors::RowReader& data,
                                     std::size_t dims, std::uint64_t seed, Workers& workers,
                                     Monitor* monitor = nullptr);

}  // namespace knowmap::umap
