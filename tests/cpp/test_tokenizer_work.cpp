// How much of a text is read, and how often: by counting, so that no clock decides.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/pipeline.hpp"

namespace knowmap {
namespace {

using nlohmann::json;

struct Kind {
  std::string name;
  text::Pipeline pipeline;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = [] {
    std::ifstream in(std::filesystem::path(KNOWMAP_TEST_DATA) / "tokenizer_kinds.json");
    const json reference = json::parse(in);
    std::vector<Kind> made;
    for (const json& kind : reference["kinds"]) {
      json file = json::object();
      for (const auto& [key, part] : kind["file"].items()) {
        file[key] = reference["parts"][part.get<std::size_t>()];
      }
      const std::string name = kind["name"];
      made.push_back({name, text::parse_pipeline(file.dump(), name)});
    }
    return made;
  }();
  return all;
}

/// Kinds whose text is one word, or whose pattern looks behind: such a text is
/// looked at whole before the first id is sure.
bool reads_whole_texts(const std::string& name) {
  return name == "unigram_whole_texts" || name == "cut_split_at_nothing" ||
         name.starts_with("cut_split_Removed") || name.starts_with("cut_split_Isolated") ||
         name.starts_with("cut_split_Merged") || name.starts_with("cut_split_Contiguous");
}

/// A text of 100 MB of which only the beginning may be read: beyond it, the first
/// byte that is touched ends the process.
class FencedText {
 public:
  FencedText(const std::string& sentence, std::size_t readable)
      : data_(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (data_ == MAP_FAILED) std::abort();
    char* text = static_cast<char*>(data_);
    for (std::size_t i = 0; i < readable; ++i) text[i] = sentence[i % sentence.size()];
    ::mprotect(text + readable, kBytes - readable, PROT_NONE);
  }
  ~FencedText() { ::munmap(data_, kBytes); }
  FencedText(const FencedText&) = delete;
  FencedText& operator=(const FencedText&) = delete;

  std::string_view text() const { return {static_cast<const char*>(data_), kBytes}; }

 private:
  static constexpr std::size_t kBytes = 100'000'000;
  void* data_;
};

TEST(TokenizerWork, NoMoreOfALongTextIsReadThanTheLengthNeeds) {
  constexpr std::size_t kLength = 128;
  constexpr std::size_t kReadable = 64 << 10;
  const FencedText fenced("The map of knowledge has 1,234 regions; each has a name. ", kReadable);
  std::size_t tried = 0;
  for (const Kind& kind : kinds()) {
    if (reads_whole_texts(kind.name)) continue;
    SCOPED_TRACE(kind.name);
    EXPECT_EXIT(
        {
          std::vector<std::int32_t> ids;
          text::Encoder(kind.pipeline).encode(fenced.text(), kLength, ids);
          std::exit(ids.size() == kLength ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
    ++tried;
  }
  EXPECT_GE(tried, 30U);
}

// Runs that nothing cuts, or that a step must look through to their end, are met
// again when more text has come: in steps that double, so that work stays linear.
TEST(TokenizerWork, IsLinearForTextsWithoutAPlaceToCut) {
  const std::pair<const char*, const char*> texts[] = {
      {"letters", "a"},
      {"words without spaces", "knowledge"},
      {"ideographs", "中"},
      {"spaces", " "},
      {"line ends", "\n"},
      {"marks", "\u0301"},
      {"digits", "7"},
      {"punctuation", "-"},
      {"flags", "\U0001F1EB"},
      {"family", "\U0001F469\u200d"},
      {"replaced blanks", "▁"},
      {"broken bytes", "\xE2\x82"},
      {"spaces and line ends", " \n"},
      {"mask", "<mask"},
  };
  const auto work = [](const Kind& kind, std::string_view unit, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += unit;
    text::Encoder encoder(kind.pipeline);
    std::vector<std::int32_t> ids;
    encoder.encode(text, 0, ids);
    return static_cast<double>(encoder.work());
  };
  constexpr std::size_t kBytes = 8'192;
  for (const Kind& kind : kinds()) {
    for (const auto& [name, unit] : texts) {
      const double few = work(kind, unit, kBytes);
      const double many = work(kind, unit, 8 * kBytes);
      EXPECT_LT(many, 20 * few) << kind.name << ", " << name;
      EXPECT_LT(many, 100.0 * 8 * kBytes) << kind.name << ", " << name;
    }
  }
}

}  // namespace
}  // namespace knowmap
