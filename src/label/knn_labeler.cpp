#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "knowmap/labeler.hpp"
#include "label/calibration.hpp"
#include "label/vote.hpp"
#include "support/random.hpp"

namespace knowmap {

namespace {

/// Left-out rows that confidence is learnt from.
constexpr std::size_t kLeftOut = 10000;
/// Labelled rows up to which `Search::automatic` looks at all of them.
constexpr std::size_t kExactLimit = 100000;

void check_rows(MatrixView<const float> rows, std::string_view what) {
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const float* row = rows.row(i);
    for (std::size_t j = 0; j < rows.cols; ++j) {
      if (!std::isfinite(row[j])) {
        throw std::invalid_argument(std::string(what) + " row " + std::to_string(i) +
                                    " holds NaN or infinity");
      }
    }
  }
}

void check_sets(const LabelSets& sets) {
  if (sets.offsets.empty() || sets.offsets.front() != 0 ||
      !std::is_sorted(sets.offsets.begin(), sets.offsets.end()) ||
      sets.offsets.back() != static_cast<std::int64_t>(sets.classes.size())) {
    throw std::invalid_argument(
        "the offsets of the label sets must rise from 0 to the number of classes given");
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto own = sets.of(i);
    for (const std::int32_t c : own) {
      if (c >= 0 || (c == -1 && own.size() == 1)) continue;
      throw std::invalid_argument("class " + std::to_string(c) + " of row " + std::to_string(i) +
                                  ": classes are 0 and up, a single -1 if unknown");
    }
  }
}

/// Rows in order of a hash of their number: the first ones are a fair sample.
std::vector<std::int32_t> sample_rows(std::size_t n, std::size_t most) {
  std::vector<std::int32_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  if (n <= most) return rows;
  const auto key = [](std::int32_t row) {
    return random_bits(0, RandomStage::sample, static_cast<std::uint64_t>(row));
  };
  std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(most), rows.end(),
                   [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
  rows.resize(most);
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

struct KnnLabeler::Impl {
  LabelerState s;
  // Over `s.data`, where voters are searched by one. Moving `s` leaves its rows where they are.
  std::optional<KnnIndex> index;

  void build_index() {
    using Search = KnnOptions::Search;
    index.reset();
    const Search search = s.options.search;
    if (search == Search::exact) return;
    if (search == Search::automatic && s.data.rows() <= kExactLimit) return;
    KnnOptions knn;
    knn.n_neighbors = std::min(s.options.n_neighbors, s.data.rows());
    knn.metric = s.options.metric;
    knn.search = Search::approximate;
    knn.threads = s.options.threads;
    knn.progress = s.options.progress;
    VoterIndex& held = s.index;
    if (held.leaders.empty()) {
      index.emplace(KnnIndex::over(s.data, knn));
      const KnnIndexState& built = index->state();
      held = {built.leaders, built.cells, built.probes, built.recall};
      if (held.leaders.empty()) index.reset();  // so few rows that it looks at all: without it too
    } else {
      index.emplace(
          KnnIndex::over(s.data, {knn, {}, held.leaders, held.cells, held.probes, held.recall}));
    }
  }

  label::ClassesOf classes() const {
    // One class a row needs no offsets, and counts quicker.
    return {s.classes.classes, s.multi_label ? std::span<const std::int64_t>(s.classes.offsets)
                                             : std::span<const std::int64_t>()};
  }

  void check(MatrixView<const float> rows) const {
    if (s.data.empty()) {
      throw std::invalid_argument("the labeler is not fitted: call fit(data, classes) first");
    }
    if (rows.cols != s.data.cols()) {
      throw std::invalid_argument("rows have " + std::to_string(rows.cols) +
                                  " columns, but the labeler was fitted on " +
                                  std::to_string(s.data.cols()));
    }
  }

  /// Best classes looked at of each row.
  std::size_t kept_classes() const {
    const std::size_t few = std::max<std::size_t>(2, s.options.top_k);
    if (!s.multi_label) return few;
    // With several labels a row each class that got a vote stands alone.
    std::size_t most = 1;
    for (std::size_t i = 0; i < s.classes.size(); ++i) {
      most = std::max(most, s.classes.of(i).size());
    }
    return std::max(few, std::min(s.n_classes, most * s.options.n_neighbors));
  }

  /// Rows voted on at a time, so that memory does not grow with rows × voters.
  std::size_t block_rows() const {
    constexpr std::size_t kNumbers = std::size_t{1} << 22;
    return std::clamp<std::size_t>(kNumbers / std::max<std::size_t>(s.options.n_neighbors, 1), 256,
                                   65536);
  }

  /// The `k` voters of rows [begin, end) as numbers of `data`; progress is told
  /// as of the whole call.
  KnnGraph query(MatrixView<const float> rows, std::size_t begin, std::size_t end,
                 std::size_t k) const {
    ProgressCallback progress;
    if (s.options.progress) {
      progress = [&, begin, end](const Progress& part) {
        const std::uint64_t of = std::max<std::uint64_t>(part.total, 1);
        const std::uint64_t done = std::min(part.done, of) * (end - begin) / of;
        return s.options.progress({"label", begin + done, rows.rows, "rows"});
      };
    }
    k = std::min(k, s.data.rows());
    if (index) return index->query(rows.slice(begin, end), {k, s.options.threads, progress});
    KnnOptions knn;
    knn.n_neighbors = k;
    knn.metric = s.options.metric;
    knn.threads = s.options.threads;
    knn.progress = progress;
    return knn_query(s.data, rows.slice(begin, end), knn);
  }

  template <class Use>
  void for_blocks(MatrixView<const float> rows, const Use& use) const {
    check(rows);
    const std::size_t step = block_rows();
    for (std::size_t begin = 0; begin < rows.rows; begin += step) {
      const std::size_t end = std::min(rows.rows, begin + step);
      use(begin, query(rows, begin, end, s.options.n_neighbors));
    }
  }

  /// The same for voters that are known: numbers of the rows given to `fit`.
  template <class Use>
  void for_blocks(const KnnGraph& voters, const Use& use) const {
    if (s.data.empty()) {
      throw std::invalid_argument("the labeler is not fitted: call fit(data, classes) first");
    }
    const std::size_t step = block_rows();
    const std::size_t k = voters.n_neighbors();
    for (std::size_t begin = 0; begin < voters.size(); begin += step) {
      const std::size_t m = std::min(voters.size() - begin, step);
      KnnGraph part{{m, k}, {m, k}};
      for (std::size_t i = 0; i < m * k; ++i) {
        part.indices.data()[i] = place(voters.indices.row(begin)[i]);
        part.distances.data()[i] = voters.distances.row(begin)[i];
      }
      use(begin, part);
    }
  }

  /// Where a row given to `fit` lies in `data`; -1 for none.
  std::int32_t place(std::int32_t number) const {
    if (number < 0) return -1;
    const auto at = std::lower_bound(s.numbers.begin(), s.numbers.end(), number);
    if (at == s.numbers.end() || *at != number) {
      throw std::invalid_argument("row " + std::to_string(number) +
                                  " is none of the labelled rows given to fit");
    }
    return static_cast<std::int32_t>(at - s.numbers.begin());
  }

  template <class Blocks>
  LabelPrediction decide(std::size_t m, const Blocks& for_blocks) const;
  template <class Blocks>
  MultiLabelPrediction decide_sets(std::size_t m, const Blocks& for_blocks) const;

  label::Votes count(const KnnGraph& graph, std::size_t keep, Workers& workers) const {
    const auto weights = label::weigh_voters(graph, classes(), s.options, workers);
    return label::count_votes(graph, weights, classes(), s.n_classes, keep, workers);
  }

  void fit(MatrixView<const float> data, const LabelSets& sets, bool multi_label) {
    if (data.rows != sets.size()) {
      throw std::invalid_argument("data has " + std::to_string(data.rows) +
                                  " rows, but there are " + std::to_string(sets.size()) +
                                  " classes");
    }
    if (data.cols == 0) throw std::invalid_argument("data has no columns");
    if (data.rows > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
      throw std::invalid_argument("data has " + std::to_string(data.rows) +
                                  " rows, more than 2^31");
    }
    check_rows(data, "data");
    check_sets(sets);
    const label::ClassesOf of{sets.classes, sets.offsets};
    // Built aside, so that a failure leaves an earlier fit as it was.
    Impl made;
    made.s.options = s.options;
    made.s.multi_label = multi_label;
    std::int32_t last_class = -1;
    for (std::size_t i = 0; i < data.rows; ++i) {
      if (!of.known(i)) continue;
      made.s.numbers.push_back(static_cast<std::int32_t>(i));
      for (const std::int32_t c : of.of(i)) {
        made.s.classes.classes.push_back(c);
        last_class = std::max(last_class, c);
      }
      made.s.classes.offsets.push_back(static_cast<std::int64_t>(made.s.classes.classes.size()));
    }
    if (made.s.numbers.empty()) {
      throw std::invalid_argument("no row is labelled: every class is -1, so nobody can vote");
    }
    made.s.data = Matrix(made.s.numbers.size(), data.cols);
    for (std::size_t i = 0; i < made.s.numbers.size(); ++i) {
      std::copy_n(data.row(made.s.numbers[i]), data.cols, made.s.data.row(i));
    }
    made.s.n_classes = static_cast<std::size_t>(last_class) + 1;
    made.build_index();
    if (s.options.calibrate || s.options.target_error < 1) made.learn_confidence();
    s = std::move(made.s);
    index = std::move(made.index);
  }

  /// Votes on labelled rows, each without its own.
  void learn_confidence() {
    const std::vector<std::int32_t> sample = sample_rows(s.data.rows(), kLeftOut);
    Matrix rows(sample.size(), s.data.cols());
    for (std::size_t i = 0; i < sample.size(); ++i) {
      std::copy_n(s.data.row(sample[i]), s.data.cols(), rows.row(i));
    }
    const std::size_t k = std::min(s.options.n_neighbors, s.data.rows() - 1);
    KnnGraph others{{sample.size(), k, -1},
                    {sample.size(), k, std::numeric_limits<float>::infinity()}};
    const std::size_t step = block_rows();
    for (std::size_t begin = 0; begin < sample.size() && k > 0; begin += step) {
      const std::size_t end = std::min(sample.size(), begin + step);
      const KnnGraph found = query(rows, begin, end, k + 1);
      for (std::size_t i = begin; i < end; ++i) {
        std::size_t filled = 0;
        for (std::size_t j = 0; j < found.n_neighbors() && filled < k; ++j) {
          const std::int32_t voter = found.indices(i - begin, j);
          if (voter < 0 || voter == sample[i]) continue;
          others.indices(i, filled) = voter;
          others.distances(i, filled++) = found.distances(i - begin, j);
        }
      }
    }
    Workers workers(s.options.threads);
    const label::Votes votes = count(others, kept_classes(), workers);
    LabelSets truth;
    for (const std::int32_t row : sample) {
      const auto own = classes().of(static_cast<std::size_t>(row));
      truth.classes.insert(truth.classes.end(), own.begin(), own.end());
      truth.offsets.push_back(static_cast<std::int64_t>(truth.classes.size()));
    }
    s.calibration =
        s.multi_label
            ? label::calibrate_sets(votes, {truth.classes, truth.offsets}, s.options.target_error)
            : label::calibrate(votes, truth.classes, s.n_classes, s.options.target_error);
  }
};

KnnLabeler::KnnLabeler(KnnLabelerOptions options) : impl_(std::make_unique<Impl>()) {
  label::check_options(options);
  impl_->s.options = std::move(options);
}

KnnLabeler::KnnLabeler(KnnLabeler&&) noexcept = default;
KnnLabeler& KnnLabeler::operator=(KnnLabeler&&) noexcept = default;
KnnLabeler::~KnnLabeler() = default;

void KnnLabeler::fit(MatrixView<const float> data, std::span<const std::int32_t> classes) {
  LabelSets sets;
  sets.classes.assign(classes.begin(), classes.end());
  sets.offsets.resize(classes.size() + 1);
  std::iota(sets.offsets.begin(), sets.offsets.end(), std::int64_t{0});
  impl_->fit(data, sets, false);
}

void KnnLabeler::fit_sets(MatrixView<const float> data, const LabelSets& classes) {
  impl_->fit(data, classes, true);
}

LabelPrediction KnnLabeler::predict(MatrixView<const float> rows) const {
  impl_->check(rows);
  return impl_->decide(rows.rows, [&](const auto& use) { impl_->for_blocks(rows, use); });
}

LabelPrediction KnnLabeler::predict_by(const KnnGraph& voters) const {
  return impl_->decide(voters.size(), [&](const auto& use) { impl_->for_blocks(voters, use); });
}

template <class Blocks>
LabelPrediction KnnLabeler::Impl::decide(std::size_t m, const Blocks& for_blocks) const {
  if (s.multi_label) {
    throw std::invalid_argument("the labeler was fitted with several labels a row: predict_sets");
  }
  LabelPrediction all;
  all.labels.reserve(m);
  all.confidence.reserve(m);
  all.margin.reserve(m);
  all.top = {{m, s.options.top_k}, {m, s.options.top_k}};
  Workers workers(s.options.threads);
  for_blocks([&](std::size_t begin, const KnnGraph& graph) {
    const label::Votes votes = count(graph, kept_classes(), workers);
    const LabelPrediction part = label::decide(votes, s.options, s.calibration);
    all.labels.insert(all.labels.end(), part.labels.begin(), part.labels.end());
    all.confidence.insert(all.confidence.end(), part.confidence.begin(), part.confidence.end());
    all.margin.insert(all.margin.end(), part.margin.begin(), part.margin.end());
    std::copy_n(part.top.classes.data(), part.top.classes.size(), all.top.classes.row(begin));
    std::copy_n(part.top.shares.data(), part.top.shares.size(), all.top.shares.row(begin));
  });
  return all;
}

MultiLabelPrediction KnnLabeler::predict_sets(MatrixView<const float> rows) const {
  impl_->check(rows);
  return impl_->decide_sets(rows.rows, [&](const auto& use) { impl_->for_blocks(rows, use); });
}

MultiLabelPrediction KnnLabeler::predict_sets_by(const KnnGraph& voters) const {
  return impl_->decide_sets(voters.size(),
                            [&](const auto& use) { impl_->for_blocks(voters, use); });
}

template <class Blocks>
MultiLabelPrediction KnnLabeler::Impl::decide_sets(std::size_t m, const Blocks& for_blocks) const {
  MultiLabelPrediction all;
  all.top = {{m, s.options.top_k}, {m, s.options.top_k}};
  Workers workers(s.options.threads);
  const float least = std::max(s.options.min_confidence, s.calibration.threshold);
  const std::size_t keep = kept_classes();
  for_blocks([&](std::size_t begin, const KnnGraph& graph) {
    const label::Votes votes = count(graph, keep, workers);
    for (std::size_t i = 0; i < votes.nearest.size(); ++i) {
      for (std::size_t t = 0; t < votes.top.classes.cols(); ++t) {
        const std::int32_t c = votes.top.classes(i, t);
        if (c < 0 || votes.nearest[i] > s.options.max_distance) break;
        const float sure = label::confidence(s.calibration, {votes.top.shares(i, t), 0, 0, 0}, c);
        if (!(sure > 0.5f) || sure < least) continue;
        all.labels.classes.push_back(c);
        all.confidence.push_back(sure);
      }
      all.labels.offsets.push_back(static_cast<std::int64_t>(all.labels.classes.size()));
    }
    const TopClasses top = label::first_classes(votes.top, s.options.top_k);
    std::copy_n(top.classes.data(), top.classes.size(), all.top.classes.row(begin));
    std::copy_n(top.shares.data(), top.shares.size(), all.top.shares.row(begin));
  });
  return all;
}

TopClasses KnnLabeler::predict_top(MatrixView<const float> rows, std::size_t k) const {
  impl_->check(rows);
  if (k == 0) k = impl_->s.options.top_k;
  TopClasses top{{rows.rows, k}, {rows.rows, k}};
  Workers workers(impl_->s.options.threads);
  impl_->for_blocks(rows, [&](std::size_t begin, const KnnGraph& graph) {
    const label::Votes votes = impl_->count(graph, k, workers);
    std::copy_n(votes.top.classes.data(), votes.top.classes.size(), top.classes.row(begin));
    std::copy_n(votes.top.shares.data(), votes.top.shares.size(), top.shares.row(begin));
  });
  return top;
}

Matrix KnnLabeler::predict_proba(MatrixView<const float> rows) const {
  impl_->check(rows);
  Matrix shares(rows.rows, impl_->s.n_classes, 0.0f);
  Workers workers(impl_->s.options.threads);
  impl_->for_blocks(rows, [&](std::size_t begin, const KnnGraph& graph) {
    // As many classes as there may be votes for.
    std::size_t keep = graph.n_neighbors();
    if (impl_->s.multi_label) keep = impl_->s.n_classes;
    const label::Votes votes = impl_->count(graph, std::max<std::size_t>(keep, 1), workers);
    for (std::size_t i = 0; i < votes.nearest.size(); ++i) {
      for (std::size_t t = 0; t < keep && votes.top.classes(i, t) >= 0; ++t) {
        shares(begin + i, static_cast<std::size_t>(votes.top.classes(i, t))) =
            votes.top.shares(i, t);
      }
    }
  });
  return shares;
}

KnnGraph KnnLabeler::voters(MatrixView<const float> rows) const {
  impl_->check(rows);
  const std::size_t k = std::min(impl_->s.options.n_neighbors, impl_->s.data.rows());
  KnnGraph all;
  all.indices = BasicMatrix<std::int32_t>(rows.rows, k);
  all.distances = Matrix(rows.rows, k);
  impl_->for_blocks(rows, [&](std::size_t begin, const KnnGraph& graph) {
    for (std::size_t i = 0; i < graph.indices.size(); ++i) {
      const std::int32_t voter = graph.indices.data()[i];
      all.indices.row(begin)[i] = voter < 0 ? -1 : impl_->s.numbers[voter];
    }
    std::copy_n(graph.distances.data(), graph.distances.size(), all.distances.row(begin));
  });
  return all;
}

Matrix KnnLabeler::voter_weights(const KnnGraph& voters) const {
  // Every voter that `voters` names is known: what their classes are is of no matter here.
  std::int32_t last = -1;
  for (std::size_t i = 0; i < voters.indices.size(); ++i) {
    last = std::max(last, voters.indices.data()[i]);
  }
  const std::vector<std::int32_t> known(static_cast<std::size_t>(last) + 1, 0);
  Workers workers(impl_->s.options.threads);
  const auto weights = label::weigh_voters(voters, {known, {}}, impl_->s.options, workers);
  Matrix shares(voters.size(), voters.n_neighbors());
  for (std::size_t i = 0; i < voters.size(); ++i) {
    double total = 0;
    for (std::size_t j = 0; j < voters.n_neighbors(); ++j) total += weights(i, j);
    for (std::size_t j = 0; j < voters.n_neighbors(); ++j) {
      shares(i, j) = total > 0 ? static_cast<float>(weights(i, j) / total) : 0.0f;
    }
  }
  return shares;
}

LabelSets KnnLabeler::classes_of(std::span<const std::int32_t> rows) const {
  LabelSets sets;
  for (const std::int32_t row : rows) {
    const std::int32_t at = impl_->place(row);
    if (at >= 0) {
      const auto own = impl_->s.classes.of(static_cast<std::size_t>(at));
      sets.classes.insert(sets.classes.end(), own.begin(), own.end());
    }
    sets.offsets.push_back(static_cast<std::int64_t>(sets.classes.size()));
  }
  return sets;
}

std::size_t KnnLabeler::n_classes() const { return impl_->s.n_classes; }
bool KnnLabeler::multi_label() const { return impl_->s.multi_label; }
const LabelCalibration& KnnLabeler::calibration() const { return impl_->s.calibration; }
const LabelerState& KnnLabeler::state() const { return impl_->s; }

KnnLabeler KnnLabeler::from_state(LabelerState state) {
  label::check_options(state.options);
  check_sets(state.classes);
  check_rows(state.data, "data");
  const auto refuse = [](const std::string& what) {
    throw std::invalid_argument("a labeler's state does not fit together: " + what);
  };
  const std::size_t rows = state.data.rows();
  if (state.classes.size() != rows || state.numbers.size() != rows) {
    refuse(std::to_string(rows) + " rows, classes of " + std::to_string(state.classes.size()) +
           ", numbers of " + std::to_string(state.numbers.size()));
  }
  for (std::size_t i = 0; i < rows; ++i) {
    const auto own = state.classes.of(i);
    if (!state.multi_label && own.size() != 1) refuse("row " + std::to_string(i) + " has no class");
    for (const std::int32_t c : own) {
      if (c < 0 || static_cast<std::size_t>(c) >= state.n_classes) {
        refuse("class " + std::to_string(c) + " of " + std::to_string(state.n_classes));
      }
    }
  }
  const LabelCalibration& c = state.calibration;
  const bool logistic = c.coefficients.size() == 6 && c.means.size() == 5 && c.spreads.size() == 5;
  if (c.score.size() != c.right.size() || !(logistic || c.coefficients.empty())) {
    refuse("the calibration's parts");
  }
  KnnLabeler labeler(state.options);
  labeler.impl_->s = std::move(state);
  labeler.impl_->build_index();
  return labeler;
}

}  // namespace knowmap
