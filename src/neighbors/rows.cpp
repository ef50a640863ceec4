#include "neighbors/rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace knowmap::neighbors {

namespace {
constexpr std::size_t kGrain = 1024;
}

void check_finite(const RowReader& data, std::string_view what, Workers& workers) {
  std::atomic<std::size_t> first{data.rows};
  workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> room;
    const float* row = data.run(begin, end, room);
    for (std::size_t i = begin; i < end; ++i, row += data.cols) {
      float sum = 0;  // NaN as soon as one is not finite
      for (std::size_t j = 0; j < data.cols; ++j) sum += row[j] * 0.0f;
      if (sum == 0) continue;
      std::size_t seen = first.load();
      while (i < seen && !first.compare_exchange_weak(seen, i)) {
      }
      return;
    }
  });
  if (first < data.rows) {
    throw std::invalid_argument("row " + std::to_string(first) + " of " + std::string(what) +
                                " holds NaN or infinity; every value must be finite");
  }
}

const MetricKernel* metric_kernel(Metric metric) {
  const MetricKernels& table = metric_kernels();
  switch (metric) {
    case Metric::manhattan:
      return &table.manhattan;
    case Metric::chebyshev:
      return &table.chebyshev;
    case Metric::minkowski:
      return &table.minkowski;
    case Metric::canberra:
      return &table.canberra;
    case Metric::braycurtis:
      return &table.braycurtis;
    case Metric::hamming:
      return &table.hamming;
    case Metric::jaccard:
      return &table.jaccard;
    default:
      return nullptr;
  }
}

Scoring::Scoring(const RowReader& data, Metric metric, double p, Workers& workers)
    : metric_(metric), dims_(data.cols), p_(static_cast<float>(p)), tile_(metric_kernel(metric)) {
  const bool scaled = metric == Metric::euclidean || metric == Metric::inner_product;
  if (!scaled || data.empty()) return;
  const std::size_t chunks = (data.rows + kGrain - 1) / kGrain;
  if (metric == Metric::euclidean) {
    // Sums over fixed runs, added up in their order: the same on any threads.
    std::vector<double> sums(chunks * dims_, 0.0);
    workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
      double* sum = sums.data() + begin / kGrain * dims_;
      std::vector<float> room;
      const float* row = data.run(begin, end, room);
      for (std::size_t i = begin; i < end; ++i, row += dims_) {
        for (std::size_t j = 0; j < dims_; ++j) sum[j] += static_cast<double>(row[j]);
      }
    });
    mean_.resize(dims_);
    for (std::size_t j = 0; j < dims_; ++j) {
      double sum = 0;
      for (std::size_t c = 0; c < chunks; ++c) sum += sums[c * dims_ + j];
      mean_[j] = static_cast<float>(sum / static_cast<double>(data.rows));
    }
  }
  std::vector<double> largest(chunks, 0.0);
  workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    double most = 0;
    std::vector<float> room;
    const float* row = data.run(begin, end, room);
    for (std::size_t i = begin; i < end; ++i, row += dims_) {
      for (std::size_t j = 0; j < dims_; ++j) {
        const double mean = mean_.empty() ? 0.0 : static_cast<double>(mean_[j]);
        most = std::max(most, std::abs(static_cast<double>(row[j]) - mean));
      }
    }
    largest[begin / kGrain] = most;
  });
  const double most = *std::max_element(largest.begin(), largest.end());
  if (most > 0) scale_ = std::ldexp(1.0, -std::ilogb(most));
}

