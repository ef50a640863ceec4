#pragma once

#include <cstdint>
#include <vector>

#include "label/corpus.hpp"

namespace knowmap::label {

/// A run of words of a text.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t length = 0;
};

/// What a text says that its subject is: the noun phrases of "X is an American
/// physicist and writer" or "fue un astrónomo griego", in the text's language;
/// each with one to three words, its head among them. Empty where the first
/// sentences define nothing.
void find_definition(const Corpus& corpus, std::size_t row, std::vector<Span>& found);

}  // namespace knowmap::label
