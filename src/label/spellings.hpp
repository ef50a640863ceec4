#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "label/phrases.hpp"

namespace knowmap::label {

/// How each of the phrases numbered in `wanted` (sorted) is written in a name:
/// as the texts write it most often, not counting the capital of a sentence's
/// start; in the plural where it is a sort of thing that texts say their
/// subject is ("physicists") or that is often spoken of in the plural.
std::vector<std::string> spell_phrases(const Corpus& corpus, const PhraseTable& table,
                                       std::span<const std::uint32_t> wanted, Workers& workers,
                                       Monitor& monitor);

}  // namespace knowmap::label
