// Neighbours from overlapping random partitions, all pairs in each leaf, then a
// pass over neighbours' neighbours. After PiPNN (arXiv 2602.21247) and NN-descent
// (Dong, Charikar, Li 2011). Everything before the last step is done on small
// integers, so the candidates are the same on every instruction set, and a
// leaf's products run at the speed of 8-bit instructions.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <vector>

#include "neighbors/kernels.hpp"
#include "neighbors/rows.hpp"
#include "neighbors/search.hpp"
#include "neighbors/top_k.hpp"
#include "support/random.hpp"

namespace knowmap::neighbors {

namespace {

/// Rows of a leaf at most, and what a partition aims at.
constexpr std::size_t kLeafMost = 2 * kBlock;
constexpr std::size_t kLeafAim = 400;
/// Leaders among which a set is divided at most: more are split again below.
constexpr std::size_t kLeadersMost = 480;
/// Leaves that a row goes to in the first division of a partition.
constexpr std::size_t kFanout = 5;
constexpr std::size_t kPartitions = 1;

/// Prepared rows as integers in [-63, 63], one scale for all.
class SmallRows {
 public:
  SmallRows(MatrixView<const float> data, const Scoring& scoring, Workers& workers,
            Monitor& monitor)
      : rows_(data.rows),
        stride_((data.cols + 3) / 4 * 4),
        numbers_(rows_, stride_),
        bias_(1, rows_) {
    constexpr std::size_t kGrain = 1024;
    const std::size_t runs = (rows_ + kGrain - 1) / kGrain;
    // The scale is set by how large entries are on the whole; the few beyond
    // are cut off, so that one outlier doesn't leave the others without digits.
    std::vector<double> squares(runs, 0.0);
    workers.run_ranges(rows_, kGrain, [&](std::size_t begin, std::size_t end, int) {
      std::vector<float> line(data.cols);
      double sum = 0;
      for (std::size_t i = begin; i < end; i += 16) {
        scoring.prepare(data.row(i), line.data());
        for (const float x : line) sum += static_cast<double>(x) * static_cast<double>(x);
      }
      squares[begin / kGrain] = sum;
    });
    double sum = 0;
    std::size_t seen = 0;
    for (std::size_t r = 0; r < runs; ++r) {
      sum += squares[r];
      seen += (std::min(rows_, (r + 1) * kGrain) - r * kGrain + 15) / 16;
    }
    const double root =
        std::sqrt(sum / static_cast<double>(seen * std::max<std::size_t>(data.cols, 1)));
    constexpr double kSpread = 5;
    const float by = root > 0 ? static_cast<float>(63 / (kSpread * root)) : 0.0f;
    scale_ = by > 0 ? 1 / (by * by) : 0.0f;
    workers.run_ranges(
        rows_, kGrain,
        [&](std::size_t begin, std::size_t end, int) {
          std::vector<float> line(data.cols);
          for (std::size_t i = begin; i < end; ++i) {
            bias_.data()[i] = scoring.prepare(data.row(i), line.data());
            std::int8_t* to = numbers_.row(i);
            std::memset(to, 0, stride_);
            for (std::size_t k = 0; k < data.cols; ++k) {
              to[k] = static_cast<std::int8_t>(std::lrint(std::clamp(line[k] * by, -63.0f, 63.0f)));
            }
          }
        },
        &monitor);
  }

  std::size_t groups() const { return stride_ / 4; }
  float scale() const { return scale_; }
  float bias(std::size_t i) const { return bias_.data()[i]; }
  const std::int8_t* row(std::size_t i) const { return numbers_.row(i); }

  /// Panels of the rows named, as Kernels::product_int takes them.
  void pack(std::span<const std::int32_t> rows, std::int8_t* panels, float* bias) const {
    const std::size_t padded = (rows.size() + kPanel - 1) / kPanel * kPanel;
    for (std::size_t r = 0; r < padded; ++r) {
      std::int8_t* to = panels + r / kPanel * kPanel * stride_ + r % kPanel * 4;
      const std::int8_t* from = r < rows.size() ? row(static_cast<std::size_t>(rows[r])) : nullptr;
      if (bias != nullptr) {
        bias[r] = from != nullptr ? bias_.data()[static_cast<std::size_t>(rows[r])] : 0.0f;
      }
      for (std::size_t g = 0; g < groups(); ++g) {
        if (from != nullptr) {
          std::memcpy(to + g * 4 * kPanel, from + 4 * g, 4);
        } else {
          std::memset(to + g * 4 * kPanel, 0, 4);
        }
      }
    }
  }
  std::size_t packed_bytes(std::size_t rows) const {
    return (rows + kPanel - 1) / kPanel * kPanel * stride_;
  }

