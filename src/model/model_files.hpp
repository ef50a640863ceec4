#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace knowmap {

/// The architecture, as `config.json` gives it.
struct TransformerConfig {
  std::string model_type;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t vocabulary_size = 0;
  /// Longest text; the table of positions has `position_offset` rows before it.
  std::int64_t max_positions = 0;
  std::int64_t position_offset = 0;
  std::int64_t token_types = 0;
  /// Of a bias by distance; 0 = none.
  std::int64_t relative_buckets = 0;
  double layer_norm_eps = 1e-12;
};

/// How token vectors become one; several are laid side by side, in this order.
enum class PoolingMode { cls, max, mean, mean_sqrt_len, weighted_mean, last_token };

/// What follows the transformer, as sentence-transformers' `modules.json` says.
struct SentenceModules {
  std::vector<PoolingMode> pooling{PoolingMode::mean};
  bool normalize = false;
  /// 0 = not given.
  std::size_t max_seq_length = 0;
};

/// A model's folder, read and checked.
struct ModelFiles {
  std::filesystem::path folder;
  std::filesystem::path weights;
  std::filesystem::path tokenizer;
  TransformerConfig config;
  SentenceModules modules;

  /// Throws `ModelError` naming the file, the value and the way out.
  static ModelFiles read(const std::filesystem::path& folder);
};

}  // namespace knowmap
