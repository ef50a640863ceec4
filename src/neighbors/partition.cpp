#include "neighbors/partition.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>

#include "support/random.hpp"

namespace knowmap::neighbors {

RowSet draw(const RowSet& rows, std::size_t count, std::uint64_t key) {
  std::vector<std::pair<std::uint64_t, std::int32_t>> drawn(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    drawn[i] = {random_bits(key, RandomStage::partition, static_cast<std::uint64_t>(rows[i])),
                rows[i]};
  }
  std::nth_element(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(count - 1),
                   drawn.end());
  RowSet out(count);
  for (std::size_t l = 0; l < count; ++l) out[l] = drawn[l].second;
  std::sort(out.begin(), out.end());
  return out;
}

Leaders::Leaders(const CandidateRows& rows, std::span<const std::int32_t> leaders)
    : rows_(rows),
      count_(leaders.size()),
      panels_(rows.packed_bytes(count_)),
      bias_((count_ + kPanel - 1) / kPanel * kPanel) {
  rows.pack(leaders, panels_.data());
  for (std::size_t l = 0; l < count_; ++l) {
    bias_[l] = rows.bias(static_cast<std::size_t>(leaders[l]));
  }
}

void Leaders::nearest(const CandidateRows& others, std::span<const std::int32_t> some,
                      std::size_t fanout, std::uint16_t* out) const {
  const Kernels& kernel = kernels();
  std::vector<std::byte> mine(rows_.panel_bytes());
  std::vector<float> scores(kPanel * bias_.size());
  std::vector<float> best(fanout);
  std::array<std::uint16_t, kPanel> hits;
  for (std::size_t at = 0; at < some.size(); at += kPanel) {
    const std::size_t few = std::min(kPanel, some.size() - at);
    others.pack(some.subspan(at, few), mine.data());
    rows_.scores(mine.data(), panels_.data(), bias_.size() / kPanel, scores.data(), bias_.size());
    for (std::size_t r = 0; r < few; ++r) {
      std::fill(best.begin(), best.end(), -INFINITY);
      std::uint16_t* const to = out + (at + r) * fanout;
      std::fill_n(to, fanout, std::uint16_t{0});
      const float* row = scores.data() + r * bias_.size();
      for (std::size_t c = 0; c < count_; c += kPanel) {
        const std::size_t found = kernel.scan_row(row + c, bias_.data() + c, best[fanout - 1],
                                                  std::min(kPanel, count_ - c), hits.data());
        for (std::size_t h = 0; h < found; ++h) {
          const std::size_t leader = c + hits[h];
          const float score = row[leader] + bias_[leader];
          std::size_t place = fanout;
          while (place > 0 && best[place - 1] < score) --place;
          if (place == fanout) continue;
          std::copy_backward(best.data() + place, best.data() + fanout - 1, best.data() + fanout);
          std::copy_backward(to + place, to + fanout - 1, to + fanout);
          best[place] = score;
          to[place] = static_cast<std::uint16_t>(leader);
        }
      }
    }
  }
}

namespace {

/// Leaders among which a set is divided at most: more are divided again below.
constexpr std::size_t kLeadersMost = 1920;
/// Divisions one below the other; rows that none has parted are cut up.
constexpr int kDeepest = 12;

std::vector<RowSet> parts_of(const RowSet& rows, std::span<const std::uint16_t> nearest,
                             std::size_t fanout, std::size_t count) {
  std::vector<std::size_t> sizes(count, 0);
  for (const std::uint16_t l : nearest) ++sizes[l];
  std::vector<RowSet> parts(count);
  for (std::size_t l = 0; l < count; ++l) parts[l].reserve(sizes[l]);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t f = 0; f < fanout; ++f) {
      RowSet& part = parts[nearest[i * fanout + f]];
      // Where scores leave float's range a leader may be named twice.
      if (part.empty() || part.back() != rows[i]) part.push_back(rows[i]);
    }
  }
  return parts;
}

/// One division after another, down to the leaves.
class Division {
 public:
  Division(const CandidateRows& rows, std::size_t leaf_aim)
      : rows_(rows), aim_(leaf_aim), most_(leaf_aim * 12 / 5) {}

  std::size_t leaders_for(std::size_t rows, std::size_t fanout) const {
    return std::clamp<std::size_t>(rows * fanout / aim_, fanout + 1, kLeadersMost);
  }

  /// Runs of at most `most_` rows: for rows that no leader parts.
  void cut_up(const RowSet& rows, std::vector<RowSet>& leaves) const {
    const std::size_t pieces = (rows.size() + most_ - 1) / most_;
    const auto at = [&](std::size_t p) {
      return rows.begin() + static_cast<std::ptrdiff_t>(rows.size() * p / pieces);
    };
    for (std::size_t p = 0; p < pieces; ++p) leaves.emplace_back(at(p), at(p + 1));
  }

  /// Divides one part further, without overlap.
  void divide(RowSet&& part, std::uint64_t key, int depth, std::vector<RowSet>& leaves) const {
    if (part.size() <= most_) {
      if (part.size() > 1) leaves.push_back(std::move(part));
      return;
    }
    if (depth >= kDeepest) return cut_up(part, leaves);
    const RowSet leaders = draw(part, leaders_for(part.size(), 1), key);
    std::vector<std::uint16_t> nearest(part.size());
    Leaders(rows_, leaders).nearest(rows_, part, 1, nearest.data());
    std::vector<RowSet> parts = parts_of(part, nearest, 1, leaders.size());
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (parts[p].size() == part.size()) return cut_up(part, leaves);
      divide(std::move(parts[p]), mix(key + p + 1), depth + 1, leaves);
    }
  }

 private:
  const CandidateRows& rows_;
  std::size_t aim_;
  std::size_t most_;
};

}  // namespace

std::vector<RowSet> random_partition(const CandidateRows& rows, std::size_t fanout,
                                     std::size_t leaf_aim, std::uint64_t key, Workers& workers,
                                     Monitor* monitor) {
  const Division division(rows, leaf_aim);
  RowSet all(rows.size());
  std::iota(all.begin(), all.end(), 0);
  fanout = std::min(fanout, all.size() - 1);
  const RowSet leaders = draw(all, division.leaders_for(all.size(), fanout), key);
  std::vector<std::uint16_t> nearest(all.size() * fanout);
  const Leaders packed(rows, leaders);
  workers.run_ranges(
      all.size(), 10 * kPanel,
      [&](std::size_t begin, std::size_t end, int) {
        packed.nearest(rows, {all.data() + begin, end - begin}, fanout,
                       nearest.data() + begin * fanout);
      },
      monitor);
  std::vector<RowSet> parts = parts_of(all, nearest, fanout, leaders.size());
  std::vector<std::vector<RowSet>> divided(parts.size());
  workers.run(
      parts.size(),
      [&](std::size_t p, int) {
        if (parts[p].size() == all.size()) {
          division.cut_up(parts[p], divided[p]);
        } else {
          division.divide(std::move(parts[p]), mix(key + p + 1), 1, divided[p]);
        }
      },
      monitor);
  std::vector<RowSet> leaves;
  for (std::vector<RowSet>& some : divided) {
    std::move(some.begin(), some.end(), std::back_inserter(leaves));
  }
  return leaves;
}

}  // namespace knowmap::neighbors
