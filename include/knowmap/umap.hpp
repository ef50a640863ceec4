#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/knn.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// Names and defaults are umap-learn's, but for the seed, which is always one.
struct UmapOptions {
  /// Size of the neighbourhood, the point itself counted as umap-learn does;
  /// at least 2. Larger shows more of the whole, smaller more of the detail.
  std::size_t n_neighbors = 15;
  /// Columns of the map, 1 to 64.
  std::size_t n_components = 2;
  Metric metric = Metric::euclidean;
  /// Exponent of `Metric::minkowski`, at least 1.
  double p = 2;
  /// Rounds of the layout; 0 = chosen by size (`default_epochs`).
  std::size_t n_epochs = 0;
  float learning_rate = 1.0f;
  /// The start of the layout. `spectral`: eigenvectors of the graph's Laplacian.
  /// Where `UmapData::initial` is given, that is the start.
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
  /// Decides what is random in `transform` and `inverse_transform`.
  std::uint64_t transform_seed = 42;

  /// How much targets count against the data: 0 = not at all, 1 = they alone.
  float target_weight = 0.5f;
  /// Neighbourhood among continuous targets; 0 = n_neighbors.
  std::size_t target_n_neighbors = 0;
  Metric target_metric = Metric::euclidean;
  /// Exponent where `target_metric` is `Metric::minkowski`, at least 1.
  double target_p = 2;

  /// densMAP (Narayan, Berger, Cho 2021): the map keeps how dense the data are.
  bool densmap = false;
  /// Weight of the density term, the last part of the epochs in which it acts,
  /// and what is added to the variance of the radii, lest it divide by 0.
  float dens_lambda = 2.0f;
  float dens_frac = 0.3f;
  float dens_var_shift = 0.1f;
  /// Whether local radii of data and map are computed (`radii`).
  bool output_dens = false;

  /// Lays out each distinct row once. Not with a given graph.
  bool unique = false;
  /// Neighbours this far or farther are none; NaN = the largest value that the
  /// metric has (cosine: 2), infinity where it has none. Rows that this leaves
  /// without an edge get NaN for a place, as in umap-learn.
  float disconnection_distance = std::numeric_limits<float>::quiet_NaN();

  /// Spreads the finished map evenly, from 0 (as it is) to 1 (an even disc):
  /// `level_density`. New rows follow.
  float density_leveling = 0.0f;
  /// Edges one after the other in umap-learn's own order and with its random
  /// numbers, on one thread: a reference to compare with, several times slower.
  bool serial = false;
  /// Epochs after which the map is kept (`snapshots`), rising.
  std::vector<std::size_t> snapshot_epochs;

  /// What becomes of the rows given to `fit`, which `transform`, `update` and
  /// `inverse_transform` need: copied; looked at in the caller's memory, which
  /// must then outlive the projector unchanged; or let go.
  enum class KeepRows { copy, view, none } keep_rows = KeepRows::copy;
  /// Whether the fuzzy graph is kept (`graph`).
  bool keep_graph = false;
  /// Threads, 0 = one for each core. The map's bytes do not depend on it.
  int threads = 0;
  /// Where `fit` searches for neighbours; see `KnnOptions::device`.
  std::string device = "cpu";
  ProgressCallback progress;
};

/// What a map is made from. All but `rows` may be left out; `rows` too, where
/// `graph` is given (then nothing can be transformed).
struct UmapData {
  MatrixView<const float> rows;  ///< (n, d), finite
  /// Neighbours already known: self left out, n_neighbors - 1 or more columns;
  /// further columns are set aside.
  const KnnGraph* graph = nullptr;
  /// (n, n_components) where the layout starts; equal places are parted by noise.
  MatrixView<const float> initial;
  /// n classes to be drawn together, -1 = not known.
  std::span<const std::int32_t> classes;
  /// (n, t) continuous targets, instead of classes.
  MatrixView<const float> targets;
  /// n numbers, 0 or more, of which only the ratios count: a row pulls the rows that
  /// it is joined to in proportion. One of 0 is placed among its neighbours and
  /// moves no other. Not with `densmap` or `serial`.
  std::span<const float> sample_weights{};
  /// In place of `rows`: rows that are read where they are wanted, and not kept. New
  /// rows are then placed by neighbours that the caller finds (`knn_query`).
  const RowSource* source = nullptr;
  /// (n, n_components) the rows' places on an earlier map, to be gone on with: rows that have
  /// one (no NaN) begin there, new ones among their neighbours, and all move for a
  /// third of the epochs at a tenth of the learning rate. In place of `initial`.
  MatrixView<const float> earlier{};
};

/// A symmetric weighted graph by rows: the edges of row i are at
/// [offsets[i], offsets[i + 1]), columns rising.
struct UmapGraphView {
  std::span<const std::size_t> offsets;
  std::span<const std::int32_t> columns;
  std::span<const float> weights;
};

/// UMAP (McInnes, Healy, Melville 2018, arXiv 1802.03426): from rows or a
/// neighbour graph to a map. Const members may be called from several threads.
class KNOWMAP_EXPORT UmapProjector {
 public:
  /// Throws `std::invalid_argument` for an option out of range.
  explicit UmapProjector(UmapOptions options = {});
  UmapProjector(UmapProjector&&) noexcept;
  UmapProjector& operator=(UmapProjector&&) noexcept;
  ~UmapProjector();

