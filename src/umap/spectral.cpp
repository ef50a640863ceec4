#include "umap/spectral.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/random.hpp"

namespace knowmap::umap {

namespace {

/// Vectors in a block: those wanted and some more, whose gap speeds convergence.
constexpr std::size_t kLanes = 8;
constexpr std::size_t kGrain = 2048;
constexpr std::size_t kDense = 300;

/// D^-1/2 W D^-1/2 as it is multiplied with blocks of vectors.
class Normalised {
 public:
  Normalised(const SparseGraph& graph, Workers& workers)
      : graph_(graph), root_degree_(graph.rows()), weights_(graph.size()), workers_(workers) {
    workers.run_ranges(graph.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        double sum = 0;
        for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
          sum += static_cast<double>(graph.weights[e]);
        }
        root_degree_[i] = std::sqrt(sum);
      }
    });
    workers.run_ranges(graph.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
          const auto j = static_cast<std::size_t>(graph.columns[e]);
          weights_[e] = static_cast<float>(static_cast<double>(graph.weights[e]) /
                                           (root_degree_[i] * root_degree_[j]));
        }
      }
    });
  }

  std::size_t size() const { return graph_.rows(); }
  const std::vector<double>& root_degree() const { return root_degree_; }

  /// out = alpha * S x + beta * x + gamma * out, blocks of `width` vectors.
  void multiply(const Matrix& x, float alpha, float beta, float gamma, Matrix& out,
                Monitor* monitor) const {
    const std::size_t groups = x.cols() / kLanes;
    workers_.run_ranges(
        size(), kGrain,
        [&](std::size_t begin, std::size_t end, int) {
          for (std::size_t i = begin; i < end; ++i) {
            for (std::size_t g = 0; g < groups; ++g) {
              float sum[kLanes] = {};
              for (std::size_t e = graph_.offsets[i]; e < graph_.offsets[i + 1]; ++e) {
                const float* y = x.row(static_cast<std::size_t>(graph_.columns[e])) + g * kLanes;
                for (std::size_t l = 0; l < kLanes; ++l) sum[l] += weights_[e] * y[l];
              }
              float* to = out.row(i) + g * kLanes;
              const float* own = x.row(i) + g * kLanes;
              for (std::size_t l = 0; l < kLanes; ++l) {
                const float rest = gamma != 0 ? gamma * to[l] : 0.0f;
                to[l] = alpha * sum[l] + beta * own[l] + rest;
              }
            }
          }
        },
        monitor);
  }

 private:
  const SparseGraph& graph_;
  std::vector<double> root_degree_;
  std::vector<float> weights_;
  Workers& workers_;
};

/// xᵀ y, added up by fixed runs of rows.
Eigen::MatrixXd gram(const Matrix& x, const Matrix& y, Workers& workers) {
  const auto p = static_cast<Eigen::Index>(x.cols());
  const auto q = static_cast<Eigen::Index>(y.cols());
  const std::size_t runs = (x.rows() + kGrain - 1) / kGrain;
  std::vector<Eigen::MatrixXd> parts(runs);
  workers.run_ranges(x.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto n = static_cast<Eigen::Index>(end - begin);
    const Eigen::Map<const Rows> a(x.row(begin), n, p);
    const Eigen::Map<const Rows> b(y.row(begin), n, q);
    parts[begin / kGrain] = a.cast<double>().transpose() * b.cast<double>();
  });
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(p, q);
  for (const auto& part : parts) sum += part;
  return sum;
}

/// x = x * by, rows shared out.
void rotate(Matrix& x, const Eigen::MatrixXd& by, Workers& workers) {
  const std::size_t width = x.cols();
  workers.run_ranges(x.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<double> line(width);
    for (std::size_t i = begin; i < end; ++i) {
      float* row = x.row(i);
      for (std::size_t c = 0; c < width; ++c) line[c] = static_cast<double>(row[c]);
      for (std::size_t c = 0; c < width; ++c) {
        double sum = 0;
        for (std::size_t r = 0; r < width; ++r) {
          sum += line[r] * by(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c));
        }
        row[c] = static_cast<float>(sum);
      }
    }
  });
}