float Scoring::prepare(const float* row, float* out) const {
  switch (metric_) {
    case Metric::cosine: {
      const double norm = kernels().dot(row, row, dims_);
      const double by = norm > 0 ? 1 / std::sqrt(norm) : 0.0;
      for (std::size_t j = 0; j < dims_; ++j) {
        out[j] = static_cast<float>(static_cast<double>(row[j]) * by);
      }
      return 0;
    }
    case Metric::euclidean: {
      for (std::size_t j = 0; j < dims_; ++j) {
        out[j] = static_cast<float>((static_cast<double>(row[j]) - static_cast<double>(mean_[j])) *
                                    scale_);
      }
      return static_cast<float>(-0.5 * kernels().dot(out, out, dims_));
    }
    case Metric::correlation: {
      double mean = 0;
      for (std::size_t j = 0; j < dims_; ++j) mean += static_cast<double>(row[j]);
      mean /= static_cast<double>(dims_);
      double norm = 0;
      for (std::size_t j = 0; j < dims_; ++j) {
        const double x = static_cast<double>(row[j]) - mean;
        norm += x * x;
      }
      const double by = norm > 0 ? 1 / std::sqrt(norm) : 0.0;
      for (std::size_t j = 0; j < dims_; ++j) {
        out[j] = static_cast<float>((static_cast<double>(row[j]) - mean) * by);
      }
      return 0;
    }
    case Metric::inner_product:
      for (std::size_t j = 0; j < dims_; ++j) {
        out[j] = static_cast<float>(static_cast<double>(row[j]) * scale_);
      }
      return 0;
    default:
      break;
  }
  std::copy_n(row, dims_, out);
  return 0;
}

float ExactDistance::correlation(const float* a, const float* b) const {
  const auto n = static_cast<double>(dims_);
  double mean_a = 0, mean_b = 0;
  for (std::size_t j = 0; j < dims_; ++j) {
    mean_a += static_cast<double>(a[j]);
    mean_b += static_cast<double>(b[j]);
  }
  mean_a /= n;
  mean_b /= n;
  double product = 0, norm_a = 0, norm_b = 0;
  for (std::size_t j = 0; j < dims_; ++j) {
    const double x = static_cast<double>(a[j]) - mean_a;
    const double y = static_cast<double>(b[j]) - mean_b;
    product += x * y;
    norm_a += x * x;
    norm_b += y * y;
  }
  if (norm_a <= 0 || norm_b <= 0) return 1;
  return static_cast<float>(std::max(0.0, 1 - product / std::sqrt(norm_a * norm_b)));
}

float ExactDistance::operator()(const float* a, double norm_a, const float* b,
                                double norm_b) const {
  switch (metric_) {
    case Metric::euclidean:
      return static_cast<float>(std::sqrt(kernels().squared_distance(a, b, dims_)));
    case Metric::cosine: {
      if (norm_a <= 0 || norm_b <= 0) return 1;
      // sqrt(x * x) is x: equal rows lie at 0 exactly. The roots are taken
      // apart only where the product would leave double's range (it can't:
      // norms of floats are below 1e81).
      const double cosine = kernels().dot(a, b, dims_) / std::sqrt(norm_a * norm_b);
      return static_cast<float>(std::max(0.0, 1 - cosine));
    }
    case Metric::correlation:
      return correlation(a, b);
    case Metric::inner_product:
      return static_cast<float>(1 - kernels().dot(a, b, dims_));
    default:
      return static_cast<float>(kernel_->distance(a, b, dims_, p_));
  }
}

std::vector<double> all_norms(const ExactDistance& distance, const RowReader& data,
                              Workers& workers) {
  std::vector<double> norms(distance.wants_norms() ? data.rows : 0);
  workers.run_ranges(norms.size(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> room;
    const float* row = data.run(begin, end, room);
    for (std::size_t i = begin; i < end; ++i, row += data.cols) norms[i] = distance.norm(row);
  });
  return norms;
}

void rank_candidates(const ExactDistance& distance, std::span<const double> norms,
                     const float* query, double query_norm,
                     std::span<const std::int32_t> candidates, std::span<const float* const> rows,
                     std::span<std::int32_t> indices, std::span<float> distances) {
  std::vector<std::pair<float, std::int32_t>> ranked(candidates.size());
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const auto j = static_cast<std::size_t>(candidates[c]);
    if (c + 2 < candidates.size()) {
      const auto* next = reinterpret_cast<const char*>(rows[c + 2]);
      for (std::size_t byte = 0; byte < distance.dims() * sizeof(float); byte += 64) {
        __builtin_prefetch(next + byte);
      }
    }
    ranked[c] = {distance(query, query_norm, rows[c], norms.empty() ? 0.0 : norms[j]),
                 candidates[c]};
  }
  const std::size_t count = std::min(ranked.size(), indices.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count),
                    ranked.end());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    indices[i] = i < count ? ranked[i].second : -1;
    distances[i] = i < count ? ranked[i].first : std::numeric_limits<float>::infinity();
  }
}

}  // namespace knowmap::neighbors
