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
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "neighbors/float_rows.hpp"
#include "neighbors/joins.hpp"
#include "neighbors/ranking.hpp"
#include "neighbors/sample.hpp"
#include "neighbors/search.hpp"
#include "neighbors/small_rows.hpp"
#include "support/random.hpp"

namespace knowmap::neighbors {

namespace {

/// Leaves that a row goes to in a partition.
constexpr std::size_t kFanout = 6;
constexpr std::size_t kPartitionsMost = 4;
/// Rows up to which all pairs are looked at where partitions don't suffice.
constexpr std::size_t kAllPairsMost = 150000;
/// Partitions where there are too many rows for that.
constexpr std::size_t kPartitionsOfMany = 8;
/// Neighbours beyond which leaves would be too small to hold them.
constexpr std::size_t kNeighborsMost = 256;

class ApproximateSearch {
 public:
  ApproximateSearch(const RowReader& data, const KnnOptions& options, Workers& workers)
      : data_(data),
        options_(options),
        workers_(workers),
        // A partition's leaves and a pass count as the rows do, the rest once.
        monitor_(options.progress, "neighbors", 3 * data.rows, "rows"),
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
    ranking_.emplace(data_, options_.metric, options_.p, workers_);
    std::optional<Sample> sample;
    const std::size_t most = data_.rows > kAllPairsMost ? kPartitionsOfMany : kPartitionsMost;
    for (std::size_t part = 0; part < most; ++part) {
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
    // In the order of the leaves: near rows share candidates.
    Ranking::Questions questions;
    questions.count = n;
    questions.counted = true;
    questions.row = [this](std::size_t at) { return static_cast<std::size_t>(order_[at]); };
    questions.candidates = [this](std::size_t at, auto& out) { candidates(at, out); };
    questions.answer = [&](std::size_t at) {
      const auto i = static_cast<std::size_t>(order_[at]);
      return std::pair{std::span(graph.indices.row(i), k), std::span(graph.distances.row(i), k)};
    };
    ranking_->answer(questions, &monitor_);
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

  /// The rows that may be the nearest to the one at `at`.
  void candidates(std::size_t at, std::vector<std::int32_t>& out) const {
    out.resize(best_.capacity());
    out.resize(best_.take(at, out));
    for (std::int32_t& c : out) c = order_[static_cast<std::size_t>(c)];
  }

  double estimate(const Sample& sample) {
    std::vector<std::size_t> place(data_.rows);
    for (std::size_t at = 0; at < order_.size(); ++at) {
      place[static_cast<std::size_t>(order_[at])] = at;
    }
    const std::size_t k = std::min(options_.n_neighbors, data_.rows - 1);
    const std::size_t count = sample.rows.size();
    BasicMatrix<std::int32_t> indices(count, k);
    Matrix distances(count, k);
    Ranking::Questions questions;
    questions.count = count;
    questions.row = [&](std::size_t s) { return static_cast<std::size_t>(sample.rows[s]); };
    questions.candidates = [&](std::size_t s, auto& out) {
      candidates(place[static_cast<std::size_t>(sample.rows[s])], out);
    };
    questions.answer = [&](std::size_t s) {
      return std::pair{std::span(indices.row(s), k), std::span(distances.row(s), k)};
    };
    ranking_->answer(questions, &monitor_);
    std::size_t found = 0;
    for (std::size_t s = 0; s < count; ++s) found += sample.hits(s, {distances.row(s), k});
    return static_cast<double>(found) / static_cast<double>(k * count);
  }

  RowReader data_;
  const KnnOptions& options_;
  Workers& workers_;
  Monitor monitor_;
  Scoring scoring_;
  std::size_t leaf_aim_;
  std::unique_ptr<CandidateRows> rows_;
  std::optional<Ranking> ranking_;
  std::vector<std::int32_t> order_;
  TopK best_;
  RowLocks locks_;
  double recall_ = 0;
};

}  // namespace

KnnGraph approximate_graph(const RowReader& data, const KnnOptions& options, Workers& workers) {
  if (data.rows <= 2 * kLeafAim || options.n_neighbors > kNeighborsMost) {
    return exact_graph(data, options, workers);
  }
  if (metric_kernel(options.metric) != nullptr && !data.is_resident()) {
    throw std::invalid_argument("metric '" + std::string(metric_name(options.metric)) +
                                "' is searched for among rows in memory: read them first, or take "
                                "cosine, euclidean, inner_product or correlation");
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
