#include "label/phrase_scores.hpp"

#include <algorithm>
#include <cmath>

namespace knowmap::label {

namespace {

constexpr float kDefiningWeight = 2.0f;
constexpr float kTitleWeight = 1.0f;
constexpr float kFullRecall = 1.5f;  // weight a text at which a region is fully covered
constexpr float kBeta = 0.75f;       // of the F-measure: recall counts less

/// Coverage below which a phrase hardly names a region, times the root of its rows: of
/// 9 rows a half, of 100 an eighth or so.
constexpr float kLeastCoverage = 1.25f;
constexpr float kThin = 0.4f;
/// Fitness below which a phrase in a language that is known here names nothing: "dry",
/// "worn". A title says more.
constexpr float kLeastFit = 0.3f;
constexpr std::size_t kTitled = 3;
constexpr std::size_t kFew = 16;
/// Share of its head's weight at which a phrase of more words is usual there.
constexpr float kUsual = 0.4f;

float weight(Mention mention) {
  float w = 1;
  if ((mention.how & Mention::kDefining) != 0) w += kDefiningWeight;
  if ((mention.how & Mention::kInTitle) != 0) w += kTitleWeight;
  return w;
}

bool is_romance(const Phrase& phrase) { return 2 * phrase.romance > phrase.occurrences; }

Language language_of(const Corpus& corpus, const Phrase& phrase) {
  if (corpus.main_language == Language::other || phrase.occurrences == 0) {
    return corpus.main_language;
  }
  if (!is_romance(phrase)) {
    return corpus.main_language == Language::english || phrase.romance > 0 ? Language::english
                                                                           : Language::other;
  }
  return corpus.main_language == Language::english ? Language::spanish : corpus.main_language;
}

std::size_t letters(std::string_view word) {
  std::size_t count = 0;
  for (const char c : word) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

bool ends_with(std::string_view word, std::string_view end) {
  return word.size() > end.size() && word.substr(word.size() - end.size()) == end;
}

struct Tally {
  float weight = 0;
  std::uint32_t rows = 0;
  std::uint32_t entitling = 0;
};

/// Rows that hold both phrases, for each pair of them. `tally` is all zeros
/// before and after; meanwhile it marks the phrases by their place + 1.
void count_together(std::span<const std::uint32_t> phrases, std::span<const std::int32_t> rows,
                    const PhraseTable& table, std::vector<Tally>& tally,
                    std::vector<std::uint32_t>& together) {
  const std::size_t size = phrases.size();
  together.assign(size * size, 0);
  for (std::size_t i = 0; i < size; ++i) {
    tally[phrases[i]].rows = static_cast<std::uint32_t>(i + 1);
  }
  std::vector<std::uint32_t> here;
  for (const std::int32_t row : rows) {
    here.clear();
    for (const Mention mention : table.of(static_cast<std::size_t>(row))) {
      if (tally[mention.phrase].rows != 0) here.push_back(tally[mention.phrase].rows - 1);
    }
    for (const std::uint32_t a : here) {
      for (const std::uint32_t b : here) ++together[a * size + b];
    }
  }
  for (const std::uint32_t phrase : phrases) tally[phrase] = {};
}

/// "XIX", "xxe": a century, a king, a volume.
bool is_roman_numeral(std::string_view word) {
  const std::size_t digits = word.find_first_not_of("ivxlc");
  if (digits == std::string_view::npos) return true;
  const std::string_view rest = word.substr(digits);
  return digits > 0 && (rest == "e" || rest == "er" || rest == "ème");
}

}  // namespace

float f_measure(float precision, float recall) {
  const float under = kBeta * kBeta * precision + recall;
  return under > 0 ? (1 + kBeta * kBeta) * precision * recall / under : 0.0f;
}

std::uint32_t head_word(const Phrase& phrase) {
  if (phrase.length == 0) return Corpus::kRare;
  return is_romance(phrase) ? phrase.words[0] : phrase.words[phrase.length - 1];
}

float fitness(const Corpus& corpus, const Phrase& phrase) {
  if (phrase.length == 0) return 0;
  const Language language = language_of(corpus, phrase);
  const auto classes = [&](std::uint32_t word) -> unsigned {
    const unsigned known = corpus.word_class(word, language);
    return is_roman_numeral(corpus.words[word]) ? known | kWeak : known;
  };
  float fit = 1;
  for (std::uint32_t i = 0; i < phrase.length; ++i) {
    if ((classes(phrase.words[i]) & kEmpty) != 0) return 0;
  }
  const std::string& first = corpus.words[phrase.words[0]];
  const bool unspaced = is_unspaced(first);
  if (phrase.length == 1) {
    if (unspaced || letters(first) < 2) return 0;
    if ((classes(phrase.words[0]) & kWeak) != 0) return 0;
    if (letters(first) < 3) fit *= 0.5f;
  } else if (!unspaced) {
    const std::uint32_t head = head_word(phrase);
    const bool weak_head = (classes(head) & kWeak) != 0;
    bool all_weak = true;
    for (std::uint32_t i = 0; i < phrase.length; ++i) {
      all_weak = all_weak && (classes(phrase.words[i]) & (kWeak | kStop)) != 0;
      if (letters(corpus.words[phrase.words[i]]) < 2) return 0;
      for (std::uint32_t j = 0; j < i; ++j) {
        if (phrase.words[i] == phrase.words[j]) return 0;
      }
    }
    if (all_weak) return 0;
    if (weak_head) fit *= 0.7f;
    fit *= phrase.length == 2 ? 1.25f : 1.1f;
  }
  if (phrase.occurrences > 0 && !unspaced) {
    const auto of = static_cast<float>(phrase.occurrences);
    const float closing = static_cast<float>(phrase.closing) / of;
    const float opening = static_cast<float>(phrase.opening) / of;
    const float verbal = static_cast<float>(phrase.verbal) / of;
    const float capital = static_cast<float>(phrase.capitalized) / of;
    const float noun = is_romance(phrase) ? std::min(closing + 0.2f, opening) : closing;
    fit *= std::clamp((noun - 0.1f) / 0.4f, 0.05f, 1.0f);
    // Plurals are often told after "are", so a little is no harm.
    fit *= std::clamp(1.3f - 3.0f * verbal, 0.05f, 1.0f);
    if (phrase.length == 1 && capital > 0.7f && phrase.entitling == 0) fit *= 0.5f;
    fit *= 1 - 0.8f * static_cast<float>(phrase.in_name) / of;
    if (language == Language::spanish && ends_with(first, "mente")) return 0;
    if (language == Language::english) {
      const std::string& head = corpus.words[head_word(phrase)];
      if (ends_with(head, "ed") && head.size() > 4 && !ends_with(head, "eed") && capital < 0.5f) {
        return 0;
      }
      // "A monopoly is", but hardly ever "is roughly".
      if (phrase.length == 1 && ends_with(head, "ly") && capital < 0.5f && phrase.entitling == 0 &&
          20 * phrase.defining <= phrase.rows) {
        fit *= 0.3f;
      }
    }
  }
  if (phrase.entitling > 0) fit *= 1.2f;
  return fit;
}

std::vector<Candidates> score_phrases(const Corpus& corpus, const PhraseTable& table,
                                      const Groups& groups, Workers& workers, Monitor& monitor) {
  const std::size_t n_phrases = table.phrases.size();
  const auto n = static_cast<float>(corpus.size());
  std::vector<float> fit(n_phrases);
  std::vector<float> total(n_phrases);  // sums of small halves of integers: exact, in any order
  workers.run_ranges(
      n_phrases, 4096,
      [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t p = begin; p < end; ++p) fit[p] = fitness(corpus, table.phrases[p]);
      },
      &monitor);
  workers.run(
      1,
      [&](std::size_t, int) {
        for (std::size_t i = 0; i < table.mentions.size(); ++i) {
          if ((i & 65535) == 0 && monitor.cancelled()) return;
          total[table.mentions[i].phrase] += weight(table.mentions[i]);
        }
      },
      &monitor);

