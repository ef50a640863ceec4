#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "knowmap/labeler.hpp"
#include "label/density_basins.hpp"
#include "label/earlier_division.hpp"
#include "label/earlier_names.hpp"
#include "label/merge_tree.hpp"
#include "label/names.hpp"
#include "label/phrases.hpp"
#include "label/region_parts.hpp"
#include "label/text_words.hpp"
#include "support/parallel.hpp"

namespace knowmap {

namespace {

using label::Groups;

constexpr std::size_t kGrain = 1024;
/// Rows kept of each region to fall back on for a name.
constexpr std::size_t kTypical = 24;
constexpr std::size_t kMostCells = std::size_t{1} << 20;

void check_finite(MatrixView<const float> rows, std::string_view what, Workers& workers) {
  workers.run_ranges(rows.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t j = 0; j < rows.cols; ++j) {
        if (!std::isfinite(rows(i, j))) {
          throw std::invalid_argument(std::string(what) + " row " + std::to_string(i) +
                                      " holds NaN or infinity");
        }
      }
    }
  });
}

void check_sizes(MatrixView<const float> map, MatrixView<const float> embedding,
                 std::span<const std::string_view> texts, std::span<const std::string_view> titles,
                 const RegionOptions& options) {
  const auto rows = std::to_string(map.rows);
  if (map.cols != 2 && map.rows > 0) {
    throw std::invalid_argument("the map must have 2 columns, not " + std::to_string(map.cols));
  }
  if (map.rows > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw std::invalid_argument("the map has " + rows + " rows, more than 2^31");
  }
  if (!embedding.empty() && embedding.rows != map.rows) {
    throw std::invalid_argument("the map has " + rows + " rows, the embedding " +
                                std::to_string(embedding.rows));
  }
  if (texts.size() != map.rows) {
    throw std::invalid_argument("the map has " + rows + " rows, but there are " +
                                std::to_string(texts.size()) + " texts");
  }
  if (!titles.empty() && titles.size() != map.rows) {
    throw std::invalid_argument("the map has " + rows + " rows, but there are " +
                                std::to_string(titles.size()) + " titles");
  }
  for (std::size_t i = 0; i < options.level_sizes.size(); ++i) {
    if (options.level_sizes[i] == 0) {
      throw std::invalid_argument("level_sizes must be at least 1 each");
    }
    if (i > 0 && options.level_sizes[i] < options.level_sizes[i - 1]) {
      throw std::invalid_argument(
          "level_sizes go from coarse to fine: " + std::to_string(options.level_sizes[i]) +
          " comes after " + std::to_string(options.level_sizes[i - 1]));
    }
  }
}

/// Regions of the finest level grow with the root of the rows; some ten are
/// what a reader takes in at a glance; steps between are fourfold or so.
std::vector<std::size_t> default_level_sizes(std::size_t n) {
  const double fine = 1.4 * std::sqrt(static_cast<double>(n));
  constexpr double kCoarse = 10;
  if (fine <= 1.5 * kCoarse) return {std::max<std::size_t>(1, static_cast<std::size_t>(fine))};
  const auto steps = std::max(1.0, std::round(std::log(fine / kCoarse) / std::log(4.0)));
  std::vector<std::size_t> sizes;
  for (int i = 0; i <= static_cast<int>(steps); ++i) {
    sizes.push_back(
        static_cast<std::size_t>(std::round(kCoarse * std::pow(fine / kCoarse, i / steps))));
  }
  return sizes;
}

/// How far the regions of a level may be more than wanted, so that earlier ones stay.
constexpr double kRoom = 1.25;
/// Earlier levels with this many times as many regions, or as few, are another level's.
constexpr double kAlike = 1.5;

/// Regions of a level that should have `wanted`: as many as a level of an earlier map has now,
/// where that is about as many, or somewhat more; where they are fewer, the largest are divided.
std::size_t regions_due(std::size_t wanted, std::span<const std::size_t> whole) {
  const auto due = static_cast<double>(wanted);
  double best = kAlike;
  std::size_t count = wanted;
  for (const std::size_t regions : whole) {
    const double ratio = static_cast<double>(regions) / due;
    if (std::max(ratio, 1 / ratio) > best) continue;
    best = std::max(ratio, 1 / ratio);
    count = regions;
  }
  return std::clamp(count, wanted, static_cast<std::size_t>(kRoom * due));
}

