#include "label/key_phrases.hpp"

#include <algorithm>
#include <cmath>

namespace knowmap::label {

namespace {

/// What being said together weighs beside being tied to the region. A region that
/// holds more than this share of all texts is about several things, and its
/// phrases should be, too.
constexpr float kTogether = 1.0f;
constexpr double kNarrow = 0.02;

bool within(const Phrase& a, const Phrase& b) {
  for (std::uint32_t i = 0; i < a.length; ++i) {
    if (std::find(b.words, b.words + b.length, a.words[i]) == b.words + b.length) return false;
  }
  return true;
}

/// Of two sets of `a` and `b` texts, `both` in common, out of `n`: -1 … 1.
float npmi(double both, double a, double b, double n) {
  if (both <= 0) return -1;
  if (both >= n) return 1;
  return static_cast<float>(std::log(both * n / (a * b)) / -std::log(both / n));
}

}  // namespace

std::vector<float> largest_shares(const PhraseTable& table,
                                  const std::vector<Candidates>& regions) {
  std::vector<float> largest(table.phrases.size(), 0.0f);
  for (const Candidates& region : regions) {
    for (const KeyCandidate& key : region.keys) {
      const float share = static_cast<float>(key.rows) /
                          static_cast<float>(std::max(1u, table.phrases[key.phrase].rows));
      largest[key.phrase] = std::max(largest[key.phrase], share);
    }
  }
  return largest;
}

std::vector<std::uint32_t> choose_key_phrases(const PhraseTable& table,
                                              const Candidates& candidates,
                                              const std::vector<float>& best_elsewhere,
                                              std::size_t n_rows, std::size_t most) {
  const auto& keys = candidates.keys;
  const auto n = static_cast<double>(n_rows);
  const auto all = [&](std::size_t i) {
    return static_cast<double>(table.phrases[keys[i].phrase].rows);
  };
  std::vector<float> own(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto share = static_cast<float>(keys[i].rows / std::max(1.0, all(i)));
    own[i] = keys[i].score * std::sqrt(share / std::max(share, best_elsewhere[keys[i].phrase]));
  }
  const auto size = static_cast<double>(std::max<std::size_t>(1, candidates.rows));
  const auto together = static_cast<float>(kTogether * std::min(1.0, kNarrow * n / size));
  std::vector<std::size_t> taken;
  std::vector<float> ties(keys.size(), 0.0f);
  std::vector<bool> out(keys.size(), false);
  while (taken.size() < most) {
    std::size_t best = keys.size();
    float best_score = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (out[i]) continue;
      const float mean = taken.empty() ? 0.0f : ties[i] / static_cast<float>(taken.size());
      const float score = own[i] + together * mean;
      if (best == keys.size() || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    if (best == keys.size()) break;
    out[best] = true;
    const Phrase& phrase = table.phrases[keys[best].phrase];
    const bool repeats = std::any_of(taken.begin(), taken.end(), [&](std::size_t other) {
      const Phrase& said = table.phrases[keys[other].phrase];
      return within(phrase, said) || within(said, phrase);
    });
    if (repeats) continue;
    taken.push_back(best);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (out[i]) continue;
      ties[i] += npmi(candidates.keys_together[best * keys.size() + i], all(best), all(i), n);
    }
  }
  std::vector<std::uint32_t> phrases;
  for (const std::size_t i : taken) phrases.push_back(keys[i].phrase);
  return phrases;
}

}  // namespace knowmap::label
