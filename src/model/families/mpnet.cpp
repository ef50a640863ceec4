#include "model/families/families.hpp"

namespace knowmap {

/// MPNet (Song et al. 2020, arXiv 2004.09297): RoBERTa's positions, and what T5
/// adds to scores by distance.
Architecture read_mpnet(const ConfigReader& config) {
  Architecture a = read_roberta(config);
  a.relative_buckets = config.whole_or("relative_attention_num_buckets", 32, 4, 1 << 16);
  a.token_types = 0;

  WeightNames& n = a.names;
  n.prefixes = {"", "mpnet."};
  n.token_type = "";
  n.relative_bias = "encoder.relative_attention_bias";
  n.qkv = {"attention.attn.q", "attention.attn.k", "attention.attn.v"};
  n.attention_out = "attention.attn.o";
  n.attention_norm_out = "attention.LayerNorm";
  return a;
}

}  // namespace knowmap
