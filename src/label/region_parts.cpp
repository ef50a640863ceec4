#include "label/region_parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace knowmap::label {

namespace {

constexpr std::size_t kGrain = 1024;

}  // namespace

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

std::vector<Majority> majorities(const Groups& groups,
                                 std::span<const std::int32_t> region_of_row) {
  std::vector<Majority> found(groups.size());
  std::vector<std::int32_t> in;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    in.clear();
    for (const std::int32_t row : groups.of(g)) {
      const std::int32_t region = region_of_row[static_cast<std::size_t>(row)];
      if (region >= 0) in.push_back(region);
    }
    found[g].in_any = in.size();
    std::sort(in.begin(), in.end());
    std::size_t most = 0;
    for (std::size_t i = 0; i < in.size();) {
      std::size_t end = i;
      while (end < in.size() && in[end] == in[i]) ++end;
      if (end - i > most) {
        most = end - i;
        found[g].region = in[i];
      }
      i = end;
    }
  }
  return found;
}

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

}  // namespace knowmap::label
