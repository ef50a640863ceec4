#include <cmath>

#include "model/families/families.hpp"

namespace knowmap {

/// DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT without token types,
/// with names of its own for all.
Architecture read_distilbert(const ConfigReader& config) {
  Architecture a;
  a.hidden_size = config.whole("dim", 1, 1 << 16);
  a.intermediate_size = config.whole("hidden_dim", 1, 1 << 20);
  a.layers = config.whole("n_layers", 1, 1 << 12);
  a.heads = a.kv_heads = config.whole("n_heads", 1, 1 << 10);
  a.vocabulary_size = config.whole("vocab_size", 1, 1 << 26);
  a.max_positions = config.whole("max_position_embeddings", 1, 1 << 24);
  if (a.hidden_size % a.heads != 0) config.refuse("'dim' is no multiple of 'n_heads'");
  a.head_dim = a.hidden_size / a.heads;
  a.attention_scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  a.sights.resize(static_cast<std::size_t>(a.layers));
  a.activation = read_activation(config, "activation", "gelu");
  a.qkv_bias = a.attention_out_bias = a.feed_forward_bias = true;
  a.norm_after_sum = true;

  WeightNames& n = a.names;
  n.prefixes = {"", "distilbert."};
  n.word = "embeddings.word_embeddings";
  n.position = "embeddings.position_embeddings";
  n.embedding_norm = "embeddings.LayerNorm";
  n.layer = "transformer.layer.";
  n.qkv = {"attention.q_lin", "attention.k_lin", "attention.v_lin"};
  n.attention_out = "attention.out_lin";
  n.attention_norm_out = "sa_layer_norm";
  n.up = {"ffn.lin1"};
  n.down = "ffn.lin2";
  n.feed_forward_norm_out = "output_layer_norm";
  return a;
}

}  // namespace knowmap
