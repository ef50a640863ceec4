#include <cmath>

#include "model/families/families.hpp"

namespace knowmap {

/// Gemma 3's text model (Gemma Team 2025, arXiv 2503.19786), which EmbeddingGemma
/// runs without a causal mask: norms before and after, each 1 + weight, norms of
/// queries and keys, layers that see near tokens and layers that see all.
Architecture read_gemma3(const ConfigReader& config) {
  Architecture a = read_common_sizes(config);
  if (!config.has("head_dim")) a.head_dim = 256;
  a.kv_heads = config.whole_or("num_key_value_heads", 4, 1, a.heads);
  a.attention_scale = 1.0 / std::sqrt(config.real_or("query_pre_attn_scalar", 256, 1e-3, 1e9));
  if (config.has("attn_logit_softcapping")) {
    config.refuse("'attn_logit_softcapping' is not supported");
  }
  a.activation = read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  a.gated = true;
  a.norm = NormKind::rms_norm;
  a.norm_bias = false;
  a.norm_plus_one = true;
  a.norm_eps = config.real_or("rms_norm_eps", 1e-6, 0, 1);
  a.qkv_bias = a.attention_out_bias = config.flag_or("attention_bias", false);
  a.embedding_scale = std::sqrt(static_cast<double>(a.hidden_size));
  a.ropes = {read_layer_rope(config, "full_attention", "rope_theta", a.head_dim, 1e6),
             read_layer_rope(config, "sliding_attention", "rope_local_base_freq", a.head_dim, 1e4)};

  const bool both_ways = config.flag_or("use_bidirectional_attention", false);
  const std::int64_t window = config.whole_or("sliding_window", 4096, 1, 1 << 24);
  // The last of each six sees all.
  const std::int64_t pattern =
      config.whole_or("_sliding_window_pattern",
                      config.whole_or("sliding_window_pattern", 6, 1, 1 << 12), 1, 1 << 12);
  const std::vector<bool> local = read_local_layers(config, a.layers, pattern, pattern - 1);
  for (std::size_t i = 0; i < a.sights.size(); ++i) {
    Sight& sight = a.sights[i];
    sight.rope = local[i] ? 1 : 0;
    if (local[i]) sight.before = both_ways ? window / 2 : window - 1;
    sight.after = both_ways ? sight.before : 0;
  }

  WeightNames& n = a.names;
  n.prefixes = {"", "model."};
  n.word = "embed_tokens";
  n.final_norm = "norm";
  n.layer = "layers.";
  n.qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  n.query_norm = "self_attn.q_norm";
  n.key_norm = "self_attn.k_norm";
  n.attention_out = "self_attn.o_proj";
  n.attention_norm_in = "input_layernorm";
  n.attention_norm_out = "post_attention_layernorm";
  n.up = {"mlp.gate_proj", "mlp.up_proj"};
  n.down = "mlp.down_proj";
  n.feed_forward_norm_in = "pre_feedforward_layernorm";
  n.feed_forward_norm_out = "post_feedforward_layernorm";
  return a;
}

}  // namespace knowmap
