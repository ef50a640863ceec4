#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/sentence_head.hpp"

namespace knowmap {

namespace {

/// One text's tokens as float32 rows.
struct Rows {
  const float* data;
  std::int64_t count;
  std::int64_t dim;
  const float* row(std::int64_t i) const { return data + i * dim; }
};

void mean_into(const Rows& rows, double divisor, float* out) {
  std::fill_n(out, rows.dim, 0.0f);
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const float* row = rows.row(i);
    for (std::int64_t j = 0; j < rows.dim; ++j) out[j] += row[j];
  }
  const auto scale = static_cast<float>(1.0 / divisor);
  for (std::int64_t j = 0; j < rows.dim; ++j) out[j] *= scale;
}

/// Later tokens weigh more: 1, 2, 3, ... (SGPT; Muennighoff 2022), counted from
/// the text's first, a prompt's included.
void weighted_mean_into(const Rows& rows, std::int64_t skipped, float* out) {
  std::fill_n(out, rows.dim, 0.0f);
  double total = 0;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const auto weight = static_cast<float>(skipped + i + 1);
    total += weight;
    for (std::int64_t j = 0; j < rows.dim; ++j) out[j] += weight * rows.row(i)[j];
  }
  const auto scale = static_cast<float>(1.0 / total);
  for (std::int64_t j = 0; j < rows.dim; ++j) out[j] *= scale;
}

void max_into(const Rows& rows, float* out) {
  std::fill_n(out, rows.dim, -std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < rows.count; ++i) {
    for (std::int64_t j = 0; j < rows.dim; ++j) out[j] = std::max(out[j], rows.row(i)[j]);
  }
}

void pool_one(const Rows& all, PoolingMode mode, std::int64_t skip, float* out) {
  if (all.count == 0) return (void)std::fill_n(out, all.dim, 0.0f);
  if (mode == PoolingMode::cls) return (void)std::copy_n(all.row(0), all.dim, out);
  if (mode == PoolingMode::last_token)
    return (void)std::copy_n(all.row(all.count - 1), all.dim, out);
  const std::int64_t skipped = std::min(skip, all.count);
  const Rows rows{all.row(skipped), all.count - skipped, all.dim};
  if (rows.count == 0) return (void)std::fill_n(out, all.dim, 0.0f);
  const auto n = static_cast<double>(rows.count);
  if (mode == PoolingMode::max) max_into(rows, out);
  if (mode == PoolingMode::mean) mean_into(rows, n, out);
  if (mode == PoolingMode::mean_sqrt_len) mean_into(rows, std::sqrt(n), out);
  if (mode == PoolingMode::weighted_mean) weighted_mean_into(rows, skipped, out);
}

}  // namespace

void normalize(std::span<float> row) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * x;
  // As torch's normalize: a row of zeros stays one.
  const double scale = 1.0 / std::max(std::sqrt(squares), 1e-12);
  for (float& x : row) x = static_cast<float>(x * scale);
}

void pool(const at::Tensor& hidden, const PackedTokens& tokens, std::span<const PoolingMode> modes,
          std::int64_t skip, std::span<float* const> out) {
  const at::Tensor rows = hidden.to(at::kCPU, at::kFloat).contiguous();
  const std::int64_t dim = rows.size(1);
  for (std::int64_t t = 0; t < tokens.texts(); ++t) {
    const Rows text{
        rows.const_data_ptr<float>() + (tokens.offsets[t] - tokens.offsets.front()) * dim,
        tokens.offsets[t + 1] - tokens.offsets[t], dim};
    float* target = out[static_cast<std::size_t>(t)];
    for (const PoolingMode mode : modes) {
      pool_one(text, mode, skip, target);
      target += dim;
    }
  }
}

}  // namespace knowmap
