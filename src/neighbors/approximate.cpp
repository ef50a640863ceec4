// Neighbours from overlapping random partitions, all pairs in each leaf, then a
// pass over neighbours' neighbours. After PiPNN (arXiv 2602.21247) and
// NN-descent (Dong, Charikar, Li 2011). Where the metric is a product in
// essence, all but the last step works on small integers, so the candidates are
// the same on every instruction set.
#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "neighbors/float_rows.hpp"
#include "neighbors/joins.hpp"
#include "neighbors/sample.hpp"
#include "neighbors/search.hpp"
#include "neighbors/small_rows.hpp"
#include "support/random.hpp"

namespace knowmap::neighbors {

namespace {

/// Leaves that a row goes to in a partition.
constexpr std::size_t kFanout = 5;
constexpr std::size_t kPartitionsMost = 4;
/// Rows up to which all pairs are looked at where partitions don't suffice.
constexpr std::size_t kAllPairsMost = 150000;
/// Neighbours beyond which leaves would be too small to hold them.
constexpr std::size_t kNeighborsMost = 256;

class ApproximateSearch {
 public:
  ApproximateSearch(MatrixView<const float> data, const KnnOptions& options, Workers& workers)
      : data_(data),
        options_(options),
        workers_(workers),
        // A partition's leaves and a pass count as the rows do, the rest once.
        monitor_(options.progress, "neighbors", 3 * data.rows, "rows"),
        distance_(options.metric, options.p, data.cols),
        scoring_(data, options.metric, options.p, workers),
        leaf_aim_(kLeafAim * ((options.n_neighbors + 63) / 64)) {
    if (scoring_.is_product()) {
      rows_ = std::make_unique<SmallRows>(data, scoring_, workers, &monitor_);
    } else {
      rows_ = std::make_unique<FloatRows>(data, scoring_);
    }
  }

  /// Works until the target is reached; answers whether it was.
  bool run() {
    norms_ = all_norms(distance_, data_, workers_);
    std::optional<Sample> sample;
    for (std::size_t part = 0; part < kPartitionsMost; ++part) {
      add_partition(part);
      if (options_.target_recall <= 0) {
        recall_ = std::numeric_limits<double>::quiet_NaN();
        return true;
      }
      if (!sample) sample.emplace(data_, options_, workers_);
      recall_ = estimate(*sample);
      if (recall_ >= options_.target_recall) return true;
    }
    return false;
  }

  KnnGraph graph() {
    rows_.reset();  // the graph takes its room
    const std::size_t n = data_.rows;
    const std::size_t k = options_.n_neighbors;
    KnnGraph graph{{n, k}, {n, k}};
    graph.recall = recall_;
    workers_.run_ranges(
        n, 64,
        [&](std::size_t begin, std::size_t end, int) {
          for (std::size_t at = begin; at < end; ++at) {
            const auto i = static_cast<std::size_t>(order_[at]);
            rank(at, {graph.indices.row(i), k}, {graph.distances.row(i), k});
          }
          monitor_.add(end - begin);
        },
        &monitor_);
    monitor_.finish();
    return graph;
  }

 private:
  void add_partition(std::size_t part) {
    const std::size_t n = data_.rows;
    {
      std::vector<RowSet> leaves = random_partition(
          *rows_, kFanout, leaf_aim_, random_bits(options_.seed, RandomStage::partition, n, part),
          workers_, &monitor_);
      if (order_.empty()) {
        set_order(leaves);
        best_ = TopK(n, with_margin(options_.n_neighbors));
      }
      join_leaves(*rows_, leaves, best_, locks_, workers_, &monitor_);
    }
    join_neighbours(*rows_, best_, locks_, workers_, &monitor_);
  }

  /// Renumbers rows as they come in the leaves: near rows lie near in memory,
  /// and what follows finds most of them in the cache.
  void set_order(std::vector<RowSet>& leaves) {
    std::vector<std::int32_t> place(data_.rows, -1);
    order_.reserve(data_.rows);
    const auto put = [&](std::int32_t row) {
      std::int32_t& to = place[static_cast<std::size_t>(row)];
      if (to >= 0) return to;
      to = static_cast<std::int32_t>(order_.size());
      order_.push_back(row);
      return to;
    };
    for (RowSet& leaf : leaves) {
      for (std::int32_t& row : leaf) row = put(row);
      std::sort(leaf.begin(), leaf.end());
    }
    for (std::size_t i = 0; i < data_.rows; ++i) put(static_cast<std::int32_t>(i));
    rows_->reorder(order_);
  }

  /// Ranks the candidates of the row at `at` by their distances in double.
  void rank(std::size_t at, std::span<std::int32_t> indices, std::span<float> distances) const {
    std::vector<std::int32_t> candidates(best_.capacity());
    candidates.resize(best_.take(at, candidates));
    for (std::int32_t& c : candidates) c = order_[static_cast<std::size_t>(c)];
    const auto i = static_cast<std::size_t>(order_[at]);
    rank_candidates(distance_, data_, norms_, data_.row(i), norms_.empty() ? 0.0 : norms_[i],
                    candidates, indices, distances);
  }

  double estimate(const Sample& sample) const {
    std::vector<std::size_t> place(data_.rows);
    for (std::size_t at = 0; at < order_.size(); ++at) {
      place[static_cast<std::size_t>(order_[at])] = at;
    }
    const std::size_t k = std::min(options_.n_neighbors, data_.rows - 1);
    std::vector<std::int32_t> indices(k);
    std::vector<float> distances(k);
    std::size_t found = 0;
    for (std::size_t s = 0; s < sample.rows.size(); ++s) {
      rank(place[static_cast<std::size_t>(sample.rows[s])], indices, distances);
      found += sample.hits(s, distances);
    }
    return static_cast<double>(found) / static_cast<double>(k * sample.rows.size());
  }

  MatrixView<const float> data_;
  const KnnOptions& options_;
  Workers& workers_;
  Monitor monitor_;
  ExactDistance distance_;
  Scoring scoring_;
  std::size_t leaf_aim_;
  std::unique_ptr<CandidateRows> rows_;
  std::vector<double> norms_;
  std::vector<std::int32_t> order_;
  TopK best_;
  RowLocks locks_;
  double recall_ = 0;
};

}  // namespace

KnnGraph approximate_graph(MatrixView<const float> data, const KnnOptions& options,
                           Workers& workers) {
  if (data.rows <= 2 * kLeafAim || options.n_neighbors > kNeighborsMost) {
    return exact_graph(data, options, workers);
  }
  {
    ApproximateSearch search(data, options, workers);
    const bool reached = search.run();
    const bool may_take_all =
        options.search == KnnOptions::Search::automatic && data.rows <= kAllPairsMost;
    if (reached || !may_take_all) return search.graph();
  }
  return exact_graph(data, options, workers);
}

}  // namespace knowmap::neighbors
