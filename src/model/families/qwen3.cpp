#include <cmath>

#include "model/families/families.hpp"

namespace knowmap {

/// Qwen3 (Yang et al. 2025, arXiv 2505.09388): Llama with norms over each head's
/// queries and keys.
Architecture read_qwen3(const ConfigReader& config) {
  Architecture a = read_llama(config);
  if (!config.has("head_dim")) {
    a.head_dim = 128;
    a.attention_scale = 1.0 / std::sqrt(128.0);
    a.ropes = {read_rope(config, a.head_dim, 10000)};
  }
  a.names.query_norm = "self_attn.q_norm";
  a.names.key_norm = "self_attn.k_norm";
  return a;
}

}  // namespace knowmap
