#include "model/model_files.hpp"

#include <algorithm>
#include <string_view>

#include "knowmap/error.hpp"
#include "model/config_reader.hpp"
#include "model/families/families.hpp"
#include "model/sentence_modules.hpp"
#include "model/weights.hpp"
#include "support/json.hpp"

namespace knowmap {

namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

constexpr std::string_view kParts =
    "; a model is a folder with config.json, model.safetensors (or its index) and tokenizer.json";

/// `model.safetensors`, or the index of several such files.
fs::path find_weights(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json"}) {
    if (is_file(folder / name)) return folder / name;
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".bin" || ending == ".pt" || ending == ".pth" || ending == ".ckpt" ||
        ending == ".pkl") {
      throw ModelError("'" + entry.path().string() +
                       "' is a pickle, which can run code when it is read, and is refused; "
                       "save the model as safetensors");
    }
  }
  throw ModelError("'" + folder.string() + "' has no model.safetensors" + std::string(kParts));
}

void need(const fs::path& folder, const char* name) {
  if (is_file(folder / name)) return;
  throw ModelError("'" + folder.string() + "' has no " + name + std::string(kParts));
}

/// A table of words (model2vec, sentence-transformers' StaticEmbedding): an
/// architecture of no layers, whose pooling is the mean.
Architecture read_static_table(const fs::path& file) {
  const Weights weights(file);
  Architecture a;
  a.model_type = "static";
  for (const char* name : {"embedding", "embeddings"}) {
    for (const char* ending : {".weight", ""}) {
      const auto shape = weights.shape(std::string(name) + ending);
      if (shape.size() != 2) continue;
      if (weights.has("weights") || weights.has("mapping")) {
        throw ModelError(file.string() +
                         ": a table with 'weights' or 'mapping' beside it is not supported");
      }
      a.names.word = std::string(name) + ending;
      a.names.word_is_whole_name = true;
      a.vocabulary_size = shape[0];
      a.hidden_size = shape[1];
      a.max_positions = 1 << 24;
      if (a.vocabulary_size < 1 || a.hidden_size < 1 || a.hidden_size > (1 << 16)) break;
      return a;
    }
  }
  throw ModelError(file.string() + " holds no table 'embedding.weight' or 'embeddings'");
}

/// The file that says how long texts may be has had several names.
std::size_t read_max_length(const fs::path& folder) {
  for (const char* name : {"sentence_bert_config.json", "sentence_roberta_config.json",
                           "sentence_distilbert_config.json", "sentence_camembert_config.json",
                           "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
                           "sentence_xlnet_config.json"}) {
    if (!is_file(folder / name)) continue;
    const ConfigReader config(folder / name);
    if (!config.has("max_seq_length")) continue;
    return static_cast<std::size_t>(config.whole("max_seq_length", 1, 1 << 24));
  }
  if (is_file(folder / "tokenizer_config.json")) {
    const ConfigReader config(folder / "tokenizer_config.json");
    // Some files say 1e30 for "no limit".
    if (config.has("model_max_length") && config.at("model_max_length").is_number_integer()) {
      const auto length = config.at("model_max_length").get<std::int64_t>();
      if (length > 0 && length < (1 << 24)) return static_cast<std::size_t>(length);
    }
  }
  return 0;
}

}  // namespace

ModelFiles ModelFiles::read(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw ModelError("'" + folder.string() + "' is no folder" + std::string(kParts));
  }
  ModelFiles files;
  files.folder = folder;
  const SentenceFolder sentence = read_sentence_folder(folder);
  files.modules = sentence.modules;
  files.is_static = sentence.is_static;
  if (files.is_static) {
    files.weights = find_weights(sentence.transformer);
    files.tokenizer = sentence.transformer / "tokenizer.json";
    need(sentence.transformer, "tokenizer.json");
    files.config = read_static_table(files.weights);
    return files;
  }
  files.weights = find_weights(folder);
  need(folder, "config.json");
  need(folder, "tokenizer.json");
  files.tokenizer = folder / "tokenizer.json";
  files.config = read_architecture(ConfigReader(folder / "config.json"));
  files.modules.max_seq_length = read_max_length(folder);
  return files;
}

}  // namespace knowmap