/// The sign of an eigenvector is free: the entry of largest size is positive.
void fix_signs(Matrix& vectors) {
  for (std::size_t c = 0; c < vectors.cols(); ++c) {
    float most = 0;
    for (std::size_t i = 0; i < vectors.rows(); ++i) {
      if (std::abs(vectors(i, c)) > std::abs(most)) most = vectors(i, c);
    }
    if (most >= 0) continue;
    for (std::size_t i = 0; i < vectors.rows(); ++i) vectors(i, c) = -vectors(i, c);
  }
}

Eigenpairs dense_eigenpairs(const SparseGraph& graph, std::size_t count) {
  const auto n = static_cast<Eigen::Index>(graph.rows());
  Eigen::VectorXd degree = Eigen::VectorXd::Zero(n);
  Eigen::MatrixXd laplacian = Eigen::MatrixXd::Identity(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (std::size_t e = graph.offsets[static_cast<std::size_t>(i)];
         e < graph.offsets[static_cast<std::size_t>(i) + 1]; ++e) {
      degree[i] += static_cast<double>(graph.weights[e]);
    }
  }
  for (Eigen::Index i = 0; i < n; ++i) {
    for (std::size_t e = graph.offsets[static_cast<std::size_t>(i)];
         e < graph.offsets[static_cast<std::size_t>(i) + 1]; ++e) {
      const Eigen::Index j = graph.columns[e];
      laplacian(i, j) -= static_cast<double>(graph.weights[e]) / std::sqrt(degree[i] * degree[j]);
    }
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(laplacian);
  Eigenpairs result;
  result.vectors = Matrix(graph.rows(), count);
  for (std::size_t c = 0; c < count; ++c) {
    const auto column = static_cast<Eigen::Index>(c + 1);
    result.values.push_back(solver.eigenvalues()[column]);
    for (Eigen::Index i = 0; i < n; ++i) {
      result.vectors(static_cast<std::size_t>(i), c) =
          static_cast<float>(solver.eigenvectors()(i, column));
    }
  }
  fix_signs(result.vectors);
  return result;
}

/// Puts the block's columns at right angles to the trivial eigenvector.
void deflate(Matrix& x, const Matrix& trivial, Workers& workers) {
  const Eigen::MatrixXd along = gram(trivial, x, workers);
  workers.run_ranges(x.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t c = 0; c < x.cols(); ++c) {
        x(i, c) -= static_cast<float>(along(0, static_cast<Eigen::Index>(c))) * trivial(i, 0);
      }
    }
  });
}

}  // namespace

