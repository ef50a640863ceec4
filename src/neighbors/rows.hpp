#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/knn.hpp"
#include "neighbors/kernels.hpp"
#include "neighbors/metric_kernels.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// Throws `std::invalid_argument` naming the first row of `data` that holds NaN
/// or infinity; `what` is the argument's name.
void check_finite(const RowReader& data, std::string_view what, Workers& workers);

/// How rows become numbers that rank neighbours. For two rows x, y brought into
/// this form, score(x, y) + bias(y) ranks y among x's neighbours. For the metrics
/// that are products in essence the score is x·y (euclidean: centred rows, bias
/// -|y|²/2; cosine: rows of length 1; correlation: the same, each row less its
/// mean first; inner product: the rows), all scaled by a power of two so that no
/// square leaves float's range; for the others it falls with the distance.
class Scoring {
 public:
  Scoring(const RowReader& data, Metric metric, double p, Workers& workers);

  /// Row `row` brought into form; answers its bias.
  float prepare(const float* row, float* out) const;
  std::size_t dims() const { return dims_; }
  bool is_product() const { return tile_ == nullptr; }
  /// c[r][j] = the score of a's row r and b's row j, for panels of prepared rows
  /// (see Kernels::product).
  void tile(const float* a, std::size_t a_panels, const float* b, std::size_t b_panels, float* c,
            std::size_t ldc) const {
    if (is_product()) {
      kernels().product(a, a_panels, b, b_panels, dims_, c, ldc);
    } else {
      tile_->tile(a, a_panels, b, b_panels, dims_, p_, c, ldc);
    }
  }

 private:
  Metric metric_;
  std::size_t dims_;
  float p_;
  const MetricKernel* tile_;
  double scale_ = 1;
  std::vector<float> mean_;
};

/// Panels of prepared rows (see Kernels::product): `rows` of them from `begin`
/// on, the last panel filled up with zeros. `row_of` answers a row's data.
template <class RowOf>
void pack(const Scoring& scoring, std::size_t rows, const RowOf& row_of, float* panels,
          float* bias) {
  const std::size_t dims = scoring.dims();
  std::vector<float> line(dims);
  const std::size_t padded = (rows + kPanel - 1) / kPanel * kPanel;
  for (std::size_t r = 0; r < padded; ++r) {
    float* out = panels + r / kPanel * kPanel * dims + r % kPanel;
    if (r < rows) {
      bias[r] = scoring.prepare(row_of(r), line.data());
      for (std::size_t k = 0; k < dims; ++k) out[k * kPanel] = line[k];
    } else {
      bias[r] = 0;
      for (std::size_t k = 0; k < dims; ++k) out[k * kPanel] = 0;
    }
  }
}

/// The kernel of a metric that is no product of rows; null for the others.
const MetricKernel* metric_kernel(Metric metric);

/// Distances in the metric's own units, summed in double in a fixed order.
class ExactDistance {
 public:
  ExactDistance(Metric metric, double p, std::size_t dims)
      : metric_(metric), p_(p), dims_(dims), kernel_(metric_kernel(metric)) {}
  std::size_t dims() const { return dims_; }
  /// Whether `operator()` wants to know `norm` of both rows; 0 will do otherwise.
  bool wants_norms() const { return metric_ == Metric::cosine; }
  double norm(const float* row) const {
    return wants_norms() ? kernels().dot(row, row, dims_) : 0.0;
  }
  float operator()(const float* a, double norm_a, const float* b, double norm_b) const;

 private:
  float correlation(const float* a, const float* b) const;

  Metric metric_;
  double p_;
  std::size_t dims_;
  const MetricKernel* kernel_;
};

/// `norm` of every row; empty where the metric wants none.
std::vector<double> all_norms(const ExactDistance& distance, const RowReader& data,
                              Workers& workers);

/// Writes the nearest `indices.size()` of the candidates, nearest first and ties
/// by the lower index; -1 and infinity where there are fewer. `rows` are where the
/// candidates' rows lie.
void rank_candidates(const ExactDistance& distance, std::span<const double> norms,
                     const float* query, double query_norm,
                     std::span<const std::int32_t> candidates, std::span<const float* const> rows,
                     std::span<std::int32_t> indices, std::span<float> distances);

/// Candidates kept beyond k, so that what the product's rounding puts in the
/// wrong order is put right by `rank_candidates`.
inline std::size_t with_margin(std::size_t k) { return k + (k / 2 > 8 ? k / 2 : 8); }

}  // namespace knowmap::neighbors
