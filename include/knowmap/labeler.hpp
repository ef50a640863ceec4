#pragma once

#include <cstddef>
#include <cstdint>
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

struct KnnLabelerOptions {
  /// Labelled rows that vote on each row. At least 1.
  std::size_t n_neighbors = 15;
  Metric metric = Metric::cosine;
  /// uniform: a vote each. distance: 1 / distance, as scikit-learn weighs;
  /// rows at distance 0, where there are any, are the only ones to vote.
  enum class Weights { uniform, distance } weights = Weights::uniform;
  /// A row whose best label has a smaller share of the votes gets label -1.
  float min_confidence = 0.0f;
  int threads = 0;
  ProgressCallback progress = {};
};

/// Labels decided by vote, a row each.
struct LabelPrediction {
  /// Class numbers; -1 where the labeler abstains.
  std::vector<std::int32_t> labels;
  /// The best class' share of the votes, 0 … 1, also where it abstains.
  std::vector<float> confidence;
  /// Best share less the second best, 0 … 1.
  std::vector<float> margin;
};

/// k-nearest-neighbour votes in the embedding space. Ties go to the lower class
/// number, as scikit-learn's `KNeighborsClassifier` does.
class KNOWMAP_EXPORT KnnLabeler {
 public:
  explicit KnnLabeler(KnnLabelerOptions options = {});
  KnnLabeler(KnnLabeler&&) noexcept;
  KnnLabeler& operator=(KnnLabeler&&) noexcept;
  ~KnnLabeler();

  /// Keeps a copy of `data` (n, d) and the classes 0 … C-1 of its rows; rows of
  /// class -1 are unknown and do not vote. Throws `std::invalid_argument`.
  void fit(MatrixView<const float> data, std::span<const std::int32_t> classes);
  LabelPrediction predict(MatrixView<const float> rows) const;
  /// (m, C) shares of the votes; each row sums to 1.
  Matrix predict_proba(MatrixView<const float> rows) const;
  /// The voters of each row: numbers of the rows given to `fit`, and distances.
  KnnGraph voters(MatrixView<const float> rows) const;
  std::size_t n_classes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// From class shares (m, C) to labels; what `predict` does after the vote.
KNOWMAP_EXPORT LabelPrediction decide_labels(MatrixView<const float> shares, float min_confidence);
/// Shares (m, C) from voters' classes (a graph over labelled rows). `classes`
/// are those of the rows that the graph's indices name.
KNOWMAP_EXPORT Matrix vote(const KnnGraph& voters, std::span<const std::int32_t> classes,
                           std::size_t n_classes, KnnLabelerOptions::Weights weights);

/// One named part of the map.
struct Region {
  /// One to four words; no other region of its level has the same, nor has its
  /// parent.
  std::string name;
  /// Words that set it apart, best first (c-TF-IDF).
  std::vector<std::string> phrases;
  /// Rows nearest to its centre in the embedding space, nearest first.
  std::vector<std::int64_t> exemplars;
  /// Where its name stands on the map.
  float x = 0.0f;
  float y = 0.0f;
  /// Rows in it.
  std::size_t size = 0;
  /// Its region in the level above, -1 at the top.
  std::int32_t parent = -1;
};

/// One level of regions, coarse ones first.
struct RegionLevel {
  std::vector<Region> regions;
  /// Region of each row, -1 = none.
  std::vector<std::int32_t> assignment;
};

struct RegionOptions {
  /// Wanted number of regions at each level, coarse to fine; empty = chosen
  /// from the number of rows. Each level is nested in the one above.
  std::vector<std::size_t> level_sizes;
  /// Fewest rows in a region; 0 = chosen from the number of rows.
  std::size_t min_region_size = 0;
  std::size_t n_phrases = 8;
  std::size_t n_exemplars = 5;
  int threads = 0;
  ProgressCallback progress = {};
};

/// Divides a map into nested regions and names each from its own texts.
///
/// `map` (n, 2) coordinates; `embedding` (n, d) is used for centres and may be
/// empty (then the map serves); `titles` may be empty. The texts' language is
/// found from their own stop words (English, Spanish, French); texts of any
/// script are taken. Names: c-TF-IDF over one- to three-word phrases, and the
/// titles of central rows. The first 400 words of each text are read. Every row
/// is in a region of every level; no rows make no levels. Deterministic, on any
/// number of threads; memory is linear in the rows. Throws
/// `std::invalid_argument` on NaN, infinity and sizes that don't fit, and
/// `CancelledError` when the progress callback says so.
KNOWMAP_EXPORT std::vector<RegionLevel> name_regions(MatrixView<const float> map,
                                                     MatrixView<const float> embedding,
                                                     std::span<const std::string_view> texts,
                                                     std::span<const std::string_view> titles,
                                                     const RegionOptions& options = {});

}  // namespace knowmap