/// The tree's cuts as levels, regions numbered from the largest.
std::vector<RegionLevel> cut_levels(const label::Basins& basins, const label::MergeTree& tree,
                                    const std::vector<std::size_t>& sizes, bool wanted,
                                    const Monitor& monitor) {
  std::vector<RegionLevel> levels;
  for (const std::size_t size : sizes) {
    monitor.throw_if_cancelled();
    const std::vector<std::int32_t> of_basin =
        tree.cut(wanted ? size : regions_due(size, tree.whole()));
    const auto count =
        static_cast<std::size_t>(*std::max_element(of_basin.begin(), of_basin.end())) + 1;
    // Levels that nobody asked for and that show nothing new are left out.
    if (!wanted && !levels.empty() && count == levels.back().regions.size()) continue;
    RegionLevel level;
    level.assignment.resize(basins.of_row.size());
    std::vector<std::size_t> rows_in(count, 0);
    std::vector<std::size_t> first_row(count, basins.of_row.size());
    for (std::size_t row = 0; row < basins.of_row.size(); ++row) {
      const auto region = static_cast<std::size_t>(of_basin[basins.of_row[row]]);
      if (rows_in[region]++ == 0) first_row[region] = row;
    }
    std::vector<std::int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return rows_in[a] != rows_in[b] ? rows_in[a] > rows_in[b] : first_row[a] < first_row[b];
    });
    std::vector<std::int32_t> number(count);
    level.regions.resize(count);
    for (std::size_t r = 0; r < count; ++r) {
      number[order[r]] = static_cast<std::int32_t>(r);
      level.regions[r].size = rows_in[order[r]];
      if (!levels.empty()) {
        level.regions[r].parent = levels.back().assignment[first_row[order[r]]];
      }
    }
    for (std::size_t row = 0; row < basins.of_row.size(); ++row) {
      level.assignment[row] = number[of_basin[basins.of_row[row]]];
    }
    levels.push_back(std::move(level));
  }
  return levels;
}

/// Cells that hold rows, numbered from the lowest y and, in a row, the lowest x.
RegionLevel cut_grid(MatrixView<const float> map, std::size_t rows, std::size_t columns) {
  const std::size_t sides[2] = {columns, rows};
  double low[2], width[2];
  for (std::size_t axis = 0; axis < 2; ++axis) {
    float least = map(0, axis), most = map(0, axis);
    for (std::size_t i = 1; i < map.rows; ++i) {
      least = std::min(least, map(i, axis));
      most = std::max(most, map(i, axis));
    }
    low[axis] = least;
    width[axis] = (static_cast<double>(most) - least) / static_cast<double>(sides[axis]);
  }
  const auto place = [&](std::size_t row, std::size_t axis) {
    if (!(width[axis] > 0)) return std::size_t{0};
    const double at = (map(row, axis) - low[axis]) / width[axis];
    return std::min(static_cast<std::size_t>(std::max(at, 0.0)), sides[axis] - 1);
  };
  RegionLevel level;
  level.assignment.resize(map.rows);
  std::vector<std::int32_t> number(rows * columns, -1);
  std::vector<std::size_t> held(rows * columns, 0);
  for (std::size_t i = 0; i < map.rows; ++i) {
    const std::size_t cell = place(i, 1) * columns + place(i, 0);
    level.assignment[i] = static_cast<std::int32_t>(cell);
    ++held[cell];
  }
  for (std::size_t cell = 0; cell < held.size(); ++cell) {
    if (held[cell] == 0) continue;
    number[cell] = static_cast<std::int32_t>(level.regions.size());
    Region region;
    region.size = held[cell];
    region.cell = static_cast<std::int32_t>(cell);
    level.regions.push_back(std::move(region));
  }
  for (std::int32_t& cell : level.assignment) cell = number[static_cast<std::size_t>(cell)];
  return level;
}

/// Of each cell the names of the regions that it lies in, folded. `levels` are whole:
/// the cell's parent is one of the last of them.
std::vector<std::vector<std::string>> names_above(const RegionLevel& grid,
                                                  std::span<const RegionLevel> levels) {
  std::vector<std::vector<std::string>> names(grid.regions.size());
  for (std::size_t c = 0; c < names.size(); ++c) {
    std::int32_t region = grid.regions[c].parent;
    for (std::size_t l = levels.size(); l-- > 0 && region >= 0;) {
      const Region& of = levels[l].regions[static_cast<std::size_t>(region)];
      names[c].push_back(label::fold(of.name));
      region = of.parent;
    }
  }
  return names;
}

