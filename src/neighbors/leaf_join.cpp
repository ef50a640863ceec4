#include <limits>
#include <memory>

#include "neighbors/joins.hpp"

namespace knowmap::neighbors {

namespace {

/// Room for one thread's scores.
struct Scratch {
  explicit Scratch(std::size_t rows) : scores(rows, rows), bias(rows) {}
  std::vector<std::byte> panels;
  Matrix scores;
  std::vector<float> bias;
};

void join_leaf(const CandidateRows& rows, const RowSet& leaf, TopK& best, RowLocks& locks,
               Scratch& mine) {
  const std::size_t n = leaf.size();
  const std::size_t panels = (n + kPanel - 1) / kPanel;
  const std::size_t ld = mine.scores.cols();
  mine.panels.resize(rows.packed_bytes(n));
  rows.pack(leaf, mine.panels.data());
  // Scores are symmetric: those right of the diagonal are taken and mirrored.
  for (std::size_t p = 0; p < panels; ++p) {
    const std::byte* panel = mine.panels.data() + p * rows.panel_bytes();
    float* scores = mine.scores.row(p * kPanel);
    rows.scores(panel, panel, panels - p, scores + p * kPanel, ld);
    for (std::size_t q = p + 1; q < panels; ++q) {
      kernels().mirror(scores + q * kPanel, mine.scores.row(q * kPanel) + p * kPanel, ld);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    mine.bias[i] = rows.bias(static_cast<std::size_t>(leaf[i]));
  }
  for (std::size_t i = 0; i < n; ++i) {
    mine.scores(i, i) = std::numeric_limits<float>::quiet_NaN();  // no neighbour of its own
    const auto row = static_cast<std::size_t>(leaf[i]);
    const std::scoped_lock lock(locks.of(row));
    best.offer(row, mine.scores.row(i), mine.bias.data(), leaf.data(), n);
  }
}

}  // namespace

void join_leaves(const CandidateRows& rows, const std::vector<RowSet>& leaves, TopK& best,
                 RowLocks& locks, Workers& workers, Monitor* monitor) {
  std::size_t most = 1;
  for (const RowSet& leaf : leaves) most = std::max(most, leaf.size());
  most = (most + kPanel - 1) / kPanel * kPanel;
  std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers.size()));
  workers.run(
      leaves.size(),
      [&](std::size_t item, int worker) {
        auto& mine = scratch[static_cast<std::size_t>(worker)];
        if (!mine) mine = std::make_unique<Scratch>(most);
        join_leaf(rows, leaves[item], best, locks, *mine);
        if (monitor != nullptr) monitor->add(1);
      },
      monitor);
}

}  // namespace knowmap::neighbors
