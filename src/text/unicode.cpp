#include "text/unicode.hpp"

#include <iterator>
#include <span>
#include <unordered_map>

namespace knowmap::text {

namespace {

struct CombiningRange {
  char32_t first;
  char32_t last;
  std::uint8_t combining_class;
};
/// A pair as one number.
constexpr std::uint64_t pair_key(char32_t a, char32_t b) {
  return std::uint64_t{a} << 32 | std::uint64_t{b};
}
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
constexpr char32_t kHangulLeads = 19;
constexpr char32_t kHangulLead = 0x1100;
constexpr char32_t kHangulVowel = 0x1161;
constexpr char32_t kHangulTail = 0x11A7;

bool is_hangul(char32_t c) { return c >= kHangulFirst && c < kHangulFirst + kHangulCount; }

/// Calls f(c, codes) for each entry of kDecompositions or kCompatibility.
template <std::size_t n, typename F>
void for_each_decomposition(const char32_t (&table)[n], F f) {
  for (std::size_t i = 0; i < n;) {
    const std::span<const char32_t> codes(table + i + 2, table[i + 1]);
    f(table[i], codes);
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
  std::vector<std::uint16_t> flat(kCodePoints);
  const auto mark = [&flat](char32_t first, char32_t last, Property property) {
    for (char32_t c = first; c <= last; ++c) flat[c] |= property;
  };
  for (const Range& r : kWhitespaceRanges) mark(r.first, r.last, kWhitespace);
  for (const Range& r : kRemovedRanges) mark(r.first, r.last, kRemoved);
  for (const Range& r : kPunctuationRanges) mark(r.first, r.last, kPunctuation);
  for (const Range& r : kNonspacingRanges) mark(r.first, r.last, kNonspacing);
  for (const Range& r : kWordRanges) mark(r.first, r.last, kWord);
  for (const Range& r : kMarkRanges) mark(r.first, r.last, kMark);
  for (const Range& r : kLetterRanges) mark(r.first, r.last, kLetter);
  for (const Range& r : kNumberRanges) mark(r.first, r.last, kNumber);
  for (const Range& r : kNumericRanges) mark(r.first, r.last, kNumeric);
  for (const CombiningRange& r : kCombiningRanges) mark(r.first, r.last, kCombining);
  for (const LowercaseRange& r : kLowercaseRanges) {
    for (char32_t c = r.first; c <= r.last; c += r.step) flat[c] |= kHasLowercase;
  }
  flat[kDottedCapitalI] |= kHasLowercase;
  mark(kHangulFirst, kHangulFirst + kHangulCount - 1, kDecomposes);
  for_each_decomposition(kDecompositions, [&flat](char32_t c, auto) { flat[c] |= kDecomposes; });
  for_each_decomposition(kCompatibility, [&flat](char32_t c, auto) { flat[c] |= kCompatible; });
  return Properties(flat);
}

std::unordered_map<char32_t, CodePoints> make_decompositions() {
  std::unordered_map<char32_t, CodePoints> map;
  for_each_decomposition(kDecompositions, [&map](char32_t c, std::span<const char32_t> codes) {
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

std::span<const char32_t> decompose_compatibly(char32_t c) {
  static const auto map = [] {
    std::unordered_map<char32_t, std::span<const char32_t>> made;
    for_each_decomposition(kCompatibility, [&](char32_t from, auto to) { made[from] = to; });
    return made;
  }();
  return map.at(c);
}

char32_t compose(char32_t first, char32_t second) {
  static const auto map = [] {
    std::unordered_map<std::uint64_t, char32_t> made;
    for (std::size_t i = 0; i < std::size(kCompositions); i += 3) {
      made[pair_key(kCompositions[i], kCompositions[i + 1])] = kCompositions[i + 2];
    }
    return made;
  }();
  const char32_t lead = first - kHangulLead;
  const char32_t vowel = second - kHangulVowel;
  if (lead < kHangulLeads && vowel < kHangulVowels) {
    return kHangulFirst + (lead * kHangulVowels + vowel) * kHangulTails;
  }
  const char32_t tail = second - kHangulTail;
  if (is_hangul(first) && (first - kHangulFirst) % kHangulTails == 0 && tail > 0 &&
      tail < kHangulTails) {
    return first + tail;
  }
  const auto it = map.find(pair_key(first, second));
  return it == map.end() ? 0 : it->second;
}

const std::vector<char32_t>& composing_seconds() {
  static const auto seconds = [] {
    std::vector<char32_t> made;
    for (std::size_t i = 0; i < std::size(kCompositions); i += 3) {
      made.push_back(kCompositions[i + 1]);
    }
    for (char32_t i = 0; i < kHangulVowels; ++i) made.push_back(kHangulVowel + i);
    for (char32_t i = 1; i < kHangulTails; ++i) made.push_back(kHangulTail + i);
    return made;
  }();
  return seconds;
}

const CodePointTable<Grapheme>& grapheme_table() {
  static const CodePointTable<Grapheme> table = [] {
    std::vector<Grapheme> flat(kCodePoints, Grapheme::other);
    const auto fill = [&flat](const auto& ranges, Grapheme value) {
      for (const Range& r : ranges) std::fill(&flat[r.first], &flat[r.last] + 1, value);
    };
    fill(kPrependRanges, Grapheme::prepend);
    fill(kControlRanges, Grapheme::control);
    fill(kPictographicRanges, Grapheme::pictographic);
    fill(kExtendRanges, Grapheme::extend);
    for (char32_t c = kHangulFirst; is_hangul(c); ++c) {
      const bool open = (c - kHangulFirst) % kHangulTails == 0;
      flat[c] = open ? Grapheme::hangul_lv : Grapheme::hangul_lvt;
    }
    constexpr Range kLeads[] = {{0x1100, 0x115F}, {0xA960, 0xA97C}};
    constexpr Range kVowels[] = {{0x1160, 0x11A7}, {0xD7B0, 0xD7C6}};
    constexpr Range kTails[] = {{0x11A8, 0x11FF}, {0xD7CB, 0xD7FB}};
    constexpr Range kRegional[] = {{0x1F1E6, 0x1F1FF}};
    fill(kLeads, Grapheme::hangul_lead);
    fill(kVowels, Grapheme::hangul_vowel);
    fill(kTails, Grapheme::hangul_tail);
    fill(kRegional, Grapheme::regional_indicator);
    flat[0] = Grapheme::control;
    flat['\r'] = Grapheme::cr;
    flat['\n'] = Grapheme::lf;
    flat[0x200D] = Grapheme::zero_width_joiner;
    return CodePointTable<Grapheme>(flat);
  }();
  return table;
}

std::span<const CategoryRange> newer_members() { return kNewerRanges; }

std::span<const Range> pattern_word_ranges() { return kPatternWordRanges; }

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
