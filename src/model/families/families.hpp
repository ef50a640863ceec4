#pragma once

#include <string_view>

#include "model/architecture.hpp"
#include "model/config_reader.hpp"

namespace knowmap {

/// A family: the `model_type`s of `config.json` that it reads, and how. To add
/// one, write its file beside the others, and name it here and in families.cpp.
struct Family {
  std::string_view model_type;
  Architecture (*read)(const ConfigReader& config);
};

Architecture read_bert(const ConfigReader& config);
Architecture read_roberta(const ConfigReader& config);
Architecture read_mpnet(const ConfigReader& config);
Architecture read_distilbert(const ConfigReader& config);
Architecture read_llama(const ConfigReader& config);
Architecture read_qwen3(const ConfigReader& config);
Architecture read_modernbert(const ConfigReader& config);
Architecture read_gemma3(const ConfigReader& config);
Architecture read_nomic_bert(const ConfigReader& config);

/// The architecture that `config.json` describes. Throws `ModelError`; an
/// unknown `model_type` is answered with the list of known ones.
Architecture read_architecture(const ConfigReader& config);

}  // namespace knowmap
