// An inverted file: rows by the random leader that each is nearest to; a query
// looks at the rows of the leaders nearest to it.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "neighbors/float_rows.hpp"
#include "neighbors/joins.hpp"
#include "neighbors/sample.hpp"
#include "neighbors/search.hpp"
#include "neighbors/small_rows.hpp"
#include "support/random.hpp"

namespace knowmap {

using namespace neighbors;

namespace {

constexpr std::size_t kLeadersMost = 4096;
constexpr std::size_t kFirstProbes = 4;

std::size_t leaders_for(std::size_t rows) {
  // As much work to choose among leaders as to look at the rows of 64 of them.
  return std::clamp<std::size_t>(
      static_cast<std::size_t>(8 * std::sqrt(static_cast<double>(rows))) / 2, 1,
      std::min(kLeadersMost, rows));
}

RowSet numbers(std::size_t n) {
  RowSet all(n);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

struct KnnIndex::Impl {
  KnnIndexState state;
  MatrixView<const float> data;  // the rows: those of `state`, or the caller's own
  // Empty where every query looks at all rows.
  std::unique_ptr<Scoring> scoring;
  std::unique_ptr<CandidateRows> rows;
  std::unique_ptr<Leaders> leaders;
  std::vector<std::int32_t> order;   // rows as they lie in `rows`
  std::vector<std::size_t> offsets;  // of each leader's rows there
  std::vector<double> norms;

  const KnnOptions& options() const { return state.options; }
  bool looks_at_all() const { return state.leaders.empty(); }

  std::unique_ptr<CandidateRows> prepared(const RowReader& given, Workers& workers) const {
    if (!scoring->is_product()) return std::make_unique<FloatRows>(given, *scoring);
    if (!rows) return std::make_unique<SmallRows>(given, *scoring, workers, nullptr);
    return std::make_unique<SmallRows>(given, *scoring, static_cast<const SmallRows&>(*rows),
                                       workers);
  }

  void start(Workers& workers) {
    check_finite(data, "data", workers);
    scoring = std::make_unique<Scoring>(data, options().metric, options().p, workers);
    rows = prepared(data, workers);
    norms = all_norms(ExactDistance(options().metric, options().p, data.cols), data, workers);
  }

  /// Assigns every row to its leader.
  void assign(Workers& workers, Monitor* monitor) {
    const RowSet all = numbers(data.rows);
    const Leaders first(*rows, state.leaders);
    std::vector<std::uint16_t> cells(all.size());
    workers.run_ranges(
        all.size(), 10 * kPanel,
        [&](std::size_t begin, std::size_t end, int) {
          first.nearest(*rows, {all.data() + begin, end - begin}, 1, cells.data() + begin);
        },
        monitor);
    state.cells.assign(cells.begin(), cells.end());
  }

  /// Brings rows of one cell together.
  void arrange() {
    const std::size_t n = data.rows;
    offsets.assign(state.leaders.size() + 1, 0);
    for (const std::int32_t cell : state.cells) ++offsets[static_cast<std::size_t>(cell) + 1];
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    order.resize(n);
    std::vector<std::size_t> next(offsets.begin(), offsets.end() - 1);
    for (std::size_t i = 0; i < n; ++i) {
      order[next[static_cast<std::size_t>(state.cells[i])]++] = static_cast<std::int32_t>(i);
    }
    leaders = std::make_unique<Leaders>(*rows, state.leaders);
    rows->reorder(order);
  }

  void build(const ProgressCallback& progress);
  void restore();
  KnnGraph query(MatrixView<const float> queries, std::size_t k, std::size_t probes,
                 const ProgressCallback& progress, Workers& workers) const;
};

KnnGraph KnnIndex::Impl::query(MatrixView<const float> queries, std::size_t k, std::size_t probes,
                               const ProgressCallback& progress, Workers& workers) const {
  KnnGraph graph{{queries.rows, k}, {queries.rows, k}};
  graph.recall = state.recall;
  const std::unique_ptr<CandidateRows> asked = prepared(queries, workers);
  const RowSet all = numbers(queries.rows);
  std::vector<std::uint16_t> nearest(all.size() * probes);
  Monitor monitor(progress, "neighbors", 2 * queries.rows, "rows");
  workers.run_ranges(
      all.size(), kPanel,
      [&](std::size_t begin, std::size_t end, int) {
        leaders->nearest(*asked, {all.data() + begin, end - begin}, probes,
                         nearest.data() + begin * probes);
        monitor.add(end - begin);
      },
      &monitor);
  std::vector<RowSet> askers(state.leaders.size());
  for (std::size_t q = 0; q < all.size(); ++q) {
    for (std::size_t f = 0; f < probes; ++f) askers[nearest[q * probes + f]].push_back(all[q]);
  }
  TopK best(queries.rows, with_margin(k));
  RowLocks locks;
  workers.run(
      askers.size(),
      [&](std::size_t cell, int) {
        const RowSet& some = askers[cell];
        const std::size_t begin = offsets[cell];
        if (some.empty() || begin == offsets[cell + 1]) return;
        std::vector<std::byte> mine(asked->panel_bytes());
        std::vector<std::byte> panels(rows->packed_bytes(10 * kPanel));
        Matrix scores(kPanel, 10 * kPanel);
        RowSet held;
        std::vector<float> bias(10 * kPanel);
        for (std::size_t at = begin; at < offsets[cell + 1]; at += held.size()) {
          held.resize(std::min(10 * kPanel, offsets[cell + 1] - at));
          std::iota(held.begin(), held.end(), static_cast<std::int32_t>(at));
          rows->pack(held, panels.data());
          for (std::size_t r = 0; r < held.size(); ++r) bias[r] = rows->bias(at + r);
          for (std::size_t q = 0; q < some.size(); q += kPanel) {
            if (monitor.cancelled()) return;
            const std::size_t few = std::min(kPanel, some.size() - q);
            asked->pack({some.data() + q, few}, mine.data());
            rows->scores(mine.data(), panels.data(), (held.size() + kPanel - 1) / kPanel,
                         scores.data(), scores.cols());
            for (std::size_t r = 0; r < few; ++r) {
              const auto row = static_cast<std::size_t>(some[q + r]);
              const std::scoped_lock lock(locks.of(row));
              best.offer(row, scores.row(r), bias.data(), held.data(), held.size());
            }
          }
        }
      },
      &monitor);
  const ExactDistance distance(options().metric, options().p, queries.cols);
  workers.run_ranges(
      queries.rows, 64,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::int32_t> candidates;
        std::vector<const float*> lie;
        for (std::size_t q = begin; q < end; ++q) {
          candidates.resize(best.capacity());
          candidates.resize(best.take(q, candidates));
          for (std::int32_t& c : candidates) c = order[static_cast<std::size_t>(c)];
          lie.clear();
          for (const std::int32_t c : candidates) {
            lie.push_back(data.row(static_cast<std::size_t>(c)));
          }
          rank_candidates(distance, norms, queries.row(q), distance.norm(queries.row(q)),
                          candidates, lie, {graph.indices.row(q), k}, {graph.distances.row(q), k});
        }
        monitor.add(end - begin);
      },
      &monitor);
  monitor.finish();
  return graph;
}

/// Chooses leaders, and how many of them a query looks at.
void KnnIndex::Impl::build(const ProgressCallback& progress) {
  Workers workers(options().threads);
  const bool all =
      data.rows <= 1 || options().search == KnnOptions::Search::exact ||
      (options().search == KnnOptions::Search::automatic && data.rows <= options().exact_limit);
  if (all) {
    check_finite(data, "data", workers);
    return;
  }
  Monitor monitor(progress, "neighbors", data.rows, "rows");
  start(workers);
  state.leaders = draw(numbers(data.rows), leaders_for(data.rows),
                       random_bits(options().seed, RandomStage::partition, data.rows));
  assign(workers, &monitor);
  arrange();
  // The fewest leaders that give the recall asked for, on rows drawn as queries.
  const Sample sample(data, options(), workers);
  Matrix queries(sample.rows.size(), data.cols);
  for (std::size_t q = 0; q < sample.rows.size(); ++q) {
    std::copy_n(data.row(static_cast<std::size_t>(sample.rows[q])), data.cols, queries.row(q));
  }
  const std::size_t k = std::min(options().n_neighbors, data.rows - 1);
  const std::size_t most = state.leaders.size();
  for (std::size_t probes = std::min(kFirstProbes, most);; probes = std::min(2 * probes, most)) {
    const KnnGraph found = query(queries, k + 1, probes, nullptr, workers);
    std::size_t hits = 0;
    for (std::size_t q = 0; q < sample.rows.size(); ++q) {
      std::vector<float> others;
      for (std::size_t r = 0; r <= k && others.size() < k; ++r) {
        if (found.indices(q, r) != sample.rows[q]) others.push_back(found.distances(q, r));
      }
      hits += sample.hits(q, others);
    }
    state.probes = probes;
    state.recall = static_cast<double>(hits) / static_cast<double>(k * sample.rows.size());
    if (probes == most || state.recall >= options().target_recall) break;
  }
  monitor.finish();
}

/// What `build` made is in `state`: the rest follows from it.
void KnnIndex::Impl::restore() {
  const auto below = [](std::size_t n) {
    return [n](std::int32_t x) { return x >= 0 && static_cast<std::size_t>(x) < n; };
  };
  const bool fits =
      state.leaders.empty()
          ? state.cells.empty()
          : state.cells.size() == data.rows && state.leaders.size() <= kLeadersMost &&
                state.probes >= 1 && state.probes <= state.leaders.size() &&
                std::all_of(state.leaders.begin(), state.leaders.end(), below(data.rows)) &&
                std::all_of(state.cells.begin(), state.cells.end(), below(state.leaders.size()));
  if (!fits) throw std::invalid_argument("the index's leaders do not fit its rows");
  Workers workers(options().threads);
  if (looks_at_all()) {
    check_finite(data, "data", workers);
  } else {
    start(workers);
    arrange();
  }
}

namespace {

void check_index(MatrixView<const float> data, const KnnOptions& options) {
  check_options(data, options);
  if (options.metric == Metric::precomputed) {
    throw std::invalid_argument("an index needs rows: 'precomputed' distances have none");
  }
}

}  // namespace

KnnIndex::KnnIndex(MatrixView<const float> data, const KnnOptions& options)
    : impl_(std::make_unique<Impl>()) {
  check_index(data, options);
  Impl& s = *impl_;
  s.state.options = options;
  s.state.options.progress = nullptr;
  s.state.data = Matrix(data.rows, data.cols);
  std::copy_n(data.data, data.size(), s.state.data.data());
  s.data = s.state.data;
  s.build(options.progress);
}

KnnIndex KnnIndex::over(MatrixView<const float> data, const KnnOptions& options) {
  check_index(data, options);
  KnnIndex index;
  Impl& s = *index.impl_;
  s.state.options = options;
  s.state.options.progress = nullptr;
  s.data = data;
  s.build(options.progress);
  return index;
}

KnnIndex KnnIndex::over(MatrixView<const float> data, KnnIndexState state) {
  check_index(data, state.options);
  if (!state.data.empty()) {
    throw std::invalid_argument("an index over rows that lie elsewhere takes a state without any");
  }
  KnnIndex index;
  index.impl_->state = std::move(state);
  index.impl_->data = data;
  index.impl_->restore();
  return index;
}

KnnIndex::KnnIndex() : impl_(std::make_unique<Impl>()) {}
KnnIndex::KnnIndex(KnnIndex&&) noexcept = default;
KnnIndex& KnnIndex::operator=(KnnIndex&&) noexcept = default;
KnnIndex::~KnnIndex() = default;

const KnnIndexState& KnnIndex::state() const { return impl_->state; }

KnnIndex KnnIndex::from_state(KnnIndexState state) {
  check_options(state.data, state.options);
  KnnIndex index;
  index.impl_->state = std::move(state);
  index.impl_->data = index.impl_->state.data;
  index.impl_->restore();
  return index;
}

KnnGraph KnnIndex::query(MatrixView<const float> queries, const KnnQueryOptions& options) const {
  const Impl& s = *impl_;
  KnnOptions o = s.options();
  if (options.n_neighbors != 0) o.n_neighbors = options.n_neighbors;
  o.threads = options.threads;
  o.progress = options.progress;
  if (s.looks_at_all()) return knn_query(s.data, queries, o);
  check_options(queries, o);
  if (queries.cols != s.data.cols) {
    throw std::invalid_argument("queries have " + std::to_string(queries.cols) +
                                " columns, the index " + std::to_string(s.data.cols));
  }
  Workers workers(o.threads);
  check_finite(queries, "queries", workers);
  return s.query(queries, o.n_neighbors, s.state.probes, o.progress, workers);
}

}  // namespace knowmap
