#include "model/sentence_modules.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "knowmap/error.hpp"
#include "model/config_reader.hpp"
#include "support/json.hpp"

namespace knowmap {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_file(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

struct PoolingName {
  const char* flag;  // the older booleans, and
  const char* name;  // the newer `pooling_mode`
  PoolingMode mode;
};
// In sentence-transformers' order of concatenation.
constexpr PoolingName kPoolingNames[] = {
    {"pooling_mode_cls_token", "cls", PoolingMode::cls},
    {"pooling_mode_max_tokens", "max", PoolingMode::max},
    {"pooling_mode_mean_tokens", "mean", PoolingMode::mean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", PoolingMode::mean_sqrt_len},
    {"pooling_mode_weightedmean_tokens", "weightedmean", PoolingMode::weighted_mean},
    {"pooling_mode_lasttoken", "lasttoken", PoolingMode::last_token},
};

void read_pooling(const fs::path& file, SentenceModules& modules) {
  const ConfigReader config(file);
  std::vector<PoolingMode> modes;
  if (config.has("pooling_mode")) {
    const json& mode = config.at("pooling_mode");
    for (const json& item : mode.is_array() ? mode : json::array({mode})) {
      const auto* known = std::find_if(
          std::begin(kPoolingNames), std::end(kPoolingNames), [&](const PoolingName& p) {
            return item.is_string() && item.get_ref<const std::string&>() == p.name;
          });
      if (known == std::end(kPoolingNames)) {
        config.refuse("pooling mode " + item.dump() + " is not known");
      }
      modes.push_back(known->mode);
    }
  } else {
    for (const PoolingName& known : kPoolingNames) {
      if (config.flag_or(known.flag, false)) modes.push_back(known.mode);
    }
  }
  if (modes.empty()) config.refuse("names no pooling mode");
  modules.pooling = modes;
  modules.include_prompt = config.flag_or("include_prompt", true);
}

/// A module's folder: within the model's, whatever modules.json says.
fs::path module_folder(const fs::path& folder, const std::string& path, const fs::path& origin) {
  const fs::path relative = fs::path(path).lexically_normal();
  const bool leaves = relative.is_absolute() || (!relative.empty() && *relative.begin() == "..");
  if (leaves) {
    throw ModelError(origin.string() + ": the module path '" + path +
                     "' leads out of the model's folder");
  }
  return folder / relative;
}

fs::path module_weights(const fs::path& where) {
  if (is_file(where / "model.safetensors")) return where / "model.safetensors";
  if (is_file(where / "pytorch_model.bin")) {
    throw ModelError("'" + (where / "pytorch_model.bin").string() +
                     "' is a pickle, which can run code when it is read, and is refused; "
                     "save the module as safetensors");
  }
  throw ModelError("'" + where.string() + "' has no model.safetensors");
}

DenseModule read_dense(const fs::path& where) {
  const ConfigReader config(where / "config.json");
  DenseModule dense;
  dense.in = config.whole("in_features", 1, 1 << 20);
  dense.out = config.whole("out_features", 1, 1 << 20);
  dense.bias = config.flag_or("bias", true);
  const std::string full = config.text_or("activation_function", "Tanh");
  const std::string name = full.substr(full.rfind('.') + 1);
  using A = DenseModule::Activation;
  const std::pair<const char*, A> known[] = {{"Identity", A::identity}, {"Tanh", A::tanh},
                                             {"ReLU", A::relu},         {"GELU", A::gelu},
                                             {"Sigmoid", A::sigmoid},   {"SiLU", A::silu}};
  const auto* found = std::find_if(std::begin(known), std::end(known),
                                   [&](const auto& pair) { return name == pair.first; });
  if (found == std::end(known)) {
    config.refuse("activation_function '" + full +
                  "' is not supported; Identity, Tanh, ReLU, GELU, Sigmoid and SiLU are");
  }
  dense.activation = found->second;
  dense.weights = module_weights(where);
  return dense;
}

LayerNormModule read_layer_norm(const fs::path& where) {
  const ConfigReader config(where / "config.json");
  return {module_weights(where), config.whole("dimension", 1, 1 << 20)};
}

void read_module(const std::string& type, const fs::path& where, const fs::path& origin,
                 bool& pooled, SentenceModules& modules) {
  const std::string name = type.substr(type.rfind('.') + 1);
  if (name == "Pooling") {
    if (pooled) throw ModelError(origin.string() + ": Pooling stands behind another");
    read_pooling(where / "config.json", modules);
    pooled = true;
    return;
  }
  if (name != "Normalize" && name != "Dense" && name != "LayerNorm" && name != "Dropout") {
    throw ModelError(origin.string() + ": the module '" + type +
                     "' is not supported; Transformer, StaticEmbedding, Pooling, Dense, LayerNorm "
                     "and Normalize are");
  }
  if (!pooled) throw ModelError(origin.string() + ": " + name + " stands before Pooling");
  if (name == "Normalize") modules.after.emplace_back(NormalizeModule{});
  if (name == "Dense") modules.after.emplace_back(read_dense(where));
  if (name == "LayerNorm") modules.after.emplace_back(read_layer_norm(where));
}

void read_modules(const fs::path& folder, SentenceFolder& result) {
  const fs::path file = folder / "modules.json";
  const json modules = read_json<ModelError>(file);
  if (!modules.is_array()) throw ModelError(file.string() + " is not a JSON list");
  bool pooled = false;
  bool first = true;
  for (const json& item : modules) {
    const ConfigReader module(file, item);
    const std::string type = module.text_or("type", "");
    if (type.empty()) module.refuse("a module lacks its type");
    const std::string path = module.text_or("path", "");
    const fs::path where = module_folder(folder, path, file);
    if (first && (type.ends_with(".Transformer") || type == "Transformer")) {
      if (!path.empty() && path != ".") {
        module.refuse("a transformer in the sub-folder '" + path + "' is not supported");
      }
    } else if (first && type.ends_with("StaticEmbedding")) {
      result.is_static = true;
      result.transformer = where;
      pooled = true;  // it gives the mean itself
    } else if (first) {
      module.refuse("the first module is '" + type + "', neither Transformer nor StaticEmbedding");
    } else {
      read_module(type, where, file, pooled, result.modules);
    }
    first = false;
  }
  if (!pooled) throw ModelError(file.string() + " names no Pooling module");
}

void read_prompts(const fs::path& file, SentenceModules& modules) {
  const ConfigReader config(file);
  if (config.has("prompts")) {
    const json& prompts = config.at("prompts");
    if (!prompts.is_object()) config.refuse("'prompts' is no object");
    for (auto it = prompts.begin(); it != prompts.end(); ++it) {
      if (it->is_null()) continue;
      if (!it->is_string()) config.refuse("prompt '" + it.key() + "' is no string");
      modules.prompts.emplace(it.key(), it->get<std::string>());
    }
  }
  modules.default_prompt_name = config.text_or("default_prompt_name", "");
  if (!modules.default_prompt_name.empty() &&
      modules.prompts.count(modules.default_prompt_name) == 0) {
    config.refuse("'default_prompt_name' is '" + modules.default_prompt_name +
                  "', which is none of its prompts");
  }
  modules.truncate_dim = static_cast<std::size_t>(config.whole_or("truncate_dim", 0, 1, 1 << 20));
}

}  // namespace

SentenceFolder read_sentence_folder(const fs::path& folder) {
  SentenceFolder result;
  result.transformer = folder;
  if (is_file(folder / "modules.json")) {
    read_modules(folder, result);
  } else if (is_file(folder / "config.json")) {
    const ConfigReader config(folder / "config.json");
    result.is_static = config.text_or("model_type", "") == "model2vec";
    if (result.is_static && config.flag_or("normalize", true)) {
      result.modules.after.emplace_back(NormalizeModule{});
    }
  }
  const fs::path prompts = folder / "config_sentence_transformers.json";
  if (is_file(prompts)) read_prompts(prompts, result.modules);
  return result;
}

}  // namespace knowmap
