#include <cmath>
#include <string>

#include "model/families/families.hpp"

namespace knowmap {

namespace {

/// The names of transformers' own implementation.
void name_as_transformers(WeightNames& n) {
  n.prefixes = {"", "nomic_bert."};
  n.word = "embeddings.word_embeddings";
  n.token_type = "embeddings.token_type_embeddings";
  n.embedding_norm = "embeddings.LayerNorm";
  n.layer = "layers.";
  n.qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  n.attention_out = "self_attn.o_proj";
  n.attention_norm_out = "post_attention_layernorm";
  n.up = {"mlp.gate_proj", "mlp.up_proj"};
  n.down = "mlp.down_proj";
  n.feed_forward_norm_out = "post_mlp_layernorm";
}

/// The names of the published models (nomic-embed-text-v1 and v1.5).
void name_as_published(WeightNames& n) {
  n.prefixes = {"", "bert."};
  n.word = "embeddings.word_embeddings";
  n.token_type = "embeddings.token_type_embeddings";
  n.embedding_norm = "emb_ln";
  n.layer = "encoder.layers.";
  n.qkv = {"attn.Wqkv"};
  n.attention_out = "attn.out_proj";
  n.attention_norm_out = "norm1";
  n.up = {"mlp.fc12", "mlp.fc11"};
  n.down = "mlp.fc2";
  n.feed_forward_norm_out = "norm2";
}

Architecture read_published(const ConfigReader& config) {
  Architecture a;
  a.hidden_size = config.whole("n_embd", 1, 1 << 16);
  a.layers = config.whole("n_layer", 1, 1 << 12);
  a.heads = a.kv_heads = config.whole("n_head", 1, 1 << 10);
  a.vocabulary_size = config.whole("vocab_size", 1, 1 << 26);
  a.max_positions = config.whole("n_positions", 1, 1 << 24);
  a.intermediate_size = config.whole_or("n_inner", 4 * a.hidden_size, 1, 1 << 20);
  a.norm_eps = config.real_or("layer_norm_epsilon", 1e-12, 0, 1);
  a.activation = read_activation(config, "activation_function", "swiglu");
  if (config.text_or("activation_function", "swiglu") != "swiglu") {
    config.refuse("'activation_function' is not 'swiglu', the only one supported here");
  }
  if (a.hidden_size % a.heads != 0) config.refuse("'n_embd' is no multiple of 'n_head'");
  if (config.real_or("rotary_emb_fraction", 1.0, 0, 1) != 1.0) {
    config.refuse("'rotary_emb_fraction' other than 1 is not supported");
  }
  for (const char* flag : {"prenorm", "use_rms_norm", "rotary_emb_interleaved"}) {
    if (config.flag_or(flag, false)) config.refuse("'" + std::string(flag) + "' is not supported");
  }
  a.head_dim = a.hidden_size / a.heads;
  a.attention_scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  a.sights.resize(static_cast<std::size_t>(a.layers));
  a.ropes = {plain_rope(a.head_dim, config.real_or("rotary_emb_base", 10000, 1e-3, 1e12))};
  a.qkv_bias = a.attention_out_bias = config.flag_or("qkv_proj_bias", false);
  a.feed_forward_bias = config.flag_or("mlp_fc1_bias", false);
  return a;
}

Architecture read_native(const ConfigReader& config) {
  Architecture a = read_common_sizes(config);
  a.norm_eps = config.real_or("layer_norm_eps", 1e-12, 0, 1);
  a.activation = read_activation(config, "hidden_act", "silu");
  a.ropes = {read_rope(config, a.head_dim, 1000)};
  return a;
}

}  // namespace

/// NomicBERT (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotary positions
/// and a gated feed-forward.
Architecture read_nomic_bert(const ConfigReader& config) {
  Architecture a = config.has("n_embd") ? read_published(config) : read_native(config);
  a.token_types = config.whole_or("type_vocab_size", 2, 0, 1 << 16);
  a.gated = true;
  a.norm_after_sum = true;
  for (Sight& sight : a.sights) sight.rope = 0;
  // transformers writes either configuration with either names.
  name_as_published(a.names);
  name_as_transformers(a.other_names.emplace_back());
  if (a.token_types == 0) a.names.token_type = a.other_names[0].token_type = "";
  return a;
}

}  // namespace knowmap
