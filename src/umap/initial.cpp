#include "umap/initial.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "support/random.hpp"
#include "umap/make_map.hpp"

namespace knowmap::umap {

Matrix random_start(std::size_t rows, std::size_t dims, std::uint64_t seed) {
  Matrix start(rows, dims);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t d = 0; d < dims; ++d) {
      start(i, d) =
          static_cast<float>(20 * unit(random_bits(seed, RandomStage::initial, i, d)) - 10);
    }
  }
  return start;
}

Matrix pca_start(const neighbors::RowReader& data, std::size_t dims, std::uint64_t seed,
                 Workers& workers, Monitor* monitor) {
  // Subspace iteration on the covariance, which is never formed: each round is
  // two products with the data, added up over fixed runs of rows.
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  constexpr std::size_t kGrain = 2048;
  constexpr int kRounds = 12;
  const auto wide = static_cast<Eigen::Index>(data.cols);
  const std::size_t runs = (data.rows + kGrain - 1) / kGrain;
  const auto width = static_cast<Eigen::Index>(std::min(data.cols, dims + 6));
  const auto rows_of = [&](std::size_t begin, std::size_t end) -> Eigen::MatrixXd {
    std::vector<float> room;
    return Eigen::Map<const Rows>(data.run(begin, end, room),
                                  static_cast<Eigen::Index>(end - begin), wide)
        .cast<double>();
  };
  std::vector<Eigen::MatrixXd> parts(runs);
  const auto total = [&](Eigen::Index rows, Eigen::Index cols) {
    Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(rows, cols);
    for (const auto& part : parts) sum += part;
    return sum;
  };
  workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    parts[begin / kGrain] = rows_of(begin, end).colwise().sum();
  });
  const Eigen::RowVectorXd mean = total(1, wide) / static_cast<double>(data.rows);
  Eigen::MatrixXd axes(wide, width);
  for (Eigen::Index i = 0; i < wide; ++i) {
    for (Eigen::Index c = 0; c < width; ++c) {
      axes(i, c) = unit(random_bits(seed, RandomStage::initial, static_cast<std::uint64_t>(i),
                                    static_cast<std::uint64_t>(c))) -
                   0.5;
    }
  }
  const auto orthonormal = [](const Eigen::MatrixXd& x) -> Eigen::MatrixXd {
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(x);
    return qr.householderQ() * Eigen::MatrixXd::Identity(x.rows(), x.cols());
  };
  axes = orthonormal(axes);
  for (int round = 0; round < kRounds; ++round) {
    workers.run_ranges(
        data.rows, kGrain,
        [&](std::size_t begin, std::size_t end, int) {
          Eigen::MatrixXd x = rows_of(begin, end);
          x.rowwise() -= mean;
          parts[begin / kGrain] = x.transpose() * (x * axes).eval();
        },
        monitor);
    const Eigen::MatrixXd image = total(wide, width);
    if (round + 1 < kRounds) {
      axes = orthonormal(image);
      continue;
    }
    // The last round turns the subspace to its principal axes.
    const Eigen::MatrixXd small = axes.transpose() * image;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
        ((small + small.transpose()) / 2).eval());
    axes = (axes * solver.eigenvectors().rowwise().reverse()).eval();
  }
  for (Eigen::Index c = 0; c < width; ++c) {  // signs are free: the largest entry is positive
    Eigen::Index at = 0;
    axes.col(c).cwiseAbs().maxCoeff(&at);
    if (axes(at, c) < 0) axes.col(c) = -axes.col(c);
  }
  Matrix start(data.rows, dims, 0.0f);
  workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    Eigen::MatrixXd x = rows_of(begin, end);
    x.rowwise() -= mean;
    const Eigen::MatrixXd scores =
        x * axes.leftCols(std::min(width, static_cast<Eigen::Index>(dims)));
    for (std::size_t i = begin; i < end; ++i) {
      for (Eigen::Index d = 0; d < scores.cols(); ++d) {
        start(i, static_cast<std::size_t>(d)) =
            static_cast<float>(scores(static_cast<Eigen::Index>(i - begin), d));
      }
    }
  });
  return start;
}

namespace {

/// A normal number of mean 0 and deviation 1 (Box and Muller; one of the pair).
double normal(std::uint64_t seed, std::uint64_t item, std::uint64_t step) {
  const std::uint64_t bits = random_bits(seed, RandomStage::initial, item, step);
  const double radius = std::sqrt(-2 * std::log(1 - unit(bits)));
  return radius * std::cos(2 * std::numbers::pi * unit(mix(bits)));
}

constexpr std::uint64_t kNoise = 1u << 20;

}  // namespace

void scale_with_noise(Matrix& start, std::uint64_t seed) {
  double most = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(start.data()[i])));
  }
  const double by = most > 0 ? 10 / most : 0;
  for (std::size_t i = 0; i < start.rows(); ++i) {
    for (std::size_t d = 0; d < start.cols(); ++d) {
      start(i, d) = static_cast<float>(static_cast<double>(start(i, d)) * by) +
                    static_cast<float>(1e-4 * normal(seed, i, d + kNoise));
    }
  }
}

