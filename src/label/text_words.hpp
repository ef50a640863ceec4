#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace knowmap::label {

/// What stands before a word.
enum class Gap : std::uint8_t {
  space,     ///< nothing but blanks
  soft,      ///< a comma, a quotation mark, a bracket, a number
  sentence,  ///< the start of the text or of a sentence
};

/// Reads the words of a text one after another. A word is a run of letters and
/// marks of any script, with hyphens, apostrophes and digits inside; Han and the
/// scripts of South-East Asia, written without blanks, give a word a character.
/// Bytes that are no UTF-8 count as punctuation. "l'eau" is "l'" and "eau";
/// "Newton's" is "Newton".
class WordReader {
 public:
  explicit WordReader(std::string_view text) : text_(text) {}
  /// False at the end. `word` points into the text.
  bool next(std::string_view& word, Gap& gap);

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  Gap pending_ = Gap::sentence;
};

/// Lower case, composed (NFC), apostrophes made plain: what words are compared by.
std::string fold(std::string_view word);
/// Whether its first letter is upper or title case.
bool is_capitalized(std::string_view word);
/// The first letter made upper case.
std::string capitalized(std::string_view words);
/// Of a script written without blanks: such words are joined without any.
bool is_unspaced(std::string_view word);
/// Valid UTF-8 without control characters, line ends, or marks that turn the
/// direction of writing; blanks are single.
std::string clean(std::string_view text);

}  // namespace knowmap::label
