#include "umap/level.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "knowmap/knn.hpp"
#include "knowmap/umap.hpp"
#include "support/random.hpp"

namespace knowmap {

namespace umap {

namespace {

/// Rounds, and turned axes in each: enough that more change nothing to be seen.
constexpr std::size_t kRounds = 30;
constexpr std::size_t kFrames = 2;
constexpr std::size_t kGrain = 4096;

bool finite_row(MatrixView<const float> map, std::size_t i) {
  for (std::size_t d = 0; d < map.cols; ++d) {
    if (!std::isfinite(map(i, d))) return false;
  }
  return true;
}

/// Where the ranks 0 ... count - 1 of an even spread over the unit ball of `dims`
/// dimensions lie along an axis.
std::vector<float> even_ranks(std::size_t count, std::size_t dims) {
  // With t = -cos(angle) the axis has the density sin(angle)^dims.
  constexpr std::size_t kNodes = 8192;
  std::vector<double> mass(kNodes + 1, 0.0);
  for (std::size_t i = 0; i < kNodes; ++i) {
    const double angle = std::numbers::pi * (static_cast<double>(i) + 0.5) / kNodes;
    mass[i + 1] = mass[i] + std::pow(std::sin(angle), static_cast<double>(dims));
  }
  std::vector<float> places(count);
  std::size_t node = 0;
  for (std::size_t r = 0; r < count; ++r) {
    const double wanted =
        (static_cast<double>(r) + 0.5) / static_cast<double>(count) * mass[kNodes];
    while (node + 1 < kNodes && mass[node + 1] < wanted) ++node;
    const double within = (wanted - mass[node]) / (mass[node + 1] - mass[node]);
    const double angle = std::numbers::pi * (static_cast<double>(node) + within) / kNodes;
    places[r] = static_cast<float>(-std::cos(angle));
  }
  return places;
}

/// The columns are axes at right angles, other ones for each `turn`.
Eigen::MatrixXd frame(std::size_t dims, std::size_t turn) {
  const auto d = static_cast<Eigen::Index>(dims);
  if (dims == 1) return Eigen::MatrixXd::Identity(1, 1);
  if (dims == 2) {
    // Steps of the golden ratio cover a right angle evenly.
    constexpr double kStep = 0.6180339887498949;
    const double part = std::fmod(static_cast<double>(turn) * kStep, 1.0);
    const double angle = part * std::numbers::pi / 2;
    Eigen::MatrixXd axes(2, 2);
    axes << std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle);
    return axes;
  }
  Eigen::MatrixXd any(d, d);
  for (Eigen::Index i = 0; i < d * d; ++i) {
    const std::uint64_t bits =
        random_bits(0, RandomStage::initial, turn, static_cast<std::uint64_t>(i));
    any.data()[i] =
        std::sqrt(-2 * std::log(1 - unit(bits))) * std::cos(2 * std::numbers::pi * unit(mix(bits)));
  }
  return Eigen::HouseholderQR<Eigen::MatrixXd>(any).householderQ();
}

/// Unsigned numbers in the order of the floats.
std::uint32_t ordered(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace

Matrix level(MatrixView<const float> map, float strength, Workers& workers, Monitor* monitor) {
  if (!(strength >= 0 && strength <= 1)) {
    throw std::invalid_argument("strength must be from 0 to 1, not " + std::to_string(strength));
  }
  const std::size_t dims = map.cols;
  Matrix result(map.rows, dims);
  std::copy(map.data, map.data + map.size(), result.data());
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < map.rows; ++i) {
    if (finite_row(map, i)) rows.push_back(i);
  }
  const std::size_t n = rows.size();
  if (n < 2 || dims == 0 || strength <= 0) return result;

  std::vector<double> centre(dims);
  double radius = 0;
  for (std::size_t d = 0; d < dims; ++d) {
    double least = static_cast<double>(map(rows[0], d));
    double most = least;
    for (const std::size_t i : rows) {
      least = std::min(least, static_cast<double>(map(i, d)));
      most = std::max(most, static_cast<double>(map(i, d)));
    }
    centre[d] = (least + most) / 2;
    radius = std::max(radius, (most - least) / 2);
  }
  if (!(radius > 0)) return result;

  Matrix z(n, dims);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < dims; ++d) {
      z(i, d) = static_cast<float>((static_cast<double>(map(rows[i], d)) - centre[d]) / radius);
    }
  }
  const std::vector<float> places = even_ranks(n, dims);
  const std::size_t axes = kFrames * dims;
  std::vector<std::vector<float>> shifts(axes, std::vector<float>(n));
  std::vector<std::vector<std::uint64_t>> orders(axes, std::vector<std::uint64_t>(n));
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::vector<float> directions(axes * dims);
    for (std::size_t f = 0; f < kFrames; ++f) {
      const Eigen::MatrixXd q = frame(dims, round * kFrames + f);
      for (std::size_t c = 0; c < dims; ++c) {
        for (std::size_t d = 0; d < dims; ++d) {
          directions[(f * dims + c) * dims + d] =
              static_cast<float>(q(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(c)));
        }
      }
    }
    workers.run(
        axes,
        [&](std::size_t axis, int) {
          const float* along = directions.data() + axis * dims;
          std::vector<std::uint64_t>& order = orders[axis];
          std::vector<float>& shift = shifts[axis];
          for (std::size_t i = 0; i < n; ++i) {
            float at = 0;
            for (std::size_t d = 0; d < dims; ++d) at += z(i, d) * along[d];
            shift[i] = -at;
            order[i] = static_cast<std::uint64_t>(ordered(at)) << 32 | i;
          }
          std::sort(order.begin(), order.end());
          for (std::size_t r = 0; r < n; ++r) shift[order[r] & 0xffffffffu] += places[r];
        },
        monitor);
    workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t axis = 0; axis < axes; ++axis) {
          const float step = shifts[axis][i] / static_cast<float>(kFrames);
          for (std::size_t d = 0; d < dims; ++d) z(i, d) += step * directions[axis * dims + d];
        }
      }
    });
    if (monitor != nullptr) monitor->add(1);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < dims; ++d) {
      const double even = centre[d] + radius * static_cast<double>(z(i, d));
      const auto old = static_cast<double>(map(rows[i], d));
      result(rows[i], d) = static_cast<float>(old + static_cast<double>(strength) * (even - old));
    }
  }
  return result;
}

