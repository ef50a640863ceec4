#include "text/unicode.hpp"

#include <iterator>
#include <span>
#include <unordered_map>

namespace knowmap::text {

namespace {

struct Range {
  char32_t first;
  char32_t last;
};
struct CombiningRange {
  char32_t first;
  char32_t last;
  std::uint8_t combining_class;
};
struct LowercaseRange {
  char32_t first;
  char32_t last;
  char32_t step;
  std::int32_t delta;
};

#include "text/unicode_data.inc"

constexpr char32_t kDottedCapitalI = 0x130;

// Hangul syllables are composed by rule (Unicode 3.12).
constexpr char32_t kHangulFirst = 0xAC00;
constexpr char32_t kHangulCount = 11172;
constexpr char32_t kHangulVowels = 21;
constexpr char32_t kHangulTails = 28;
constexpr char32_t kHangulLead = 0x1100;
constexpr char32_t kHangulVowel = 0x1161;
constexpr char32_t kHangulTail = 0x11A7;

bool is_hangul(char32_t c) { return c >= kHangulFirst && c < kHangulFirst + kHangulCount; }

/// Calls f(c, codes) for each entry of kDecompositions.
template <typename F>
void for_each_decomposition(F f) {
  for (std::size_t i = 0; i < std::size(kDecompositions);) {
    const std::span<const char32_t> codes(kDecompositions + i + 2, kDecompositions[i + 1]);
    f(kDecompositions[i], codes);
    i += 2 + codes.size();
  }
}

/// The last of the ranges that starts at or before `c`, or null.
template <typename R, std::size_t n>
const R* find_range(const R (&ranges)[n], char32_t c) {
  const R* after = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                    [](char32_t x, const R& r) { return x < r.first; });
  if (after == ranges || c > after[-1].last) return nullptr;
  return after - 1;
}

Properties make_properties() {
  std::vector<std::uint8_t> flat(kCodePoints);
  const auto mark = [&flat](char32_t first, char32_t last, Property property) {
    for (char32_t c = first; c <= last; ++c) flat[c] |= property;
  };
  for (const Range& r : kWhitespaceRanges) mark(r.first, r.last, kWhitespace);
  for (const Range& r : kRemovedRanges) mark(r.first, r.last, kRemoved);
  for (const Range& r : kPunctuationRanges) mark(r.first, r.last, kPunctuation);
  for (const Range& r : kNonspacingRanges) mark(r.first, r.last, kNonspacing);
  for (const Range& r : kWordRanges) mark(r.first, r.last, kWord);
  for (const CombiningRange& r : kCombiningRanges) mark(r.first, r.last, kCombining);
  for (const LowercaseRange& r : kLowercaseRanges) {
    for (char32_t c = r.first; c <= r.last; c += r.step) flat[c] |= kHasLowercase;
  }
  flat[kDottedCapitalI] |= kHasLowercase;
  mark(kHangulFirst, kHangulFirst + kHangulCount - 1, kDecomposes);
  for_each_decomposition([&flat](char32_t c, auto) { flat[c] |= kDecomposes; });
  return Properties(flat);
}

std::unordered_map<char32_t, CodePoints> make_decompositions() {
  std::unordered_map<char32_t, CodePoints> map;
  for_each_decomposition([&map](char32_t c, std::span<const char32_t> codes) {
    CodePoints& to = map[c];
    for (char32_t code : codes) to.push(code);
  });
  return map;
}

CodePoints decompose_hangul(char32_t c) {
  const char32_t index = c - kHangulFirst;
  const char32_t tail = index % kHangulTails;
  CodePoints codes;
  codes.push(kHangulLead + index / (kHangulVowels * kHangulTails));
  codes.push(kHangulVowel + index / kHangulTails % kHangulVowels);
  if (tail != 0) codes.push(kHangulTail + tail);
  return codes;
}

}  // namespace

const Properties& properties() {
  static const Properties table = make_properties();
  return table;
}

std::uint8_t combining_class(char32_t c) {
  const CombiningRange* range = find_range(kCombiningRanges, c);
  return range ? range->combining_class : 0;
}

CodePoints decompose(char32_t c) {
  static const auto map = make_decompositions();
  if (is_hangul(c)) return decompose_hangul(c);
  if (const auto it = map.find(c); it != map.end()) return it->second;
  CodePoints itself;
  itself.push(c);
  return itself;
}

CodePoints lowercase(char32_t c) {
  CodePoints codes;
  if (c == kDottedCapitalI) {
    codes.push('i');
    codes.push(0x307);
    return codes;
  }
  const LowercaseRange* range = find_range(kLowercaseRanges, c);
  const bool moves = range && (c - range->first) % range->step == 0;
  codes.push(moves ? c + static_cast<char32_t>(range->delta) : c);
  return codes;
}

}  // namespace knowmap::text