Eigenpairs laplacian_eigenpairs(const SparseGraph& graph, const SpectralOptions& options,
                                Workers& workers, Monitor* monitor) {
  const std::size_t n = graph.rows();
  if (n <= kDense) return dense_eigenpairs(graph, options.count);
  const Normalised matrix(graph, workers);
  const std::size_t width = (options.count + 4 + kLanes - 1) / kLanes * kLanes;
  Matrix trivial(n, 1);
  double length = 0;
  for (const double r : matrix.root_degree()) length += r * r;
  for (std::size_t i = 0; i < n; ++i) {
    trivial(i, 0) = static_cast<float>(matrix.root_degree()[i] / std::sqrt(length));
  }
  Matrix x(n, width);
  Matrix y(n, width);
  Matrix z(n, width);
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t c = 0; c < width; ++c) {
        x(i, c) = static_cast<float>(
            (unit(random_bits(options.seed, RandomStage::spectral, i, c)) - 0.5) *
            static_cast<double>(trivial(i, 0)));
      }
    }
  });

  // S has its spectrum in [-1, 1], and the wanted end is at 1. A filter damps
  // [-1, cut] and raises what lies above.
  double cut = 0.5;
  std::size_t degree = 12;
  std::size_t products = 0;
  Eigenpairs result;
  std::vector<double> values(width);
  while (true) {
    const double centre = (cut - 1) / 2;
    const double half = (cut + 1) / 2;
    // y = T_1, x = T_0; T_{k+1} = 2 t T_k - T_{k-1}, with t the mapped matrix.
    matrix.multiply(x, static_cast<float>(1 / half), static_cast<float>(-centre / half), 0, y,
                    monitor);
    for (std::size_t k = 1; k < degree; ++k) {
      matrix.multiply(y, static_cast<float>(2 / half), static_cast<float>(-2 * centre / half), -1,
                      x, monitor);
      std::swap(x, y);
    }
    std::swap(x, y);  // x holds the filtered block
    products += degree;
    deflate(x, trivial, workers);

    // An orthonormal base of the block, in double on its small Gram matrix;
    // columns are brought to length 1 before, lest some drown.
    Eigen::MatrixXd g = gram(x, x, workers);
    const Eigen::VectorXd scale = g.diagonal().cwiseMax(1e-300).cwiseSqrt().cwiseInverse();
    g = scale.asDiagonal() * g * scale.asDiagonal();
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> base(g);
    const Eigen::VectorXd spread = base.eigenvalues().cwiseMax(1e-9).cwiseSqrt().cwiseInverse();
    rotate(x, scale.asDiagonal() * base.eigenvectors() * spread.asDiagonal(), workers);

    matrix.multiply(x, 1, 0, 0, z, monitor);
    ++products;
    Eigen::MatrixXd h = gram(x, z, workers);
    h = ((h + h.transpose()) / 2).eval();
    const Eigen::MatrixXd g2 = gram(x, x, workers);
    // The base is orthonormal up to float's rounding, which the general problem
    // takes into account.
    const Eigen::GeneralizedSelfAdjointEigenSolver<Eigen::MatrixXd> ritz(
        h, ((g2 + g2.transpose()) / 2).eval());
    Eigen::MatrixXd turn = ritz.eigenvectors().rowwise().reverse();
    const Eigen::VectorXd theta = ritz.eigenvalues().reverse();
    rotate(x, turn, workers);
    rotate(z, turn, workers);
    for (std::size_t c = 0; c < width; ++c) values[c] = theta[static_cast<Eigen::Index>(c)];

    // Residuals of the wanted pairs.
    const std::size_t runs = (n + kGrain - 1) / kGrain;
    std::vector<double> parts(runs * width, 0.0);
    workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
      double* part = parts.data() + begin / kGrain * width;
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t c = 0; c < options.count; ++c) {
          const double off =
              static_cast<double>(z(i, c)) - values[c] * static_cast<double>(x(i, c));
          part[c] += off * off;
        }
      }
    });
    result.residual = 0;
    for (std::size_t c = 0; c < options.count; ++c) {
      double sum = 0;
      for (std::size_t r = 0; r < runs; ++r) sum += parts[r * width + c];
      result.residual = std::max(result.residual, std::sqrt(sum));
    }
    double bound = options.tolerance;
    if (options.of_gap > 0 && width > options.count) {
      const double gap = values[options.count - 1] - values[options.count];
      bound = std::min(bound, std::max(1e-5, options.of_gap * gap));
    }
    if (result.residual <= bound || products >= options.max_products ||
        !std::isfinite(result.residual)) {
      break;
    }
    cut = std::clamp(values[width - 1], -0.5, 1 - 1e-6);
    // The closer the cut is to 1, the longer a filter must be to tell apart.
    degree = static_cast<std::size_t>(std::clamp(4 / std::sqrt(1 - cut), 12.0, 80.0));
  }
  result.vectors = Matrix(n, options.count);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t c = 0; c < options.count; ++c) result.vectors(i, c) = x(i, c);
  }
  for (std::size_t c = 0; c < options.count; ++c) result.values.push_back(1 - values[c]);
  fix_signs(result.vectors);
  return result;
}

Components connected_components(const SparseGraph& graph) {
  Components result;
  result.labels.assign(graph.rows(), -1);
  std::vector<std::size_t> stack;
  for (std::size_t start = 0; start < graph.rows(); ++start) {
    if (result.labels[start] >= 0) continue;
    const auto label = static_cast<std::int32_t>(result.count++);
    stack.assign(1, start);
    result.labels[start] = label;
    while (!stack.empty()) {
      const std::size_t i = stack.back();
      stack.pop_back();
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const auto j = static_cast<std::size_t>(graph.columns[e]);
        if (result.labels[j] >= 0) continue;
        result.labels[j] = label;
        stack.push_back(j);
      }
    }
  }
  return result;
}

