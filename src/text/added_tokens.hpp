#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.hpp"

namespace knowmap::text {

/// A token that is found in the text before words are cut.
struct AddedToken {
  std::string content;
  std::int32_t id = -1;
  /// Only where no word character stands beside it.
  bool single_word = false;
  /// White space before it, and after it, belongs to it.
  bool lstrip = false;
  bool rstrip = false;
  /// It is looked for, in its normal form, in the normalised text.
  bool normalized = false;
};

/// Finds added tokens: leftmost first, and there the longest. Thread-safe.
class AddedTokens {
 public:
  struct Match {
    std::int32_t id;
    /// The bytes that it takes, white space included.
    std::size_t begin;
    std::size_t end;
    /// Where the search goes on.
    std::size_t next;
    /// White space that follows belongs to it.
    bool rstrip;
  };

  /// `patterns` says what is looked for, one for each token; an empty one is
  /// never found. Of equal ones the first counts.
  AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns);

  bool empty() const { return longest_ == 0; }
  /// The bytes of the longest pattern.
  std::size_t longest() const { return longest_; }

  /// Whether white space before a token may belong to it.
  bool strips_left() const { return strips_left_; }

  /// The first match in text[from, ...) that starts before `limit`. What
  /// `lstrip` takes never reaches before `floor`.
  std::optional<Match> find(std::string_view text, std::size_t from, std::size_t limit,
                            std::size_t floor) const;

 private:
  std::size_t find_first_byte(std::string_view text, std::size_t from, std::size_t limit) const;
  std::vector<AddedToken> tokens_;
  ByteTrie patterns_;
  std::array<bool, 256> first_byte_{};
  /// The one first byte of all patterns, which memchr finds; -1: there are more.
  int only_first_byte_ = -1;
  std::size_t longest_ = 0;
  bool strips_left_ = false;
};

/// Where the white space before `end` begins, at `floor` or after it.
std::size_t skip_space_before(std::string_view text, std::size_t end, std::size_t floor);
/// Where the white space at text[begin, ...) ends.
std::size_t skip_space(std::string_view text, std::size_t begin);

}  // namespace knowmap::text
