#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "knowmap/matrix.hpp"
#include "support/parallel.hpp"
#include "umap/densmap.hpp"
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
  /// The last part of the epochs in which the density term acts.
  float dens_frac = 0;
};

/// The layout of a graph as a state that can be run on, epoch by epoch: `run(5)`
/// and `run(5)` make the same bytes as `run(10)`.
///
/// umap-learn samples directed edges one after the other, moves both ends of
/// each, and pushes random others away from its head. Here the pairs are dealt
/// into groups, and an epoch goes over the groups twice, once for each direction
/// of a pair. In one pass over a group every vertex walks its own samples from
/// positions frozen before the pass (its own, pushed by negatives, moves along), and
/// is written by one thread only: the map doesn't depend on the number of threads.
/// Up to 4,096 vertices, what draws it counts from its frozen place too, so that
/// the two ends of a pair take opposite steps and the pair's middle stays.
/// That both ends of a pair move at once from where they were matters: where one
/// moves first (blocks of vertices, as in TutteInstitute/evoc,
/// node_embedding_epoch_repr), early epochs do not overshoot, and the map was
/// measurably worse at large scale. Each end gets half of the negatives in each pass.
class Layout {
 public:
  /// `start` is (n, dims) and `graph` symmetric, without edges too weak to be sampled.
  /// With a density term both it and the graph must outlive the layout.
  Layout(const SparseGraph& graph, Matrix start, const LayoutOptions& options,
         DensityTerm* density = nullptr);

  /// Runs `epochs` more of n_epochs, or what is left.
  void run(std::size_t epochs, Workers& workers, Monitor* monitor = nullptr);

  std::size_t epoch() const { return epoch_; }
  const Matrix& positions() const { return positions_; }
  Matrix take() && { return std::move(positions_); }

 private:
  /// The step of one pass over a group.
  LayoutStep step_of(std::size_t pass, const float* from, float* to) const;
  void run_range(const LayoutStep& step, std::size_t pass, std::size_t range);
  void run_epoch(Workers& workers, Monitor* monitor);
  void run_epoch_together(Workers& workers);
  void make_scratch();
  void add_density(const LayoutStep& step, std::size_t begin, std::size_t end) const;

  LayoutOptions options_;
  std::size_t groups_;
  /// Edges by group and, within it, by vertex.
  std::vector<std::size_t> offsets_;
  std::vector<std::int32_t> tails_;
  std::vector<std::uint8_t> heads_;
  std::vector<std::uint32_t> rates_;
  DensityTerm* density_;
  const SparseGraph* graph_;
  std::vector<float> weights_;  ///< where there is a density term
  std::size_t ranges_;          ///< runs of vertices, each a kernel's call
  Matrix positions_;
  Matrix next_;
  /// Lists of samples for each range of each group, kept between its two passes.
  std::vector<LayoutScratch> scratch_;
  std::vector<std::int32_t> scratch_tails_;
  std::size_t epoch_ = 0;
  bool with_density_ = false;
};

/// Samples an epoch of edges of these weights, in 2^-31: the largest is sampled
/// in every epoch.
std::vector<std::uint32_t> sample_rates(std::span<const float> weights, float largest);

/// Whether an edge of this rate is sampled in an epoch, as the kernels see it.
bool is_sampled(std::uint32_t rate, std::uint32_t epoch);

/// The learning rate of an epoch, as umap-learn lowers it.
float learning_rate_at(float initial, std::size_t epoch, std::size_t n_epochs);

}  // namespace knowmap::umap
