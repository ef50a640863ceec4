#include "umap/densmap.hpp"

#include <algorithm>
#include <cmath>

namespace knowmap::umap {

namespace {

constexpr std::size_t kGrain = 1024;
constexpr double kLeast = 1e-8;

float listed(const KnnGraph& neighbours, std::size_t columns, std::size_t row, std::int32_t other) {
  for (std::size_t j = 0; j < columns; ++j) {
    if (neighbours.indices(row, j) == other) return neighbours.distances(row, j);
  }
  return 0;
}

struct Moments {
  double mean;
  double variance;
};

Moments moments(const std::vector<float>& values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v);
  const double mean = sum / static_cast<double>(values.size());
  double squares = 0;
  for (const float v : values) {
    squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  }
  return {mean, squares / static_cast<double>(values.size())};
}

}  // namespace

std::vector<float> edge_distances(const SparseGraph& graph, const KnnGraph& neighbours,
                                  std::size_t columns, Workers& workers) {
  std::vector<float> distances(graph.size());
  workers.run_ranges(graph.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const std::int32_t j = graph.columns[e];
        distances[e] = std::max(
            listed(neighbours, columns, i, j),
            listed(neighbours, columns, static_cast<std::size_t>(j), static_cast<std::int32_t>(i)));
      }
    }
  });
  return distances;
}

std::vector<float> log_radii(const SparseGraph& graph, const std::vector<float>& distances,
                             int power, Workers& workers) {
  std::vector<float> radii(graph.rows());
  workers.run_ranges(graph.rows(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      double sum = 0;
      double strength = 0;
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const auto d = static_cast<double>(distances[e]);
        sum += static_cast<double>(graph.weights[e]) * (power == 2 ? d * d : d);
        strength += static_cast<double>(graph.weights[e]);
      }
      radii[i] = static_cast<float>(std::log(kLeast + (strength > 0 ? sum / strength : 0)));
    }
  });
  return radii;
}

DensityTerm::DensityTerm(const SparseGraph& graph, const std::vector<float>& radii, float lambda,
                         float var_shift, float a, float b)
    : a_(a),
      b_(b),
      lambda_(lambda),
      var_shift_(var_shift),
      wanted_(radii),
      radius_(radii.size()),
      sum_(radii.size()) {
  for (const float w : graph.weights) total_ += static_cast<double>(w);
  const Moments of = moments(radii);
  const double scale = of.variance > 0 ? 1 / std::sqrt(of.variance) : 0;
  for (float& r : wanted_) r = static_cast<float>((static_cast<double>(r) - of.mean) * scale);
}

void DensityTerm::prepare(const SparseGraph& graph, const Matrix& positions, Workers& workers) {
  const std::size_t n = graph.rows();
  const std::size_t dims = positions.cols();
  workers.run_ranges(n, kGrain, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      double spread = 0;
      double sum = 0;
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const float* other = positions.row(static_cast<std::size_t>(graph.columns[e]));
        float d2 = 0;
        for (std::size_t d = 0; d < dims; ++d) {
          const float diff = positions(i, d) - other[d];
          d2 += diff * diff;
        }
        const double phi =
            1 / (1 + static_cast<double>(a_) * static_cast<double>(std::pow(d2, b_)));
        spread += phi * static_cast<double>(d2);
        sum += phi;
      }
      radius_[i] = static_cast<float>(std::log(kLeast + (sum > 0 ? spread / sum : 0)));
      sum_[i] = static_cast<float>(2 * sum);  // each edge counts in both its directions
    }
  });
  const Moments of = moments(radius_);
  mean_ = of.mean;
  deviation_ = std::sqrt(of.variance + static_cast<double>(var_shift_));
  double product = 0;
  for (std::size_t i = 0; i < n; ++i) {
    product += static_cast<double>(radius_[i]) * static_cast<double>(wanted_[i]);
  }
  covariance_ = n > 1 ? product / static_cast<double>(n - 1) : 0;
}

float DensityTerm::coefficient(std::size_t v, std::size_t w, float mu, float d2) const {
  if (!(d2 > 0) || !(deviation_ > 0)) return 0;
  const auto a = static_cast<double>(a_);
  const auto b = static_cast<double>(b_);
  const double power = static_cast<double>(std::pow(d2, b_));
  const double phi = 1 / (1 + a * power);
  const double slope = a * b * power / static_cast<double>(d2) * phi;
  const auto part = [&](std::size_t i) {
    const double q = phi / static_cast<double>(sum_[i]);
    const double change =
        q * ((1 - b * (1 - phi)) / std::exp(static_cast<double>(radius_[i])) + slope);
    const double weight =
        static_cast<double>(wanted_[i]) -
        covariance_ * (static_cast<double>(radius_[i]) - mean_) / (deviation_ * deviation_);
    return weight * change;
  };
  const double result = 2 * static_cast<double>(lambda_) * total_ * (part(v) + part(w)) /
                        (static_cast<double>(mu) * deviation_) /
                        static_cast<double>(wanted_.size());
  return std::isfinite(result) ? static_cast<float>(result) : 0;
}

}  // namespace knowmap::umap
