#include <algorithm>
#include <limits>

#include "neighbors/joins.hpp"

namespace knowmap::neighbors {

namespace {

// A row's own neighbours, and rows that have it as one, in a pass at most. With
// the row itself they fit a panel.
constexpr std::size_t kForward = 16;
constexpr std::size_t kBackward = 12;
static_assert(1 + kForward + kBackward <= kPanel);

/// Neighbours as they stood at one time.
struct Snapshot {
  Snapshot(const TopK& best, std::size_t forward, Workers& workers)
      : to(best.rows(), forward, -1), from(best.rows(), kBackward, -1) {
    const std::size_t n = best.rows();
    workers.run_ranges(n, 1024, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) best.take(i, {to.row(i), forward});
    });
    // Of many rows that have one as a neighbour, those are taken whose nearer
    // neighbour it is.
    std::vector<std::uint8_t> counts(n, 0);
    for (std::size_t rank = 0; rank < forward; ++rank) {
      for (std::size_t i = 0; i < n; ++i) {
        if (to(i, rank) < 0) continue;
        const auto j = static_cast<std::size_t>(to(i, rank));
        if (counts[j] < kBackward) from(j, counts[j]++) = static_cast<std::int32_t>(i);
      }
    }
  }

  /// The row, its neighbours and those it is one of, in order.
  void around(std::size_t row, std::vector<std::int32_t>& out) const {
    out.assign(1, static_cast<std::int32_t>(row));
    out.insert(out.end(), to.row(row), to.row(row) + to.cols());
    out.insert(out.end(), from.row(row), from.row(row) + from.cols());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    if (out.front() < 0) out.erase(out.begin());
  }

  BasicMatrix<std::int32_t> to;
  BasicMatrix<std::int32_t> from;
};

}  // namespace

void join_neighbours(const CandidateRows& rows, TopK& best, RowLocks& locks, Workers& workers,
                     Monitor* monitor) {
  const Snapshot snapshot(best, std::min(best.capacity(), kForward), workers);
  const Kernels& kernel = kernels();
  workers.run_ranges(
      rows.size(), 256,
      [&](std::size_t begin, std::size_t end, int) {
        Matrix scores(kPanel, kPanel);
        std::vector<std::int32_t> near;
        std::vector<float> bias(kPanel);
        std::vector<std::uint16_t> hits(kPanel);
        for (std::size_t i = begin; i < end; ++i) {
          snapshot.around(i, near);
          rows.pair_scores(near, scores.data(), kPanel);
          for (std::size_t a = 0; a < near.size(); ++a) {
            bias[a] = rows.bias(static_cast<std::size_t>(near[a]));
            scores(a, a) = std::numeric_limits<float>::quiet_NaN();
          }
          for (std::size_t a = 0; a < near.size(); ++a) {
            const auto row = static_cast<std::size_t>(near[a]);
            const std::size_t found = kernel.scan_row(
                scores.row(a), bias.data(), best.threshold(row), near.size(), hits.data());
            if (found == 0) continue;
            const std::scoped_lock lock(locks.of(row));
            best.offer(row, scores.row(a), bias.data(), near.data(), near.size());
          }
        }
        if (monitor != nullptr) monitor->add(end - begin);
      },
      monitor);
}

}  // namespace knowmap::neighbors
