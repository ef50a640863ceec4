#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "knowmap/labeler.hpp"
#include "label/density_basins.hpp"
#include "label/merge_tree.hpp"
#include "label/names.hpp"
#include "label/phrases.hpp"
#include "support/parallel.hpp"

namespace knowmap {

namespace {

using label::Groups;

constexpr std::size_t kGrain = 1024;
/// Rows kept of each region to fall back on for a name.
constexpr std::size_t kTypical = 24;

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

/// Where a region's name stands: at its densest part as seen from afar, on one
/// of its rows, so that it lies inside however the region is bent.
std::pair<float, float> place_name(std::span<const std::int32_t> rows,
                                   MatrixView<const float> map) {
  std::vector<float> sorted(rows.size());
  float low[2], step[2];
  constexpr std::size_t kCells = 12;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    for (std::size_t i = 0; i < rows.size(); ++i) sorted[i] = map(rows[i], axis);
    // Stragglers don't widen the cells.
    const auto at = [&](double share) {
      const auto place = sorted.begin() +
                         static_cast<std::ptrdiff_t>(share * static_cast<double>(rows.size() - 1));
      std::nth_element(sorted.begin(), place, sorted.end());
      return *place;
    };
    low[axis] = at(0.05);
    step[axis] = std::max((at(0.95) - low[axis]) / static_cast<float>(kCells), 1e-30f);
  }
  const auto cell = [&](std::int32_t row, std::size_t axis) {
    return static_cast<std::size_t>(std::clamp((map(row, axis) - low[axis]) / step[axis], 0.0f,
                                               static_cast<float>(kCells) - 1));
  };
  std::vector<std::uint32_t> count(kCells * kCells);
  for (const std::int32_t row : rows) ++count[cell(row, 0) * kCells + cell(row, 1)];
  const auto around = [&](std::size_t x, std::size_t y, const auto& use) {
    for (std::size_t i = x > 0 ? x - 1 : 0; i <= std::min(x + 1, kCells - 1); ++i) {
      for (std::size_t j = y > 0 ? y - 1 : 0; j <= std::min(y + 1, kCells - 1); ++j) use(i, j);
    }
  };
  std::size_t best[2] = {0, 0};
  std::uint64_t most = 0;
  for (std::size_t x = 0; x < kCells; ++x) {
    for (std::size_t y = 0; y < kCells; ++y) {
      std::uint64_t sum = count[x * kCells + y];
      around(x, y, [&](std::size_t i, std::size_t j) { sum += count[i * kCells + j]; });
      if (sum > most) {
        most = sum;
        best[0] = x;
        best[1] = y;
      }
    }
  }
  double x = 0, y = 0, near = 0;
  for (const std::int32_t row : rows) {
    const std::size_t i = cell(row, 0), j = cell(row, 1);
    if (i + 1 < best[0] || i > best[0] + 1 || j + 1 < best[1] || j > best[1] + 1) continue;
    x += map(row, 0);
    y += map(row, 1);
    near += 1;
  }
  x /= near;
  y /= near;
  std::int32_t nearest = rows[0];
  double least = std::numeric_limits<double>::infinity();
  for (const std::int32_t row : rows) {
    const double dx = map(row, 0) - x;
    const double dy = map(row, 1) - y;
    if (dx * dx + dy * dy < least) {
      least = dx * dx + dy * dy;
      nearest = row;
    }
  }
  return {map(nearest, 0), map(nearest, 1)};
}

/// The `most` rows of each region that are nearest to its centre.
std::vector<std::vector<std::int64_t>> typical_rows(const Groups& groups,
                                                    MatrixView<const float> map,
                                                    MatrixView<const float> embedding,
                                                    std::size_t most, Workers& workers,
                                                    Monitor& monitor) {
  const bool by_map = embedding.empty();
  const MatrixView<const float> space = by_map ? map : embedding;
  std::vector<std::vector<std::int64_t>> typical(groups.size());
  const auto length = [&](std::int32_t row) {
    double squared = 0;
    for (std::size_t d = 0; d < space.cols; ++d) {
      squared += static_cast<double>(space(row, d)) * space(row, d);
    }
    return std::sqrt(squared);
  };
  // Long regions are cut in pieces of a fixed length, summed in order.
  struct Piece {
    std::size_t group, begin, end;
  };
  std::vector<Piece> pieces;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (std::size_t begin = 0; begin < groups.of(g).size(); begin += kGrain) {
      pieces.push_back({g, begin, std::min(groups.of(g).size(), begin + kGrain)});
    }
  }
  std::vector<float> far(map.rows);  // distance of each row from its region's centre
  std::vector<double> centers(groups.size() * space.cols);
  std::vector<double> sums;
  constexpr std::size_t kPiecesAtOnce = 256;  // bounds the sums in memory
  for (std::size_t from = 0; from < pieces.size(); from += kPiecesAtOnce) {
    const std::size_t at_once = std::min(kPiecesAtOnce, pieces.size() - from);
    sums.assign(at_once * space.cols, 0.0);
    workers.run(
        at_once,
        [&](std::size_t item, int) {
          const Piece piece = pieces[from + item];
          double* sum = sums.data() + item * space.cols;
          for (std::size_t i = piece.begin; i < piece.end; ++i) {
            const std::int32_t row = groups.of(piece.group)[i];
            const double norm = by_map ? 1 : length(row);
            const double scale = norm > 0 ? 1 / norm : 0;
            for (std::size_t d = 0; d < space.cols; ++d) sum[d] += scale * space(row, d);
          }
        },
        &monitor);
    for (std::size_t item = 0; item < at_once; ++item) {
      double* center = centers.data() + pieces[from + item].group * space.cols;
      for (std::size_t d = 0; d < space.cols; ++d) center[d] += sums[item * space.cols + d];
    }
  }
  workers.run(
      pieces.size(),
      [&](std::size_t item, int) {
        const Piece piece = pieces[item];
        const auto rows = groups.of(piece.group);
        const double* center = centers.data() + piece.group * space.cols;
        for (std::size_t i = piece.begin; i < piece.end; ++i) {
          double apart = 0;
          if (by_map) {
            for (std::size_t d = 0; d < 2; ++d) {
              const double step = space(rows[i], d) - center[d] / static_cast<double>(rows.size());
              apart += step * step;
            }
          } else {
            double product = 0;
            for (std::size_t d = 0; d < space.cols; ++d) product += center[d] * space(rows[i], d);
            const double norm = length(rows[i]);
            apart = norm > 0 ? -product / norm : 0;
          }
          far[static_cast<std::size_t>(rows[i])] = static_cast<float>(apart);
        }
      },
      &monitor);
  workers.run(
      groups.size(),
      [&](std::size_t g, int) {
        std::vector<std::int32_t> rows(groups.of(g).begin(), groups.of(g).end());
        const auto keep = static_cast<std::ptrdiff_t>(std::min(most, rows.size()));
        std::partial_sort(rows.begin(), rows.begin() + keep, rows.end(),
                          [&](std::int32_t a, std::int32_t b) {
                            return far[a] != far[b] ? far[a] < far[b] : a < b;
                          });
        typical[g].assign(rows.begin(), rows.begin() + keep);
      },
      &monitor);
  return typical;
}

