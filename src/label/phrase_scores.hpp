#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "label/merge_tree.hpp"
#include "label/phrases.hpp"

namespace knowmap::label {

/// A phrase that may name a region.
struct Candidate {
  std::uint32_t phrase = 0;
  float score = 0;      ///< as a name
  float coverage = 0;   ///< share of the region's texts that hold it
  float precision = 0;  ///< share of the phrase's weight that lies in the region
  float recall = 0;     ///< its weight by that of a fully covered region, not cut at 1
};

/// A phrase that may tell of a region beside its name.
struct KeyCandidate {
  std::uint32_t phrase = 0;
  std::uint32_t rows = 0;  ///< of the region that hold it
  float score = 0;         ///< its tie to the region, times how fit it is
};

/// The best phrases of a region, best first by score, and for each pair of the
/// first `paired` the texts of the region that hold both.
struct Candidates {
  static constexpr std::size_t kMost = 48;
  static constexpr std::size_t kPaired = 20;
  std::size_t rows = 0;  // of the region
  std::vector<Candidate> best;
  std::size_t paired = 0;
  std::vector<std::uint32_t> together;  // (paired, paired)

  static constexpr std::size_t kMostKeys = 40;
  std::vector<KeyCandidate> keys;            // best first
  std::vector<std::uint32_t> keys_together;  // (keys, keys) rows that hold both
};

/// Scores the phrases of each group of rows.
///
/// A phrase names a region as a search word finds it: by precision (its texts
/// lie in the region) and recall (the region's texts hold it), joined in an
/// F-measure that leans to precision, since few texts say what they are about
/// in so many words. So a wide region gets a wide word and its parts narrow
/// ones. What a text says that its subject *is*, and its title, count more than
/// mere mention. Key
/// phrases are ranked as c-TF-IDF does (Grootendorst 2022, arXiv 2203.05794), a
/// region against all others, but by texts and by mutual information.
std::vector<Candidates> score_phrases(const Corpus& corpus, const PhraseTable& table,
                                      const Groups& groups, Workers& workers, Monitor& monitor);

/// How fit a phrase is for a name, whatever the region: 0 = not at all. Nouns
/// are told from other words by where they stand: they end (in Spanish and
/// French begin) runs of words, and seldom follow "was" or "to".
float fitness(const Corpus& corpus, const Phrase& phrase);

/// Precision and recall as one; leans to precision.
float f_measure(float precision, float recall);

/// The word that says what sort of thing the phrase is.
std::uint32_t head_word(const Phrase& phrase);

}  // namespace knowmap::label
