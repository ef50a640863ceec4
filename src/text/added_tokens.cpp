#include "text/added_tokens.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "text/unicode.hpp"

namespace knowmap::text {

namespace {

bool is(char32_t c, Property property) { return (properties()[c] & property) != 0; }

bool ends_with_word(std::string_view text, std::size_t end) {
  return end > 0 && is(decode_utf8_before(text, end), kWord);
}

bool starts_with_word(std::string_view text, std::size_t begin) {
  return begin < text.size() &&
         is(decode_utf8(text.data() + begin, text.data() + text.size()).c, kWord);
}

}  // namespace

std::size_t skip_space_before(std::string_view text, std::size_t end, std::size_t floor) {
  while (end > floor) {
    const char32_t c = decode_utf8_before(text, end);
    if (!is(c, kWhitespace)) break;
    char bytes[4];
    end -= static_cast<std::size_t>(encode_utf8(c, bytes) - bytes);
  }
  return std::max(end, floor);
}

std::size_t skip_space(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    const Decoded next = decode_utf8(text.data() + begin, text.data() + text.size());
    if (!is(next.c, kWhitespace)) break;
    begin += next.length;
  }
  return begin;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns)
    : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string_view, std::int32_t>> keys;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& pattern = patterns[i];
    if (pattern.empty()) continue;
    keys.emplace_back(pattern, static_cast<std::int32_t>(i));
    longest_ = std::max(longest_, pattern.size());
    strips_left_ |= tokens_[i].lstrip;
    first_byte_[static_cast<std::uint8_t>(pattern[0])] = true;
  }
  patterns_ = ByteTrie(std::move(keys));
  if (std::count(first_byte_.begin(), first_byte_.end(), true) == 1) {
    only_first_byte_ = static_cast<int>(std::find(first_byte_.begin(), first_byte_.end(), true) -
                                        first_byte_.begin());
  }
}

std::size_t AddedTokens::find_first_byte(std::string_view text, std::size_t from,
                                         std::size_t limit) const {
  if (only_first_byte_ >= 0) {
    const void* at = std::memchr(text.data() + from, only_first_byte_, limit - from);
    return at ? static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) : limit;
  }
  while (from < limit && !first_byte_[static_cast<std::uint8_t>(text[from])]) ++from;
  return from;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from,
                                                    std::size_t limit, std::size_t floor) const {
  if (empty()) return std::nullopt;
  while (from < limit) {
    from = find_first_byte(text, from, limit);
    if (from >= limit) break;
    const ByteTrie::Match found = patterns_.longest(text.substr(from));
    if (found.length == 0) {
      ++from;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(found.value)];
    const std::size_t next = from + found.length;
    if (token.single_word && (ends_with_word(text, from) || starts_with_word(text, next))) {
      from = next;
      continue;
    }
    return Match{token.id, token.lstrip ? skip_space_before(text, from, floor) : from,
                 token.rstrip ? skip_space(text, next) : next, next, token.rstrip};
  }
  return std::nullopt;
}

}  // namespace knowmap::text
