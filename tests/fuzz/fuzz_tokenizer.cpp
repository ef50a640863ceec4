// Feeds arbitrary bytes to the tokenizer, both as a tokenizer.json and as a
// text. CMakeLists.txt beside this file says how to build and run it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/tokenizer.hpp"

namespace {

using knowmap::Tokenizer;

std::string tiny_json(std::string_view normalizer) {
  return R"({"version": "1.0", "normalizer": )" + std::string(normalizer) + R"(,
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]},
    "added_tokens": [
      {"id": 2, "content": "[SEP]", "special": true, "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": false},
      {"id": 9, "content": "<m>", "special": true, "single_word": true, "lstrip": true,
       "rstrip": true, "normalized": false},
      {"id": 10, "content": "A b", "special": false, "single_word": true, "lstrip": true,
       "rstrip": true, "normalized": true},
      {"id": 11, "content": " ", "special": false, "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": true}],
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 8, "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3,
      "##b": 4, "##bc": 5, "e": 6, "中": 7, "!": 8}}})";
}

const std::vector<Tokenizer>& tokenizers() {
  static const std::vector<Tokenizer> all = [] {
    std::vector<Tokenizer> made;
    made.push_back(Tokenizer::from_json(tiny_json(
        R"({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true})")));
    made.push_back(Tokenizer::from_json(tiny_json(
        R"({"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": true,
            "strip_accents": true, "lowercase": false})")));
    made.push_back(Tokenizer::from_json(tiny_json("null")));
    return made;
  }();
  return all;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void encode(const Tokenizer& tokenizer, std::string_view text) {
  const auto all = tokenizer.encode(text);
  const auto highest = static_cast<std::int32_t>(tokenizer.vocabulary_size());
  require(std::all_of(all.begin(), all.end(), [=](auto id) { return id >= 0 && id < highest; }));
  // What is cut short is what came first.
  const std::size_t length = tokenizer.special_tokens() + text.size() % 7;
  if (length == 0) return;
  const auto ids = tokenizer.encode(text, length);
  require(ids.size() == std::min(length, all.size()));
  if (tokenizer.special_tokens() == 2) {
    require(std::equal(ids.begin(), ids.end() - 1, all.begin()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : tokenizers()) {
    encode(tokenizer, bytes);
    // Long enough that pieces are cut.
    if (size > 0 && size < 200) {
      std::string many;
      while (many.size() < 20000) many += bytes;
      encode(tokenizer, many);
    }
  }
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(bytes);
    encode(tokenizer, bytes);
  } catch (const knowmap::TokenizerError&) {
    // What a damaged file is to end in.
  }
  return 0;
}
