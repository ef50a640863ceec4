#include "model/model_files.hpp"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "knowmap/error.hpp"
#include "support/json.hpp"

namespace knowmap {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_file(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

json read_object(const fs::path& file) {
  json value = read_json<ModelError>(file);
  if (!value.is_object()) throw ModelError(file.string() + " is not a JSON object");
  return value;
}

/// A whole number within bounds that no honest model passes: sizes are
/// multiplied later on.
std::int64_t whole_number(const json& config, const char* key, const fs::path& file,
                          std::int64_t low, std::int64_t high) {
  if (!config.contains(key)) throw ModelError(file.string() + " lacks '" + key + "'");
  const json& value = config[key];
  if (!value.is_number_integer()) {
    throw ModelError(file.string() + ": '" + key + "' is " + value.dump() + ", not a whole number");
  }
  const auto number = value.get<std::int64_t>();
  if (number < low || number > high) {
    throw ModelError(file.string() + ": '" + key + "' is " + value.dump() + ", outside " +
                     std::to_string(low) + " ... " + std::to_string(high));
  }
  return number;
}

TransformerConfig read_config(const fs::path& file) {
  const json config = read_object(file);
  TransformerConfig c;
  c.model_type = config.value("model_type", "");
  const bool mpnet = c.model_type == "mpnet";
  if (c.model_type != "bert" && !mpnet) {
    throw ModelError(file.string() + ": model_type '" + c.model_type +
                     "' is not supported; this version runs 'bert' (all-MiniLM-L6-v2 and its kin) "
                     "and 'mpnet'");
  }
  const auto activation = config.value("hidden_act", "gelu");
  if (activation != "gelu") {
    throw ModelError(file.string() + ": hidden_act '" + activation +
                     "' is not supported; 'gelu' is");
  }
  const auto positions = config.value("position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw ModelError(file.string() + ": position_embedding_type '" + positions +
                     "' is not supported; 'absolute' is");
  }
  c.hidden_size = whole_number(config, "hidden_size", file, 1, 1 << 16);
  c.intermediate_size = whole_number(config, "intermediate_size", file, 1, 1 << 20);
  c.layers = whole_number(config, "num_hidden_layers", file, 1, 1 << 12);
  c.heads = whole_number(config, "num_attention_heads", file, 1, 1 << 10);
  c.vocabulary_size = whole_number(config, "vocab_size", file, 1, 1 << 26);
  c.max_positions = whole_number(config, "max_position_embeddings", file, 1, 1 << 24);
  if (mpnet) {
    // The first rows of the table belong to padding.
    c.position_offset = whole_number(config, "pad_token_id", file, 0, 1 << 16) + 1;
    c.max_positions -= c.position_offset;
    if (c.max_positions < 1) {
      throw ModelError(file.string() +
                       ": 'max_position_embeddings' leaves no position beside the " +
                       std::to_string(c.position_offset) + " of padding");
    }
    c.relative_buckets = whole_number(config, "relative_attention_num_buckets", file, 4, 1 << 16);
  } else {
    c.token_types = whole_number(config, "type_vocab_size", file, 1, 1 << 16);
  }
  if (c.hidden_size % c.heads != 0) {
    throw ModelError(file.string() + ": hidden_size " + std::to_string(c.hidden_size) +
                     " is no multiple of num_attention_heads " + std::to_string(c.heads));
  }
  if (config.contains("layer_norm_eps")) {
    if (!config["layer_norm_eps"].is_number() || !(config["layer_norm_eps"].get<double>() >= 0)) {
      throw ModelError(file.string() + ": 'layer_norm_eps' is " + config["layer_norm_eps"].dump());
    }
    c.layer_norm_eps = config["layer_norm_eps"].get<double>();
  }
  return c;
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

std::vector<PoolingMode> read_pooling(const fs::path& file) {
  const json config = read_object(file);
  std::vector<std::string> names;
  if (config.contains("pooling_mode")) {
    const json& mode = config["pooling_mode"];
    for (const json& item : mode.is_array() ? mode : json::array({mode})) {
      if (!item.is_string()) throw ModelError(file.string() + ": 'pooling_mode' is " + mode.dump());
      names.push_back(item.get<std::string>());
    }
  }
  std::vector<PoolingMode> modes;
  for (const std::string& name : names) {
    const auto* known = std::find_if(std::begin(kPoolingNames), std::end(kPoolingNames),
                                     [&](const PoolingName& p) { return name == p.name; });
    if (known == std::end(kPoolingNames)) {
      throw ModelError(file.string() + ": pooling mode '" + name + "' is not known");
    }
    modes.push_back(known->mode);
  }
  if (names.empty()) {
    for (const PoolingName& known : kPoolingNames) {
      if (config.contains(known.flag) && config[known.flag] == true) modes.push_back(known.mode);
    }
  }
  if (modes.empty()) throw ModelError(file.string() + " turns on no pooling mode");
  return modes;
}

/// A module's folder: plain names inside the model's folder, nothing else.
fs::path module_folder(const fs::path& folder, const std::string& path, const fs::path& origin) {
  const fs::path relative(path);
  const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
  if (relative.is_absolute() || climbs) {
    throw ModelError(origin.string() + ": the module path '" + path +
                     "' leads out of the model's folder");
  }
  return folder / relative;
}

SentenceModules read_modules(const fs::path& folder) {
  SentenceModules result;
  const fs::path file = folder / "modules.json";
  if (!is_file(file)) return result;  // as sentence-transformers: mean pooling
  const json modules = read_json<ModelError>(file);
  if (!modules.is_array()) throw ModelError(file.string() + " is not a JSON list");
  bool pooled = false;
  for (const json& module : modules) {
    if (!module.is_object() || !module.contains("type") || !module["type"].is_string()) {
      throw ModelError(file.string() + ": a module lacks its type");
    }
    const std::string type = module["type"].get<std::string>();
    const std::string name = type.substr(type.rfind('.') + 1);
    const std::string path = module.contains("path") && module["path"].is_string()
                                 ? module["path"].get<std::string>()
                                 : "";
    const fs::path where = module_folder(folder, path, file);
    if (name == "Transformer") {
      if (!path.empty() && path != ".") {
        throw ModelError(file.string() + ": a transformer in the sub-folder '" + path +
                         "' is not supported");
      }
    } else if (name == "Pooling") {
      result.pooling = read_pooling(where / "config.json");
      pooled = true;
    } else if (name == "Normalize") {
      if (!pooled) throw ModelError(file.string() + ": Normalize stands before Pooling");
      result.normalize = true;
    } else {
      throw ModelError(file.string() + ": the module '" + type +
                       "' is not supported; Transformer, Pooling and Normalize are");
    }
  }
  if (!pooled) throw ModelError(file.string() + " names no Pooling module");
  return result;
}

/// The file that says how long texts may be has had several names.
std::size_t read_max_length(const fs::path& folder) {
  for (const char* name : {"sentence_bert_config.json", "sentence_roberta_config.json",
                           "sentence_distilbert_config.json", "sentence_camembert_config.json",
                           "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
                           "sentence_xlnet_config.json"}) {
    const fs::path file = folder / name;
    if (!is_file(file)) continue;
    const json config = read_object(file);
    if (!config.contains("max_seq_length") || config["max_seq_length"].is_null()) continue;
    return static_cast<std::size_t>(whole_number(config, "max_seq_length", file, 1, 1 << 24));
  }
  const fs::path tokenizer_config = folder / "tokenizer_config.json";
  if (is_file(tokenizer_config)) {
    const json config = read_object(tokenizer_config);
    // Some files say 1e30 for "no limit".
    if (config.contains("model_max_length") && config["model_max_length"].is_number_integer()) {
      const auto length = config["model_max_length"].get<std::int64_t>();
      if (length > 0 && length < (1 << 24)) return static_cast<std::size_t>(length);
    }
  }
  return 0;
}

void check_parts(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw ModelError("'" + folder.string() +
                     "' is no folder; a model is a folder with "
                     "config.json, model.safetensors and tokenizer.json");
  }
  if (!is_file(folder / "model.safetensors")) {
    for (const char* pickled : {"pytorch_model.bin", "model.pt", "pytorch_model.pt"}) {
      if (is_file(folder / pickled)) {
        throw ModelError("'" + (folder / pickled).string() +
                         "' is a pickle, which can run code when it is read, and is refused; "
                         "save the model as safetensors");
      }
    }
  }
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    if (!is_file(folder / name)) {
      throw ModelError("'" + folder.string() + "' has no " + name +
                       "; a model is a folder with "
                       "config.json, model.safetensors and tokenizer.json");
    }
  }
}

}  // namespace

ModelFiles ModelFiles::read(const fs::path& folder) {
  check_parts(folder);
  ModelFiles files;
  files.folder = folder;
  files.weights = folder / "model.safetensors";
  files.tokenizer = folder / "tokenizer.json";
  files.config = read_config(folder / "config.json");
  files.modules = read_modules(folder);
  files.modules.max_seq_length = read_max_length(folder);
  return files;
}

}  // namespace knowmap
