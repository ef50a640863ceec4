// A model's folder of any files is read, or is a ModelError: the modules, their configurations and
// the index of weights. The input holds the files one after the other, each but the last closed by
// a NUL.

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "knowmap/error.hpp"
#include "model/model_files.hpp"
#include "model/weights.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"modules.json",
                                  "1/config.json",
                                  "2/config.json",
                                  "config.json",
                                  "config_sentence_transformers.json",
                                  "sentence_bert_config.json",
                                  "model.safetensors.index.json",
                                  "part.safetensors"};

struct Folder {
  fs::path path;
  Folder() {
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name =
        ((memory ? fs::path("/dev/shm") : fs::temp_directory_path()) / "fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
    fs::create_directory(path / "1");
    fs::create_directory(path / "2");
    write("tokenizer.json", "{}");
    write("2/model.safetensors", "");
  }
  ~Folder() { fs::remove_all(path); }
  void write(const char* name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary)
        .write(bytes.data(), static_cast<long>(bytes.size()));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : kFiles) {
    const bool last = name == kFiles[std::size(kFiles) - 1];
    const std::size_t end = last ? rest.size() : std::min(rest.find('\0'), rest.size());
    // An empty one is not there.
    if (end == 0) {
      fs::remove(folder.path / name);
    } else {
      folder.write(name, rest.substr(0, end));
    }
    rest.remove_prefix(std::min(end + (last ? 0 : 1), rest.size()));
  }
  try {
    const knowmap::ModelFiles files = knowmap::ModelFiles::read(folder.path);
    // Nothing of it lies elsewhere.
    const knowmap::Weights weights(files.weights);
    for (const fs::path& file : weights.files()) {
      if (file.parent_path() != folder.path && file.parent_path().parent_path() != folder.path) {
        std::abort();
      }
    }
  } catch (const knowmap::ModelError&) {
    // What a damaged folder is to end in.
  }
  return 0;
}
