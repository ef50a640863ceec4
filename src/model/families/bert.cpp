#include "model/families/families.hpp"

namespace knowmap {

/// BERT's encoder (Devlin et al. 2018, arXiv 1810.04805), and MiniLM, which is one.
Architecture read_bert(const ConfigReader& config) {
  Architecture a = read_common_sizes(config);
  const auto positions = config.text_or("position_embedding_type", "absolute");
  if (positions != "absolute") {
    config.refuse("position_embedding_type '" + positions + "' is not supported; 'absolute' is");
  }
  a.token_types = config.whole_or("type_vocab_size", 2, 1, 1 << 16);
  a.activation = read_activation(config, "hidden_act", "gelu");
  a.norm_eps = config.real_or("layer_norm_eps", 1e-12, 0, 1);
  a.qkv_bias = a.attention_out_bias = a.feed_forward_bias = true;
  a.norm_after_sum = true;

  WeightNames& n = a.names;
  n.prefixes = {"", "bert."};  // BertForMaskedLM and the like keep the encoder there
  n.word = "embeddings.word_embeddings";
  n.position = "embeddings.position_embeddings";
  n.token_type = "embeddings.token_type_embeddings";
  n.embedding_norm = "embeddings.LayerNorm";
  n.layer = "encoder.layer.";
  n.qkv = {"attention.self.query", "attention.self.key", "attention.self.value"};
  n.attention_out = "attention.output.dense";
  n.attention_norm_out = "attention.output.LayerNorm";
  n.up = {"intermediate.dense"};
  n.down = "output.dense";
  n.feed_forward_norm_out = "output.LayerNorm";
  return a;
}

}  // namespace knowmap
