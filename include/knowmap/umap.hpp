#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "knowmap/knn.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// Names and defaults are umap-learn's.
struct UmapOptions {
  /// Size of the neighbourhood, the point itself counted as umap-learn does;
  /// at least 2. Larger shows more of the whole, smaller more of the detail.
  std::size_t n_neighbors = 15;
  /// Columns of the map.
  std::size_t n_components = 2;
  Metric metric = Metric::euclidean;
  /// Rounds of the layout; 0 = 500 up to 25,000 rows, else 200.
  std::size_t n_epochs = 0;
  float learning_rate = 1.0f;
  enum class Init { spectral, pca, random } init = Init::spectral;
  /// How close points may lie on the map, in its units.
  float min_dist = 0.1f;
  /// The scale at which the map is spread out; min_dist must not exceed it.
  float spread = 1.0f;
  /// The low-dimensional curve 1 / (1 + a d^2b); 0 = fitted from min_dist, spread.
  float a = 0.0f;
  float b = 0.0f;
  /// 1 = union of the neighbourhoods' fuzzy sets, 0 = intersection.
  float set_op_mix_ratio = 1.0f;
  /// Neighbours that count as wholly connected.
  float local_connectivity = 1.0f;
  float repulsion_strength = 1.0f;
  /// Random points that each edge pushes away.
  std::size_t negative_sample_rate = 5;
  std::uint64_t seed = 42;
  /// Threads, 0 = one for each core. The map's bytes do not depend on it.
  int threads = 0;
  ProgressCallback progress;
};

/// UMAP (McInnes, Healy, Melville 2018, arXiv 1802.03426): from a neighbour
/// graph to a map. Not thread-safe while `fit` runs; `transform` is const.
class KNOWMAP_EXPORT UmapProjector {
 public:
  explicit UmapProjector(UmapOptions options = {});
  UmapProjector(UmapProjector&&) noexcept;
  UmapProjector& operator=(UmapProjector&&) noexcept;
  ~UmapProjector();

  /// Finds neighbours of `data` (n, d) and lays them out; keeps a copy of the
  /// data for `transform`. Throws `std::invalid_argument` on NaN, infinity, or
  /// options out of range; `CancelledError`.
  const Matrix& fit(MatrixView<const float> data);
  /// The same from neighbours already known (self left out, n_neighbors - 1 or
  /// more columns; further columns are set aside). `data` may be empty: then
  /// `transform` throws.
  const Matrix& fit(MatrixView<const float> data, const KnnGraph& graph);

  /// (n, n_components), the map of the rows given to `fit`.
  const Matrix& embedding() const;
  /// Places new rows (m, d) on the fitted map. Each row gets the same bytes
  /// whatever other rows come with it.
  Matrix transform(MatrixView<const float> rows) const;

  const UmapOptions& options() const;
  /// The curve in use.
  float a() const;
  float b() const;
  /// How the start was made: "spectral", "pca", "random", and the reason where
  /// that is not what was asked for.
  const std::string& init_used() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knowmap
