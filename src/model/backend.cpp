#include "model/backend.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "model/positions.hpp"

namespace knowmap {

at::Tensor Backend::rotary_table(const Rope& rope, std::int64_t length) const {
  const at::Tensor frequencies = at::tensor(rope.inverse_frequencies, at::kFloat);
  // Angles in float32, as the models were trained.
  const at::Tensor angles = at::arange(length, at::kFloat).unsqueeze(1) * frequencies;
  return (at::cat({angles.cos(), angles.sin()}, 1) * rope.factor).to(device());
}

std::vector<std::int32_t> table_positions(const PackedTokens& tokens,
                                          const EmbeddingTables& tables) {
  std::vector<std::int32_t> positions;
  positions.reserve(static_cast<std::size_t>(tokens.tokens()));
  for (std::int64_t t = 0; t < tokens.texts(); ++t) {
    std::int64_t next = tables.position_offset;
    for (std::int64_t i = tokens.offsets[t]; i < tokens.offsets[t + 1]; ++i) {
      const bool padding = tokens.ids[static_cast<std::size_t>(i)] == tables.padding_id;
      positions.push_back(static_cast<std::int32_t>(padding ? tables.position_offset - 1 : next++));
    }
  }
  return positions;
}

std::vector<std::int32_t> positions_in_texts(const PackedTokens& tokens, std::int64_t first,
                                             std::int64_t rows) {
  std::vector<std::int32_t> positions;
  const std::int64_t begin = tokens.offsets.front() + first;
  const std::int64_t end = begin + rows;
  auto text = std::upper_bound(tokens.offsets.begin(), tokens.offsets.end(), begin) - 1;
  for (std::int64_t i = begin; i < end; ++i) {
    while (i >= *(text + 1)) ++text;
    positions.push_back(static_cast<std::int32_t>(i - *text));
  }
  return positions;
}

at::Tensor relative_bias(const at::Tensor& weights, std::int64_t length) {
  constexpr double kFarthest = 128;
  const std::int64_t side = weights.size(0) / 2;
  const std::int64_t exact = side / 2;
  const at::Tensor distance = at::arange(1 - length, length + kBiasSlack, at::kLong);
  const at::Tensor far = distance.abs();
  // In float32, as the model was trained: boundaries lie on powers of two.
  const at::Tensor shared = at::log(far.to(at::kFloat) / static_cast<double>(exact)) /
                            std::log(kFarthest / static_cast<double>(exact)) *
                            static_cast<double>(side - exact);
  const at::Tensor bucket =
      at::where(far.lt(exact), far,
                at::clamp_max(exact + shared.clamp_min(0).to(at::kLong), side - 1)) +
      distance.gt(0).to(at::kLong) * side;
  return weights.to(at::kFloat).index_select(0, bucket).t().contiguous();
}

}  // namespace knowmap
