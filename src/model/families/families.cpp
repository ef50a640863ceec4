#include "model/families/families.hpp"

#include <string>

namespace knowmap {

namespace {

constexpr Family kFamilies[] = {
    {"bert", read_bert},          {"roberta", read_roberta},       {"xlm-roberta", read_roberta},
    {"camembert", read_roberta},  {"mpnet", read_mpnet},           {"distilbert", read_distilbert},
    {"llama", read_llama},        {"llama_bidirec", read_llama},   {"mistral", read_llama},
    {"qwen2", read_llama},        {"qwen3", read_qwen3},           {"modernbert", read_modernbert},
    {"gemma3_text", read_gemma3}, {"nomic_bert", read_nomic_bert},
};

}  // namespace

Architecture read_architecture(const ConfigReader& config) {
  const std::string type = config.text_or("model_type", "");
  for (const Family& family : kFamilies) {
    if (family.model_type != type) continue;
    Architecture architecture = family.read(config);
    architecture.model_type = type;
    if (architecture.heads % architecture.kv_heads != 0) {
      config.refuse(std::to_string(architecture.heads) + " heads of queries cannot share " +
                    std::to_string(architecture.kv_heads) + " of keys and values");
    }
    if (!architecture.ropes.empty() && architecture.head_dim % 2 != 0) {
      config.refuse("heads of " + std::to_string(architecture.head_dim) +
                    " numbers cannot be turned in pairs");
    }
    return architecture;
  }
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "'" : ", '") + std::string(family.model_type) + "'";
  }
  config.refuse("model_type '" + type + "' is not supported; known are " + known +
                " and static tables");
}

}  // namespace knowmap
