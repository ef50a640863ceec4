#include "label/earlier_names.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

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

/// A region of today and one of the earlier map, each by its level and its number there.
struct Pair {
  double overlap, known;
  std::size_t today, now, level, then;
};

/// Adds all pairs of the regions of level `today` and earlier ones that overlap.
void add_overlapping(std::size_t today, const RegionLevel& level,
                     std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                     std::vector<Pair>& pairs) {
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
        pairs.push_back({overlap, known, today, now, b, then});
      }
    }
  }
}

/// Whether a region of level `low` lies in region `r` of level `high`, which is above it.
bool lies_in(std::span<const RegionLevel> levels, std::size_t low, std::size_t region,
             std::size_t high, std::size_t r) {
  for (std::size_t l = low; l > high; --l) {
    region = static_cast<std::size_t>(levels[l].regions[region].parent);
  }
  return region == r;
}

}  // namespace

std::vector<std::vector<EarlierName>> earlier_names(std::span<const RegionLevel> levels,
                                                    std::span<const RegionLevel> earlier,
                                                    std::span<const std::int64_t> rows) {
  std::vector<std::vector<EarlierName>> kept(levels.size());
  std::vector<std::unordered_set<std::string>> taken(levels.size());
  std::vector<Pair> pairs;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    kept[l].resize(levels[l].regions.size());
    add_overlapping(l, levels[l], earlier, rows, pairs);
  }
  // All levels together: a name goes to the region that is most like the one that had it.
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    if (a.overlap != b.overlap) return a.overlap > b.overlap;
    return std::tie(a.today, a.now, a.level, a.then) < std::tie(b.today, b.now, b.level, b.then);
  });
  // Who keeps a name for sure, by the name.
  std::unordered_map<std::string, std::vector<std::pair<std::size_t, std::size_t>>> keepers;
  for (const Pair& pair : pairs) {
    EarlierName& mine = kept[pair.today][pair.now];
    if (!mine.name.empty()) continue;
    const std::string& name = earlier[pair.level].regions[pair.then].name;
    const std::string folded = fold(name);
    const auto& holders = keepers[folded];
    const bool held = std::any_of(holders.begin(), holders.end(), [&](const auto& holder) {
      const auto [l, r] = holder;
      return l < pair.today ? lies_in(levels, pair.today, pair.now, l, r)
                            : lies_in(levels, l, r, pair.today, pair.now);
    });
    if (held || !taken[pair.today].insert(folded).second) continue;
    mine = {name, pair.overlap, pair.known};
    if (mine.is_same()) keepers[folded].emplace_back(pair.today, pair.now);
  }
  return kept;
}

}  // namespace knowmap::label
