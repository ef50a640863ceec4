#pragma once

#include <cstdint>
#include <vector>

#include "model/backend.hpp"

namespace knowmap {

/// The row of the table of positions that each token has.
std::vector<std::int32_t> table_positions(const PackedTokens& tokens,
                                          const EmbeddingTables& tables);

/// Places within their texts of tokens [first, first + rows).
std::vector<std::int32_t> positions_in_texts(const PackedTokens& tokens, std::int64_t first,
                                             std::int64_t rows);

/// Columns to spare that `AttentionOptions::bias` has.
constexpr std::int64_t kBiasSlack = 32;

/// What MPNet adds to scores (Song et al. 2020, arXiv 2004.09297; the buckets are
/// T5's, Raffel et al. 2019): near distances have a weight each, farther ones
/// share theirs by their logarithm. `weights` (buckets, heads) → (heads,
/// distances) for texts up to `length` tokens, distance 0 in column length - 1.
at::Tensor relative_bias(const at::Tensor& weights, std::int64_t length);

}  // namespace knowmap
