#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace knowmap::label {

/// Languages whose words are known here.
enum class Language : std::uint8_t { english, spanish, french, other };
inline constexpr std::size_t kLanguages = 3;

/// What a word does in a sentence, as far as names of regions go.
enum WordClass : std::uint16_t {
  kStop = 1,           ///< says nothing of a subject: no phrase goes through it
  kDeterminer = 2,     ///< a noun phrase follows ("the", "una")
  kVerbal = 4,         ///< a verb or an adjective often follows ("was", "also")
  kCopula = 8,         ///< what follows tells what the subject is ("is", "fue")
  kLink = 16,          ///< may stand inside of a phrase ("of", "de")
  kAnd = 32,           ///< goes on with the same kind of word
  kWeak = 64,          ///< a noun that names nothing when alone ("part")
  kTransparent = 128,  ///< "a kind of X" is an X
  kEmpty = 256,        ///< makes any name empty ("various", "other")
};

/// The classes of a case-folded word in each language; 0 = not known.
std::array<std::uint16_t, kLanguages> word_classes(std::string_view folded);

}  // namespace knowmap::label
