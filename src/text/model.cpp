#include "text/model.hpp"

#include <algorithm>
#include <stdexcept>

#include "knowmap/error.hpp"

namespace knowmap::text {

namespace {

ByteTrie make_trie(const std::vector<std::pair<std::string, std::int32_t>>& tokens,
                   std::string_view prefix) {
  std::vector<std::pair<std::string_view, std::int32_t>> keys;
  keys.reserve(tokens.size());
  for (const auto& [token, id] : tokens) {
    if (token.starts_with(prefix)) {
      keys.emplace_back(std::string_view(token).substr(prefix.size()), id);
    }
  }
  return ByteTrie(std::move(keys));
}

std::vector<std::pair<std::string, std::int32_t>> sort_by_id(
    std::vector<std::pair<std::string, std::int32_t>> tokens) {
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.second < b.second; });
  return tokens;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::pair<std::string, std::int32_t>> tokens)
    : tokens_(sort_by_id(std::move(tokens))), trie_(make_trie(tokens_, "")) {}

std::string_view Vocabulary::token(std::int32_t id) const {
  const auto it =
      std::lower_bound(tokens_.begin(), tokens_.end(), id,
                       [](const auto& token, std::int32_t x) { return token.second < x; });
  return it != tokens_.end() && it->second == id ? std::string_view(it->first) : "";
}

WordPiece::WordPiece(Vocabulary vocabulary, const WordPieceOptions& options)
    : vocabulary_(std::move(vocabulary)),
      continuing_(make_trie(vocabulary_.tokens(), options.continuing_subword_prefix)),
      unknown_(vocabulary_.id(options.unk_token)),
      max_chars_(options.max_input_chars_per_word) {
  if (unknown_ < 0) throw std::invalid_argument("the vocabulary lacks " + options.unk_token);
}

bool WordPiece::is_too_long(std::string_view word) const {
  if (word.size() <= max_chars_) return false;
  // A code point has at most 4 bytes.
  if (word.size() / 4 > max_chars_) return true;
  const auto continues = std::count_if(word.begin(), word.end(), [](char byte) {
    return (static_cast<std::uint8_t>(byte) & 0xC0) == 0x80;
  });
  return word.size() - static_cast<std::size_t>(continues) > max_chars_;
}

void WordPiece::tokenize(std::string_view word, Scratch*, std::size_t,
                         std::vector<std::int32_t>& ids) const {
  if (is_too_long(word)) {
    ids.push_back(unknown_);
    return;
  }
  const std::size_t before = ids.size();
  ByteTrie::Match match = vocabulary_.longest(word);
  while (match.length > 0) {
    ids.push_back(match.value);
    word.remove_prefix(match.length);
    if (word.empty()) return;
    match = continuing_.longest(word);
  }
  ids.resize(before);
  ids.push_back(unknown_);
}

void WordLevel::tokenize(std::string_view word, Scratch*, std::size_t,
                         std::vector<std::int32_t>& ids) const {
  const std::int32_t id = vocabulary_.id(word);
  if (id < 0 && unknown_ < 0) {
    throw TokenizerError("\"" + std::string(word.substr(0, 100)) +
                         "\" is not in the vocabulary, which has no unknown token either");
  }
  ids.push_back(id < 0 ? unknown_ : id);
}

std::array<std::int32_t, 256> byte_ids(const Vocabulary& vocabulary) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::array<std::int32_t, 256> ids;
  for (std::size_t byte = 0; byte < ids.size(); ++byte) {
    ids[byte] =
        vocabulary.id(std::string{'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'});
  }
  return ids;
}

}  // namespace knowmap::text
