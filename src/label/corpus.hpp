#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "label/stop_words.hpp"
#include "label/text_words.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// A word of a text: which spelling, and what stands before it.
struct Token {
  std::uint32_t spelling : 30;
  std::uint32_t gap : 2;
  Gap gap_before() const { return static_cast<Gap>(gap); }
};

/// Texts as numbers of words. Spellings ("Emperors", "emperor") are told apart
/// for showing; words, folded and in the singular, for counting.
struct Corpus {
  static constexpr std::uint32_t kRare = 0;      ///< spelling and word of what is too rare
  static constexpr std::uint32_t kRareName = 1;  ///< spelling of what is rare, with a capital
  /// Words that are read of each text: what it is about is said early.
  static constexpr std::size_t kMostWords = 400;
  static constexpr std::size_t kMostBytes = 16384;

  std::vector<Token> tokens;
  std::vector<std::uint64_t> offsets;  // of each text in tokens, and the end
  std::vector<Token> title_tokens;
  std::vector<std::uint64_t> title_offsets;
  std::vector<Language> language;  // of each text

  std::vector<std::string_view> spellings;
  std::vector<std::uint32_t> word_of_spelling;
  std::vector<bool> capitalized;  // of each spelling

  std::vector<std::string> words;  // folded
  std::vector<std::uint32_t>
      word_rows;  // texts and titles that hold it (at most: spellings add up)
  std::vector<std::array<std::uint16_t, kLanguages + 1>> classes;  // WordClass by Language
  Language main_language = Language::other;

  std::size_t size() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  std::span<const Token> text(std::size_t row) const {
    return {tokens.data() + offsets[row], tokens.data() + offsets[row + 1]};
  }
  std::span<const Token> title(std::size_t row) const {
    if (title_offsets.empty()) return {};
    return {title_tokens.data() + title_offsets[row], title_tokens.data() + title_offsets[row + 1]};
  }
  std::uint32_t word(Token token) const { return word_of_spelling[token.spelling]; }
  std::uint16_t word_class(std::uint32_t word_id, Language of) const {
    return classes[word_id][static_cast<std::size_t>(of)];
  }
};

/// Fewest texts that a word must be in to be part of a name.
std::uint32_t fewest_rows(std::size_t n_rows);

/// Reads the texts: four bytes a word are kept, and views into `texts` and
/// `titles`. `titles` may be empty.
Corpus read_corpus(std::span<const std::string_view> texts,
                   std::span<const std::string_view> titles, Workers& workers, Monitor& monitor);

/// The singular of a folded plural, or "" where the word doesn't look like one.
/// French and Spanish endings differ; what comes out may not be a word.
std::vector<std::string> singulars(std::string_view word, Language language);

}  // namespace knowmap::label
