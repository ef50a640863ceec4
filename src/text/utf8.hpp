#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace knowmap::text {

constexpr char32_t kReplacement = 0xFFFD;
constexpr char32_t kCodePoints = 0x110000;
/// The most bytes that a code point takes.
constexpr std::size_t kLongestUtf8 = 4;

struct Decoded {
  char32_t c;
  /// Bytes read; at least 1.
  std::size_t length;
};

/// Reads one code point at `p` < `end`. A broken sequence gives U+FFFD and the
/// length of its maximal subpart (Unicode 3.9, table 3-8), as Python's
/// `errors="replace"` does.
inline Decoded decode_utf8(const char* p, const char* end) {
  const auto at = [p](std::size_t i) { return static_cast<std::uint8_t>(p[i]); };
  const auto left = static_cast<std::size_t>(end - p);
  const std::uint8_t lead = at(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range keeps out long forms, surrogates and what is above
  // U+10FFFF.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (left < 2 || at(1) < low || at(1) > high) return {kReplacement, 1};
  char32_t c = ((lead & (0xFFu >> (length + 1))) << 6) | (at(1) & 0x3Fu);
  for (std::size_t i = 2; i < length; ++i) {
    if (i >= left || (at(i) & 0xC0) != 0x80) return {kReplacement, i};
    c = (c << 6) | (at(i) & 0x3Fu);
  }
  return {c, length};
}

/// The code point that ends at `text[end]`; U+FFFD where there is none.
inline char32_t decode_utf8_before(std::string_view text, std::size_t end) {
  std::size_t start = end;
  while (start > 0 && end - start < 4) {
    --start;
    if ((static_cast<std::uint8_t>(text[start]) & 0xC0) != 0x80) break;
  }
  if (start == end) return kReplacement;
  const Decoded last = decode_utf8(text.data() + start, text.data() + end);
  return last.length == end - start ? last.c : kReplacement;
}

inline bool is_continuation(char byte) { return (static_cast<std::uint8_t>(byte) & 0xC0) == 0x80; }

/// Writes `c` at `out`, which has room for 4 bytes, and returns what follows.
inline char* encode_utf8(char32_t c, char* out) {
  const auto put = [&out](char32_t byte) { *out++ = static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
  return out;
}

inline void append_utf8(char32_t c, std::string& out) {
  char bytes[kLongestUtf8];
  out.append(bytes, encode_utf8(c, bytes));
}

}  // namespace knowmap::text
