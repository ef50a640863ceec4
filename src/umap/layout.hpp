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
/// umap-learn samples edges one after the other, each from the positions that
/// the last one left. Here an epoch goes over a few blocks of vertices; within
/// a block every vertex walks its own samples from the positions that its block
/// started with (its own position moves along), and is written by one thread
/// only. The blocks follow from the number of vertices, so the map doesn't
/// depend on the number of threads (TutteInstitute/evoc,
/// node_embedding_epoch_repr, does likewise).
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
  void run_block(LayoutStep& step, std::size_t begin, std::size_t end, Workers& workers,
                 Monitor* monitor);

  const SparseGraph& graph_;
  LayoutOptions options_;
  std::vector<std::uint32_t> rates_;
  std::size_t widest_ = 0;
  Matrix positions_;
  Matrix next_;
  std::vector<std::vector<std::int32_t>> scratch_;
  std::size_t epoch_ = 0;
};

/// Samples a round of edges of these weights, in 2^-31: the largest is sampled
/// every round.
std::vector<std::uint32_t> sample_rates(std::span<const float> weights, float largest);

/// The learning rate of an epoch, as umap-learn lowers it.
float learning_rate_at(float initial, std::size_t epoch, std::size_t n_epochs);

}  // namespace knowmap::umap
