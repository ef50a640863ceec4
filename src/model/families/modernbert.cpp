#include "model/families/families.hpp"

namespace knowmap {

/// ModernBERT (Warner et al. 2024, arXiv 2412.13663): norms before, gated GELU, no
/// biases; every third layer sees all, the others near tokens, with a rope each.
Architecture read_modernbert(const ConfigReader& config) {
  Architecture a = read_common_sizes(config);
  a.activation = read_activation(config, "hidden_activation", "gelu");
  a.gated = true;
  a.norm_eps = config.real_or("norm_eps", 1e-5, 0, 1);
  a.norm_bias = config.flag_or("norm_bias", false);
  a.qkv_bias = a.attention_out_bias = config.flag_or("attention_bias", false);
  a.feed_forward_bias = config.flag_or("mlp_bias", false);
  const std::int64_t reach = config.whole_or("local_attention", 128, 2, 1 << 24) / 2;
  a.ropes = {read_layer_rope(config, "full_attention", "global_rope_theta", a.head_dim, 160000),
             read_layer_rope(config, "sliding_attention", "local_rope_theta", a.head_dim, 10000)};
  const std::vector<bool> local = read_local_layers(
      config, a.layers, config.whole_or("global_attn_every_n_layers", 3, 1, 1 << 12), 0);
  for (std::size_t i = 0; i < a.sights.size(); ++i) {
    a.sights[i] = local[i] ? Sight{reach, reach, 1} : Sight{Sight::kAll, Sight::kAll, 0};
  }
  a.first_layer_is_normed = true;

  WeightNames& n = a.names;
  n.prefixes = {"", "model."};
  n.word = "embeddings.tok_embeddings";
  n.embedding_norm = "embeddings.norm";
  n.final_norm = "final_norm";
  n.layer = "layers.";
  n.qkv = {"attn.Wqkv"};
  n.attention_out = "attn.Wo";
  n.attention_norm_in = "attn_norm";
  n.up = {"mlp.Wi"};
  n.down = "mlp.Wo";
  n.feed_forward_norm_in = "mlp_norm";
  return a;
}

}  // namespace knowmap
