#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "knowmap/labeler.hpp"
#include "label/vote.hpp"
#include "support/parallel.hpp"

namespace knowmap {

namespace {

constexpr std::size_t kGrain = 4096;
/// Numbers that one side of a round may hold: 128 MiB.
constexpr std::size_t kNumbers = std::size_t{1} << 24;
constexpr std::size_t kLeastColumns = 8;

void check(const LinkGraph& graph, std::span<const std::int32_t> classes,
           const PropagationOptions& options) {
  const std::size_t n = graph.size();
  if (classes.size() != n) {
    throw std::invalid_argument("the graph has " + std::to_string(n) + " rows, but there are " +
                                std::to_string(classes.size()) + " classes");
  }
  if (graph.offsets.empty() || graph.offsets.front() != 0 ||
      !std::is_sorted(graph.offsets.begin(), graph.offsets.end()) ||
      graph.offsets.back() != static_cast<std::int64_t>(graph.columns.size()) ||
      graph.weights.size() != graph.columns.size()) {
    throw std::invalid_argument("the graph's offsets, columns and weights do not fit together");
  }
  for (std::size_t e = 0; e < graph.columns.size(); ++e) {
    if (graph.columns[e] < 0 || static_cast<std::size_t>(graph.columns[e]) >= n) {
      throw std::invalid_argument("link " + std::to_string(e) + " leads to row " +
                                  std::to_string(graph.columns[e]) + " of " + std::to_string(n));
    }
    if (!(graph.weights[e] >= 0) || std::isinf(graph.weights[e])) {
      throw std::invalid_argument("link " + std::to_string(e) + " has weight " +
                                  std::to_string(graph.weights[e]) + "; a weight is 0 or more");
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (classes[i] < -1) {
      throw std::invalid_argument("class " + std::to_string(classes[i]) + " of row " +
                                  std::to_string(i) + ": classes are 0 and up, -1 if unknown");
    }
  }
  if (!(options.alpha > 0 && options.alpha < 1)) {
    throw std::invalid_argument("alpha must lie between 0 and 1, not " +
                                std::to_string(options.alpha));
  }
  if (!(options.tolerance >= 0)) {
    throw std::invalid_argument("tolerance must be 0 or more, not " +
                                std::to_string(options.tolerance));
  }
  KnnLabelerOptions shared;
  shared.top_k = options.top_k;
  shared.min_confidence = options.min_confidence;
  label::check_options(shared);
}

/// What a row takes of each link: its weight over the row's sum, or over the
/// root of both rows' sums. Links of a row to itself count in the first alone,
/// as in scikit-learn.
std::vector<double> normalised(const LinkGraph& graph, PropagationOptions::Kind kind) {
  const std::size_t n = graph.size();
  const bool spreading = kind == PropagationOptions::Kind::spreading;
  std::vector<double> sums(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (auto e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
      const bool own = static_cast<std::size_t>(graph.columns[e]) == i;
      if (!(spreading && own)) sums[i] += graph.weights[e];
    }
  }
  std::vector<double> taken(graph.weights.size(), 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (auto e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
      const auto j = static_cast<std::size_t>(graph.columns[e]);
      if (spreading && j == i) continue;
      const double by = spreading ? std::sqrt(sums[i]) * std::sqrt(sums[j]) : sums[i];
      if (by > 0) taken[e] = graph.weights[e] / by;
    }
  }
  return taken;
}

/// One run over classes [first, first + columns).
class Block {
 public:
  Block(const LinkGraph& graph, const std::vector<double>& taken,
        std::span<const std::int32_t> classes, const PropagationOptions& options, std::size_t first,
        std::size_t columns, Workers& workers)
      : graph_(graph),
        taken_(taken),
        classes_(classes),
        options_(options),
        first_(static_cast<std::int32_t>(first)),
        columns_(columns),
        workers_(workers),
        now_(graph.size(), columns, 0.0),
        next_(graph.size(), columns, 0.0),
        reached_(graph.size(), 0) {
    for (std::size_t i = 0; i < classes.size(); ++i) {
      reached_[i] = classes[i] >= 0;
      if (const auto c = column(i); c >= 0) now_(i, static_cast<std::size_t>(c)) = 1;
    }
  }

  /// Rounds until nothing moves; answers how many, and whether they were enough.
  std::pair<std::size_t, bool> run(Monitor& monitor) {
    double change = 0;
    for (std::size_t i = 0; i < classes_.size(); ++i) change += column(i) >= 0 ? 1 : 0;
    for (std::size_t round = 0; round < options_.max_iterations; ++round) {
      if (change < options_.tolerance) return {round, true};
      change = step(monitor);
    }
    return {options_.max_iterations, false};
  }

  const BasicMatrix<double>& shares() const { return now_; }

 private:
  /// The block's column of a row's own class, or -1.
  std::int32_t column(std::size_t row) const {
    const std::int32_t c = classes_[row] - first_;
    return classes_[row] >= 0 && c >= 0 && c < static_cast<std::int32_t>(columns_) ? c : -1;
  }

  double step(Monitor& monitor) {
    const bool spreading = options_.kind == PropagationOptions::Kind::spreading;
    const std::size_t n = graph_.size();
    const std::size_t ranges = (n + kGrain - 1) / kGrain;
    std::vector<double> changes(ranges, 0.0);
    std::vector<std::uint8_t> reached = reached_;
    workers_.run(
        ranges,
        [&](std::size_t item, int) {
          if (monitor.cancelled()) return;
          for (std::size_t i = item * kGrain; i < std::min(n, (item + 1) * kGrain); ++i) {
            double* out = next_.row(i);
            std::fill_n(out, columns_, 0.0);
            const std::int32_t own = column(i);
            if (!spreading && classes_[i] >= 0) {
              if (own >= 0) out[own] = 1;
            } else {
              // In propagation a row that was reached holds shares that sum to 1
              // over all classes, so what the row's links bring in sums to the
              // share of reached neighbours: no other block need be known.
              double sum = 0;
              for (auto e = graph_.offsets[i]; e < graph_.offsets[i + 1]; ++e) {
                const auto j = static_cast<std::size_t>(graph_.columns[e]);
                const double weight = taken_[static_cast<std::size_t>(e)];
                if (reached_[j]) sum += weight;
                const double* from = now_.row(j);
                for (std::size_t c = 0; c < columns_; ++c) out[c] += weight * from[c];
              }
              if (spreading) {
                const double alpha = options_.alpha;
                for (std::size_t c = 0; c < columns_; ++c) out[c] *= alpha;
                if (own >= 0) out[own] += 1 - alpha;
              } else if (sum > 0) {
                reached[i] = 1;
                for (std::size_t c = 0; c < columns_; ++c) out[c] /= sum;
              }
            }
            const double* old = now_.row(i);
            for (std::size_t c = 0; c < columns_; ++c) {
              changes[item] += std::fabs(out[c] - old[c]);
            }
          }
        },
        &monitor);
    monitor.throw_if_cancelled();
    reached_ = std::move(reached);
    std::swap(now_, next_);
    double change = 0;
    for (const double c : changes) change += c;
    return change;
  }

  const LinkGraph& graph_;
  const std::vector<double>& taken_;
  std::span<const std::int32_t> classes_;
  const PropagationOptions& options_;
  std::int32_t first_;
  std::size_t columns_;
  Workers& workers_;
  BasicMatrix<double> now_;
  BasicMatrix<double> next_;
  std::vector<std::uint8_t> reached_;
};

/// Keeps the best classes of each row over all blocks.
void keep_best(const BasicMatrix<double>& shares, std::size_t first, std::size_t i,
               std::span<double> best, std::int32_t* classes) {
  for (std::size_t c = 0; c < shares.cols(); ++c) {
    const double share = shares(i, c);
    if (share <= best.back()) continue;  // strictly: a tie stays with the lower class
    std::size_t at = best.size() - 1;
    for (; at > 0 && best[at - 1] < share; --at) {
      best[at] = best[at - 1];
      classes[at] = classes[at - 1];
    }
    best[at] = share;
    classes[at] = static_cast<std::int32_t>(first + c);
  }
}

}  // namespace

Propagation propagate_labels(const LinkGraph& graph, std::span<const std::int32_t> classes,
                             const PropagationOptions& options) {
  check(graph, classes, options);
  const std::size_t n = graph.size();
  std::int32_t last = -1;
  for (const std::int32_t c : classes) last = std::max(last, c);
  const auto n_classes = static_cast<std::size_t>(last + 1);
  if (n > 0 && n_classes == 0) {
    throw std::invalid_argument("no row is labelled: every class is -1, so nothing can spread");
  }
  Workers workers(options.threads);
  const std::vector<double> taken = normalised(graph, options.kind);
  const std::size_t columns =
      std::min(n_classes, std::max(kLeastColumns, kNumbers / std::max<std::size_t>(n, 1)));
  const std::size_t blocks = columns > 0 ? (n_classes + columns - 1) / columns : 0;
  Monitor monitor(options.progress, "propagate", blocks, "blocks");

  const std::size_t keep = std::max<std::size_t>(2, options.top_k);
  label::Votes votes;
  votes.top.classes = BasicMatrix<std::int32_t>(n, keep, -1);
  BasicMatrix<double> best(n, keep, 0.0);
  std::vector<double> sums(n, 0.0);
  Propagation result;
  result.converged = true;
  for (std::size_t first = 0; first < n_classes; first += columns) {
    Block block(graph, taken, classes, options, first, std::min(columns, n_classes - first),
                workers);
    const auto [rounds, enough] = block.run(monitor);
    result.iterations = std::max(result.iterations, rounds);
    result.converged = result.converged && enough;
    workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t c = 0; c < block.shares().cols(); ++c) sums[i] += block.shares()(i, c);
        keep_best(block.shares(), first, i, {best.row(i), keep}, votes.top.classes.row(i));
      }
    });
    monitor.add(1);
  }
  votes.top.shares = Matrix(n, keep, 0.0f);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t t = 0; t < keep && sums[i] > 0; ++t) {
      votes.top.shares(i, t) = static_cast<float>(best(i, t) / sums[i]);
    }
  }
  votes.nearest.assign(n, 0.0f);
  votes.mean.assign(n, 0.0f);
  KnnLabelerOptions shared;
  shared.top_k = options.top_k;
  shared.min_confidence = options.min_confidence;
  result.prediction = label::decide(votes, shared, {});
  monitor.finish();
  return result;
}

