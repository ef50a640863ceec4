#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/row_source.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// How far two rows lie from one another.
enum class Metric {
  euclidean,      ///< sqrt(sum (a - b)^2)
  cosine,         ///< 1 - a·b / (|a| |b|); a row of zeros lies 1 from every other
  inner_product,  ///< 1 - a·b
  correlation,    ///< cosine of the rows less their own means
  manhattan,      ///< sum |a - b|
  chebyshev,      ///< max |a - b|
  minkowski,      ///< (sum |a - b|^p)^(1/p)
  canberra,       ///< sum |a - b| / (|a| + |b|), 0 where both are 0
  braycurtis,     ///< sum |a - b| / sum |a + b|, 0 where the latter is 0
  hamming,        ///< share of columns that differ
  jaccard,        ///< of the columns not 0 in either row, the share that is 0 in one
  precomputed,    ///< the data are the distances themselves, (n, n)
};

/// The enumerators' names; throws `std::invalid_argument`.
KNOWMAP_EXPORT Metric metric_from_name(std::string_view name);
KNOWMAP_EXPORT std::string_view metric_name(Metric metric) noexcept;

/// The nearest other rows of each row, nearest first; ties by the lower index.
struct KnnGraph {
  /// (n, k) row numbers. -1 fills up where fewer rows than k exist.
  BasicMatrix<std::int32_t> indices;
  /// (n, k) distances in the metric's own units; infinity beside a -1.
  Matrix distances;
  /// The share of true neighbours found: 1 where all pairs were looked at, else
  /// estimated on rows drawn at random, whose true neighbours are computed.
  double recall = 1;

  std::size_t size() const { return indices.rows(); }
  std::size_t n_neighbors() const { return indices.cols(); }
};

struct KnnOptions {
  /// Neighbours of each row, the row itself left out. At least 1.
  std::size_t n_neighbors = 15;
  Metric metric = Metric::cosine;
  /// Exponent of `Metric::minkowski`, at least 1.
  double p = 2;
  /// Whether all pairs are looked at. `automatic` does so up to
  /// `exact_limit` rows, where it is soon done.
  enum class Search { automatic, exact, approximate } search = Search::automatic;
  /// Rows above which `automatic` turns to the approximate search.
  std::size_t exact_limit = 20000;
  /// Recall that the approximate search works towards, 0 to 1: while its estimate
  /// is lower, it goes on with further partitions, up to four (of more than 150,000
  /// rows eight). Where these don't suffice, `automatic` looks at all pairs of up to as
  /// many rows; what was reached is in `recall`. 0 takes no estimate (recall is NaN).
  double target_recall = 0.97;
  /// Decides the random partitions of the approximate search.
  std::uint64_t seed = 0;
  /// Threads, 0 = one for each core. The result does not depend on it.
  int threads = 0;
  /// Where pairs are scored: "cpu", "cuda", "cuda:1", "mps", or "auto" for a device that is there.
  /// Elsewhere than on the CPU all pairs are looked at, by matrix products, whatever `search`
  /// says; for cosine, euclidean, inner product and correlation alone ("auto" leaves others to
  /// the CPU). Of many equally near rows others may be found than on the CPU. Not for `KnnIndex`.
  std::string device = "cpu";
  ProgressCallback progress;
};

/// The neighbours of each row of `data` (n, d) among the others.
/// `Metric::precomputed`: `data` (n, n) holds the distances from each row to each;
/// infinity stands for none, the diagonal is passed over.
/// The approximate search takes at most half of the data's own memory. Throws
/// `std::invalid_argument` on NaN or infinity (it names the row) and on options out of range,
/// `CancelledError` when the progress callback says so, `OutOfMemoryError` where the
/// device has no room for the smallest part of the work.
KNOWMAP_EXPORT KnnGraph knn_graph(MatrixView<const float> data, const KnnOptions& options = {});

/// The same of rows that are read where they are wanted, and the same bytes as if
/// they had been read into a matrix first. The approximate search holds them as
/// small integers (a quarter of float32's memory), and reads them again by runs: about
/// six times in all, and once more for each eighth whose distances are computed.
/// Looking at all pairs reads all of them into memory. A source that is not
/// resident goes with cosine, euclidean, inner product and correlation alone.
KNOWMAP_EXPORT KnnGraph knn_graph(const RowSource& data, const KnnOptions& options = {});

/// The neighbours of each row of `queries` (m, d) among the rows of `data`
/// (n, d), always exact. Equal rows are found too: nothing is left out. Each
/// row's result does not depend on the other queries.
KNOWMAP_EXPORT KnnGraph knn_query(MatrixView<const float> data, MatrixView<const float> queries,
                                  const KnnOptions& options = {});
KNOWMAP_EXPORT KnnGraph knn_query(const RowSource& data, MatrixView<const float> queries,
                                  const KnnOptions& options = {});

struct KnnQueryOptions {
  /// Neighbours of each row; 0 = as many as the index was built for.
  std::size_t n_neighbors = 0;
  /// Threads, 0 = one for each core. The result does not depend on it.
  int threads = 0;
  ProgressCallback progress;
};

/// All of an index: what is saved.
struct KnnIndexState {
  KnnOptions options;
  Matrix data;                        ///< the rows, (n, d)
  std::vector<std::int32_t> leaders;  ///< rows that stand for a cell each; none = all are looked at
  std::vector<std::int32_t> cells;    ///< each row's cell
  std::size_t probes = 0;             ///< cells that a query looks at
  double recall = 1;                  ///< estimated with so many
};

/// Rows that answer for new ones: built once, asked often. Each query's answer
/// depends on that query alone. With few rows, or `Search::exact`, all are
/// looked at; otherwise the rows around the random leaders nearest to the query
/// (an inverted file), as many of them as reach `target_recall` on rows drawn at
/// random, by 8-bit products, and the best recomputed. After construction all
/// calls are const, and safe from several threads.
class KNOWMAP_EXPORT KnnIndex {
 public:
  /// Keeps a copy of `data` (n, d), and a quarter of it more. Throws as
  /// `knn_graph` does, and for `Metric::precomputed`.
  explicit KnnIndex(MatrixView<const float> data, const KnnOptions& options = {});
  KnnIndex(KnnIndex&&) noexcept;
  KnnIndex& operator=(KnnIndex&&) noexcept;
  ~KnnIndex();

  /// The rows of the index nearest to each of `queries` (m, d), nearest first and
  /// ties by the lower number. Equal rows are found too: nothing is left out.
  KnnGraph query(MatrixView<const float> queries, const KnnQueryOptions& options = {}) const;

  const KnnIndexState& state() const;
  /// An index as it was when its state was taken. Throws `std::invalid_argument`
  /// where the parts do not fit.
  static KnnIndex from_state(KnnIndexState state);

  /// The same without a copy: `data` are looked at where they lie, and must outlive
  /// the index unchanged. Its `state().data` are empty.
  static KnnIndex over(MatrixView<const float> data, const KnnOptions& options = {});
  /// Of such an index's state and the same rows.
  static KnnIndex over(MatrixView<const float> data, KnnIndexState state);

 private:
  KnnIndex();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knowmap