namespace {

/// Where the components lie: (count, dims), within [-1, 1].
Matrix place_components(const Components& components, const neighbors::RowReader& data,
                        std::size_t dims) {
  const std::size_t count = components.count;
  Matrix places(count, dims, 0.0f);
  if (count <= 2 * dims) {  // on the axes, as umap-learn does
    const std::size_t half = (count + 1) / 2;
    for (std::size_t c = 0; c < count; ++c) places(c, c % half) = c < half ? 1.0f : -1.0f;
    return places;
  }
  constexpr std::size_t kSmall = 1024;
  bool placed = false;
  if (!data.empty() && std::min(count, data.cols) <= kSmall) {
    const auto wide = static_cast<Eigen::Index>(data.cols);
    Eigen::MatrixXd centroids = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(count), wide);
    Eigen::VectorXd sizes = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(count));
    std::vector<float> room;
    const float* run = nullptr;
    for (std::size_t i = 0; i < data.rows; ++i, run += data.cols) {
      if (i % kGrain == 0) run = data.run(i, std::min(data.rows, i + kGrain), room);
      const Eigen::Map<const Eigen::RowVectorXf> row(run, wide);
      centroids.row(components.labels[i]) += row.cast<double>();
      sizes[components.labels[i]] += 1;
    }
    centroids.array().colwise() /= sizes.array();
    centroids.rowwise() -= centroids.colwise().mean().eval();
    // The smaller of the two matrices whose eigenvectors are the principal axes.
    const auto most = static_cast<Eigen::Index>(dims);
    Eigen::MatrixXd scores;
    if (centroids.rows() <= wide) {
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(centroids *
                                                                  centroids.transpose());
      scores = solver.eigenvectors().rowwise().reverse().leftCols(std::min(most, centroids.rows()));
      const Eigen::VectorXd roots =
          solver.eigenvalues().reverse().head(scores.cols()).cwiseMax(0).cwiseSqrt();
      scores = (scores * roots.asDiagonal()).eval();
    } else {
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(centroids.transpose() *
                                                                  centroids);
      scores = centroids * solver.eigenvectors().rowwise().reverse().leftCols(std::min(most, wide));
    }
    const double largest = scores.size() > 0 ? scores.cwiseAbs().maxCoeff() : 0;
    if (largest > 0 && std::isfinite(largest)) {
      placed = true;
      for (Eigen::Index c = 0; c < scores.rows(); ++c) {
        for (Eigen::Index d = 0; d < scores.cols(); ++d) {
          places(static_cast<std::size_t>(c), static_cast<std::size_t>(d)) =
              static_cast<float>(scores(c, d) / largest);
        }
      }
    }
  }
  if (!placed) {
    // A sunflower's spiral in the first two dimensions: even and without repeats.
    for (std::size_t c = 0; c < count; ++c) {
      const double radius = std::sqrt((static_cast<double>(c) + 0.5) / static_cast<double>(count));
      const double angle = 2.399963229728653 * static_cast<double>(c);
      places(c, 0) = static_cast<float>(
          dims > 1 ? radius * std::cos(angle)
                   : 2 * static_cast<double>(c) / static_cast<double>(count) - 1);
      if (dims > 1) places(c, 1) = static_cast<float>(radius * std::sin(angle));
    }
  }
  return places;
}

/// Half of the way from a component's place to the nearest other.
std::vector<float> room_around(const Matrix& places) {
  std::vector<float> room(places.rows(), 0.5f);
  // All pairs of thousands of components would cost more than it gives.
  if (places.rows() > 4000) {
    std::fill(room.begin(), room.end(), 1 / std::sqrt(static_cast<float>(places.rows())));
    return room;
  }
  for (std::size_t a = 0; a < places.rows(); ++a) {
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t b = 0; b < places.rows(); ++b) {
      double d2 = 0;
      for (std::size_t d = 0; d < places.cols(); ++d) {
        const double x = static_cast<double>(places(a, d)) - static_cast<double>(places(b, d));
        d2 += x * x;
      }
      if (d2 > 0) nearest = std::min(nearest, d2);
    }
    if (nearest < std::numeric_limits<double>::infinity()) {
      room[a] = static_cast<float>(std::max(std::sqrt(nearest) / 2, 1e-3));
    }
  }
  return room;
}

}  // namespace

