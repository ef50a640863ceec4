#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
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
  /// How voters are found. exact: among all labelled rows. approximate: by a
  /// `KnnIndex`, which takes a quarter of the rows' memory more. automatic: exact
  /// up to 100,000 labelled rows, where it is soon done.
  KnnOptions::Search search = KnnOptions::Search::automatic;
  /// uniform: a vote each. distance: 1 / distance, as scikit-learn weighs;
  /// rows at distance 0, where there are any, are the only ones to vote.
  /// membership: UMAP's membership strength, 1 for the nearest voter and falling
  /// so that all strengths sum to log2(n_neighbors). function: `weight_function`.
  enum class Weights { uniform, distance, membership, function } weights = Weights::uniform;
  /// For Weights::function: fills in the weights (m, k), each 0 or more, from the
  /// distances (m, k); infinity stands where there is no voter. Called on the
  /// calling thread, for some thousands of rows at a time.
  std::function<void(MatrixView<const float> distances, MatrixView<float> weights)>
      weight_function = {};
  /// Best classes kept of each row (`LabelPrediction::top`). Memory is
  /// rows × top_k, however many classes there are.
  std::size_t top_k = 5;
  /// Whether the confidence is a measured chance of being right instead of a
  /// share of the votes: learnt in `fit` from labelled rows whose own label was
  /// left out (at most 10,000 of them).
  bool calibrate = false;

  // When to abstain (label -1). All that are set must agree to a label.
  /// Least confidence of a label, 0 … 1.
  float min_confidence = 0.0f;
  /// A row whose nearest voter is farther than this is unlike all that is known.
  float max_distance = std::numeric_limits<float>::infinity();
  /// Largest share of wrong labels among those given, 0 … 1; 1 = any. Below 1
  /// the confidence at which to abstain is found in `fit` on left-out rows: the
  /// least at which the upper end of the error rate (Wilson, one standard
  /// error) stays within it. Brings `calibrate` with it.
  float target_error = 1.0f;

  int threads = 0;
  ProgressCallback progress = {};
};

/// The best classes of each row and their shares of the votes, best first; ties
/// by the lower class. Class -1 and share 0 fill up.
struct TopClasses {
  BasicMatrix<std::int32_t> classes;  ///< (m, t)
  Matrix shares;                      ///< (m, t), 0 … 1
};

/// Labels decided by vote, a row each.
struct LabelPrediction {
  /// Class numbers; -1 where the labeler abstains.
  std::vector<std::int32_t> labels;
  /// The best class' share of the votes, 0 … 1; with `calibrate` the chance that
  /// it is right. Told also where the labeler abstains.
  std::vector<float> confidence;
  /// Best share less the second best, 0 … 1.
  std::vector<float> margin;
  TopClasses top;
};

/// Sets of classes, a row each: those of row i are `classes[offsets[i] …
/// offsets[i + 1])`. A row whose only entry is -1 is not known.
struct LabelSets {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> classes;

  std::size_t size() const { return offsets.size() - 1; }
  std::span<const std::int32_t> of(std::size_t row) const {
    return {classes.data() + offsets[row], classes.data() + offsets[row + 1]};
  }
};

/// Several labels a row, decided by vote.
struct MultiLabelPrediction {
  LabelSets labels;
  /// Confidence of each of `labels.classes`.
  std::vector<float> confidence;
  TopClasses top;
};

/// How vote shares become chances of being right. Empty where nothing was learnt.
struct LabelCalibration {
  /// Of a logistic regression on the vote: constant, share, margin, log distance
  /// of the nearest voter, log mean distance, log-odds of the class' precision.
  std::vector<double> coefficients;
  /// Means and spreads that its five features are brought to 0 and 1 by.
  std::vector<double> means;
  std::vector<double> spreads;
  /// Share of right votes for each class among the rows left out.
  std::vector<float> precision;
  /// Rising steps of the regression's answer and of the share right (isotonic
  /// regression over bins of equal size); between them it is a straight line.
  std::vector<float> score;
  std::vector<float> right;
  /// Confidence below which to abstain for the wanted error; 0 = never, above 1
  /// = always, where no threshold keeps it.
  float threshold = 0.0f;
  /// What the left-out rows told: share labelled, and share wrong among those.
  float coverage = 1.0f;
  float error = 0.0f;
};

/// What a `KnnIndex` over the labelled rows learnt beside the rows themselves:
/// fields of `KnnIndexState`. No leaders: there is no index, all rows are looked at.
struct VoterIndex {
  std::vector<std::int32_t> leaders;
  std::vector<std::int32_t> cells;
  std::size_t probes = 0;
  double recall = 1;
};

/// All of a fitted labeler but its callbacks: what is saved.
struct LabelerState {
  KnnLabelerOptions options;
  Matrix data;                        ///< the labelled rows
  std::vector<std::int32_t> numbers;  ///< of the rows of `data`, as given to `fit`
  LabelSets classes;                  ///< of the rows of `data`
  std::size_t n_classes = 0;
  bool multi_label = false;
  LabelCalibration calibration;
  VoterIndex index = {};  ///< where voters are searched by one
};

