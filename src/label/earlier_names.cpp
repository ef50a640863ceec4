#include "label/earlier_names.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
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

std::vector<std::vector<std::string>> earlier_names(std::span<const RegionLevel> levels,
                                                    std::span<const RegionLevel> earlier,
                                                    std::span<const std::int64_t> rows) {
  std::vector<std::vector<std::string>> kept(levels.size());
  std::vector<std::vector<double>> best(levels.size());
  for (std::size_t l = 0; l < levels.size(); ++l) {
    kept[l].resize(levels[l].regions.size());
    best[l].assign(levels[l].regions.size(), 0.5);
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    for (const RegionLevel& before : earlier) {
      std::unordered_map<std::uint64_t, double> both;
      std::vector<double> now_size(levels[l].regions.size(), 0);
      std::vector<double> before_size(before.regions.size(), 0);
      for (std::size_t i = 0; i < before.assignment.size(); ++i) {
        const std::int64_t row = rows.empty() ? static_cast<std::int64_t>(i) : rows[i];
        if (row < 0 || before.assignment[i] < 0) continue;
        const std::int32_t now = levels[l].assignment[static_cast<std::size_t>(row)];
        ++before_size[static_cast<std::size_t>(before.assignment[i])];
        if (now < 0) continue;
        ++now_size[static_cast<std::size_t>(now)];
        ++both[(static_cast<std::uint64_t>(now) << 32) |
               static_cast<std::uint32_t>(before.assignment[i])];
      }
      // Above one half each region has one counterpart at most, so the order in
      // which pairs come up is of no matter.
      for (const auto& [pair, count] : both) {
        const auto now = static_cast<std::size_t>(pair >> 32);
        const auto then = static_cast<std::size_t>(pair & 0xffffffffu);
        const double overlap = count / (now_size[now] + before_size[then] - count);
        if (overlap <= best[l][now] || before.regions[then].name.empty()) continue;
        best[l][now] = overlap;
        kept[l][now] = before.regions[then].name;
      }
    }
  }
  // One name a level, the best fit first; none that stands above.
  for (std::size_t l = 0; l < levels.size(); ++l) {
    std::vector<std::size_t> order;
    for (std::size_t r = 0; r < kept[l].size(); ++r) {
      if (!kept[l][r].empty()) order.push_back(r);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return best[l][a] > best[l][b]; });
    std::unordered_set<std::string> taken;
    for (const std::size_t r : order) {
      bool above = false;
      std::size_t region = r;
      for (std::size_t up = l; up > 0; --up) {
        region = static_cast<std::size_t>(levels[up].regions[region].parent);
        above = above || fold(kept[up - 1][region]) == fold(kept[l][r]);
      }
      if (above || !taken.insert(fold(kept[l][r])).second) kept[l][r].clear();
    }
  }
  return kept;
}

}  // namespace knowmap::label
