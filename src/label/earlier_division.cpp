#include "label/earlier_division.hpp"

#include <algorithm>
#include <utility>

namespace knowmap::label {

namespace {

/// Fewer rows than this share of a basin do not speak for it.
constexpr double kLeastEarlier = 1.0 / 3;

}  // namespace

std::size_t EarlierDivision::common(std::int32_t a, std::int32_t b) const {
  const std::int32_t* of_a = region_of.data() + static_cast<std::size_t>(a) * levels;
  const std::int32_t* of_b = region_of.data() + static_cast<std::size_t>(b) * levels;
  std::size_t same = levels;
  while (same > 0 && (of_a[same - 1] < 0 || of_a[same - 1] != of_b[same - 1])) --same;
  return same;
}

bool EarlierDivision::is_new(std::int32_t basin) const {
  const auto first =
      region_of.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(basin) * levels);
  return std::all_of(first, first + static_cast<std::ptrdiff_t>(levels),
                     [](std::int32_t region) { return region < 0; });
}

void EarlierDivision::take(std::int32_t a, std::int32_t b) {
  std::copy_n(
      region_of.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(b) * levels), levels,
      region_of.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(a) * levels));
}

EarlierDivision carry_over(std::span<const RegionLevel> earlier, std::span<const std::int64_t> rows,
                           const Basins& basins) {
  EarlierDivision division;
  division.levels = earlier.size();
  division.region_of.assign(basins.count * division.levels, -1);
  std::vector<std::size_t> size(basins.count, 0);
  for (const std::int32_t basin : basins.of_row) ++size[static_cast<std::size_t>(basin)];

  bool any = false;
  std::vector<std::pair<std::int32_t, std::int32_t>> seen;  // basin, earlier region
  for (std::size_t l = 0; l < division.levels; ++l) {
    const std::vector<std::int32_t>& assignment = earlier[l].assignment;
    seen.clear();
    seen.reserve(assignment.size());
    for (std::size_t i = 0; i < assignment.size(); ++i) {
      const std::int64_t row = rows.empty() ? static_cast<std::int64_t>(i) : rows[i];
      if (row < 0 || assignment[i] < 0) continue;
      seen.emplace_back(basins.of_row[static_cast<std::size_t>(row)], assignment[i]);
    }
    std::sort(seen.begin(), seen.end());
    for (std::size_t begin = 0; begin < seen.size();) {
      const std::int32_t basin = seen[begin].first;
      std::size_t end = begin;
      std::size_t most = 0;
      std::int32_t region = -1;  // the lower number on a tie
      while (end < seen.size() && seen[end].first == basin) {
        const std::size_t run = end;
        while (end < seen.size() && seen[end] == seen[run]) ++end;
        if (end - run > most) {
          most = end - run;
          region = seen[run].second;
        }
      }
      const auto at = static_cast<std::size_t>(basin);
      if (static_cast<double>(end - begin) >= kLeastEarlier * static_cast<double>(size[at])) {
        division.region_of[at * division.levels + l] = region;
        any = true;
      }
      begin = end;
    }
  }
  return any ? division : EarlierDivision{};
}

}  // namespace knowmap::label