LinkGraph link_neighbors(const KnnGraph& graph, KnnLabelerOptions::Weights weights, int threads) {
  const std::size_t n = graph.size();
  const std::size_t k = graph.n_neighbors();
  KnnLabelerOptions options;
  options.weights = weights;
  label::check_options(options);
  Workers workers(threads);
  const std::vector<std::int32_t> known(n, 0);
  const BasicMatrix<double> strengths = label::weigh_voters(graph, {known, {}}, options, workers);
  constexpr double kMost = 1e6;
  struct Link {
    std::int32_t to;
    double out, back;  // the strength seen from this row, and from the other
  };
  std::vector<std::int64_t> offsets(n + 1, 0);
  const auto each = [&](const auto& use) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < k; ++j) {
        const std::int32_t to = graph.indices(i, j);
        if (to < 0 || static_cast<std::size_t>(to) == i) continue;
        double weight = strengths(i, j);
        if (weights == KnnLabelerOptions::Weights::distance) {
          // Equal rows are near, not alone: the others stay linked.
          const double d = graph.distances(i, j);
          weight = d * kMost > 1 ? 1 / d : kMost;
        }
        use(i, static_cast<std::size_t>(to), weight);
      }
    }
  };
  each([&](std::size_t i, std::size_t j, double) {
    ++offsets[i + 1];
    ++offsets[j + 1];
  });
  for (std::size_t i = 0; i < n; ++i) offsets[i + 1] += offsets[i];
  std::vector<Link> links(static_cast<std::size_t>(offsets[n]));
  std::vector<std::int64_t> next(offsets.begin(), offsets.end() - 1);
  each([&](std::size_t i, std::size_t j, double weight) {
    links[static_cast<std::size_t>(next[i]++)] = {static_cast<std::int32_t>(j), weight, 0};
    links[static_cast<std::size_t>(next[j]++)] = {static_cast<std::int32_t>(i), 0, weight};
  });
  LinkGraph out;
  out.offsets.reserve(n + 1);
  for (std::size_t i = 0; i < n; ++i) {
    const auto begin = links.begin() + offsets[i];
    const auto end = links.begin() + offsets[i + 1];
    std::stable_sort(begin, end, [](const Link& a, const Link& b) { return a.to < b.to; });
    for (auto at = begin; at != end;) {
      Link joined = *at;
      for (++at; at != end && at->to == joined.to; ++at) {
        joined.out = std::max(joined.out, at->out);
        joined.back = std::max(joined.back, at->back);
      }
      const double weight = weights == KnnLabelerOptions::Weights::membership
                                ? joined.out + joined.back - joined.out * joined.back
                                : std::max(joined.out, joined.back);
      if (weight <= 0) continue;
      out.columns.push_back(joined.to);
      out.weights.push_back(static_cast<float>(weight));
    }
    out.offsets.push_back(static_cast<std::int64_t>(out.columns.size()));
  }
  return out;
}

}  // namespace knowmap
