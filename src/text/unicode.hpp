#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "text/utf8.hpp"

namespace knowmap::text {

/// A value for every code point, where equal blocks are kept once: a lookup is
/// two reads, and the scripts that a text uses fit into a near cache.
template <typename T>
class CodePointTable {
 public:
  /// `flat` has one value for each code point.
  explicit CodePointTable(const std::vector<T>& flat) {
    std::map<std::array<T, kBlock>, std::uint16_t> seen;
    for (std::size_t start = 0; start < kCodePoints; start += kBlock) {
      std::array<T, kBlock> block;
      std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(start), block.size(), block.begin());
      const auto [it, added] = seen.try_emplace(block, static_cast<std::uint16_t>(seen.size()));
      if (added) values_.insert(values_.end(), block.begin(), block.end());
      blocks_[start / kBlock] = it->second;
    }
  }

  T operator[](char32_t c) const {
    return values_[blocks_[c / kBlock] * std::size_t{kBlock} + c % kBlock];
  }

 private:
  static constexpr char32_t kBlock = 256;
  std::array<std::uint16_t, kCodePoints / kBlock> blocks_;
  std::vector<T> values_;
};

/// What a code point is, to `tokenizers`: its own mixture of Unicode versions,
/// whatever the system's libraries hold (see make_unicode_data.py).
enum Property : std::uint16_t {
  kWhitespace = 1,   // White_Space
  kRemoved = 2,      // taken out by BERT's clean_text
  kPunctuation = 4,  // P*, and all ASCII that is neither letter, digit nor control
  kNonspacing = 8,   // Mn
  kWord = 16,        // \w, to added tokens and the pre-tokeniser Whitespace
  kDecomposes = 32,  // has a canonical decomposition
  kHasLowercase = 64,
  kCombining = 128,    // its canonical combining class is not 0
  kMark = 256,         // M*, taken out by StripAccents
  kLetter = 512,       // \p{L} of a pattern
  kNumber = 1024,      // \p{N} of a pattern
  kNumeric = 2048,     // a digit to the pre-tokeniser Digits
  kCompatible = 4096,  // has a compatibility decomposition that is not the canonical one
};
using Properties = CodePointTable<std::uint16_t>;

/// Made at the first call and kept. Hot loops hold on to the reference.
const Properties& properties();

/// The canonical combining class.
std::uint8_t combining_class(char32_t c);

/// Up to four code points.
struct CodePoints {
  std::array<char32_t, 4> at;
  std::size_t size = 0;
  void push(char32_t c) { at[size++] = c; }
  const char32_t* begin() const { return at.data(); }
  const char32_t* end() const { return at.data() + size; }
};

/// The full canonical decomposition, marks in canonical order.
CodePoints decompose(char32_t c);
/// The full compatibility decomposition of a `kCompatible` code point.
std::span<const char32_t> decompose_compatibly(char32_t c);
/// What `first` and `second` become as one (Hangul included); 0 where they don't.
char32_t compose(char32_t first, char32_t second);
/// Code points that may be a composition's second.
const std::vector<char32_t>& composing_seconds();
/// Rust's `char::to_lowercase`: no context, so sigma is never final.
CodePoints lowercase(char32_t c);

/// What decides where grapheme clusters end (Unicode 15.1, annex 29).
enum class Grapheme : std::uint8_t {
  other,
  cr,
  lf,
  control,
  extend,  // spacing marks too
  zero_width_joiner,
  prepend,
  pictographic,
  regional_indicator,
  hangul_lead,
  hangul_vowel,
  hangul_tail,
  hangul_lv,
  hangul_lvt,
};
const CodePointTable<Grapheme>& grapheme_table();

struct Range {
  char32_t first;
  char32_t last;
};
/// Members of Unicode categories, the patterns' Unicode being newer than PCRE2's:
/// ranges to be added to those of the category, named by its one or two letters.
struct CategoryRange {
  std::uint16_t category;  // first letter << 8 | second letter
  char32_t first;
  char32_t last;
};
std::span<const CategoryRange> newer_members();
/// What a pattern's \w matches.
std::span<const Range> pattern_word_ranges();

}  // namespace knowmap::text
