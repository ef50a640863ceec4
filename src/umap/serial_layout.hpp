#pragma once

#include <array>
#include <cstdint>

#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/layout.hpp"

namespace knowmap::umap {

/// The layout in umap-learn's own order: edges one after the other by rows, both
/// ends moved at once, negatives by its generator (three Tausworthe registers a
/// vertex, begun from `state` and the vertex's first coordinate). Equals
/// umap-learn's `optimize_layout_euclidean` up to the rounding that its compiler
/// chooses.
class SerialLayout {
 public:
  SerialLayout(const SparseGraph& graph, Matrix start, const LayoutOptions& options,
               const std::array<std::int64_t, 3>& state);

  /// Runs `epochs` more, or what is left.
  void run(std::size_t epochs, Monitor* monitor = nullptr);

  std::size_t epoch() const { return epoch_; }
  const Matrix& positions() const { return positions_; }
  Matrix take() && { return std::move(positions_); }

 private:
  const SparseGraph& graph_;
  LayoutOptions options_;
  Matrix positions_;
  std::vector<double> period_;
  std::vector<double> next_sample_;
  std::vector<double> next_negative_;
  std::vector<std::array<std::int64_t, 3>> states_;
  std::size_t epoch_ = 0;
};

/// A generator's start that follows from a seed.
std::array<std::int64_t, 3> serial_state(std::uint64_t seed);

}  // namespace knowmap::umap
