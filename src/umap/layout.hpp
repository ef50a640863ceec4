#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "knowmap/matrix.hpp"
#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/layout_kernels.hpp"

namespace knowmap::umap {

struct LayoutOptions {
  std::size_t n_epochs = 200;
  float learning_rate = 1;
  float a = 1.577f;
  float b = 0.895f;
  float repulsion_strength = 1;
  std::uint32_t negative_sample_rate = 5;
  std::uint64_t seed = 42;
};

/// The layout of a graph as a state that can be run on, epoch by epoch: `run(5)`
/// and `run(5)` make the same bytes as `run(10)`.
///
/// umap-learn samples directed edges one after the other, moves both ends of
/// each, and pushes random others away from its head. Here the pairs are dealt
/// into groups, and an epoch goes over the groups twice, once for each direction
/// of a pair. In one pass over a group every vertex walks its own samples from
/// positions frozen before the pass (its own position moves along), and is
/// written by one thread only: the map doesn't depend on the number of threads.
/// That both ends of a pair move at once from where they were matters: where one
/// moves first (blocks of vertices, as in TutteInstitute/evoc,
/// node_embedding_epoch_repr), early epochs do not overshoot, and the map was
/// measurably worse at large scale. Each end gets half of the negatives in each pass.
class Layout {
 public:
  /// `start` is (n, dims) and `graph` symmetric, without edges too weak to be sampled.
  Layout(const SparseGraph& graph, Matrix start, const LayoutOptions& options);

  /// Runs `epochs` more of n_epochs, or what is left.
  void run(std::size_t epochs, Workers& workers, Monitor* monitor = nullptr);

  std::size_t epoch() const { return epoch_; }
  const Matrix& positions() const { return positions_; }
  Matrix take() && { return std::move(positions_); }

 private:
  void run_pass(const LayoutStep& step, Workers& workers, Monitor* monitor);

  LayoutOptions options_;
  std::size_t groups_;
  /// Edges by group and, within it, by vertex.
  std::vector<std::size_t> offsets_;
  std::vector<std::int32_t> tails_;
  std::vector<std::uint32_t> rates_;
  std::size_t widest_ = 0;
  Matrix positions_;
  Matrix next_;
  std::vector<std::vector<std::int32_t>> scratch_;
  std::size_t epoch_ = 0;
};

/// Samples an epoch of edges of these weights, in 2^-31: the largest is sampled
/// in every epoch.
std::vector<std::uint32_t> sample_rates(std::span<const float> weights, float largest);

/// The learning rate of an epoch, as umap-learn lowers it.
float learning_rate_at(float initial, std::size_t epoch, std::size_t n_epochs);

}  // namespace knowmap::umap
