// Every kind of tokenizer against the values of tests/reference/tokenizer_make.py, from HF
// `tokenizers`.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/tokenizer.hpp"
#include "text/precompiled.hpp"
#include "text/regex.hpp"
#include "text/unicode.hpp"

namespace knowmap {
namespace {

using Ids = std::vector<std::int32_t>;
using nlohmann::json;

const json& reference() {
  static const json file = [] {
    std::ifstream in(std::filesystem::path(KNOWMAP_TEST_DATA) / "tokenizer_kinds.json");
    return json::parse(in);
  }();
  return file;
}

json file_of(const json& kind) {
  json file = json::object();
  for (const auto& [key, part] : kind["file"].items()) {
    file[key] = reference()["parts"][part.get<std::size_t>()];
  }
  return file;
}

json file_named(const std::string& name) {
  for (const json& kind : reference()["kinds"]) {
    if (kind["name"] == name) return file_of(kind);
  }
  throw std::out_of_range(name);
}

std::string complaint(const json& file) {
  try {
    Tokenizer::from_json(file.dump(), "some.json");
  } catch (const TokenizerError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerKinds, EveryIdIsTheReferences) {
  const auto texts = reference()["texts"].get<std::vector<std::string>>();
  ASSERT_GT(texts.size(), 80u);
  ASSERT_GT(reference()["kinds"].size(), 40u);
  for (const json& kind : reference()["kinds"]) {
    SCOPED_TRACE(kind["name"].get<std::string>());
    const Tokenizer tokenizer = Tokenizer::from_json(file_of(kind).dump());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i]), kind["ids"][i].get<Ids>())
          << "text " << i << ": " << texts[i];
    }
  }
}

// A text is read piece by piece, in other pieces where fewer ids are wanted;
// the cuts must never show.
TEST(TokenizerKinds, PiecesDoNotShow) {
  std::string text;
  for (int i = 0; i < 6; ++i) {
    for (const json& one : reference()["texts"]) text += one.get<std::string>() + " ";
    text += std::string(300, ' ') + std::string(300, 'a') + " <mask>";
  }
  for (const json& kind : reference()["kinds"]) {
    SCOPED_TRACE(kind["name"].get<std::string>());
    json file = file_of(kind);
    file["post_processor"] = nullptr;
    const Tokenizer tokenizer = Tokenizer::from_json(file.dump());
    const Ids all = tokenizer.encode(text);
    for (std::size_t length : {1u, 7u, 100u, 1000u}) {
      const Ids some = tokenizer.encode(text, length);
      ASSERT_EQ(some.size(), std::min(length + 0, all.size()));
      ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << length;
    }
  }
}

TEST(TokenizerKinds, ABatchDoesNotDependOnThreads) {
  const auto texts = reference()["texts"].get<std::vector<std::string>>();
  std::vector<std::string_view> views;
  for (int i = 0; i < 4; ++i) views.insert(views.end(), texts.begin(), texts.end());
  for (const char* name : {"llama3", "gemma", "xlm_r"}) {
    const Tokenizer tokenizer = Tokenizer::from_json(file_named(name).dump());
    const TokenBatch one = tokenizer.encode_batch(views, 0, 1);
    for (int threads : {2, 5}) EXPECT_EQ(tokenizer.encode_batch(views, 0, threads).ids, one.ids);
  }
}

// Every prefix of a file is refused, and a changed byte is never worse than that.
TEST(TokenizerKinds, DamagedFilesAreRefused) {
  for (const char* name : {"llama3", "llama2", "xlm_r", "end_of_word"}) {
    json file = file_named(name);
    json& model = file["model"];
    if (model["type"] == "BPE") {
      model["merges"] = json::array({json::array({"a", "b"}), "ab c"});
      model["vocab"] = {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}, {"<unk>", 5}};
    } else {
      model["vocab"] = json::array({json::array({"<unk>", 0}), json::array({"a", -1.5}),
                                    json::array({"b", -2}), json::array({"ab", -2.5})});
      model["unk_id"] = 0;
      file["normalizer"] = {{"type", "Precompiled"},
                            {"precompiled_charsmap", "CAAAAAEAAAAAAAAAWAA="}};
    }
    file["added_tokens"] = json::array();
    const std::string whole = file.dump();
    for (std::size_t i = 0; i < whole.size(); ++i) {
      try {
        Tokenizer::from_json(whole.substr(0, i));
        FAIL() << name << ": the first " << i << " bytes were accepted";
      } catch (const TokenizerError&) {
      }
    }
  }
}

