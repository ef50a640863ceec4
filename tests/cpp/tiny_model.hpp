#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/random.hpp"

namespace knowmap::testing {

/// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "knowmap-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

/// A safetensors file: 8 bytes of length, the header, the data.
inline std::string safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + data;
}

/// A BERT of random weights: big enough that widths are no multiples of a
/// vector, small enough that a test takes milliseconds.
struct TinyBert {
  int hidden = 20;
  int heads = 2;
  int layers = 2;
  int intermediate = 36;
  int positions = 96;
  std::vector<std::string> words{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"};

  std::string config() const {
    return R"({"model_type":"bert","hidden_act":"gelu","hidden_size":)" + std::to_string(hidden) +
           R"(,"intermediate_size":)" + std::to_string(intermediate) + R"(,"num_hidden_layers":)" +
           std::to_string(layers) + R"(,"num_attention_heads":)" + std::to_string(heads) +
           R"(,"vocab_size":)" + std::to_string(words.size()) + R"(,"max_position_embeddings":)" +
           std::to_string(positions) + R"(,"type_vocab_size":2,"layer_norm_eps":1e-12})";
  }

  std::string tokenizer() const {
    std::string vocabulary;
    for (std::size_t i = 0; i < words.size(); ++i) {
      vocabulary += (i ? "," : "") + ("\"" + words[i] + "\":" + std::to_string(i));
    }
    return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],)"
           R"("normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
           R"("strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},)"
           R"("post_processor":{"type":"TemplateProcessing","single":[)"
           R"({"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},)"
           R"({"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[],"special_tokens":{)"
           R"("[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},)"
           R"("[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},"decoder":null,)"
           R"("model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",)"
           R"("max_input_chars_per_word":100,"vocab":{)" +
           vocabulary + "}}}";
  }

  std::string weights() const {
    std::map<std::string, std::vector<int>> shapes;
    const auto norm = [&](const std::string& name) {
      shapes[name + ".weight"] = {hidden};
      shapes[name + ".bias"] = {hidden};
    };
    const auto linear = [&](const std::string& name, int out, int in) {
      shapes[name + ".weight"] = {out, in};
      shapes[name + ".bias"] = {out};
    };
    shapes["embeddings.word_embeddings.weight"] = {static_cast<int>(words.size()), hidden};
    shapes["embeddings.position_embeddings.weight"] = {positions, hidden};
    shapes["embeddings.token_type_embeddings.weight"] = {2, hidden};
    norm("embeddings.LayerNorm");
    for (int i = 0; i < layers; ++i) {
      const std::string base = "encoder.layer." + std::to_string(i) + ".";
      for (const char* part : {"query", "key", "value"}) {
        linear(base + "attention.self." + part, hidden, hidden);
      }
      linear(base + "attention.output.dense", hidden, hidden);
      norm(base + "attention.output.LayerNorm");
      linear(base + "intermediate.dense", intermediate, hidden);
      linear(base + "output.dense", hidden, intermediate);
      norm(base + "output.LayerNorm");
    }
    std::string header = "{";
    std::vector<float> data;
    for (const auto& [name, shape] : shapes) {
      std::size_t count = 1;
      std::string text;
      for (const int n : shape) {
        count *= static_cast<std::size_t>(n);
        text += (text.empty() ? "" : ",") + std::to_string(n);
      }
      header += (header.size() > 1 ? "," : "") + ("\"" + name + R"(":{"dtype":"F32","shape":[)") +
                text + R"(],"data_offsets":[)" + std::to_string(data.size() * 4) + "," +
                std::to_string((data.size() + count) * 4) + "]}";
      for (std::size_t i = 0; i < count; ++i) {
        const auto bits = random_bits(11, RandomStage::sample, data.size());
        data.push_back(static_cast<float>(unit(bits) - 0.5));
      }
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return safetensors(header, std::string(reinterpret_cast<const char*>(data.data()),
                                           data.size() * sizeof(float)));
  }

  void write(const std::filesystem::path& folder) const {
    write_file(folder / "config.json", config());
    write_file(folder / "tokenizer.json", tokenizer());
    write_file(folder / "model.safetensors", weights());
    write_file(
        folder / "modules.json",
        R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},)"
        R"({"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},)"
        R"({"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
    write_file(folder / "1_Pooling/config.json", R"({"pooling_mode_mean_tokens":true})");
    write_file(folder / "sentence_bert_config.json", R"({"max_seq_length":64})");
  }
};

}  // namespace knowmap::testing