/// k-nearest-neighbour votes in the embedding space. Ties go to the lower class
/// number, as scikit-learn's `KNeighborsClassifier` does. After `fit` all calls
/// are const, and safe from several threads.
class KNOWMAP_EXPORT KnnLabeler {
 public:
  explicit KnnLabeler(KnnLabelerOptions options = {});
  KnnLabeler(KnnLabeler&&) noexcept;
  KnnLabeler& operator=(KnnLabeler&&) noexcept;
  ~KnnLabeler();

  /// Keeps a copy of `data` (n, d) and the classes 0 … C-1 of its rows; rows of
  /// class -1 are unknown and do not vote. Throws `std::invalid_argument`.
  void fit(MatrixView<const float> data, std::span<const std::int32_t> classes);
  /// The same with any number of classes a row.
  void fit_sets(MatrixView<const float> data, const LabelSets& classes);

  LabelPrediction predict(MatrixView<const float> rows) const;
  /// Each class that more than half of the votes are for; with `calibrate`, that
  /// is more likely right than not. `min_confidence` above ½ asks for more.
  MultiLabelPrediction predict_sets(MatrixView<const float> rows) const;
  /// The `k` best classes; 0 = `top_k`.
  TopClasses predict_top(MatrixView<const float> rows, std::size_t k = 0) const;
  /// (m, C) shares of the votes; each row sums to 1, with several labels a row
  /// each share stands alone. m × C numbers: `predict_top` where C is large.
  Matrix predict_proba(MatrixView<const float> rows) const;
  /// The voters of each row: numbers of the rows given to `fit`, and distances.
  KnnGraph voters(MatrixView<const float> rows) const;
  /// Their weights in the vote, (m, k); each row sums to 1.
  Matrix voter_weights(const KnnGraph& voters) const;
  /// What `predict` and `predict_sets` answer for rows whose `voters` are known, so
  /// that one search tells both. Throws `std::invalid_argument` where a voter is
  /// none of the labelled rows.
  LabelPrediction predict_by(const KnnGraph& voters) const;
  MultiLabelPrediction predict_sets_by(const KnnGraph& voters) const;
  /// Classes of labelled rows, by their numbers in `fit`; none for -1.
  LabelSets classes_of(std::span<const std::int32_t> rows) const;

