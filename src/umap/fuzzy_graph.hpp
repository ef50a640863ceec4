#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/knn.hpp"
#include "support/parallel.hpp"

namespace knowmap::umap {

/// A weighted graph by rows: those of row i are at [offsets[i], offsets[i + 1]),
/// columns rising.
struct SparseGraph {
  std::vector<std::size_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> weights;

  std::size_t rows() const { return offsets.size() - 1; }
  std::size_t size() const { return columns.size(); }
};

/// For each row the distance at which its neighbourhood begins (rho) and the
/// width at which its membership strengths sum to log2(n_neighbors) (sigma):
/// umap-learn's `smooth_knn_dist` with the same rounding to float.
struct Smoothed {
  std::vector<float> sigmas;
  std::vector<float> rhos;
};

/// `columns` of the graph are used. umap-learn's distances start with the row
/// itself at 0, ours leave it out: `self_first` says that its means count it,
/// and that its n_neighbors is `columns` + 1. False for new rows, whose first
/// neighbour is passed over in the sum as umap-learn does. The
/// least sigma of a row whose rho is 0 follows from the mean distance of all rows; of
/// a new row from its own, so that its result does not depend on the others.
Smoothed smooth_distances(const KnnGraph& graph, std::size_t columns, float local_connectivity,
                          bool self_first, Workers& workers);

/// exp(-(d - rho) / sigma), 1 within rho, 0 where there is no neighbour or it is
/// the row itself (unless `bipartite`). (n, columns).
Matrix membership_strengths(const KnnGraph& graph, std::size_t columns, const Smoothed& smoothed,
                            bool bipartite, Workers& workers);

/// The union (mix 1) or intersection (mix 0) of every pair's two strengths, or
/// what lies between them. Symmetric; pairs of strength 0 are left out.
SparseGraph fuzzy_union(const KnnGraph& graph, const Matrix& strengths, float mix_ratio,
                        Workers& workers);
/// The union of a directed graph with its transpose.
SparseGraph fuzzy_union(const SparseGraph& directed, Workers& workers);

/// Takes out edges so weak that `n_epochs` rounds would never sample them.
void drop_weak_edges(SparseGraph& graph, std::size_t n_epochs);

/// Rounds between two samples of an edge of each weight.
std::vector<double> epochs_per_sample(std::span<const float> weights, std::size_t n_epochs);

}  // namespace knowmap::umap