/// The tree's cuts as levels, regions numbered from the largest.
std::vector<RegionLevel> cut_levels(const label::Basins& basins, const label::MergeTree& tree,
                                    const std::vector<std::size_t>& sizes, bool wanted,
                                    const Monitor& monitor) {
  std::vector<RegionLevel> levels;
  for (const std::size_t size : sizes) {
    monitor.throw_if_cancelled();
    const std::vector<std::int32_t> of_basin = tree.cut(size);
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

}  // namespace

std::vector<RegionLevel> name_regions(MatrixView<const float> map,
                                      MatrixView<const float> embedding,
                                      std::span<const std::string_view> texts,
                                      std::span<const std::string_view> titles,
                                      const RegionOptions& options) {
  check_sizes(map, embedding, texts, titles, options);
  const std::size_t n = map.rows;
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
    const label::MergeTree tree(basins, map, embedding, min_size, workers, monitor);
    workers.run(
        1, [&](std::size_t, int) { levels = cut_levels(basins, tree, sizes, wanted, monitor); },
        &monitor);
  }

  const label::Corpus corpus = label::read_corpus(texts, titles, workers, monitor);
  const label::PhraseTable table = label::find_phrases(corpus, workers, monitor);
  std::vector<label::LevelToName> to_name(levels.size());
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const Groups groups(levels[l].assignment, levels[l].regions.size());
    to_name[l].candidates = label::score_phrases(corpus, table, groups, workers, monitor);
    to_name[l].rows = typical_rows(groups, map, embedding, std::max(kTypical, options.n_exemplars),
                                   workers, monitor);
    workers.run(
        groups.size(),
        [&](std::size_t r, int) {
          Region& region = levels[l].regions[r];
          std::tie(region.x, region.y) = place_name(groups.of(r), map);
        },
        &monitor);
    for (const Region& region : levels[l].regions) to_name[l].parent.push_back(region.parent);
  }
  const auto names = label::name_levels(corpus, table, to_name, texts, titles, options.n_phrases,
                                        workers, monitor);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    for (std::size_t r = 0; r < levels[l].regions.size(); ++r) {
      Region& region = levels[l].regions[r];
      region.name = names[l].names[r];
      region.phrases = names[l].phrases[r];
      region.exemplars = std::move(to_name[l].rows[r]);
      if (region.exemplars.size() > options.n_exemplars) {
        region.exemplars.resize(options.n_exemplars);
      }
    }
  }
  monitor.finish();
  return levels;
}

}  // namespace knowmap
