#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/activation.hpp"

namespace knowmap {

/// What a norm divides by: the deviation from the mean, or the root of the mean square
/// (Zhang and Sennrich 2019).
enum class NormKind { layer_norm, rms_norm };

/// Rotary positions (Su et al. 2021, arXiv 2104.09864): the pair of a head's numbers
/// i and i + dim / 2 turns by position · inverse_frequencies[i].
struct Rope {
  std::vector<float> inverse_frequencies;  // dim / 2
  double factor = 1.0;                     // of cosine and sine
};

/// How far a layer's tokens see: token i sees i - before ... i + after.
struct Sight {
  static constexpr std::int64_t kAll = std::int64_t{1} << 40;
  std::int64_t before = kAll;
  std::int64_t after = kAll;
  /// Which of `Architecture::ropes`; -1 = none.
  int rope = -1;
};

/// Names of the weights in the file. Those of a layer follow `layer` and its
/// number; each stands for NAME.weight and, where the architecture has it,
/// NAME.bias. An empty name = no such weight.
struct WeightNames {
  /// What may stand before all names; the first that fits is taken.
  std::vector<std::string> prefixes{""};
  std::string word;
  /// `word` is not followed by ".weight".
  bool word_is_whole_name = false;
  std::string position;
  std::string token_type;
  std::string embedding_norm;
  std::string relative_bias;
  std::string final_norm;

  std::string layer;             // "encoder.layer."
  std::vector<std::string> qkv;  // three, or one that holds them one after the other
  std::string attention_out;
  std::vector<std::string> up;  // gated: the half that is activated first; or one that holds both
  std::string down;
  std::string query_norm;
  std::string key_norm;
  /// Before the attention (feed-forward), and after it.
  std::string attention_norm_in;
  std::string attention_norm_out;
  std::string feed_forward_norm_in;
  std::string feed_forward_norm_out;
};

/// A transformer, as a model's family makes it of its `config.json`. One engine
/// runs them all.
struct Architecture {
  std::string model_type;
  std::int64_t hidden_size = 0;
  std::int64_t vocabulary_size = 0;
  /// Longest text in tokens.
  std::int64_t max_positions = 0;
  std::int64_t layers = 0;

  // The embedding.
  /// Rows of the table of positions before a text's first token; with
  /// `padding_id` set, that id keeps the last of them (fairseq's counting).
  std::int64_t position_offset = 0;
  std::int64_t padding_id = -1;
  std::int64_t token_types = 0;
  double embedding_scale = 1.0;

  // Attention.
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double attention_scale = 0.0;
  bool qkv_bias = false;
  bool attention_out_bias = false;
  std::vector<Sight> sights;  // one a layer
  std::vector<Rope> ropes;
  std::int64_t relative_buckets = 0;

  // Feed-forward.
  std::int64_t intermediate_size = 0;
  Activation activation = Activation::gelu;
  /// activation(first half) · second half, of a product twice as wide.
  bool gated = false;
  bool feed_forward_bias = false;

  // Norms.
  NormKind norm = NormKind::layer_norm;
  double norm_eps = 1e-12;
  bool norm_bias = true;
  /// The file holds what is added to 1.
  bool norm_plus_one = false;
  /// Norms that follow attention and feed-forward take the sum with their
  /// input (as BERT) rather than what is added to it (as Gemma).
  bool norm_after_sum = false;
  /// The first layer lacks the norm before attention: the embedding has had one.
  bool first_layer_is_normed = false;

  WeightNames names;
  /// Other names that files of this family have; those that fit are taken.
  std::vector<WeightNames> other_names;
};

}  // namespace knowmap
