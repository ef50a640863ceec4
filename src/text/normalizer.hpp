#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.hpp"

namespace knowmap::text {

/// Rewrites text before it is cut into words. Thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;

  /// Appends the normal form of `piece` to `out`, which is valid UTF-8
  /// thereafter, whatever `piece` is.
  virtual void normalize(std::string_view piece, std::string& out) const = 0;

  /// The last place in (0, at] where `text` may be cut so that its two parts
  /// give the same when normalised apart; 0 where there is none.
  virtual std::size_t last_cut(std::string_view text, std::size_t at) const = 0;
};

/// Only makes valid UTF-8 of the text: what a file without a normaliser gets.
class IdentityNormalizer final : public Normalizer {
 public:
  void normalize(std::string_view piece, std::string& out) const override;
  std::size_t last_cut(std::string_view text, std::size_t at) const override;
};

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

  void normalize(std::string_view piece, std::string& out) const override;
  std::size_t last_cut(std::string_view text, std::size_t at) const override;

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
