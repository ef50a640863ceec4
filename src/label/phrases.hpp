#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "label/corpus.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// One to three words that may name something.
struct Phrase {
  std::uint32_t words[3] = {0, 0, 0};
  std::uint32_t length = 0;
  std::uint32_t rows = 0;         // texts or titles that hold it
  std::uint32_t occurrences = 0;  // the counts below are of these
  std::uint32_t closing = 0;      // ends a run of words of content
  std::uint32_t opening = 0;      // begins one
  std::uint32_t verbal = 0;       // stands after "was", "to", "also"
  std::uint32_t romance = 0;      // in Spanish or French
  std::uint32_t capitalized = 0;  // each word with a capital, not at a sentence's start
  std::uint32_t in_name = 0;      // a single word, part of a longer name ("Ohio River")
  std::uint32_t defining = 0;     // texts whose subject it is said to be
  std::uint32_t entitling = 0;    // texts that have just it for a title
};

/// A phrase in a text, and how it is there.
struct Mention {
  static constexpr std::uint32_t kDefining = 1;   ///< it says what the subject is
  static constexpr std::uint32_t kInTitle = 2;    ///< it is part of the title
  static constexpr std::uint32_t kEntitling = 4;  ///< it is the title
  std::uint32_t phrase : 29;
  std::uint32_t how : 3;
};

/// One vocabulary for all regions and levels, and which texts hold what of it.
struct PhraseTable {
  std::vector<Phrase> phrases;
  std::vector<std::uint64_t> offsets;  // of each text in mentions, and the end
  std::vector<Mention> mentions;       // of each text: by phrase, each once

  std::span<const Mention> of(std::size_t row) const {
    return {mentions.data() + offsets[row], mentions.data() + offsets[row + 1]};
  }
};

/// Counts in two passes: which runs of words are frequent enough (sorted runs
/// of hashes, merged wave by wave; where they are too many the rarest are
/// dropped, as in the lossy counting of Manku and Motwani 2002), then where
/// those are.
PhraseTable find_phrases(const Corpus& corpus, Workers& workers, Monitor& monitor);

/// Whether the word at `at` has a capital beside another word that has one, or
/// before an "of" and such a word, so that it says little of how it is written alone
/// ("River" in "Ohio River", "King" in "King of England").
bool is_within_name(const Corpus& corpus, std::span<const Token> tokens, std::size_t at,
                    Language language);

/// Calls use(begin, length) for every run of one to three words of `tokens`
/// that may be a phrase: words of content, with at most an "of" inside.
template <class Use>
void for_each_phrase(const Corpus& corpus, std::span<const Token> tokens, Language language,
                     const Use& use) {
  const auto content = [&](std::size_t i) {
    const std::uint32_t word = corpus.word(tokens[i]);
    return word != Corpus::kRare && (corpus.word_class(word, language) & kStop) == 0;
  };
  const auto joined = [&](std::size_t i) {
    return i < tokens.size() && tokens[i].gap_before() == Gap::space;
  };
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!content(i)) continue;
    use(i, std::size_t{1});
    if (!joined(i + 1)) continue;
    if (content(i + 1)) {
      use(i, std::size_t{2});
    } else if ((corpus.word_class(corpus.word(tokens[i + 1]), language) & kLink) == 0) {
      continue;
    }
    if (joined(i + 2) && content(i + 2)) use(i, std::size_t{3});
  }
}

}  // namespace knowmap::label