  std::size_t n_classes() const;
  bool multi_label() const;
  const LabelCalibration& calibration() const;
  const LabelerState& state() const;
  /// A labeler as it was when its state was taken. Throws
  /// `std::invalid_argument` where the parts do not fit.
  static KnnLabeler from_state(LabelerState state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// From class shares (m, C) to labels.
KNOWMAP_EXPORT LabelPrediction decide_labels(MatrixView<const float> shares, float min_confidence);
/// Shares (m, C) from voters' classes (a graph over labelled rows). `classes`
/// are those of the rows that the graph's indices name.
KNOWMAP_EXPORT Matrix vote(const KnnGraph& voters, std::span<const std::int32_t> classes,
                           std::size_t n_classes, KnnLabelerOptions::Weights weights);
/// Labels the rows of a graph by those that its indices name: row i's neighbours
/// vote, whatever its own class in `classes` (-1 = not known) is. With
/// `calibrate` the rows whose class is known are the left-out rows to learn from.
KNOWMAP_EXPORT LabelPrediction label_by_graph(const KnnGraph& voters,
                                              std::span<const std::int32_t> classes,
                                              const KnnLabelerOptions& options);

/// Weighted links by rows: those of row i are at [offsets[i], offsets[i + 1]).
struct LinkGraph {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> weights;  ///< each above 0

  std::size_t size() const { return offsets.size() - 1; }
};

/// Neighbours as symmetric links: two rows are linked where one has the other
/// among its neighbours. uniform: 1. distance: 1 / distance, at most 1e6.
/// membership: UMAP's fuzzy union.
KNOWMAP_EXPORT LinkGraph link_neighbors(const KnnGraph& graph, KnnLabelerOptions::Weights weights,
                                        int threads = 0);

struct PropagationOptions {
  /// propagation (Zhu and Ghahramani 2002): known rows keep their label, others
  /// take the weighted mean of their neighbours until nothing moves. spreading
  /// (Zhou et al. 2003): over the normalised graph; known rows hold on to 1 -
  /// `alpha` of their label, so a wrong one can be outvoted.
  enum class Kind { propagation, spreading } kind = Kind::propagation;
  /// spreading: what a row takes from its neighbours, between 0 and 1.
  float alpha = 0.2f;
  std::size_t max_iterations = 1000;
  /// Ends where the sum of all changes in a round is below this.
  double tolerance = 1e-3;
  std::size_t top_k = 5;
  /// Least share of a label, 0 … 1; below it a row gets -1.
  float min_confidence = 0.0f;
  int threads = 0;
  ProgressCallback progress = {};
};

struct Propagation {
  /// Labels of all rows; with `propagation` known rows have their own. Rows that
  /// no known row can be reached from get -1.
  LabelPrediction prediction;
  std::size_t iterations = 0;
  bool converged = false;
};

/// Carries the labels of some rows over a graph to all, as scikit-learn's
/// `LabelPropagation` and `LabelSpreading` do on the same graph. Classes are
/// worked on some at a time: memory is linear in rows and links, not in rows ×
/// classes. `classes` (n): 0 … C-1, -1 = not known. Throws
/// `std::invalid_argument`, `CancelledError`.
KNOWMAP_EXPORT Propagation propagate_labels(const LinkGraph& graph,
                                            std::span<const std::int32_t> classes,
                                            const PropagationOptions& options = {});

/// One named part of the map.
struct Region {
  /// One to four words as a reader counts them ("&" joins and is none); no other
  /// region of its level has the same, nor has one above.
  std::string name;
  /// Phrases that set it apart and stand in the same texts, best first.
  std::vector<std::string> phrases;
  /// Rows nearest to its centre in the embedding space, nearest first.
  std::vector<std::int64_t> exemplars;
  /// Where its name stands on the map.
  float x = 0.0f;
  float y = 0.0f;
  /// Rows in it.
  std::size_t size = 0;
  /// Its region in the level above, -1 at the top. Of a grid's cell: the region
  /// of the finest given level that most of its rows are in.
  std::int32_t parent = -1;
  /// How far the name tells the region from the rest, 0 … 1: the share of its
  /// rows whose text or title holds the name's phrase, less that share among all
  /// other rows. Where the name is a title, 1 / size: one row bears it.
  float confidence = 0.0f;
  /// Of a grid: row * columns + column, rows counted from the lowest y; else -1.
  std::int32_t cell = -1;
};

/// One level of regions, coarse ones first.
struct RegionLevel {
  std::vector<Region> regions;
  /// Region of each row, -1 = none.
  std::vector<std::int32_t> assignment;
};

/// What a `Namer` is told of a region. Views live as long as the call.
struct NamingRequest {
  std::size_t level = 0;
  std::size_t region = 0;
  std::string_view name;    ///< the built-in name
  std::string_view parent;  ///< its parent's name, "" at the top
  std::span<const std::string> phrases;
  std::vector<std::string_view> titles;  ///< of its exemplars; texts where there are no titles
  std::size_t size = 0;
};
/// Answers a better name, or "" to leave the built-in one.
using Namer = std::function<std::string(const NamingRequest&)>;
/// Told in words what did not go well but ended nothing.
using WarningCallback = std::function<void(std::string_view message)>;

struct RegionOptions {
  /// Wanted number of regions at each level, coarse to fine; empty = chosen
  /// from the number of rows. Each level is nested in the one above.
  std::vector<std::size_t> level_sizes;
  /// Fewest rows in a region; 0 = chosen from the number of rows.
  std::size_t min_region_size = 0;
  std::size_t n_phrases = 8;
  std::size_t n_exemplars = 5;
  /// Regions of an earlier map of the same articles, coarse to fine. The map is divided as
  /// that one was, as far as its density allows; new ground makes new regions. And
  /// names stay: a region takes the name of the earlier one that it shares more than half of
  /// their joint rows with; where it shares a fifth or more, or is mostly new rows, if the name's
  /// phrases still find the region half as well as the best one does. Must outlive the call.
  std::span<const RegionLevel> earlier = {};
  /// The number that each row of the earlier map has now, -1 = gone; empty = the
  /// same, further articles standing behind them.
  std::span<const std::int64_t> earlier_rows = {};
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

/// Divides a map into a grid of `rows` × `columns` cells over its extent and
/// names each cell that holds an article; empty cells are left out. `levels`
/// (may be empty) are nested regions of the same map: a cell's parent is the
/// region of the finest of them that most of its articles lie in. Of `options`
/// the sizes of levels are not used. Throws as `name_regions` does.
KNOWMAP_EXPORT RegionLevel name_grid(MatrixView<const float> map, MatrixView<const float> embedding,
                                     std::span<const std::string_view> texts,
                                     std::span<const std::string_view> titles, std::size_t rows,
                                     std::size_t columns, std::span<const RegionLevel> levels = {},
                                     const RegionOptions& options = {});

/// Asks `namer` for each region's name, coarse levels first. An answer counts
/// where it has one to four words, says something (not "various"), and no other
/// region of its level, none above and none within it has it. What the namer throws, and an
/// answer that does not count, is told to `warn` and the built-in name stays;
/// only `CancelledError` ends the call. Answers how many names were taken.
KNOWMAP_EXPORT std::size_t rename_regions(std::vector<RegionLevel>& levels,
                                          std::span<const std::string_view> texts,
                                          std::span<const std::string_view> titles,
                                          const Namer& namer, const WarningCallback& warn = {});

}  // namespace knowmap