  /// Makes the map. Throws `std::invalid_argument` on NaN, infinity or shapes
  /// that do not fit; `CancelledError`.
  const Matrix& fit(const UmapData& data);
  const Matrix& fit(MatrixView<const float> rows) {
    return fit(UmapData{rows, nullptr, {}, {}, {}, {}, nullptr});
  }
  const Matrix& fit(MatrixView<const float> rows, const KnnGraph& graph) {
    return fit(UmapData{rows, &graph, {}, {}, {}, {}, nullptr});
  }

  /// (n, n_components), the map of the rows given to `fit`.
  const Matrix& embedding() const;
  /// The map before `density_leveling`: where one that goes on from it begins.
  const Matrix& unleveled() const;
  /// The map after each of `snapshot_epochs`, and the last.
  const std::vector<Matrix>& snapshots() const;
  /// The fuzzy graph that was laid out; empty unless `keep_graph`.
  UmapGraphView graph() const;
  /// (n, 2): logarithms of the local radii in the data and on the map. Empty
  /// unless `output_dens`.
  const Matrix& radii() const;

  /// Places new rows (m, d) on the map, which stays as it is. Each row gets the
  /// same bytes whatever other rows come with it.
  Matrix transform(MatrixView<const float> rows) const;
  /// The same with neighbours that the caller found: rows of the map's, nearest
  /// first, n_neighbors or fewer columns. `rows` only tell new rows apart.
  Matrix transform(MatrixView<const float> rows, const KnnGraph& graph) const;
  /// Rows (m, d) that would lie at these points (m, n_components) of the map:
  /// the mean of the n_neighbors rows nearest on it, weighted by 1 / (1 + a d^2b).
  /// Independent of the batch too.
  Matrix inverse_transform(MatrixView<const float> points) const;
  /// Adds rows (m, d) to the map: the old begin where they lie, the new among
  /// their neighbours, and all move on for a third of the epochs. Not for maps
  /// with targets, and only where the rows were kept.
  /// `weights`: one for each of these rows, beside those given to `fit` (rows of
  /// either without weigh 1); none = as `fit` had it.
  const Matrix& update(MatrixView<const float> rows, std::span<const float> weights = {});

  const UmapOptions& options() const;
  /// The curve in use.
  float a() const;
  float b() const;
  /// Columns of the rows given to `fit`; 0 before.
  std::size_t n_features() const;
  /// How the start was made: "spectral", "pca", "random", "given", and the
  /// reason where that is not what was asked for.
  const std::string& init_used() const;
  /// The share of true neighbours that the last `fit` or `update` was made from, as
  /// `KnnGraph::recall` says it; NaN where neighbours were given or none were searched.
  double recall() const;

  /// Writes the fitted map as one HDF5 file: options, map, local scales, and
  /// the rows only if asked; without them `transform` needs `attach_rows`
  /// after loading. `note` is any text that is to come back. Durable when it
  /// returns. Throws `CheckpointError`.
  void save(const std::filesystem::path& file, bool with_rows = false,
            std::string_view note = {}) const;
  /// Throws `CheckpointError` where the file is damaged or no map.
  static UmapProjector load(const std::filesystem::path& file);
  /// What belongs to a run and is not saved: threads, progress, what becomes of
  /// rows attached later.
  void set_run(int threads, ProgressCallback progress, UmapOptions::KeepRows keep_rows);
  /// The note that was saved.
  const std::string& note() const;
  /// Gives a loaded map the rows it was made of (kept as `keep_rows` says);
  /// `std::invalid_argument` where they are others.
  void attach_rows(MatrixView<const float> rows);
  /// Throws `std::invalid_argument` where the source holds other rows than the map
  /// was made of. Nothing is kept: neighbours of new rows are the caller's to find.
  void check_rows(const RowSource& source) const;

  /// The same content as `save` writes, in memory: a description (JSON) and
  /// arrays, which are views of this projector's own.
  std::string describe(std::string_view note = {}) const;
  std::map<std::string, MatrixView<const float>> arrays(bool with_rows) const;
  static UmapProjector restore(std::string_view description,
                               const std::map<std::string, MatrixView<const float>>& arrays);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Rounds of the layout where none are given.
KNOWMAP_EXPORT std::size_t default_epochs(std::size_t rows, bool densmap = false);

/// Moves the points of a map (n, d) part of the way to an even spread over a
/// disc (a ball) of about the same extent: point = (1 - strength) * old +
/// strength * transported. The transport is sliced (Rabin, Peyré, Delon, Bernot
/// 2011): in turned axes, one after the other, points move to where the even
/// spread has their rank, until they lie evenly. Near points stay near; rows of
/// NaN stay NaN. Most of a UMAP map is empty otherwise, and most of its points
/// lie in a small part of it.
KNOWMAP_EXPORT Matrix level_density(MatrixView<const float> map, float strength, int threads = 0);

}  // namespace knowmap
