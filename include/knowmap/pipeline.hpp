#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/embedder.hpp"
#include "knowmap/labeler.hpp"
#include "knowmap/umap.hpp"

namespace knowmap {

/// What `embed_into_store` found and did.
struct ResumeReport {
  std::uint64_t rows_kept = 0;      ///< were in the store and still fit, maybe elsewhere
  std::uint64_t rows_dropped = 0;   ///< were in the store, but their texts changed or are gone
  std::uint64_t rows_computed = 0;  ///< are new, or anew
  EmbedReport embed;                ///< of the rows computed, all units together
  /// One for each text, for `MapInput::text_hashes`.
  std::vector<std::uint64_t> text_hashes;
};

struct StoreOptions {
  /// How rows are stored; decides their bytes, so a store keeps to one.
  RowStorage storage = RowStorage::float32;
  /// Rows of a commit unit, the most that a kill can lose; 0 = as many as have 65,536
  /// tokens. It is committed in two halves: one is written while the other is computed.
  std::uint64_t commit_rows = 0;
  /// Without `commit_rows`: where 65,536 tokens are computed faster than this, a unit is as
  /// much as is computed in this time; and where the disk takes longer than half of it for a
  /// commit, what is computed during two of them, at most 2 × 64 MiB. 0 = neither.
  double commit_seconds = 0.25;
  /// Rows are replaced and dropped however many of them no longer fit the texts. Else
  /// a call that would lose more than half of the rows held, and as many as this, is refused.
  static constexpr std::uint64_t kRowsWorthAsking = 1000;
  bool replace_rows = false;
  /// Called once nothing can be refused any more, before any row is changed or computed:
  /// to make durable what belongs to the texts, such as their ids.
  std::function<void()> before_rows;
  ProgressCallback progress;
};

/// Embeds all texts that the store does not hold yet; each half of a commit unit
/// is written while the other is computed. Killed at any instant, a call with the
/// same texts goes on from the last commit, having lost at most one unit, and ends
/// with the same rows. Where texts changed or came to the end, just those are
/// computed; the shard that reaches beyond the last text is dropped. Where texts stand
/// elsewhere now, as where one was put in before them, their rows are copied there (but
/// for int8: those are computed anew). Throws `CheckpointError` naming
/// each difference where the store was made by another model or with other
/// options.
KNOWMAP_EXPORT ResumeReport embed_into_store(Embedder& embedder,
                                             std::span<const std::string_view> texts,
                                             CheckpointStore& store,
                                             const StoreOptions& options = {});

/// Everything about the collection but its embeddings.
struct MapInput {
  std::span<const std::string_view> texts;
  /// As many as texts, or none.
  std::span<const std::string_view> titles;
  /// Known classes 0 … C-1 of the rows, -1 where not known; or none.
  std::span<const std::int32_t> classes;
  /// Those of `embed_into_store` for the same texts; where there are none, the
  /// texts are hashed once more.
  std::span<const std::uint64_t> text_hashes = {};
};

struct MapOptions {
  /// n_neighbors, metric, seed, ... of the map. `threads` and `progress` of the
  /// stages' own options are set aside: those below count for all.
  UmapOptions umap;
  KnnLabelerOptions labels;
  RegionOptions regions;
  /// May rename the regions, as `rename_regions` says: what it throws and bad
  /// answers go to `warn`, and the built-in names stay. Its answers are kept in
  /// the store, those before a `CancelledError` too; a later call asks again
  /// only where it threw or was not asked.
  Namer namer;
  /// Which namer that is: under another key it is asked anew. With a key and no
  /// namer the regions get the names that a namer of this key has given.
  std::string namer_key;
  WarningCallback warn;
  /// Cells of a grid over the map, `name_grid`'s, to be named beside the regions; 0 =
  /// none. A cell has neither name of the regions that it lies in. No namer is asked.
  std::size_t grid_rows = 0;
  std::size_t grid_columns = 0;
  /// Where texts were added, changed or removed, the map goes on from the one in the store
  /// where at least half of the texts are on it and it was laid out with the same options: articles
  /// stay about where they were (`UmapData::earlier`), and so do regions and their
  /// names (`RegionOptions::earlier`). With `anew` the store's earlier maps do not
  /// count: what is made depends on the texts and options alone.
  bool anew = false;
  /// Where to stop: with the map alone, or with labels and regions too.
  enum class Through { layout, regions } through = Through::regions;
  int threads = 0;
  ProgressCallback progress;

