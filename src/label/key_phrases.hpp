#pragma once

#include <cstdint>
#include <vector>

#include "label/phrase_scores.hpp"

namespace knowmap::label {

/// The phrases that tell most of a region, best first, at most `most` of them.
///
/// Each next one is the best by its own tie to the region (normalised pointwise
/// mutual information, Bouma 2009, lessened where another region of the level,
/// `best_elsewhere` by phrase, holds more of it) and by its ties to those already
/// taken: a list whose phrases stand in the same texts is about one thing. No
/// phrase is taken that lies within another. `n_rows` = texts in all.
std::vector<std::uint32_t> choose_key_phrases(const PhraseTable& table,
                                              const Candidates& candidates,
                                              const std::vector<float>& best_elsewhere,
                                              std::size_t n_rows, std::size_t most);

/// For each phrase the largest share of it that one region holds; 0 where no
/// region has it among its candidates.
std::vector<float> largest_shares(const PhraseTable& table, const std::vector<Candidates>& regions);

}  // namespace knowmap::label