void part_equal_places(Matrix& start, std::uint64_t seed) {
  if (distinct_rows(start).first.size() == start.rows()) return;
  float least = start(0, 0);
  float most = least;
  for (std::size_t i = 0; i < start.size(); ++i) {
    least = std::min(least, start.data()[i]);
    most = std::max(most, start.data()[i]);
  }
  const double extent = most > least ? static_cast<double>(most - least) : 1.0;
  const double noise = 1e-3 * extent / std::sqrt(static_cast<double>(start.rows()));
  for (std::size_t i = 0; i < start.rows(); ++i) {
    for (std::size_t d = 0; d < start.cols(); ++d) {
      start(i, d) += static_cast<float>(noise * normal(seed, i, d + kNoise));
    }
  }
}

void place_among_neighbors(Matrix& places, const SparseGraph& graph) {
  const std::size_t n = places.rows();
  const std::size_t dims = places.cols();
  std::vector<bool> placed(n);
  std::vector<std::size_t> edge;  // rows placed last, from which the next ones are reached
  std::vector<double> center(dims, 0);
  for (std::size_t i = 0; i < n; ++i) {
    placed[i] = std::none_of(places.row(i), places.row(i) + dims,
                             [](float place) { return std::isnan(place); });
    if (!placed[i]) continue;
    edge.push_back(i);
    for (std::size_t d = 0; d < dims; ++d) center[d] += places(i, d);
  }
  if (edge.size() == n) return;
  for (double& mean : center) mean /= static_cast<double>(std::max<std::size_t>(edge.size(), 1));
  double reach = edge.empty() ? 10 : 0;  // of the map, from its centre
  for (const std::size_t i : edge) {
    for (std::size_t d = 0; d < dims; ++d) {
      reach = std::max(reach, std::abs(places(i, d) - center[d]));
    }
  }

  std::vector<std::size_t> next;
  std::vector<double> sum(dims);
  std::size_t groups = 0;
  for (std::size_t lone = 0;;) {
    next.clear();
    for (const std::size_t i : edge) {
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const auto other = static_cast<std::size_t>(graph.columns[e]);
        if (!placed[other]) next.push_back(other);
      }
    }
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    for (const std::size_t i : next) {
      std::fill(sum.begin(), sum.end(), 0.0);
      double weights = 0;
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const auto other = static_cast<std::size_t>(graph.columns[e]);
        if (!placed[other]) continue;
        const auto weight = static_cast<double>(graph.weights[e]);
        weights += weight;
        for (std::size_t d = 0; d < dims; ++d) sum[d] += weight * places(other, d);
      }
      for (std::size_t d = 0; d < dims; ++d) places(i, d) = static_cast<float>(sum[d] / weights);
    }
    if (next.empty()) {
      while (lone < n && placed[lone]) ++lone;
      if (lone == n) return;
      // Steps of the golden angle: no two groups of many begin side by side.
      const double angle = static_cast<double>(groups++) * std::numbers::pi * (3 - std::sqrt(5.0));
      for (std::size_t d = 0; d < dims; ++d) {
        const double way = d == 0 ? std::cos(angle) : d == 1 ? std::sin(angle) : 0;
        places(lone, d) = static_cast<float>(center[d] + 1.5 * reach * way);
      }
      next.push_back(lone);
    }
    for (const std::size_t i : next) placed[i] = true;
    edge.swap(next);
  }
}

void turn_back(Matrix& map, MatrixView<const float> places) {
  const auto dims = static_cast<Eigen::Index>(map.cols());
  std::vector<std::size_t> both;
  for (std::size_t i = 0; i < map.rows(); ++i) {
    bool has = true;
    for (std::size_t d = 0; d < map.cols(); ++d) {
      has = has && !std::isnan(map(i, d)) && !std::isnan(places(i, d));
    }
    if (has) both.push_back(i);
  }
  if (both.empty()) return;
  const auto row = [&](const float* from) {
    return Eigen::Map<const Eigen::RowVectorXf>(from, dims).cast<double>().eval();
  };
  Eigen::RowVectorXd here = Eigen::RowVectorXd::Zero(dims);
  Eigen::RowVectorXd there = here;
  for (const std::size_t i : both) {
    here += row(map.row(i));
    there += row(places.row(i));
  }
  here /= static_cast<double>(both.size());
  there /= static_cast<double>(both.size());
  Eigen::MatrixXd together = Eigen::MatrixXd::Zero(dims, dims);
  for (const std::size_t i : both) {
    together += (row(map.row(i)) - here).transpose() * (row(places.row(i)) - there);
  }
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(together, Eigen::ComputeFullU | Eigen::ComputeFullV);
  Eigen::MatrixXd mirror = Eigen::MatrixXd::Identity(dims, dims);
  if ((svd.matrixU() * svd.matrixV().transpose()).determinant() < 0)
    mirror(dims - 1, dims - 1) = -1;
  const Eigen::MatrixXd turn = svd.matrixU() * mirror * svd.matrixV().transpose();
  for (std::size_t i = 0; i < map.rows(); ++i) {
    const Eigen::RowVectorXf placed = ((row(map.row(i)) - here) * turn + there).cast<float>();
    for (std::size_t d = 0; d < map.cols(); ++d) map(i, d) = placed(static_cast<Eigen::Index>(d));
  }
}

void fit_to_box(Matrix& start) {
  for (std::size_t d = 0; d < start.cols(); ++d) {
    float least = start(0, d);
    float most = start(0, d);
    for (std::size_t i = 0; i < start.rows(); ++i) {
      least = std::min(least, start(i, d));
      most = std::max(most, start(i, d));
    }
    const float range = most - least;
    for (std::size_t i = 0; i < start.rows(); ++i) {
      start(i, d) = range > 0 ? 10.0f * (start(i, d) - least) / range : 0.0f;
    }
  }
}

}  // namespace knowmap::umap