TEST(TokenizerKinds, WhatIsWrongIsNamed) {
  const auto expect = [](const json& file, const std::string& part) {
    const std::string said = complaint(file);
    EXPECT_NE(said.find(part), said.npos) << said;
  };
  const json good = file_named("llama3");
  json file = good;
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(unclosed"}};
  expect(file, "some.json.pre_tokenizer.pretokenizers[0].pattern.Regex: the pattern (unclosed");
  file = good;
  file["pre_tokenizer"]["pretokenizers"][1]["type"] = "Nonsense";
  expect(file, "the pre_tokenizer \"Nonsense\" is not known");
  file = good;
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Nonsense"}}}}};
  expect(file, "normalizer.normalizers[0].type: the normalizer \"Nonsense\" is not known");
  file = good;
  file["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}};
  expect(file, "precompiled_charsmap: the character map can't be read");
  file["normalizer"]["precompiled_charsmap"] = "%";
  expect(file, "not base64");
  file = good;
  file["model"]["merges"][0] = json::array({"no such", "token"});
  expect(file, "model.merges[0]: the token \"no such\" is not in the vocabulary");
  file["model"]["merges"][0] = "three tokens here";
  expect(file, "is not two tokens");
  file = good;
  file["model"]["dropout"] = 0.1;
  expect(file, "model.dropout: merges dropped at random");
  file = file_named("xlm_r");
  file["model"]["unk_id"] = 1 << 20;
  expect(file, "model.unk_id: the id 1048576 is not one of");
  file["model"]["unk_id"] = nullptr;
  const Tokenizer tokenizer = Tokenizer::from_json(file.dump());
  EXPECT_THROW(tokenizer.encode("\U0010FFFF"), TokenizerError);
}

TEST(Regex, ReadsPatternsAsOniguruma) {
  const auto matches = [](const char* pattern, const char* text) {
    const text::Regex::Found found = text::Regex(pattern).find(text, 0, true);
    return found.state == text::Regex::Found::State::match;
  };
  EXPECT_TRUE(matches("^\\s$", "\u3000"));
  EXPECT_FALSE(matches("^\\s$", "\u180E"));  // a space no more
  EXPECT_TRUE(matches("^\\w$", "\u0301"));
  EXPECT_TRUE(matches("^\\p{L}$", "\U000105C0"));  // Unicode 16
  EXPECT_FALSE(matches("[^\\p{L}]", "\U000105C0"));
  EXPECT_TRUE(matches("^\\h$", "f"));
  EXPECT_TRUE(matches("(?i:'s)", "'\u017F"));
  EXPECT_TRUE(matches("^[\\u00AD\\u200B\\uFEFF]$", "\u200B"));
  EXPECT_TRUE(matches("^\\u4E2D\\x41\\x{1F600}\\x{1234}+\\xA$", "中A😀\u1234\n"));
  EXPECT_TRUE(matches("^\\v$", "\x0B"));
  EXPECT_FALSE(matches("^\\v$", "\u2028"));
  EXPECT_TRUE(matches("(?m:a.b)", "a\nb"));
  EXPECT_FALSE(matches("a.b", "a\nb"));
  EXPECT_TRUE(matches("(?i-m:A.B)(?<=b)(?!c)(?>d)", "axbd"));
  EXPECT_TRUE(matches("^a{2,3}b{x}$", "aab{x}"));
  for (const char* bad : {"[a&&b]", "[a[b]]", "(", "[a", "\\", "\\k<x>", "\\u12", "\\xE9", "\\x",
                          "a{2}+", "a{,2}", "(?s:a)", "(?W:a)", "\\Q.\\E", "\\K"}) {
    EXPECT_THROW(text::Regex{bad}, std::invalid_argument) << bad;
  }
  EXPECT_TRUE(text::Regex("\\p{L}+|\\s+(?!\\S)").streams());
  for (const char* behind : {"(?<=a)b", "\\bx", "^x", "x*", "x$", "\\Ax"}) {
    EXPECT_FALSE(text::Regex(behind).streams()) << behind;
  }
}

TEST(Unicode, GraphemeClustersAndComposition) {
  const auto first = [](std::string_view text) { return text::grapheme_end(text, 0); };
  EXPECT_EQ(first("ab"), 1u);
  EXPECT_EQ(first("\r\nx"), 2u);
  EXPECT_EQ(first("e\u0301\u0323x"), 5u);
  EXPECT_EQ(first("\u1112\u1161\u11abx"), 9u);
  EXPECT_EQ(first("\U0001F1EB\U0001F1F7\U0001F1EB"), 8u);
  EXPECT_EQ(first("\u00a9\u200d\u00a9x"), 7u);
  EXPECT_EQ(text::compose('e', 0x301), U'é');
  EXPECT_EQ(text::compose(0x1112, 0x1161), U'하');
  EXPECT_EQ(text::compose(U'하', 0x11AB), U'한');
  EXPECT_EQ(text::compose('e', 'e'), U'\0');
}

}  // namespace
}  // namespace knowmap
