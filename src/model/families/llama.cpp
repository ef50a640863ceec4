#include "model/families/families.hpp"

namespace knowmap {

/// Llama (Touvron et al. 2023, arXiv 2302.13971), Mistral (a window), Qwen2 (a
/// bias), and llama_bidirec (nvidia/llama-embed-nemotron-8b), whose tokens see
/// the whole text.
Architecture read_llama(const ConfigReader& config) {
  Architecture a = read_common_sizes(config);
  const std::string type = config.text_or("model_type", "");
  a.kv_heads = config.whole_or("num_key_value_heads", type == "mistral" ? 8 : a.heads, 1, a.heads);
  a.activation = read_activation(config, "hidden_act", "silu");
  a.gated = true;
  a.norm = NormKind::rms_norm;
  a.norm_bias = false;
  a.norm_eps = config.real_or("rms_norm_eps", 1e-6, 0, 1);
  a.qkv_bias = type == "qwen2" || config.flag_or("attention_bias", false);
  a.attention_out_bias = type != "qwen2" && config.flag_or("attention_bias", false);
  a.feed_forward_bias = config.flag_or("mlp_bias", false);
  a.ropes = {read_rope(config, a.head_dim, 10000)};

  const bool causal = type != "llama_bidirec" && config.flag_or("is_causal", true);
  const bool windowed = type == "mistral" ||
                        (type.starts_with("qwen") && config.flag_or("use_sliding_window", false));
  const std::int64_t window =
      windowed ? config.whole_or("sliding_window", Sight::kAll, 1, Sight::kAll) : Sight::kAll;
  const std::int64_t first_windowed =
      type == "mistral" ? 0 : config.whole_or("max_window_layers", 28, 0, 1 << 12);
  for (std::size_t i = 0; i < a.sights.size(); ++i) {
    Sight& sight = a.sights[i];
    sight.rope = 0;
    if (causal) sight.after = 0;
    if (window == Sight::kAll || static_cast<std::int64_t>(i) < first_windowed) continue;
    sight.before = window - 1;
    if (!causal) sight.after = window - 1;
  }

  WeightNames& n = a.names;
  n.prefixes = {"", "model."};
  n.word = "embed_tokens";
  n.final_norm = "norm";
  n.layer = "layers.";
  n.qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  n.attention_out = "self_attn.o_proj";
  n.attention_norm_in = "input_layernorm";
  n.up = {"mlp.gate_proj", "mlp.up_proj"};
  n.down = "mlp.down_proj";
  n.feed_forward_norm_in = "post_attention_layernorm";
  return a;
}

}  // namespace knowmap
