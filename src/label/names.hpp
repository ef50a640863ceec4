#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "label/phrase_scores.hpp"

namespace knowmap::label {

/// A level of regions as the naming sees it.
struct LevelToName {
  std::vector<Candidates> candidates;           // of each region
  std::vector<std::int32_t> parent;             // in the level above, -1 at the top
  std::vector<std::vector<std::int64_t>> rows;  // of each region, most typical first
  std::vector<std::string> kept;                // names that stay, "" = to be found; or empty
};

struct LevelNames {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> phrases;
  std::vector<float> confidence;  // as `Region::confidence`
};

/// Chooses the names of all regions, from the top level down: the best phrase
/// that no other region of the level and no region above has, or two that
/// complete one another; failing that, a typical title or the first words of a
/// typical text; failing even that, a number. `titles` may be empty.
std::vector<LevelNames> name_levels(const Corpus& corpus, const PhraseTable& table,
                                    std::span<const LevelToName> levels,
                                    std::span<const std::string_view> texts,
                                    std::span<const std::string_view> titles, std::size_t n_phrases,
                                    Workers& workers, Monitor& monitor);

/// At most four words of a title or text, at most six with those of grammar, fit to be
/// shown; "" where it holds no word that says something.
std::string short_title(std::string_view title);

}  // namespace knowmap::label