  MapOptions() {
    umap.metric = Metric::cosine;
    labels.calibrate = true;
  }
};

struct KnowledgeMap {
  /// (n, n_components).
  Matrix coordinates;
  /// Coarse to fine.
  std::vector<RegionLevel> levels;
  /// Cells, where a grid was asked for; a cell's parent is one of the last level.
  RegionLevel grid;
  /// The vote of each row's nearest *other* rows with a known class; empty
  /// where no classes were given.
  LabelPrediction labels;
  /// Nearest other rows of each row in the embedding space, nearest first.
  KnnGraph neighbors;
  /// Who voted on each row's label: the nearest other rows of known class. Empty
  /// where no classes were given, and where every class is known: then the first
  /// `labels.n_neighbors` columns of `neighbors` voted.
  KnnGraph voters;
  /// Stages taken from the store because nothing they are made from changed.
  std::vector<std::string> reused;
};

/// Neighbours, map, labels and regions of the rows that the store holds. Every
/// stage's result is stored, keyed by what it was made from; a second call
/// computes only what changed. Where texts were added, changed or removed since, the
/// map goes on from the earlier one, unless `MapOptions::anew` says no. `input.texts` are
/// those of the store's rows. Throws `CheckpointError` where the store lacks rows or holds those of
/// other texts, `std::invalid_argument`, `CancelledError`.
KNOWMAP_EXPORT KnowledgeMap map_from_store(const MapInput& input, CheckpointStore& store,
                                           const MapOptions& options = {});

/// Writes a fitted labeler as one HDF5 file, with the rows it votes by: what it
/// predicts after `load_labeler` is the same to the bit. `class_names` are kept
/// beside it: one for each class, or none. An older file is replaced in one step.
/// A labeler whose weights are a function can't be saved. Throws
/// `std::invalid_argument`, `CheckpointError`.
KNOWMAP_EXPORT void save_labeler(const KnnLabeler& labeler, const std::filesystem::path& file,
                                 const std::vector<std::string>& class_names = {});
struct SavedLabeler {
  KnnLabeler labeler;
  std::vector<std::string> class_names;
};
/// Throws `CheckpointError` where the file is damaged or none of ours.
KNOWMAP_EXPORT SavedLabeler load_labeler(const std::filesystem::path& file);

/// All of it: `embed_into_store`, then `map_from_store`.
KNOWMAP_EXPORT KnowledgeMap build_map(const MapInput& input, Embedder& embedder,
                                      CheckpointStore& store, const MapOptions& options = {},
                                      const StoreOptions& storing = {});

/// The rows of a store, read where they are wanted: for `knn_graph` and
/// `UmapData::source`, where they are larger than memory. The store must outlive
/// it. Throws `CheckpointError` where rows are missing.
KNOWMAP_EXPORT std::unique_ptr<RowSource> rows_of(const CheckpointStore& store);

/// Writes an index of neighbours as one HDF5 file, its rows included, so that
/// either the old file or the whole new one is there; `load_index` answers the
/// same to the bit. Throws `CheckpointError`, and `std::invalid_argument` for an
/// index without rows.
KNOWMAP_EXPORT void save_index(const KnnIndex& index, const std::filesystem::path& file);
/// Throws `CheckpointError` where the file is damaged or of another kind.
KNOWMAP_EXPORT KnnIndex load_index(const std::filesystem::path& file);

}  // namespace knowmap
