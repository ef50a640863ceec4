#include <string>

#include "model/families/families.hpp"

namespace knowmap {

/// RoBERTa (Liu et al. 2019, arXiv 1907.11692), XLM-R, CamemBERT: BERT whose
/// positions start after padding's row.
Architecture read_roberta(const ConfigReader& config) {
  Architecture a = read_bert(config);
  a.names.prefixes = {"", "roberta."};
  a.norm_eps = config.real_or("layer_norm_eps", 1e-12, 0, 1);
  a.padding_id = config.whole_or("pad_token_id", 1, 0, 1 << 16);
  a.position_offset = a.padding_id + 1;
  a.max_positions -= a.position_offset;
  if (a.max_positions < 1) {
    config.refuse("'max_position_embeddings' leaves no position beside the " +
                  std::to_string(a.position_offset) + " of padding");
  }
  return a;
}

}  // namespace knowmap