 private:
  std::size_t rows_;
  std::size_t stride_;
  BasicMatrix<std::int8_t> numbers_;
  Matrix bias_;
  float scale_ = 0;
};

using Set = std::vector<std::int32_t>;

/// Room for one thread's tiles.
struct Scratch {
  std::vector<std::int8_t> panels;
  BasicMatrix<std::int32_t> products{kPanel, kLeafMost};
  Matrix scores{kPanel, kLeafMost};
  std::vector<float> bias = std::vector<float>(kLeafMost + kPanel);
  std::vector<std::uint16_t> hits = std::vector<std::uint16_t>(kLeafMost);
  std::vector<float> thresholds = std::vector<float>(kLeafMost);
  std::vector<std::int8_t> leaders;
};

/// Divides `rows` among random leaders of theirs: every row goes to the
/// `fanout` it is nearest to.
std::vector<Set> divide(const SmallRows& small, const Set& rows, std::size_t fanout,
                        std::uint64_t key, Workers& workers, Monitor& monitor) {
  const std::size_t n = rows.size();
  const std::size_t count =
      std::clamp<std::size_t>(n * fanout / kLeafAim, 2, std::min(kLeadersMost, n));
  Set leaders;
  {
    // Leaders by the smallest hashes: n draws without repeats.
    std::vector<std::pair<std::uint64_t, std::int32_t>> drawn(n);
    for (std::size_t i = 0; i < n; ++i) {
      drawn[i] = {random_bits(key, RandomStage::partition, static_cast<std::uint64_t>(rows[i])),
                  rows[i]};
    }
    std::nth_element(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(count - 1),
                     drawn.end());
    for (std::size_t l = 0; l < count; ++l) leaders.push_back(drawn[l].second);
    std::sort(leaders.begin(), leaders.end());
  }
  fanout = std::min(fanout, count);
  std::vector<std::int8_t> packed(small.packed_bytes(count));
  std::vector<float> bias((count + kPanel - 1) / kPanel * kPanel);
  small.pack(leaders, packed.data(), bias.data());
  const std::size_t panels = bias.size() / kPanel;
  std::vector<std::uint16_t> nearest(n * fanout);
  const Kernels& kernel = kernels();
  workers.run_ranges(
      n, 10 * kPanel,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::int8_t> mine(small.packed_bytes(kPanel));
        std::vector<std::int32_t> products(kPanel * bias.size());
        std::vector<float> scores(bias.size());
        for (std::size_t at = begin; at < end; at += kPanel) {
          const std::size_t few = std::min(kPanel, end - at);
          small.pack({rows.data() + at, few}, mine.data(), nullptr);
          kernel.product_int(mine.data(), 1, packed.data(), panels, small.groups(), products.data(),
                             bias.size());
          for (std::size_t r = 0; r < few; ++r) {
            kernel.to_float(products.data() + r * bias.size(), small.scale(), bias.size(),
                            scores.data());
            for (std::size_t f = 0; f < fanout; ++f) {
              std::size_t best = 0;
              float most = -INFINITY;
              for (std::size_t l = 0; l < count; ++l) {
                const float score = scores[l] + bias[l];
                if (score > most) {
                  most = score;
                  best = l;
                }
              }
              nearest[(at + r) * fanout + f] = static_cast<std::uint16_t>(best);
              scores[best] = -INFINITY;
            }
          }
        }
      },
      &monitor);
  std::vector<Set> parts(count);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t f = 0; f < fanout; ++f) parts[nearest[i * fanout + f]].push_back(rows[i]);
  }
  return parts;
}

/// Cuts `rows` into runs of at most kLeafMost: for rows that no leader parts.
void cut_up(const Set& rows, std::vector<Set>& leaves) {
  const std::size_t pieces = (rows.size() + kLeafMost - 1) / kLeafMost;
  for (std::size_t p = 0; p < pieces; ++p) {
    leaves.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(rows.size() * p / pieces),
                        rows.begin() + static_cast<std::ptrdiff_t>(rows.size() * (p + 1) / pieces));
  }
}

void partition(const SmallRows& small, const Set& rows, std::size_t fanout, std::uint64_t key,
               int depth, std::vector<Set>& leaves, Workers& workers, Monitor& monitor) {
  if (rows.size() <= kLeafMost) {
    if (rows.size() > 1) leaves.push_back(rows);
    return;
  }
  constexpr int kDeepest = 12;
  if (depth >= kDeepest) return cut_up(rows, leaves);
  const std::vector<Set> parts = divide(small, rows, fanout, key, workers, monitor);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].size() == rows.size()) {
      cut_up(parts[p], leaves);
    } else {
      partition(small, parts[p], 1, mix(key + p + 1), depth + 1, leaves, workers, monitor);
    }
  }
}

