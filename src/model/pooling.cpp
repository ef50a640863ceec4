#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/transformer.hpp"

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

/// Later tokens weigh more: 1, 2, 3, ... (SGPT; Muennighoff 2022).
void weighted_mean_into(const Rows& rows, float* out) {
  std::fill_n(out, rows.dim, 0.0f);
  double total = 0;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const auto weight = static_cast<float>(i + 1);
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

void pool_one(const Rows& rows, PoolingMode mode, float* out) {
  const auto n = static_cast<double>(rows.count);
  switch (mode) {
    case PoolingMode::cls:
      std::copy_n(rows.row(0), rows.dim, out);
      break;
    case PoolingMode::last_token:
      std::copy_n(rows.row(rows.count - 1), rows.dim, out);
      break;
    case PoolingMode::max:
      max_into(rows, out);
      break;
    case PoolingMode::mean:
      mean_into(rows, n, out);
      break;
    case PoolingMode::mean_sqrt_len:
      mean_into(rows, std::sqrt(n), out);
      break;
    case PoolingMode::weighted_mean:
      weighted_mean_into(rows, out);
      break;
  }
}

void normalize(float* row, std::int64_t dim) {
  double squares = 0;
  for (std::int64_t j = 0; j < dim; ++j) squares += static_cast<double>(row[j]) * row[j];
  // As torch's normalize: a row of zeros stays one.
  const double scale = 1.0 / std::max(std::sqrt(squares), 1e-12);
  for (std::int64_t j = 0; j < dim; ++j) row[j] = static_cast<float>(row[j] * scale);
}

}  // namespace

void pool(const at::Tensor& hidden, const PackedTokens& tokens, const SentenceModules& modules,
          std::span<float* const> out) {
  const at::Tensor rows = hidden.to(at::kCPU, at::kFloat).contiguous();
  const std::int64_t dim = rows.size(1);
  const std::int64_t wide = dim * static_cast<std::int64_t>(modules.pooling.size());
  for (std::int64_t t = 0; t < tokens.texts(); ++t) {
    const Rows text{
        rows.const_data_ptr<float>() + (tokens.offsets[t] - tokens.offsets.front()) * dim,
        tokens.offsets[t + 1] - tokens.offsets[t], dim};
    float* target = out[static_cast<std::size_t>(t)];
    for (const PoolingMode mode : modules.pooling) {
      pool_one(text, mode, target);
      target += dim;
    }
    if (modules.normalize) normalize(out[static_cast<std::size_t>(t)], wide);
  }
}

}  // namespace knowmap