  // Where a phrase's head stands alone: "French mathematician" is no name for
  // mathematicians of whom some are French.
  constexpr std::uint32_t kNone = 0xffffffff;
  std::vector<std::uint32_t> alone(corpus.words.size(), kNone);
  for (std::size_t p = 0; p < n_phrases; ++p) {
    if (table.phrases[p].length == 1) {
      alone[table.phrases[p].words[0]] = static_cast<std::uint32_t>(p);
    }
  }

  std::vector<std::vector<Tally>> tallies(static_cast<std::size_t>(workers.size()));
  std::vector<std::vector<std::uint32_t>> met(static_cast<std::size_t>(workers.size()));
  std::vector<Candidates> candidates(groups.size());
  workers.run(
      groups.size(),
      [&](std::size_t g, int worker) {
        std::vector<Tally>& tally = tallies[static_cast<std::size_t>(worker)];
        std::vector<std::uint32_t>& touched = met[static_cast<std::size_t>(worker)];
        if (tally.empty()) tally.resize(n_phrases);
        touched.clear();
        const auto rows = groups.of(g);
        for (const std::int32_t row : rows) {
          if (monitor.cancelled()) return;
          for (const Mention mention : table.of(static_cast<std::size_t>(row))) {
            Tally& t = tally[mention.phrase];
            if (t.rows++ == 0) touched.push_back(mention.phrase);
            t.weight += weight(mention);
            t.entitling += (mention.how & Mention::kEntitling) != 0;
          }
        }
        const auto size = static_cast<float>(rows.size());
        const std::uint32_t fewest = 2;
        Candidates& result = candidates[g];
        result.rows = rows.size();
        for (const std::uint32_t p : touched) {
          const Tally t = tally[p];
          if (t.rows < fewest || fit[p] <= 0) continue;
          const float precision = t.weight / total[p];
          const float recall = std::min(1.0f, t.weight / (kFullRecall * size));
          const float lift = precision * n / size;
          const float f = f_measure(precision, recall);
          // A phrase as frequent elsewhere says nothing, but where all is one region.
          const float apart =
              rows.size() * 2 > corpus.size() ? 1.0f : std::clamp((lift - 1) / 2, 0.0f, 1.0f);
          const Phrase& phrase = table.phrases[p];
          float usual = 1;
          if (phrase.length > 1) {
            const std::uint32_t head = alone[head_word(phrase)];
            const float heads = head == kNone ? 0.0f : tally[head].weight;
            if (heads > 0) usual = std::clamp(t.weight / heads / kUsual, 0.4f, 1.0f);
          }
          // A name of one thing, told in few texts, is not what a region is about.
          if (phrase.length > 1 && 2 * phrase.capitalized > phrase.occurrences &&
              t.weight < 0.25f * size) {
            usual *= 0.6f;
          }
          Candidate c;
          c.phrase = p;
          c.coverage = static_cast<float>(t.rows) / size;
          c.precision = precision;
          c.recall = t.weight / (kFullRecall * size);
          c.score = f * fit[p] * apart * usual * (t.entitling > 0 ? 1.15f : 1.0f);
          // In few texts a phrase must be in most to speak for them; of three or
          // fewer their titles tell more.
          const bool thin = c.coverage * std::sqrt(size) < kLeastCoverage;
          if (thin) c.score *= kThin;
          const bool names = fit[p] >= kLeastFit || language_of(corpus, phrase) == Language::other;
          if (c.score > 0 && names && rows.size() > (thin ? kFew : kTitled)) {
            result.best.push_back(c);
          }
          if (t.rows >= 2) {
            const auto held = static_cast<float>(t.rows);
            const float tie = std::log(held * n / (static_cast<float>(phrase.rows) * size)) /
                              -std::log(std::min(held / n, 0.999f));
            if (tie > 0) result.keys.push_back({p, t.rows, std::sqrt(fit[p]) * tie});
          }
        }
        for (const std::uint32_t p : touched) tally[p] = {};
        const auto better = [](const Candidate& a, const Candidate& b) {
          return a.score != b.score ? a.score > b.score : a.phrase < b.phrase;
        };
        const std::size_t keep = std::min(Candidates::kMost, result.best.size());
        std::partial_sort(result.best.begin(),
                          result.best.begin() + static_cast<std::ptrdiff_t>(keep),
                          result.best.end(), better);
        result.best.resize(keep);
        result.best.shrink_to_fit();

        const auto closer = [](const KeyCandidate& a, const KeyCandidate& b) {
          return a.score != b.score ? a.score > b.score : a.phrase < b.phrase;
        };
        const std::size_t keys = std::min(Candidates::kMostKeys, result.keys.size());
        std::partial_sort(result.keys.begin(),
                          result.keys.begin() + static_cast<std::ptrdiff_t>(keys),
                          result.keys.end(), closer);
        result.keys.resize(keys);
        result.keys.shrink_to_fit();

        result.paired = std::min(Candidates::kPaired, keep);
        std::vector<std::uint32_t> phrases;
        for (std::size_t i = 0; i < result.paired; ++i) phrases.push_back(result.best[i].phrase);
        count_together(phrases, rows, table, tally, result.together);
        phrases.clear();
        for (const KeyCandidate& key : result.keys) phrases.push_back(key.phrase);
        count_together(phrases, rows, table, tally, result.keys_together);
      },
      &monitor);
  return candidates;
}

}  // namespace knowmap::label
