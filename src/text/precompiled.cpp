#include "text/precompiled.hpp"

#include <array>
#include <cstring>
#include <stdexcept>

namespace knowmap::text {

namespace {

// A cluster of more bytes is taken apart.
constexpr std::size_t kWholeCluster = 6;

/// Whether a cluster goes on between two neighbours (annex 29, GB3 – GB9b).
bool joins(Grapheme left, Grapheme right) {
  using enum Grapheme;
  if (left == cr) return right == lf;
  if (left == lf || left == control) return false;
  switch (right) {
    case cr:
    case lf:
    case control:
      return false;
    case extend:
    case zero_width_joiner:
      return true;
    case hangul_lead:
    case hangul_lv:
    case hangul_lvt:
      return left == prepend || left == hangul_lead;
    case hangul_vowel:
      return left == prepend || left == hangul_lead || left == hangul_lv || left == hangul_vowel;
    case hangul_tail:
      return left == prepend || left == hangul_lv || left == hangul_vowel || left == hangul_lvt ||
             left == hangul_tail;
    default:
      return left == prepend;
  }
}

}  // namespace

std::size_t grapheme_end(std::string_view text, std::size_t begin) {
  const auto& table = grapheme_table();
  const char* end = text.data() + text.size();
  const char* p = text.data() + begin;
  Decoded next = decode_utf8(p, end);
  p += next.length;
  Grapheme left = table[next.c];
  bool emoji = left == Grapheme::pictographic;  // a pictograph, and marks after it
  bool joined = false;                          // and then a joiner
  bool odd_indicator = left == Grapheme::regional_indicator;
  while (p < end) {
    next = decode_utf8(p, end);
    const Grapheme right = table[next.c];
    const bool pair = odd_indicator && right == Grapheme::regional_indicator;
    if (!joins(left, right) && !pair && !(joined && right == Grapheme::pictographic)) break;
    joined = emoji && right == Grapheme::zero_width_joiner;
    emoji = right == Grapheme::pictographic ||
            (emoji && (right == Grapheme::extend || right == Grapheme::zero_width_joiner));
    odd_indicator = right == Grapheme::regional_indicator && !pair;
    left = right;
    p += next.length;
  }
  return static_cast<std::size_t>(p - text.data());
}

Precompiled::Precompiled(std::string_view charsmap) {
  std::uint32_t bytes = 0;
  if (charsmap.size() < sizeof bytes) throw std::invalid_argument("the map is cut short");
  for (std::size_t i = 0; i < 4; ++i) {
    bytes |= std::uint32_t{static_cast<std::uint8_t>(charsmap[i])} << (8 * i);
  }
  charsmap.remove_prefix(4);
  bytes -= bytes % 4;
  if (bytes == 0 || bytes > charsmap.size()) {
    throw std::invalid_argument("its trie is said to have " + std::to_string(bytes) +
                                " bytes, and " + std::to_string(charsmap.size()) + " are there");
  }
  units_.resize(bytes / 4);
  for (std::size_t i = 0; i < bytes; ++i) {
    units_[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(charsmap[i])} << (8 * (i % 4));
  }
  pool_ = charsmap.substr(bytes);
  const char* end = pool_.data() + pool_.size();
  for (const char* p = pool_.data(); p < end;) {
    const Decoded next = decode_utf8(p, end);
    if (next.c == kReplacement && next.length != 3) {
      throw std::invalid_argument("its strings are not UTF-8");
    }
    p += next.length;
  }
}

const char* Precompiled::transform(std::string_view chunk) const {
  const auto offset = [](std::uint32_t unit) {
    return std::size_t{unit >> 10} << ((unit & (1u << 9)) >> 6);
  };
  std::size_t node = offset(units_[0]);
  for (char c : chunk) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte == 0) return nullptr;
    node ^= byte;
    if (node >= units_.size()) return nullptr;
    const std::uint32_t unit = units_[node];
    if ((unit & (1u << 31 | 0xFFu)) != byte) return nullptr;
    node ^= offset(unit);
    if (unit & (1u << 8)) {
      if (node >= units_.size()) return nullptr;
      const std::size_t at = units_[node] & ~(1u << 31);
      // A pointer into the middle of a code point would make broken UTF-8.
      if (at > pool_.size() || (at < pool_.size() && is_continuation(pool_[at]))) return nullptr;
      return pool_.c_str() + at;
    }
  }
  return nullptr;
}

void Precompiled::append(std::string_view chunk, std::string& out) const {
  const char* becomes = transform(chunk);
  if (becomes) {
    out += becomes;
  } else {
    out += chunk;
  }
}

std::size_t Precompiled::run(std::string_view text, Place place, std::string& out) const {
  const char* end = text.data() + text.size();
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t stop = grapheme_end(text, begin);
    if (stop == text.size() && !place.last) return begin;
    const std::string_view cluster = text.substr(begin, stop - begin);
    begin = stop;
    if (cluster.size() < kWholeCluster) {
      if (const char* becomes = transform(cluster)) {
        out += becomes;
        continue;
      }
    }
    for (const char* p = cluster.data(); p < cluster.data() + cluster.size();) {
      const std::size_t length = decode_utf8(p, end).length;
      append({p, length}, out);
      p += length;
    }
  }
  return begin;
}

std::string decode_base64(std::string_view text) {
  static const auto values = [] {
    std::array<std::int8_t, 256> made;
    made.fill(-1);
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::int8_t i = 0; i < 64; ++i) made[static_cast<std::uint8_t>(kDigits[i])] = i;
    return made;
  }();
  if (text.size() % 4 != 0)
    throw std::invalid_argument("not base64: its length is no multiple of 4");
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    const std::int8_t value = values[static_cast<std::uint8_t>(c)];
    if (value < 0) throw std::invalid_argument("not base64: a character that it doesn't have");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return out;
}

}  // namespace knowmap::text