/// Names, phrases, exemplars and places of regions whose rows are settled.
void describe(std::vector<RegionLevel>& levels, MatrixView<const float> map,
              MatrixView<const float> embedding, std::span<const std::string_view> texts,
              std::span<const std::string_view> titles, const RegionOptions& options,
              Workers& workers, Monitor& monitor, std::span<const RegionLevel> above = {}) {
  const auto kept = label::earlier_names(levels, options.earlier, options.earlier_rows);
  const label::Corpus corpus = label::read_corpus(texts, titles, workers, monitor);
  const label::PhraseTable table = label::find_phrases(corpus, workers, monitor);
  std::vector<label::LevelToName> to_name(levels.size());
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const Groups groups(levels[l].assignment, levels[l].regions.size());
    to_name[l].candidates = label::score_phrases(corpus, table, groups, workers, monitor);
    to_name[l].rows = label::typical_rows(
        groups, map, embedding, std::max(kTypical, options.n_exemplars), workers, monitor);
    workers.run(
        groups.size(),
        [&](std::size_t r, int) {
          Region& region = levels[l].regions[r];
          std::tie(region.x, region.y) = label::place_name(groups.of(r), map);
        },
        &monitor);
    // A grid's cells stand under no level of their own.
    for (const Region& region : levels[l].regions) {
      to_name[l].parent.push_back(l == 0 ? -1 : region.parent);
    }
    to_name[l].kept = kept[l];
    if (!above.empty()) to_name[l].barred = names_above(levels[l], above);
  }
  const auto names = label::name_levels(corpus, table, to_name, texts, titles, options.n_phrases,
                                        workers, monitor);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    for (std::size_t r = 0; r < levels[l].regions.size(); ++r) {
      Region& region = levels[l].regions[r];
      region.name = names[l].names[r];
      region.phrases = names[l].phrases[r];
      region.confidence = names[l].confidence[r];
      region.exemplars = std::move(to_name[l].rows[r]);
      if (region.exemplars.size() > options.n_exemplars) {
        region.exemplars.resize(options.n_exemplars);
      }
    }
  }
}

}  // namespace

std::vector<RegionLevel> name_regions(MatrixView<const float> map,
                                      MatrixView<const float> embedding,
                                      std::span<const std::string_view> texts,
                                      std::span<const std::string_view> titles,
                                      const RegionOptions& options) {
  check_sizes(map, embedding, texts, titles, options);
  const std::size_t n = map.rows;
  label::check_earlier(options.earlier, options.earlier_rows, n);
  if (n == 0) return {};
  Workers workers(options.threads);
  check_finite(map, "map", workers);
  check_finite(embedding, "embedding", workers);

  // Rows pass five times: placed, read, counted, searched, spelled.
  Monitor monitor(options.progress, "label", 5 * n, "rows");
  const bool wanted = !options.level_sizes.empty();
  const auto sizes = wanted ? options.level_sizes : default_level_sizes(n);
  std::size_t min_size = options.min_region_size;
  if (min_size == 0) min_size = std::max<std::size_t>(wanted ? 1 : 5, n / (8 * sizes.back()));
  std::vector<RegionLevel> levels;
  {
    const label::Basins basins = label::density_basins(map, workers, monitor);
    const label::MergeTree tree(basins, map, embedding, min_size,
                                label::carry_over(options.earlier, options.earlier_rows, basins),
                                workers, monitor);
    workers.run(
        1, [&](std::size_t, int) { levels = cut_levels(basins, tree, sizes, wanted, monitor); },
        &monitor);
  }

  describe(levels, map, embedding, texts, titles, options, workers, monitor);
  monitor.finish();
  return levels;
}

RegionLevel name_grid(MatrixView<const float> map, MatrixView<const float> embedding,
                      std::span<const std::string_view> texts,
                      std::span<const std::string_view> titles, std::size_t rows,
                      std::size_t columns, std::span<const RegionLevel> levels,
                      const RegionOptions& options) {
  if (rows == 0 || columns == 0 || rows > kMostCells / columns) {
    throw std::invalid_argument("a grid has 1 to " + std::to_string(kMostCells) + " cells, not " +
                                std::to_string(rows) + " x " + std::to_string(columns));
  }
  RegionOptions checked = options;
  checked.level_sizes.clear();
  check_sizes(map, embedding, texts, titles, checked);
  for (const RegionLevel& level : levels) {
    if (level.assignment.size() == map.rows) continue;
    throw std::invalid_argument("a level of regions has " +
                                std::to_string(level.assignment.size()) + " rows, the map " +
                                std::to_string(map.rows));
  }
  label::check_earlier(options.earlier, options.earlier_rows, map.rows);
  if (map.rows == 0) return {};
  Workers workers(options.threads);
  check_finite(map, "map", workers);
  check_finite(embedding, "embedding", workers);
  Monitor monitor(options.progress, "label", 3 * map.rows, "rows");
  std::vector<RegionLevel> grid(1);
  grid[0] = cut_grid(map, rows, columns);
  if (!levels.empty()) {
    const Groups cells(grid[0].assignment, grid[0].regions.size());
    const auto above = label::majorities(cells, levels.back().assignment);
    for (std::size_t c = 0; c < above.size(); ++c) grid[0].regions[c].parent = above[c].region;
  }
  describe(grid, map, embedding, texts, titles, options, workers, monitor, levels);
  monitor.finish();
  return std::move(grid[0]);
}

}  // namespace knowmap
