#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

/// The end of the grapheme cluster that starts at `begin` < text.size().
std::size_t grapheme_end(std::string_view text, std::size_t begin);

/// `Precompiled`: SentencePiece's character map, a trie (Darts-clone's double
/// array) from byte strings to offsets into a pool of strings. Applied as
/// `tokenizers` does it: to a whole grapheme cluster under 6 bytes, of which the
/// shortest key that it starts with decides; otherwise to each code point.
class Precompiled final : public Normalizer {
 public:
  /// The decoded `precompiled_charsmap`. Throws std::invalid_argument where it
  /// is malformed.
  explicit Precompiled(std::string_view charsmap);

  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  /// What `chunk` becomes; null where it stays.
  const char* transform(std::string_view chunk) const;
  void append(std::string_view chunk, std::string& out) const;

  std::vector<std::uint32_t> units_;
  /// Strings that end with NUL, as does the whole.
  std::string pool_;
};

/// Decodes base64 (RFC 4648); throws std::invalid_argument.
std::string decode_base64(std::string_view text);

}  // namespace knowmap::text
