#include "text/rewriters.hpp"

#include <algorithm>
#include <cstring>

#include "text/added_tokens.hpp"

namespace knowmap::text {

namespace {

/// How many bytes of `text`, from the front, are ASCII.
std::size_t ascii_prefix(std::string_view text) {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, text.data() + i, 8);
    if (bytes & 0x8080808080808080ULL) break;
  }
  while (i < text.size() && static_cast<std::uint8_t>(text[i]) < 0x80) ++i;
  return i;
}

/// Whether a code point starts at the last bytes of `text` that more bytes
/// could complete; where it starts.
std::size_t unfinished(std::string_view text) {
  const std::size_t floor = text.size() - std::min(text.size(), kLongestUtf8 - 1);
  for (std::size_t at = text.size(); at > floor; --at) {
    const auto byte = static_cast<std::uint8_t>(text[at - 1]);
    if (is_continuation(text[at - 1])) continue;
    const std::size_t length = byte < 0xC2 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    return at - 1 + length > text.size() ? at - 1 : text.size();
  }
  return text.size();
}

}  // namespace

std::size_t Utf8Normalizer::run(std::string_view text, Place place, std::string& out) const {
  if (!place.last) text = text.substr(0, unfinished(text));
  const char* end = text.data() + text.size();
  const char* copied = text.data();
  for (const char* p = copied; p < end;) {
    p += ascii_prefix({p, static_cast<std::size_t>(end - p)});
    if (p == end) break;
    const Decoded next = decode_utf8(p, end);
    // U+FFFD itself takes three bytes, as do the bytes that it is written in.
    if (next.c == kReplacement && !(next.length == 3 && std::memcmp(p, "\xEF\xBF\xBD", 3) == 0)) {
      out.append(copied, p);
      append_utf8(kReplacement, out);
      copied = p + next.length;
    }
    p += next.length;
  }
  out.append(copied, end);
  return text.size();
}

std::array<char, 128> CodePointNormalizer::identity() {
  std::array<char, 128> table;
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<char>(i);
  return table;
}

std::size_t CodePointNormalizer::run(std::string_view text, Place, std::string& out) const {
  const Properties& property = properties();
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const auto byte = static_cast<std::uint8_t>(*p);
    if (byte < 0x80) {
      const char becomes = ascii_[byte];
      if (becomes != '\0' || byte == 0) out.push_back(becomes);
      ++p;
      continue;
    }
    const Decoded next = decode_utf8(p, end);
    if (touched_ == kAnything || (property[next.c] & touched_)) {
      append(next.c, out);
    } else {
      out.append(p, next.length);
    }
    p += next.length;
  }
  return text.size();
}

Lowercase::Lowercase() : CodePointNormalizer(kHasLowercase) {
  for (char c = 'A'; c <= 'Z'; ++c) {
    ascii_[static_cast<std::size_t>(c)] = static_cast<char>(c - 'A' + 'a');
  }
}

void Lowercase::append(char32_t c, std::string& out) const {
  for (char32_t lower : lowercase(c)) append_utf8(lower, out);
}

Nmt::Nmt() : CodePointNormalizer(kAnything) {
  for (int c = 0; c < 0x80; ++c) {
    const bool blank = c == '\t' || c == '\n' || c == '\f' || c == '\r';
    const bool removed = (c >= 1 && c < 0x20) || c == 0x7F;
    if (blank) {
      ascii_[static_cast<std::size_t>(c)] = ' ';
    } else if (removed) {
      ascii_[static_cast<std::size_t>(c)] = '\0';
    }
  }
}

void Nmt::append(char32_t c, std::string& out) const {
  if (c == 0x8F || c == 0x9F) return;
  const bool blank = c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                     c == 0x2581 || c == 0xFEFF || c == kReplacement;
  append_utf8(blank ? U' ' : c, out);
}

std::size_t Strip::run(std::string_view text, Place place, std::string& out) const {
  std::size_t begin = left_ && place.start ? skip_space(text, 0) : 0;
  // White space that leads stays for the next call, which then starts too.
  if (begin == text.size()) return place.last ? begin : 0;
  std::size_t end = right_ ? skip_space_before(text, text.size(), begin) : text.size();
  out.append(text.substr(begin, end - begin));
  return place.last ? text.size() : end;
}

std::size_t Prepend::run(std::string_view text, Place place, std::string& out) const {
  if (place.start && !text.empty()) out += prefix_;
  out += text;
  return text.size();
}

std::size_t Replace::run(std::string_view text, Place place, std::string& out) const {
  std::size_t done = 0;
  if (pattern_.size() == 1) {
    while (done < text.size()) {
      const void* at = std::memchr(text.data() + done, pattern_[0], text.size() - done);
      const std::size_t found =
          at ? static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) : text.size();
      out.append(text, done, found - done);
      if (at) out += content_;
      done = found + (at ? 1 : 0);
    }
    return done;
  }
  for (std::size_t at; (at = text.find(pattern_, done)) != text.npos; done = at + pattern_.size()) {
    out.append(text, done, at - done);
    out += content_;
  }
  std::size_t end = text.size();
  if (!place.last) {
    // The pattern may begin in the last bytes; a code point is never cut.
    end = std::max(done, end - std::min(end, pattern_.size() - 1));
    while (end > done && end < text.size() && is_continuation(text[end])) --end;
  }
  out.append(text, done, end - done);
  return end;
}

ByteLevel::ByteLevel() {
  char32_t unseen = 256;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool seen = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
    const char32_t c = seen ? static_cast<char32_t>(byte) : unseen++;
    char bytes[kLongestUtf8] = {};
    spelling_[byte].length = static_cast<std::uint8_t>(encode_utf8(c, bytes) - bytes);
    spelling_[byte].bytes = {bytes[0], bytes[1]};
  }
}

std::size_t ByteLevel::run(std::string_view text, Place, std::string& out) const {
  const std::size_t before = out.size();
  out.resize(before + 2 * text.size());
  char* to = out.data() + before;
  for (char c : text) {
    const Spelling& spelling = spelling_[static_cast<std::uint8_t>(c)];
    to[0] = spelling.bytes[0];
    to[1] = spelling.bytes[1];
    to += spelling.length;
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
  return text.size();
}

Metaspace::Metaspace(std::string replacement, PrependScheme scheme)
    : blanks_(" ", std::move(replacement)), scheme_(scheme) {}

std::size_t Metaspace::run(std::string_view text, Place place, std::string& out) const {
  const std::string& replacement = blanks_.content();
  const bool wanted =
      scheme_ == PrependScheme::always || (scheme_ == PrependScheme::first && place.of_text);
  if (place.start && wanted && !text.empty()) {
    if (!place.last && text.size() < replacement.size()) return 0;
    if (text[0] != ' ' && !text.starts_with(replacement)) out += replacement;
  }
  return blanks_.run(text, place, out);
}

std::size_t PrefixSpace::run(std::string_view text, Place place, std::string& out) const {
  if (place.start && !text.empty() && text[0] != ' ') out += ' ';
  out += text;
  return text.size();
}

}  // namespace knowmap::text
