#include "label/earlier_division.hpp"

#include <algorithm>

#include "label/region_parts.hpp"

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
  const Groups groups(basins.of_row, basins.count);
  bool any = false;
  std::vector<std::int32_t> region_of_row;
  for (std::size_t l = 0; l < division.levels; ++l) {
    const std::vector<std::int32_t>& assignment = earlier[l].assignment;
    region_of_row.assign(basins.of_row.size(), -1);
    for (std::size_t i = 0; i < assignment.size(); ++i) {
      const std::int64_t row = rows.empty() ? static_cast<std::int64_t>(i) : rows[i];
      if (row >= 0) region_of_row[static_cast<std::size_t>(row)] = assignment[i];
    }
    const std::vector<Majority> of_basin = majorities(groups, region_of_row);
    for (std::size_t b = 0; b < basins.count; ++b) {
      const auto size = static_cast<double>(groups.of(b).size());
      if (static_cast<double>(of_basin[b].in_any) < kLeastEarlier * size) continue;
      division.region_of[b * division.levels + l] = of_basin[b].region;
      any = any || of_basin[b].region >= 0;
    }
  }
  return any ? division : EarlierDivision{};
}

}  // namespace knowmap::label
