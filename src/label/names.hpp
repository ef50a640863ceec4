#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "label/earlier_names.hpp"
#include "label/phrase_scores.hpp"

namespace knowmap::label {

/// A level of regions as the naming sees it.
struct LevelToName {
  std::vector<Candidates> candidates;           // of each region
  std::vector<std::int32_t> parent;             // in the level above, -1 at the top
  std::vector<std::vector<std::int64_t>> rows;  // of each region, most typical first
  std::vector<EarlierName> kept;                // names that may stay; or empty
  // Of each region, folded: names that it may not have beside those above it; or empty.
  std::vector<std::vector<std::string>> barred = {};
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

/// Most words of a name.
inline constexpr std::size_t kMostWords = 4;

/// Words as a reader counts them: what blanks part, with a letter or digit in it.
/// So "of" is one, "rock-and-roll" is one, and "&" is none. Writing without blanks
/// is one word.
std::size_t count_words(std::string_view name);

/// A title or the beginning of a text as a name: what stands before a bracket, at
/// most four words, the last of them no word of grammar where it had to be cut; ""
/// where no word says something, or nothing is left.
std::string short_title(std::string_view title);
/// Whether `short_title` keeps all of it.
bool is_short(std::string_view title);

}  // namespace knowmap::label
