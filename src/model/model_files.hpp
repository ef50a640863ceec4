#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "model/architecture.hpp"

namespace knowmap {

/// How token vectors become one; several are laid side by side, in this order.
enum class PoolingMode { cls, max, mean, mean_sqrt_len, weighted_mean, last_token };

/// The modules that may follow pooling, in the order of `modules.json`.
struct NormalizeModule {};
struct DenseModule {
  enum class Activation { identity, tanh, relu, gelu, sigmoid, silu };
  std::filesystem::path weights;
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;
  Activation activation = Activation::tanh;
};
struct LayerNormModule {
  std::filesystem::path weights;
  std::int64_t dimension = 0;
};
using SentenceModule = std::variant<NormalizeModule, DenseModule, LayerNormModule>;

/// What surrounds the transformer, as sentence-transformers' files say.
struct SentenceModules {
  std::vector<PoolingMode> pooling{PoolingMode::mean};
  /// Whether a prompt's tokens take part in pooling.
  bool include_prompt = true;
  std::vector<SentenceModule> after;
  /// 0 = not given.
  std::size_t max_seq_length = 0;
  std::map<std::string, std::string> prompts;
  std::string default_prompt_name;
  /// 0 = not given.
  std::size_t truncate_dim = 0;
};

/// A model's folder, read and checked.
struct ModelFiles {
  std::filesystem::path folder;
  /// `model.safetensors`, or the index of several.
  std::filesystem::path weights;
  std::filesystem::path tokenizer;
  Architecture config;
  SentenceModules modules;
  /// A table of words without a transformer: texts get no special tokens.
  bool is_static = false;

  /// Throws `ModelError` naming the file, the value and the way out.
  static ModelFiles read(const std::filesystem::path& folder);
};

}  // namespace knowmap
