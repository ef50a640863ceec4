// Feeds arbitrary bytes to the tokenizer: as a text to tokenizers of each kind, and
// as a tokenizer.json, whose own text stands behind a NUL. CMakeLists.txt beside this file says how
// to build and run it.

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

/// One of each other kind of model, with steps that families of models use.
std::vector<std::string> other_kinds() {
  const std::string merges = R"("merges": ["a b", "ab c", "\u0120 a", "\u2581 a", "a a", "aa aa"])";
  const std::string vocab = R"("vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5,
    "\u0120": 6, "\u0120a": 7, "\u2581": 8, "\u2581a": 9, "aa": 10, "aaaa": 11, "<0x0A>": 12,
    "<0xE4>": 13, "<0xB8>": 14, "<0xAD>": 15})";
  const std::string tokens = R"({"version": "1.0", "added_tokens": [
    {"id": 16, "content": "<m>", "special": true, "single_word": false, "lstrip": true,
     "rstrip": true, "normalized": false},
    {"id": 17, "content": "  ", "special": false, "single_word": false, "lstrip": false,
     "rstrip": false, "normalized": true}], )";
  const std::string bytes = R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex":
      "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+(?!\\S)|\\s+"},
     "behavior": "Isolated", "invert": false},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}, )";
  const std::string metaspace =
      R"("pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}, )";
  const std::string forms = R"("normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "NFKC"},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]}, )";
  const std::string prepend = R"("normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}, )";
  const std::string bpe = R"("model": {"type": "BPE", "unk_token": "<unk>", )";
  const std::string unigram = R"("model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0],
    ["a", -1.5], ["b", -2.5], ["ab", -3], ["\u2581", -2], ["\u2581a", -2.25], ["aa", -3]]}})";
  return {tokens + bytes + bpe + R"("ignore_merges": true, )" + vocab + ", " + merges + "}}",
          tokens + prepend + bpe + R"("byte_fallback": true, "fuse_unk": true, )" + vocab + ", " +
              merges + "}}",
          tokens + forms + metaspace + unigram,
          tokens + R"("normalizer": {"type": "NFD"}, )" + unigram,
          tokens + R"("pre_tokenizer": {"type": "Whitespace"}, )" +
              R"("model": {"type": "WordLevel", "unk_token": "<unk>", )" + vocab + "}}"};
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
    for (const std::string& json : other_kinds()) made.push_back(Tokenizer::from_json(json));
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
  // Of the special tokens, half stand behind.
  const auto behind = static_cast<std::ptrdiff_t>(tokenizer.special_tokens() / 2);
  if (behind == 1 || tokenizer.special_tokens() == 0) {
    require(std::equal(ids.begin(), ids.end() - behind, all.begin()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : tokenizers()) {
    encode(tokenizer, bytes);
    // Long enough that pieces are cut.
    if (size > 0 && size < 200 && size % 8 == 0) {
      std::string many;
      while (many.size() < 20000) many += bytes;
      encode(tokenizer, many);
    }
  }
  const std::size_t end = std::min(bytes.find('\0'), size);
  const std::string_view text = end < size ? bytes.substr(end + 1) : bytes;
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(bytes.substr(0, end));
    const auto all = tokenizer.encode(text);
    const auto cut = tokenizer.encode(text, tokenizer.special_tokens() + 3);
    require(cut.size() == std::min(all.size(), tokenizer.special_tokens() + 3));
  } catch (const knowmap::TokenizerError&) {
    // What a damaged file is to end in, or a text that it has no id for.
  }
  return 0;
}
