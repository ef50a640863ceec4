#pragma once

#include <cstdint>
#include <vector>

#include "knowmap/knn.hpp"
#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"

namespace knowmap::umap {

/// For each edge of the graph the distance of its two rows: the larger of what
/// their two neighbour lists say.
std::vector<float> edge_distances(const SparseGraph& graph, const KnnGraph& neighbours,
                                  std::size_t columns, Workers& workers);

/// Logarithm of each row's local radius: the mean of its edges' distances raised
/// to `power`, weighted by strength. umap-learn squares them in the data, and on
/// the map does not; rows without edges get the logarithm of 1e-8.
std::vector<float> log_radii(const SparseGraph& graph, const std::vector<float>& distances,
                             int power, Workers& workers);

/// The density term of densMAP (Narayan, Berger, Cho 2021) as umap-learn
/// writes it: the correlation of the radii in the data with those on the map,
/// whose gradient is added to an edge's attraction in the last epochs.
class DensityTerm {
 public:
  DensityTerm(const SparseGraph& graph, const std::vector<float>& radii, float lambda,
              float var_shift, float a, float b);

  /// Takes the radii on the map as it is now. To be called before each epoch.
  void prepare(const SparseGraph& graph, const Matrix& positions, Workers& workers);
  /// What an edge between v and w, of strength `mu` and squared length d2, adds to
  /// the coefficient of (v's place - w's place).
  float coefficient(std::size_t v, std::size_t w, float mu, float d2) const;

 private:
  float a_, b_, lambda_, var_shift_;
  double total_ = 0;  ///< strengths of all edges, both directions
  std::vector<float> wanted_;
  std::vector<float> radius_;
  std::vector<float> sum_;
  double deviation_ = 0, mean_ = 0, covariance_ = 0;
};

}  // namespace knowmap::umap
