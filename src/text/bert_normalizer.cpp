#include "text/bert_normalizer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace knowmap::text {

namespace {

bool is_ascii(char byte) { return static_cast<std::uint8_t>(byte) < 0x80; }

/// The blocks that BERT's authors called Chinese.
bool is_cjk_ideograph(char32_t c) {
  if (c < 0x3400 || c > 0x2FA1F) return false;
  constexpr std::pair<char32_t, char32_t> kBlocks[] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [c](const auto& b) { return c >= b.first && c <= b.second; });
}

std::size_t utf8_length(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

}  // namespace

BertNormalizer::BertNormalizer(const BertNormalizerOptions& options)
    : BertNormalizer(make_tables(options)) {}

BertNormalizer::BertNormalizer(Tables tables) : tables_(std::move(tables)) {}

/// Calls emit(c) for all that `c` becomes before non-spacing marks are taken
/// out and what is left is lowercased.
template <typename F>
void BertNormalizer::expand(const BertNormalizerOptions& options, char32_t c, F emit) {
  const std::uint16_t is = properties()[c];
  if (options.clean_text) {
    if (is & kRemoved) return;
    if (is & kWhitespace) c = ' ';
  }
  const bool alone = options.handle_chinese_chars && is_cjk_ideograph(c);
  if (alone) emit(U' ');
  if (options.strip_accents && (is & kDecomposes)) {
    for (char32_t part : decompose(c)) emit(part);
  } else {
    emit(c);
  }
  if (alone) emit(U' ');
}

char* BertNormalizer::write_lower(char32_t c, char* out) const {
  if (!tables_.options.lowercase) return encode_utf8(c, out);
  for (char32_t lower : text::lowercase(c)) out = encode_utf8(lower, out);
  return out;
}

/// The whole of what `c` becomes; `marks_stay` where combining marks are in it.
std::string BertNormalizer::spell(const BertNormalizerOptions& options, char32_t c,
                                  bool& marks_stay) {
  std::string out;
  const auto append = [&out](char32_t code) {
    char bytes[4];
    out.append(bytes, encode_utf8(code, bytes));
  };
  expand(options, c, [&](char32_t part) {
    const std::uint16_t is = options.strip_accents ? properties()[part] : std::uint16_t{0};
    if (is & kNonspacing) return;
    marks_stay |= (is & kCombining) != 0;
    if (!options.lowercase) return append(part);
    for (char32_t lower : text::lowercase(part)) append(lower);
  });
  return out;
}

BertNormalizer::Tables BertNormalizer::make_tables(const BertNormalizerOptions& options) {
  const Properties& property = properties();
  std::uint16_t touched = 0;
  if (options.clean_text) touched |= kRemoved | kWhitespace;
  if (options.strip_accents) touched |= kDecomposes | kNonspacing | kCombining;
  if (options.lowercase) touched |= kHasLowercase;

  std::vector<std::uint32_t> flat(kCodePoints, kCopy);
  std::array<char, 128> ascii;
  std::string pool;
  // A broken byte becomes U+FFFD where that is not removed; an ideograph of
  // three bytes gets two blanks.
  std::size_t expansion = options.clean_text ? 2 : 3;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    const std::uint16_t is = property[c] & touched;
    if (c >= ascii.size() && is == 0) {
      if (options.handle_chinese_chars && is_cjk_ideograph(c)) flat[c] = kSpaced;
      continue;
    }
    if (is & kRemoved) {  // said apart because there are so many
      flat[c] = kDrop;
      if (c < ascii.size()) ascii[c] = '\0';
      continue;
    }
    bool marks_stay = false;
    const std::string becomes = spell(options, c, marks_stay);
    const std::size_t length = utf8_length(c);
    expansion = std::max(expansion, (becomes.size() + length - 1) / length);
    if (c < ascii.size()) ascii[c] = becomes[0];
    if (marks_stay) {
      flat[c] = kReorder;
    } else if (becomes.empty()) {
      flat[c] = kDrop;
    } else {
      flat[c] = static_cast<std::uint32_t>(pool.size() << 8 | becomes.size() << 3 | kReplace);
      pool += becomes;
    }
  }
  return {options, ascii, CodePointTable<std::uint32_t>(flat), std::move(pool), expansion};
}

