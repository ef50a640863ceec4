// Reference values: tests/reference/tokenizer_make.py, from HF `tokenizers`.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/tokenizer.hpp"
#include "text/byte_trie.hpp"
#include "text/unicode.hpp"

namespace knowmap {
namespace {

using Ids = std::vector<std::int32_t>;

nlohmann::json read_json(const std::string& name) {
  std::ifstream in(std::filesystem::path(KNOWMAP_TEST_DATA) / name);
  return nlohmann::json::parse(in);
}

const nlohmann::json& small_file() {
  static const auto file = read_json("tokenizer_small.json");
  return file;
}

const nlohmann::json& cases() {
  static const auto file = read_json("tokenizer_cases.json");
  return file;
}

Tokenizer tokenizer_with(const nlohmann::json& patch = nlohmann::json::object()) {
  nlohmann::json file = small_file();
  file.merge_patch(patch);
  return Tokenizer::from_json(file.dump());
}

/// All texts of the reference in one, several times over: longer than a piece.
std::string long_text(int times = 8) {
  std::string all;
  for (int i = 0; i < times; ++i) {
    for (const auto& text : cases()["texts"]) all += text.get<std::string>() + " ";
  }
  return all;
}

/// What `from_json` says about a file that it refuses.
std::string complaint(const std::string& json) {
  try {
    Tokenizer::from_json(json, "some.json");
  } catch (const TokenizerError& error) {
    return error.what();
  }
  return "accepted";
}

std::string complaint_about(const nlohmann::json& patch) {
  nlohmann::json file = small_file();
  file.merge_patch(patch);
  return complaint(file.dump());
}

TEST(Tokenizer, EveryIdIsTheReferences) {
  const auto texts = cases()["texts"].get<std::vector<std::string>>();
  ASSERT_GT(texts.size(), 200u);
  for (const auto& variant : cases()["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const Tokenizer tokenizer = tokenizer_with(variant["patch"]);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i]), variant["ids"][i].get<Ids>())
          << "text " << i << ": " << texts[i];
    }
  }
}

TEST(Tokenizer, LoadsAFileAndIgnoresItsTruncationAndPadding) {
  const auto path = std::filesystem::temp_directory_path() / "knowmap_test_tokenizer.json";
  nlohmann::json file = small_file();
  file["truncation"] = {{"max_length", 3}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {{"strategy", {{"Fixed", 128}}}, {"pad_id", 0}};
  std::ofstream(path) << file.dump();
  EXPECT_EQ(Tokenizer::load(path).encode("the map of knowledge"),
            tokenizer_with().encode("the map of knowledge"));
  std::filesystem::remove(path);
}

TEST(Tokenizer, TruncatesAtEveryLength) {
  const Tokenizer tokenizer = tokenizer_with();
  const std::string text = long_text(1);
  const Ids all = tokenizer.encode(text);
  ASSERT_GT(all.size(), 1000u);
  for (std::size_t length = 2; length <= all.size() + 2; ++length) {
    const Ids ids = tokenizer.encode(text, length);
    ASSERT_EQ(ids.size(), std::min(length, all.size()));
    ASSERT_TRUE(std::equal(ids.begin(), ids.end() - 1, all.begin())) << length;
    ASSERT_EQ(ids.back(), all.back());
  }
}

TEST(Tokenizer, TruncatesInsideAWordOfManyTokens) {
  const Tokenizer tokenizer = tokenizer_with();
  const Ids all = tokenizer.encode("unaffable");
  ASSERT_GT(all.size(), 4u);
  EXPECT_EQ(tokenizer.encode("unaffable", 4), (Ids{all[0], all[1], all[2], all.back()}));
}

TEST(Tokenizer, AMaxLengthWithoutRoomForSpecialTokensIsRefused) {
  const Tokenizer tokenizer = tokenizer_with();
  EXPECT_EQ(tokenizer.special_tokens(), 2u);
  EXPECT_THROW(tokenizer.encode("the", 1), std::invalid_argument);
  EXPECT_THROW(tokenizer.encode_batch({}, 1), std::invalid_argument);
  EXPECT_EQ(tokenizer.encode("the", 2), (Ids{2, 3}));
}

// Texts are read piece by piece; a cut must never show. Words of 100 letters
// and marks without a starter stand across every possible cut sooner or later.
TEST(Tokenizer, PiecesDoNotShowInLongTexts) {
  for (const auto& variant : cases()["variants"]) {
    const std::string name = variant["name"];
    if (name == "no_pre_tokenizer") continue;  // there, words are not apart
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = tokenizer_with(variant["patch"]);
    Ids expected;
    std::string text;
    const std::string words[] = {"ne\u0301w",       "New York",       "中文", std::string(97, 'x'),
                                 "\u0301\u0323the", "e\u0302\u0323s", "İi",   "[MASK]",
                                 "a\u302f\u302e"};
    for (int i = 0; i < 3000; ++i) {
      const std::string& word = words[i * 7 % 9];
      // The white space keeps tokens of several words from arising.
      text += word + " ; ";
      const Ids ids = tokenizer.encode(word + " ; ");
      const auto around = static_cast<std::ptrdiff_t>(tokenizer.special_tokens() / 2);
      expected.insert(expected.end(), ids.begin() + around, ids.end() - around);
    }
    Ids ids = tokenizer.encode(text);
    const auto around = static_cast<std::ptrdiff_t>(tokenizer.special_tokens() / 2);
    EXPECT_EQ(Ids(ids.begin() + around, ids.end() - around), expected);
  }
}

TEST(Tokenizer, VeryLongTextsWithoutSpacesOrStartersAreFine) {
  const Tokenizer tokenizer = tokenizer_with();
  constexpr std::size_t kLetters = 3'000'000;
  const Ids unknown = tokenizer.encode("\U0001F47D");
  EXPECT_EQ(tokenizer.encode(std::string(kLetters, 'a')), unknown);
  EXPECT_EQ(tokenizer.encode(std::string(kLetters, ' ')), (Ids{2, 3}));
  std::string marks;
  for (std::size_t i = 0; i < kLetters; ++i) marks += i % 2 ? "\u0301" : "\u302e";
  EXPECT_EQ(tokenizer.encode(marks), unknown);
  std::string ideographs;
  for (std::size_t i = 0; i < kLetters; ++i) ideographs += "中";
  EXPECT_EQ(tokenizer.encode(ideographs).size(), kLetters + 2);
  EXPECT_EQ(tokenizer.encode(ideographs, 16).size(), 16u);
}

TEST(Tokenizer, BrokenUtf8IsReadAsReplacementCharacters) {
  // Left: bytes. Right: what Python's errors="replace" makes of them.
  const std::pair<const char*, const char*> pairs[] = {
      {"a\x80z", "a\uFFFDz"},
      {"a\xC0\xAFz", "a\uFFFD\uFFFDz"},
      {"a\xE2\x82z", "a\uFFFDz"},
      {"a\xE2\x82", "a\uFFFD"},
      {"a\xF0\x9F\x98z", "a\uFFFDz"},
      {"a\xED\xA0\x80z", "a\uFFFD\uFFFD\uFFFDz"},
      {"a\xF4\x90\x80\x80z", "a\uFFFD\uFFFD\uFFFD\uFFFDz"},
      {"a\xF5\xFFz", "a\uFFFD\uFFFDz"},
      {"a\xE0\x9F\xE0\xA4z", "a\uFFFD\uFFFD\uFFFDz"},
      {"[SEP\xE2[SEP]", "[SEP\uFFFD[SEP]"},
  };
  // With a vocabulary that has U+FFFD, and a normaliser that leaves it, every
  // one of them counts.
  nlohmann::json patch = {{"normalizer", nullptr}};
  patch["model"]["vocab"] = {{"\uFFFD", 871}, {"##\uFFFD", 872}, {"##z", 873}, {"a", 874}};
  for (const Tokenizer& tokenizer : {tokenizer_with(), tokenizer_with(patch)}) {
    for (const auto& [bytes, text] : pairs) {
      EXPECT_EQ(tokenizer.encode(bytes), tokenizer.encode(text)) << text;
    }
  }
  EXPECT_EQ(tokenizer_with(patch).encode("a\xE2\x82z"), (Ids{2, 874, 872, 873, 3}));
}

TEST(Tokenizer, ABatchIsItsTextsOneByOneOnAnyNumberOfThreads) {
  const Tokenizer tokenizer = tokenizer_with();
  const auto texts = cases()["texts"].get<std::vector<std::string>>();
  std::vector<std::string_view> views;
  for (int i = 0; i < 5; ++i) views.insert(views.end(), texts.begin(), texts.end());
  for (std::size_t max_length : {0u, 8u}) {
    for (int threads : {0, 1, 2, 5}) {
      const TokenBatch batch = tokenizer.encode_batch(views, max_length, threads);
      ASSERT_EQ(batch.texts(), views.size());
      ASSERT_EQ(batch.tokens(), static_cast<std::size_t>(batch.offsets.back()));
      for (std::size_t i = 0; i < views.size(); ++i) {
        const auto ids = batch.text(i);
        ASSERT_EQ(Ids(ids.begin(), ids.end()), tokenizer.encode(views[i], max_length));
      }
    }
  }
  EXPECT_EQ(tokenizer.encode_batch({}).texts(), 0u);
  EXPECT_THROW(tokenizer.encode_batch({}, 0, -1), std::invalid_argument);
}

TEST(Tokenizer, ABatchTellsItsProgressAndCanBeCancelled) {
  const Tokenizer tokenizer = tokenizer_with();
  const std::vector<std::string_view> texts(100, "the map");
  std::uint64_t last = 0;
  tokenizer.encode_batch(texts, 0, 2, [&](const Progress& progress) {
    EXPECT_EQ(progress.total, 100u);
    EXPECT_EQ(progress.unit, "texts");
    last = progress.done;
    return true;
  });
  EXPECT_EQ(last, 100u);
  EXPECT_THROW(tokenizer.encode_batch(texts, 0, 2, [](const Progress&) { return false; }),
               CancelledError);
}

TEST(Tokenizer, TokensAndIds) {
  const Tokenizer tokenizer = tokenizer_with();
  const auto& vocabulary = small_file()["model"]["vocab"];
  EXPECT_EQ(tokenizer.vocabulary_size(), vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) {
    EXPECT_EQ(tokenizer.id(token), id.get<std::int32_t>());
    EXPECT_EQ(tokenizer.token(id), token);
  }
  EXPECT_EQ(tokenizer.id("no such token"), -1);
  EXPECT_EQ(tokenizer.token(-1), "");
  EXPECT_EQ(tokenizer.token(1 << 30), "");
}

TEST(Tokenizer, AddedTokensGetIdsAfterTheVocabulary) {
  for (const auto& variant : cases()["variants"]) {
    if (variant["name"] != "added") continue;
    const Tokenizer tokenizer = tokenizer_with(variant["patch"]);
    const auto first = static_cast<std::int32_t>(small_file()["model"]["vocab"].size());
    EXPECT_EQ(tokenizer.id("[ENT]"), first);
    EXPECT_EQ(tokenizer.id("<m>"), first + 1);
    EXPECT_EQ(tokenizer.token(first + 1), "<m>");
    EXPECT_GT(tokenizer.vocabulary_size(), static_cast<std::size_t>(first));
  }
}

TEST(Tokenizer, ComponentsThatAreNotKnownAreNamed) {
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    const std::string said = complaint_about({{part, {{"type", "Nonsense"}}}});
    EXPECT_NE(said.find("some.json." + std::string(part) + ".type"), said.npos) << said;
    EXPECT_NE(said.find("\"Nonsense\" is not known"), said.npos) << said;
  }
}

TEST(Tokenizer, MalformedFilesAreRefusedWithThePlace) {
  const auto expect = [](const std::string& said, const std::string& part) {
    EXPECT_NE(said.find(part), said.npos) << said;
  };
  expect(complaint(""), "some.json: not valid JSON");
  expect(complaint("{\"version\": \"1.0\","), "not valid JSON");
  expect(complaint("\"\xFF\""), "not valid JSON");
  expect(complaint("[]"), "some.json: expected an object, found array");
  expect(complaint("{}"), "\"model\" is missing");
  expect(complaint(std::string(100000, '[')), "nested more than");
  expect(complaint_about({{"version", "2.0"}}), "some.json.version: the version \"2.0\"");
  expect(complaint_about({{"model", {{"vocab", nullptr}}}}),
         "some.json.model: \"vocab\" is missing");
  expect(complaint_about({{"model", {{"vocab", "x"}}}}), "model.vocab: expected an object");
  expect(complaint_about({{"model", {{"vocab", {{"x", -1}}}}}}), "model.vocab.x: expected a whole");
  expect(complaint_about({{"model", {{"vocab", {{"x", 1.5}}}}}}),
         "model.vocab.x: expected a whole");
  expect(complaint_about({{"model", {{"vocab", {{"x", 1ull << 31}}}}}}), "too high");
  expect(complaint_about({{"model", {{"unk_token", "[nope]"}}}}), "\"[nope]\" is not in the vocab");
  expect(complaint_about({{"model", {{"max_input_chars_per_word", "x"}}}}),
         "model.max_input_chars_per_word: expected a whole number");
  expect(complaint_about({{"normalizer", {{"lowercase", 1}}}}),
         "normalizer.lowercase: expected true or false, found number");
  expect(complaint_about({{"added_tokens", {{{"content", "x"}}}}}), "added_tokens[0]: \"");
  expect(complaint_about({{"post_processor", {{"special_tokens", {{"[CLS]", nullptr}}}}}}),
         "\"[CLS]\" is not one of the special_tokens");
  expect(complaint_about({{"post_processor", {{"single", nlohmann::json::array()}}}}),
         "the sequence \"A\" is missing");
  expect(complaint_about({{"post_processor", {{"type", "BertProcessing"}}}}), "is missing");
  expect(complaint_about(
             {{"post_processor",
               {{"type", "BertProcessing"}, {"cls", {"[CLS]", 2}}, {"sep", {"[SEP]", 99999}}}}}),
         "the id 99999 is not in the vocabulary");
  EXPECT_THROW(Tokenizer::load("/no/such/tokenizer.json"), TokenizerError);
  EXPECT_THROW(Tokenizer::load(std::filesystem::temp_directory_path()), TokenizerError);
}

// Every prefix of a file, and every file with a byte changed, either loads or
// is refused: nothing else is thrown.
TEST(Tokenizer, DamagedFilesNeverDoWorse) {
  nlohmann::json tiny = small_file();
  tiny["model"]["vocab"] = {{"[UNK]", 1}, {"[CLS]", 2}, {"[SEP]", 3}, {"a", 4}, {"##b", 5}};
  std::string file = tiny.dump();
  for (std::size_t i = 0; i < file.size(); ++i) {
    EXPECT_NE(complaint(file.substr(0, i)), "accepted");
  }
  tiny["normalizer"] = nullptr;  // the others are long in the making
  file = tiny.dump();
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    for (char byte : {'\0', '"', '{', '9', '\xFF'}) {
      damaged[i] = byte;
      complaint(damaged);
    }
  }
}

TEST(ByteTrie, FindsWhatAScanFinds) {
  std::vector<std::string> keys = {"", "a", "ab", "abcd", std::string("\0x", 2), "\xFF\xFE", "b"};
  for (int i = 0; i < 5000; ++i) keys.push_back(std::to_string(i * 7919 % 100003));
  std::vector<std::pair<std::string_view, std::int32_t>> pairs;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    pairs.emplace_back(keys[i], static_cast<std::int32_t>(i));
  }
  const text::ByteTrie trie(pairs);
  for (const auto& [key, value] : pairs) EXPECT_EQ(trie.find(key), value);
  EXPECT_EQ(trie.find("abc"), -1);
  EXPECT_EQ(trie.longest("abcx").length, 2u);
  EXPECT_EQ(trie.longest("abcde").length, 4u);
  EXPECT_EQ(trie.longest("").value, -1);
  EXPECT_EQ(text::ByteTrie().longest("a").value, -1);
}

TEST(Unicode, CaseAndDecomposition) {
  const auto codes = [](const text::CodePoints& c) { return std::u32string(c.begin(), c.end()); };
  EXPECT_EQ(codes(text::lowercase(U'Σ')), U"σ");
  EXPECT_EQ(codes(text::lowercase(U'İ')), U"i\u0307");
  EXPECT_EQ(codes(text::lowercase(U'ẞ')), U"ß");
  EXPECT_EQ(codes(text::lowercase(U'ÿ')), U"ÿ");
  EXPECT_EQ(codes(text::decompose(U'\u1EC7')), U"e\u0323\u0302");
  EXPECT_EQ(codes(text::decompose(U'한')), U"\u1112\u1161\u11AB");
  EXPECT_EQ(codes(text::decompose(U'가')), U"\u1100\u1161");
  EXPECT_EQ(text::combining_class(0x301), 230);
  EXPECT_EQ(text::combining_class('a'), 0);
}

}  // namespace
}  // namespace knowmap
