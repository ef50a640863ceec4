#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

struct BertNormalizerOptions {
  /// Take out control characters, make every white space a blank.
  bool clean_text = true;
  /// Put blanks around CJK ideographs, so that each is a word.
  bool handle_chinese_chars = true;
  /// NFD, then take out non-spacing marks.
  bool strip_accents = true;
  bool lowercase = true;
};

/// `BertNormalizer`. The steps are worked out for each code point on loading:
/// all of them act on single code points, but for the canonical order of marks.
class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options);

  /// `text` may be anything; `out` is valid UTF-8 thereafter.
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  struct Tables;
  struct Mark {
    char32_t c;
    std::uint8_t combining_class;
  };
  explicit BertNormalizer(Tables tables);
  static Tables make_tables(const BertNormalizerOptions& options);
  static std::string spell(const BertNormalizerOptions& options, char32_t c, bool& marks_stay);
  template <typename F>
  static void expand(const BertNormalizerOptions& options, char32_t c, F emit);

  void normalize(std::string_view piece, std::string& out) const;
  std::size_t last_cut(std::string_view text, std::size_t at) const;
  const char* reorder(const char* p, const char* end, char*& out) const;
  void write_run(std::vector<Mark>& run, char*& out) const;
  char* write_lower(char32_t c, char* out) const;

  /// What becomes of a code point.
  enum Action : std::uint32_t {
    kCopy,
    kDrop,
    kSpaced,   // copied between two blanks
    kReplace,  // by a string of the pool: offset << 8 | length << 3 | kReplace
    kReorder,  // a combining mark stays: its order among others matters
    kActionMask = 7,
  };

  struct Tables {
    BertNormalizerOptions options;
    /// For ASCII: the byte that it becomes, 0 where it is dropped.
    std::array<char, 128> ascii;
    CodePointTable<std::uint32_t> actions;
    std::string pool;
    /// The most bytes that one byte of input can become.
    std::size_t expansion;
  };
  Tables tables_;
};

}  // namespace knowmap::text
