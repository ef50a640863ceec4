#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/architecture.hpp"

namespace knowmap {

/// A JSON object of a model's files, asked key by key. What is missing, of the
/// wrong kind or out of bounds is a `ModelError` with the file, the key and the
/// value; `null` counts as missing.
class ConfigReader {
 public:
  /// Reads and parses `file`.
  explicit ConfigReader(std::filesystem::path file);
  ConfigReader(std::filesystem::path file, nlohmann::json object);

  bool has(const char* key) const;
  const nlohmann::json& at(const char* key) const;
  /// Bounds are such as no honest model passes: sizes are multiplied later on.
  std::int64_t whole(const char* key, std::int64_t low, std::int64_t high) const;
  std::int64_t whole_or(const char* key, std::int64_t fallback, std::int64_t low,
                        std::int64_t high) const;
  double real(const char* key, double low, double high) const;
  double real_or(const char* key, double fallback, double low, double high) const;
  bool flag_or(const char* key, bool fallback) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  /// A nested object.
  ConfigReader object(const char* key) const;

  [[noreturn]] void refuse(const std::string& why) const;
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  nlohmann::json object_;
};

/// "gelu", "silu", ... as transformers names them.
Activation read_activation(const ConfigReader& config, const char* key, const char* fallback);

/// Sizes that nearly all families name alike: hidden_size, intermediate_size,
/// num_hidden_layers, num_attention_heads, vocab_size, max_position_embeddings.
/// Keys and values get as many heads as queries; scores are scaled by the root
/// of head_dim; every token sees all.
Architecture read_common_sizes(const ConfigReader& config);

/// Frequencies from `rope_theta` and `rope_scaling`, or `rope_parameters` (their
/// newer name): plain, "linear", and "llama3". An unknown scaling is refused.
Rope read_rope(const ConfigReader& config, std::int64_t dim, double default_theta);
/// The same from the nested object that holds them.
Rope read_rope_parameters(const ConfigReader& parameters, std::int64_t dim, double default_theta);
Rope plain_rope(std::int64_t dim, double theta);
/// The rope of one kind of layer, "full_attention" or "sliding_attention", from
/// its part of `rope_parameters` or from the older key `theta_key` (with
/// `rope_scaling`, which is for layers that see all).
Rope read_layer_rope(const ConfigReader& config, const char* kind, const char* theta_key,
                     std::int64_t dim, double default_theta);
/// Which layers see near tokens only: as `layer_types` says, else all but those
/// whose number leaves `global` when divided by `every`.
std::vector<bool> read_local_layers(const ConfigReader& config, std::int64_t layers,
                                    std::int64_t every, std::int64_t global);

}  // namespace knowmap