std::optional<Matrix> spectral_start(const SparseGraph& graph, const neighbors::RowReader& data,
                                     std::size_t dims, std::uint64_t seed, Workers& workers,
                                     Monitor* monitor) {
  // As good as the layout needs; a solver that stops beyond it has still found
  // smooth functions on the graph, up to the second bound.
  constexpr double kTolerance = 3e-3;
  constexpr double kOfGap = 0.02;
  // Rows up to which that was seen to matter; it costs little there.
  constexpr std::size_t kCareful = 4096;
  constexpr double kUseless = 5e-2;
  SpectralOptions options;
  options.count = dims;
  options.tolerance = kTolerance;
  options.seed = seed;
  const std::size_t n = graph.rows();
  if (n <= kCareful) options.of_gap = kOfGap;
  const Components components = connected_components(graph);
  if (components.count == 1 && n > dims + 1) {
    Eigenpairs pairs = laplacian_eigenpairs(graph, options, workers, monitor);
    if (!(pairs.residual < kUseless)) return std::nullopt;
    return std::move(pairs.vectors);
  }

  const Matrix places = place_components(components, data, dims);
  const std::vector<float> room = room_around(places);
  // Vertices by component, and their numbers within it.
  std::vector<std::size_t> starts(components.count + 1, 0);
  for (const std::int32_t label : components.labels) ++starts[static_cast<std::size_t>(label) + 1];
  for (std::size_t c = 0; c < components.count; ++c) starts[c + 1] += starts[c];
  std::vector<std::size_t> members(n);
  std::vector<std::int32_t> local(n);
  {
    std::vector<std::size_t> next(starts.begin(), starts.end() - 1);
    for (std::size_t i = 0; i < n; ++i) {
      const auto c = static_cast<std::size_t>(components.labels[i]);
      local[i] = static_cast<std::int32_t>(next[c] - starts[c]);
      members[next[c]++] = i;
    }
  }
  Matrix result(n, dims);
  for (std::size_t c = 0; c < components.count; ++c) {
    const std::size_t size = starts[c + 1] - starts[c];
    const std::size_t* vertices = members.data() + starts[c];
    if (size < 2 * dims || size <= dims + 1) {
      for (std::size_t v = 0; v < size; ++v) {
        for (std::size_t d = 0; d < dims; ++d) {
          const double at = unit(random_bits(seed, RandomStage::initial, vertices[v], d));
          result(vertices[v], d) = places(c, d) + room[c] * static_cast<float>(2 * at - 1);
        }
      }
      continue;
    }
    SparseGraph part;
    for (std::size_t v = 0; v < size; ++v) {
      for (std::size_t e = graph.offsets[vertices[v]]; e < graph.offsets[vertices[v] + 1]; ++e) {
        part.columns.push_back(local[static_cast<std::size_t>(graph.columns[e])]);
        part.weights.push_back(graph.weights[e]);
      }
      part.offsets.push_back(part.columns.size());
    }
    const Eigenpairs pairs = laplacian_eigenpairs(part, options, workers, monitor);
    if (!(pairs.residual < kUseless)) return std::nullopt;
    float most = 0;
    for (std::size_t i = 0; i < pairs.vectors.size(); ++i) {
      most = std::max(most, std::abs(pairs.vectors.data()[i]));
    }
    const float by = most > 0 ? room[c] / most : 0.0f;
    for (std::size_t v = 0; v < size; ++v) {
      for (std::size_t d = 0; d < dims; ++d) {
        result(vertices[v], d) = places(c, d) + by * pairs.vectors(v, d);
      }
    }
  }
  return result;
}

}  // namespace knowmap::umap