/// Offers every pair of a leaf to both its rows.
void join(const SmallRows& small, const Set& leaf, TopK& best, std::vector<std::mutex>& locks,
          Scratch& mine) {
  const Kernels& kernel = kernels();
  const std::size_t n = leaf.size();
  const std::size_t panels = (n + kPanel - 1) / kPanel;
  mine.panels.resize(small.packed_bytes(n));
  small.pack(leaf, mine.panels.data(), mine.bias.data());
  const std::size_t panel_bytes = small.packed_bytes(kPanel);
  for (std::size_t p = 0; p < panels; ++p) {
    const std::size_t columns = n - p * kPanel;
    kernel.product_int(mine.panels.data() + p * panel_bytes, 1,
                       mine.panels.data() + p * panel_bytes, panels - p, small.groups(),
                       mine.products.data(), kLeafMost);
    const std::size_t few = std::min(kPanel, n - p * kPanel);
    const float* bias = mine.bias.data() + p * kPanel;
    for (std::size_t r = 0; r < few; ++r) {
      kernel.to_float(mine.products.row(r), small.scale(), columns, mine.scores.row(r));
    }
    // A row's results are offered under its lock; which leaf comes first
    // doesn't matter to what is kept.
    for (std::size_t r = 0; r < few; ++r) {
      const auto row = static_cast<std::size_t>(leaf[p * kPanel + r]);
      const float* v = mine.scores.row(r);
      const std::scoped_lock lock(locks[row % locks.size()]);
      const std::size_t count =
          kernel.scan_row(v, bias, *best.thresholds(row), columns, mine.hits.data());
      for (std::size_t h = 0; h < count; ++h) {
        const std::size_t c = mine.hits[h];
        if (c != r) best.push(row, v[c] + bias[c], leaf[p * kPanel + c]);
      }
    }
    // The other side: columns beyond this panel, a column at a time.
    if (columns <= kPanel) continue;
    for (std::size_t r = 0; r < few; ++r) {
      const float* v = mine.scores.row(r);
      const std::size_t others = columns - kPanel;
      if (r == 0) {
        for (std::size_t c = 0; c < others; ++c) {
          const auto row = static_cast<std::size_t>(leaf[(p + 1) * kPanel + c]);
          const std::scoped_lock lock(locks[row % locks.size()]);
          mine.thresholds[c] = *best.thresholds(row);
        }
      }
      const std::size_t count =
          kernel.scan_column(v + kPanel, bias[r], mine.thresholds.data(), others, mine.hits.data());
      for (std::size_t h = 0; h < count; ++h) {
        const std::size_t c = mine.hits[h];
        const auto row = static_cast<std::size_t>(leaf[(p + 1) * kPanel + c]);
        const std::scoped_lock lock(locks[row % locks.size()]);
        best.push(row, v[kPanel + c] + bias[r], leaf[p * kPanel + r]);
        mine.thresholds[c] = *best.thresholds(row);
      }
    }
  }
}

}  // namespace

KnnGraph approximate_graph(MatrixView<const float> data, const KnnOptions& options,
                           Workers& workers) {
  const std::size_t n = data.rows;
  const std::size_t k = options.n_neighbors;
  // What a leaf can't hold, no partition finds.
  if (n <= kLeafMost || k + 1 > kLeafAim / 4) return exact_graph(data, options, workers);
  KnnGraph graph{{n, k}, {n, k}};
  Monitor monitor(options.progress, "neighbors", (kPartitions + 2) * n, "rows");
  const Scoring scoring(data, options.metric, workers);
  const SmallRows small(data, scoring, workers, monitor);
  // 8-bit products put more pairs in the wrong order than float's.
  const std::size_t kept = with_margin(k) + 2;
  TopK best(n, kept, true);
  std::vector<std::mutex> locks(4096);
  std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers.size()));
  Set all(n);
  std::iota(all.begin(), all.end(), 0);
  for (std::size_t part = 0; part < kPartitions; ++part) {
    std::vector<Set> leaves;
    partition(small, all, kFanout, random_bits(options.seed, RandomStage::partition, n, part), 0,
              leaves, workers, monitor);
    std::sort(leaves.begin(), leaves.end(),
              [](const Set& a, const Set& b) { return a.size() > b.size(); });
    workers.run(
        leaves.size(),
        [&](std::size_t item, int worker) {
          auto& mine = scratch[static_cast<std::size_t>(worker)];
          if (!mine) mine = std::make_unique<Scratch>();
          join(small, leaves[item], best, locks, *mine);
        },
        &monitor);
    monitor.add(n);
  }

  const ExactDistance distance(options.metric, data.cols);
  std::vector<double> norms(options.metric == Metric::cosine ? n : 0);
  workers.run_ranges(norms.size(), 1024, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) norms[i] = distance.norm(data.row(i));
  });
  workers.run_ranges(
      n, 64,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::int32_t> candidates(kept);
        for (std::size_t i = begin; i < end; ++i) {
          const std::size_t count = best.take(i, candidates);
          rank_candidates(distance, data, norms, data.row(i), norms.empty() ? 0.0 : norms[i],
                          {candidates.data(), count}, {graph.indices.row(i), k},
                          {graph.distances.row(i), k});
        }
        monitor.add(end - begin);
      },
      &monitor);
  monitor.finish();
  return graph;
}

}  // namespace knowmap::neighbors
