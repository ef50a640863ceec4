#pragma once

#include <cstddef>
#include <cstdint>
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
  std::uint64_t rows_kept = 0;      ///< were in the store and still fit
  std::uint64_t rows_dropped = 0;   ///< were in the store, but their texts changed
  std::uint64_t rows_computed = 0;  ///< are new
  EmbedReport embed;                ///< of the rows computed, all units together
};

/// Embeds all texts that the store does not hold yet, unit by unit; each unit is
/// committed while the next is computed. Killed at any instant, a call with the
/// same texts goes on from the last committed unit and ends with the same bytes.
/// Where texts changed, their shards are computed anew; rows beyond the texts
/// are dropped. Throws `CheckpointError` naming each difference where the store
/// was made by another model or with other options.
KNOWMAP_EXPORT ResumeReport embed_into_store(Embedder& embedder,
                                             std::span<const std::string_view> texts,
                                             CheckpointStore& store,
                                             const ProgressCallback& progress = {});

/// Everything about the collection but its embeddings.
struct MapInput {
  std::span<const std::string_view> texts;
  /// As many as texts, or none.
  std::span<const std::string_view> titles;
  /// Known classes 0 … C-1 of the rows, -1 where not known; or none.
  std::span<const std::int32_t> classes;
};

struct MapOptions {
  /// n_neighbors, metric, seed, ... of the map. `threads` and `progress` of the
  /// stages' own options are set aside: those below count for all.
  UmapOptions umap;
  KnnLabelerOptions labels;
  RegionOptions regions;
  /// Where to stop: with the map alone, or with labels and regions too.
  enum class Through { layout, regions } through = Through::regions;
  int threads = 0;
  ProgressCallback progress;

  MapOptions() { umap.metric = Metric::cosine; }
};

struct KnowledgeMap {
  /// (n, n_components).
  Matrix coordinates;
  /// Coarse to fine.
  std::vector<RegionLevel> levels;
  /// The vote of each row's nearest *other* rows with a known class; empty
  /// where no classes were given.
  LabelPrediction labels;
  /// Stages taken from the store because nothing they are made from changed.
  std::vector<std::string> reused;
};

/// Neighbours, map, labels and regions of the rows that the store holds. Every
/// stage's result is stored, keyed by what it was made from; a second call
/// computes only what changed. `input.texts` are those of the store's rows.
/// Throws `CheckpointError` where the store lacks rows or holds those of other
/// texts, `std::invalid_argument`, `CancelledError`.
KNOWMAP_EXPORT KnowledgeMap map_from_store(const MapInput& input, CheckpointStore& store,
                                           const MapOptions& options = {});

/// All of it: `embed_into_store`, then `map_from_store`.
KNOWMAP_EXPORT KnowledgeMap build_map(const MapInput& input, Embedder& embedder,
                                      CheckpointStore& store, const MapOptions& options = {});

}  // namespace knowmap