std::size_t BertNormalizer::run(std::string_view text, Place place, std::string& out) const {
  // Where the code point behind the cut is not all there, it can't be judged.
  const std::size_t cut =
      place.last ? text.size() : last_cut(text, text.size() - std::min(text.size(), kLongestUtf8));
  normalize(text.substr(0, cut), out);
  return cut;
}

void BertNormalizer::normalize(std::string_view piece, std::string& out) const {
  const std::size_t before = out.size();
  out.resize(before + piece.size() * tables_.expansion);
  char* to = out.data() + before;
  const char* end = piece.data() + piece.size();
  for (const char* p = piece.data(); p < end;) {
    if (is_ascii(*p)) {
      *to = tables_.ascii[static_cast<std::uint8_t>(*p++)];
      to += *to != '\0' || (!tables_.options.clean_text && p[-1] == '\0');
      continue;
    }
    const Decoded next = decode_utf8(p, end);
    const std::uint32_t action = tables_.actions[next.c];
    switch (action & kActionMask) {
      case kCopy:
        to = encode_utf8(next.c, to);
        break;
      case kSpaced:
        *to++ = ' ';
        to = encode_utf8(next.c, to);
        *to++ = ' ';
        break;
      case kReplace: {
        const std::size_t length = (action >> 3) & 0x1F;
        std::memcpy(to, tables_.pool.data() + (action >> 8), length);
        to += length;
        break;
      }
      case kReorder:
        p = reorder(p, end, to);
        continue;
      default:
        break;
    }
    p += next.length;
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
}

void BertNormalizer::write_run(std::vector<Mark>& run, char*& out) const {
  std::stable_sort(run.begin(), run.end(), [](const Mark& a, const Mark& b) {
    return a.combining_class < b.combining_class;
  });
  for (const Mark& mark : run) out = write_lower(mark.c, out);
  run.clear();
}

/// Writes the code point at `p`, in which combining marks stay, and the marks
/// that follow it, in canonical order. Returns where it stopped. Rare: such
/// marks are either spacing (Hangul tones, musical stems) or newer than the
/// table of non-spacing marks.
const char* BertNormalizer::reorder(const char* p, const char* end, char*& out) const {
  const Properties& property = properties();
  std::vector<Mark> run;
  while (p < end) {
    const Decoded next = decode_utf8(p, end);
    const std::uint32_t action = tables_.actions[next.c] & kActionMask;
    if (action != kReorder && action != kDrop) break;
    expand(tables_.options, next.c, [&](char32_t part) {
      const bool combining = property[part] & kCombining;
      if (!combining) write_run(run, out);
      if (property[part] & kNonspacing) return;
      if (combining) {
        run.push_back({part, combining_class(part)});
      } else {
        out = write_lower(part, out);
      }
    });
    p += next.length;
  }
  write_run(run, out);
  return p;
}

/// The last place in (0, at] where `text` may be cut so that its two parts give
/// the same when normalised apart; 0 where there is none.
std::size_t BertNormalizer::last_cut(std::string_view text, std::size_t at) const {
  for (; at > 0; --at) {
    if (at == text.size() || is_ascii(text[at])) {
      // A dropped control character may stand among marks that are put in order.
      if (at == text.size() || tables_.ascii[static_cast<std::uint8_t>(text[at])] != '\0') break;
      continue;
    }
    if (is_continuation(text[at])) continue;
    const Decoded next = decode_utf8(text.data() + at, text.data() + text.size());
    const std::uint32_t action = tables_.actions[next.c] & kActionMask;
    if (action == kCopy || action == kSpaced || action == kReplace) break;
  }
  return at;
}

}  // namespace knowmap::text
