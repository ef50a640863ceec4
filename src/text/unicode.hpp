#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
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
enum Property : std::uint8_t {
  kWhitespace = 1,   // White_Space
  kRemoved = 2,      // taken out by BERT's clean_text
  kPunctuation = 4,  // P*, and all ASCII that is neither letter, digit nor control
  kNonspacing = 8,   // Mn
  kWord = 16,        // \w
  kDecomposes = 32,  // has a canonical decomposition
  kHasLowercase = 64,
  kCombining = 128,  // its canonical combining class is not 0
};
using Properties = CodePointTable<std::uint8_t>;

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
/// Rust's `char::to_lowercase`: no context, so sigma is never final.
CodePoints lowercase(char32_t c);

}  // namespace knowmap::text
