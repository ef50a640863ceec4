#include "label/earlier_names.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "label/text_words.hpp"

namespace knowmap::label {

void check_earlier(std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                   std::size_t n) {
  for (const RegionLevel& level : earlier) {
    const std::size_t before = level.assignment.size();
    if (rows.empty() ? before > n : before != rows.size()) {
      throw std::invalid_argument("an earlier level has " + std::to_string(before) + " rows, " +
                                  (rows.empty() ? "the map " + std::to_string(n)
                                                : "earlier_rows " + std::to_string(rows.size())));
    }
    for (const std::int32_t region : level.assignment) {
      if (region < -1 || region >= static_cast<std::int32_t>(level.regions.size())) {
        throw std::invalid_argument("an earlier level has no region " + std::to_string(region));
      }
    }
  }
  for (const std::int64_t row : rows) {
    if (row < -1 || row >= static_cast<std::int64_t>(n)) {
      throw std::invalid_argument("earlier_rows names row " + std::to_string(row) + " of " +
                                  std::to_string(n));
    }
  }
}

namespace {

constexpr double kLeastOverlap = 0.2;

struct Pair {
  double overlap, known;
  std::size_t now, level, then;
};

/// All pairs of a level's regions and earlier ones that overlap, most first.
std::vector<Pair> overlapping(const RegionLevel& level, std::span<const RegionLevel> earlier,
                              std::span<const std::int64_t> rows) {
  std::vector<Pair> pairs;
  for (std::size_t b = 0; b < earlier.size(); ++b) {
    const RegionLevel& before = earlier[b];
    std::unordered_map<std::uint64_t, double> both;
    std::vector<double> now_size(level.regions.size(), 0);
    std::vector<double> before_size(before.regions.size(), 0);
    for (std::size_t i = 0; i < before.assignment.size(); ++i) {
      const std::int64_t row = rows.empty() ? static_cast<std::int64_t>(i) : rows[i];
      if (row < 0 || before.assignment[i] < 0) continue;
      const std::int32_t now = level.assignment[static_cast<std::size_t>(row)];
      ++before_size[static_cast<std::size_t>(before.assignment[i])];
      if (now < 0) continue;
      ++now_size[static_cast<std::size_t>(now)];
      ++both[(static_cast<std::uint64_t>(now) << 32) |
             static_cast<std::uint32_t>(before.assignment[i])];
    }
    for (const auto& [pair, count] : both) {
      const auto now = static_cast<std::size_t>(pair >> 32);
      const auto then = static_cast<std::size_t>(pair & 0xffffffffu);
      const double overlap = count / (now_size[now] + before_size[then] - count);
      if (overlap >= kLeastOverlap && !before.regions[then].name.empty()) {
        const double known = now_size[now] / static_cast<double>(level.regions[now].size);
        pairs.push_back({overlap, known, now, b, then});
      }
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    if (a.overlap != b.overlap) return a.overlap > b.overlap;
    return std::tie(a.now, a.level, a.then) < std::tie(b.now, b.level, b.then);
  });
  return pairs;
}

}  // namespace

std::vector<std::vector<EarlierName>> earlier_names(std::span<const RegionLevel> levels,
                                                    std::span<const RegionLevel> earlier,
                                                    std::span<const std::int64_t> rows) {
  std::vector<std::vector<EarlierName>> kept(levels.size());
  for (std::size_t l = 0; l < levels.size(); ++l) {
    kept[l].resize(levels[l].regions.size());
    std::unordered_set<std::string> taken;
    for (const Pair& pair : overlapping(levels[l], earlier, rows)) {
      const std::string& name = earlier[pair.level].regions[pair.then].name;
      if (!kept[l][pair.now].name.empty()) continue;
      bool above = false;
      std::size_t region = pair.now;
      for (std::size_t up = l; up > 0; --up) {
        region = static_cast<std::size_t>(levels[up].regions[region].parent);
        const EarlierName& other = kept[up - 1][region];
        above = above || (other.is_same() && fold(other.name) == fold(name));
      }
      if (above || !taken.insert(fold(name)).second) continue;
      kept[l][pair.now] = {name, pair.overlap, pair.known};
    }
  }
  return kept;
}

}  // namespace knowmap::label