Matrix follow(MatrixView<const float> points, const Matrix& from, const Matrix& to, int threads) {
  constexpr std::size_t kNeighbors = 8;
  // Rows without a place (NaN) lead nowhere, and points without one stay so.
  std::vector<std::size_t> leaders;
  std::vector<std::size_t> followers;
  for (std::size_t i = 0; i < from.rows(); ++i) {
    if (finite_row(from, i) && finite_row(to, i)) leaders.push_back(i);
  }
  for (std::size_t i = 0; i < points.rows; ++i) {
    if (finite_row(points, i)) followers.push_back(i);
  }
  Matrix result(points.rows, points.cols);
  std::copy(points.data, points.data + points.size(), result.data());
  if (leaders.empty() || followers.empty()) return result;
  const auto gathered = [](MatrixView<const float> of, const std::vector<std::size_t>& which) {
    Matrix part(which.size(), of.cols);
    for (std::size_t i = 0; i < which.size(); ++i) {
      std::copy_n(of.row(which[i]), of.cols, part.row(i));
    }
    return part;
  };
  KnnOptions options;
  options.n_neighbors = std::min(kNeighbors, leaders.size());
  options.metric = Metric::euclidean;
  options.threads = threads;
  const KnnGraph near = knn_query(gathered(from, leaders), gathered(points, followers), options);
  for (std::size_t i = 0; i < followers.size(); ++i) {
    std::vector<double> shift(points.cols, 0.0);
    double sum = 0;
    for (std::size_t j = 0; j < near.n_neighbors(); ++j) {
      const auto d2 =
          static_cast<double>(near.distances(i, j)) * static_cast<double>(near.distances(i, j));
      const bool on_it = d2 < 1e-12;
      if (on_it) {
        std::fill(shift.begin(), shift.end(), 0.0);
        sum = 0;
      }
      const double weight = on_it ? 1 : 1 / d2;
      const std::size_t leader = leaders[static_cast<std::size_t>(near.indices(i, j))];
      for (std::size_t d = 0; d < points.cols; ++d) {
        shift[d] +=
            weight * (static_cast<double>(to(leader, d)) - static_cast<double>(from(leader, d)));
      }
      sum += weight;
      if (on_it) break;
    }
    for (std::size_t d = 0; d < points.cols; ++d) {
      result(followers[i], d) =
          static_cast<float>(static_cast<double>(points(followers[i], d)) + shift[d] / sum);
    }
  }
  return result;
}

}  // namespace umap

Matrix level_density(MatrixView<const float> map, float strength, int threads) {
  Workers workers(threads);
  return umap::level(map, strength, workers);
}

}  // namespace knowmap
