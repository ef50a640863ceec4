#pragma once

#include <filesystem>

#include "model/model_files.hpp"

namespace knowmap {

/// What `modules.json` and its neighbours say.
struct SentenceFolder {
  SentenceModules modules;
  bool is_static = false;
  /// Where the first module's files lie: the folder itself, or one in it.
  std::filesystem::path transformer;
};

/// Reads `modules.json`, the modules' own files, and
/// `config_sentence_transformers.json`. A folder without them is a transformer
/// with mean pooling, as sentence-transformers takes it, or, where `config.json`
/// names model2vec, a static table. Throws `ModelError`.
SentenceFolder read_sentence_folder(const std::filesystem::path& folder);

}  // namespace knowmap
