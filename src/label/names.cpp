#include "label/names.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "label/key_phrases.hpp"
#include "label/spellings.hpp"

namespace knowmap::label {

namespace {

constexpr std::size_t kMostTitleBytes = 90;
/// A second phrase joins the first where the first covers less than this, the two
/// tell the region from the rest so much better than the first alone, and the
/// second is not so much worse a name.
constexpr double kCoveredAlone = 0.5;
constexpr double kTellBetter = 1.25;
constexpr float kNearlyAsGood = 0.3f;
/// A phrase that fits a part of the region better than the whole is the part's.
constexpr float kFitsPart = 1.1f;
constexpr float kLeastScore = 0.01f;
/// A name of before stays where its phrases score so much of the best one's.
constexpr float kStillFits = 0.5f;

bool has_word(const Phrase& phrase, std::uint32_t word) {
  return std::find(phrase.words, phrase.words + phrase.length, word) !=
         phrase.words + phrase.length;
}

/// Whether every word of `a` is in `b`.
bool within(const Phrase& a, const Phrase& b) {
  for (std::uint32_t i = 0; i < a.length; ++i) {
    if (!has_word(b, a.words[i])) return false;
  }
  return true;
}

bool share_content(const Corpus& corpus, const Phrase& a, const Phrase& b) {
  for (std::uint32_t i = 0; i < a.length; ++i) {
    const bool grammar = (corpus.classes[a.words[i]][0] & kStop) != 0 ||
                         (corpus.classes[a.words[i]][1] & kStop) != 0 ||
                         (corpus.classes[a.words[i]][2] & kStop) != 0;
    if (!grammar && has_word(b, a.words[i])) return true;
  }
  return false;
}

bool is_name(const Phrase& phrase) { return 2 * phrase.capitalized > phrase.occurrences; }

struct Chosen {
  std::vector<std::uint32_t> phrases;  // one or two; none for a fall-back
};

class Namer {
 public:
  Namer(const Corpus& corpus, const PhraseTable& table, std::span<const LevelToName> levels,
        std::span<const std::string_view> texts, std::span<const std::string_view> titles)
      : corpus_(corpus), table_(table), levels_(levels), texts_(texts), titles_(titles) {}

  void spell(Workers& workers, Monitor& monitor) {
    std::vector<std::uint32_t> wanted;
    for (const LevelToName& level : levels_) {
      for (const Candidates& c : level.candidates) {
        for (const Candidate& candidate : c.best) wanted.push_back(candidate.phrase);
        for (const KeyCandidate& key : c.keys) wanted.push_back(key.phrase);
      }
    }
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    const auto spelled = spell_phrases(corpus_, table_, wanted, workers, monitor);
    for (std::size_t i = 0; i < wanted.size(); ++i) spelling_.emplace(wanted[i], spelled[i]);
  }

  LevelNames name_level(std::size_t l, std::size_t n_phrases) {
    const LevelToName& level = levels_[l];
    LevelNames result;
    result.names.resize(level.candidates.size());
    chosen_.emplace_back(level.candidates.size());
    std::unordered_set<std::string> taken;
    std::unordered_set<std::uint32_t> used;
    keep_names(l, result.names, taken, used);
    name_by_phrases(l, result.names, taken, used);
    const std::vector<float> shares = largest_shares(table_, level.candidates);
    for (std::size_t r = 0; r < result.names.size(); ++r) {
      if (result.names[r].empty()) result.names[r] = fall_back(l, r, taken);
      result.phrases.push_back(key_phrases(level.candidates[r], shares, n_phrases));
      result.confidence.push_back(confidence(l, r));
    }
    names_.push_back(result.names);
    return result;
  }

 private:
  /// Names of an earlier map come first, those of regions that are the same before
  /// those that still fit; their phrases are told by how they are written.
  void keep_names(std::size_t l, std::vector<std::string>& names,
                  std::unordered_set<std::string>& taken, std::unordered_set<std::uint32_t>& used) {
    const LevelToName& level = levels_[l];
    std::vector<std::size_t> order;
    for (std::size_t r = 0; r < level.kept.size(); ++r) {
      if (!level.kept[r].name.empty()) order.push_back(r);
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const EarlierName& of_a = level.kept[a];
      const EarlierName& of_b = level.kept[b];
      if (of_a.is_same() != of_b.is_same()) return of_a.is_same();
      return of_a.overlap > of_b.overlap;
    });
    for (const std::size_t r : order) {
      const std::string& name = level.kept[r].name;
      const std::vector<std::uint32_t> phrases = phrases_of(l, r, name);
      const bool stays = level.kept[r].is_same() || still_fits(l, r, name, phrases, used);
      if (!stays || count_words(name) > kMostWords || is_name_above(l, r, name) ||
          !taken.insert(fold(name)).second) {
        continue;
      }
      names[r] = name;
      used.insert(phrases.begin(), phrases.end());
      chosen_[l][r].phrases = phrases;
    }
  }

  /// The one or two candidates that a name is made of; none where it is not.
  std::vector<std::uint32_t> phrases_of(std::size_t l, std::size_t r, std::string_view name) const {
    const std::string folded = fold(name);
    std::vector<std::uint32_t> first, last;
    for (const Candidate& c : levels_[l].candidates[r].best) {
      const std::string part = fold(spelling_.at(c.phrase));
      if (part.empty()) continue;
      if (folded == part) return {c.phrase};
      if (first.empty() && folded.starts_with(part + " & ")) first.push_back(c.phrase);
      if (last.empty() && folded.ends_with(" & " + part)) last.push_back(c.phrase);
    }
    first.insert(first.end(), last.begin(), last.end());
    return first;
  }

  /// Whether a name that is made of these phrases alone is not much worse than the
  /// best there is, and free.
  bool still_fits(std::size_t l, std::size_t r, std::string_view name,
                  std::span<const std::uint32_t> phrases,
                  const std::unordered_set<std::uint32_t>& used) const {
    const auto& best = levels_[l].candidates[r].best;
    if (phrases.size() != (name.find(" & ") == std::string_view::npos ? 1u : 2u)) return false;
    return std::all_of(phrases.begin(), phrases.end(), [&](std::uint32_t phrase) {
      const auto c = std::find_if(best.begin(), best.end(),
                                  [&](const Candidate& other) { return other.phrase == phrase; });
      return c->score >= kStillFits * best.front().score && !used.contains(phrase);
    });
  }

  /// Share of the region's rows that hold a phrase of its name, less the share of
  /// all other rows.
  float confidence(std::size_t l, std::size_t r) const {
    const Candidates& candidates = levels_[l].candidates[r];
    const auto size = static_cast<float>(candidates.rows);
    if (chosen_[l][r].phrases.empty()) return size > 0 ? 1 / size : 0.0f;
    double inside = 0, all = 0;
    std::vector<std::size_t> places;
    for (const std::uint32_t phrase : chosen_[l][r].phrases) {
      for (std::size_t c = 0; c < candidates.best.size(); ++c) {
        if (candidates.best[c].phrase != phrase) continue;
        places.push_back(c);
        inside += static_cast<double>(candidates.best[c].coverage * size);
        all += table_.phrases[phrase].rows;
      }
    }
    if (places.size() == 2 && std::max(places[0], places[1]) < candidates.paired) {
      const double both = candidates.together[places[0] * candidates.paired + places[1]];
      inside -= both;
      all -= both;
    }
    const auto others = static_cast<double>(corpus_.size()) - static_cast<double>(size);
    const double outside = others > 0 ? std::max(0.0, all - inside) / others : 0;
    return static_cast<float>(
        std::clamp(inside / std::max(1.0, static_cast<double>(size)) - outside, 0.0, 1.0));
  }

  struct Bid {
    float score;
    std::uint32_t region;
    std::uint32_t candidate;
  };

  void name_by_phrases(std::size_t l, std::vector<std::string>& names,
                       std::unordered_set<std::string>& taken,
                       std::unordered_set<std::uint32_t>& used) {
    const LevelToName& level = levels_[l];
    const auto parts = best_of_parts(l);
    std::vector<Bid> bids;
    std::vector<std::vector<float>> adjusted(level.candidates.size());
    for (std::size_t r = 0; r < level.candidates.size(); ++r) {
      const auto& best = level.candidates[r].best;
      adjusted[r].resize(best.size());
      for (std::size_t c = 0; c < best.size(); ++c) {
        float score = best[c].score;
        const auto part = parts.find((static_cast<std::uint64_t>(r) << 32) | best[c].phrase);
        if (part != parts.end() && part->second > kFitsPart * score) {
          score *= score / part->second;
        }
        if (is_above(l, r, best[c].phrase, score)) continue;
        adjusted[r][c] = score;
        if (score >= kLeastScore) {
          bids.push_back({score, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(c)});
        }
      }
    }
    std::sort(bids.begin(), bids.end(), [](const Bid& a, const Bid& b) {
      if (a.score != b.score) return a.score > b.score;
      return a.region != b.region ? a.region < b.region : a.candidate < b.candidate;
    });
    // First every region gets its phrase, then those that leave much uncovered
    // get a second one.
    std::vector<std::uint32_t> first(level.candidates.size(), 0);
    for (const Bid& bid : bids) {
      std::string& name = names[bid.region];
      if (!name.empty()) continue;
      const std::uint32_t phrase = level.candidates[bid.region].best[bid.candidate].phrase;
      const std::string shown = capitalized(spelling_.at(phrase));
      if (shown.empty() || count_words(shown) > kMostWords || used.contains(phrase) ||
          is_name_above(l, bid.region, shown) || !taken.insert(fold(shown)).second) {
        continue;
      }
      used.insert(phrase);
      name = shown;
      first[bid.region] = bid.candidate;
      chosen_[l][bid.region].phrases = {phrase};
    }
    for (std::size_t r = 0; r < names.size(); ++r) {
      if (names[r].empty() || (!level.kept.empty() && names[r] == level.kept[r].name)) continue;
      const Candidates& candidates = level.candidates[r];
      const std::size_t one = first[r];
      const Phrase& main = table_.phrases[candidates.best[one].phrase];
      if (one >= candidates.paired || candidates.best[one].coverage >= kCoveredAlone) continue;
      std::size_t two = candidates.paired;
      double best_gain = 0;
      for (std::size_t c = 0; c < candidates.paired; ++c) {
        const Phrase& other = table_.phrases[candidates.best[c].phrase];
        const float score = candidates.best[c].score;
        if (c == one || score < kLeastScore || score < kNearlyAsGood * candidates.best[one].score) {
          continue;
        }
        if (adjusted[r][c] == 0 || used.contains(candidates.best[c].phrase)) continue;
        const std::string& second = spelling_.at(candidates.best[c].phrase);
        if (second.empty() || count_words(names[r]) + count_words(second) > kMostWords ||
            share_content(corpus_, main, other)) {
          continue;
        }
        const double better = telling(candidates, one, c) / telling(candidates, one, one);
        if (better < kTellBetter) continue;
        double gain = (better - 1) * static_cast<double>(score);
        if (is_name(main) != is_name(other)) gain *= 0.4;  // "Steve Jobs & corporations"
        if (gain > best_gain) {
          best_gain = gain;
          two = c;
        }
      }
      if (two == candidates.paired) continue;
      const std::uint32_t phrase = candidates.best[two].phrase;
      const std::string both = names[r] + " & " + spelling_.at(phrase);
      if (is_name_above(l, r, both) || !taken.insert(fold(both)).second) continue;
      used.insert(phrase);
      names[r] = both;
      chosen_[l][r].phrases.push_back(phrase);
    }
  }

  /// How well two phrases together tell the region, as the F-measure of a single
  /// one does; `a` and `b` may be the same.
  static double telling(const Candidates& candidates, std::size_t a, std::size_t b) {
    const Candidate& one = candidates.best[a];
    if (a == b) return f_measure(one.precision, std::min(1.0f, one.recall));
    const Candidate& two = candidates.best[b];
    const auto count = [&](std::size_t i, std::size_t j) {
      return static_cast<float>(candidates.together[i * candidates.paired + j]);
    };
    // What the second brings where the first is not.
    const float adds = two.recall * (1 - count(a, b) / std::max(count(b, b), 1.0f));
    const float recall = one.recall + adds;
    const float all = one.recall / one.precision + adds / two.precision;
    return f_measure(recall / all, std::min(1.0f, recall));
  }

  /// The best score of each phrase in the parts of each region.
  std::unordered_map<std::uint64_t, float> best_of_parts(std::size_t l) const {
    std::unordered_map<std::uint64_t, float> best;
    std::vector<std::int32_t> above(levels_[l].candidates.size());
    for (std::size_t r = 0; r < above.size(); ++r) above[r] = static_cast<std::int32_t>(r);
    for (std::size_t fine = l + 1; fine < levels_.size(); ++fine) {
      std::vector<std::int32_t> of_fine(levels_[fine].candidates.size());
      for (std::size_t r = 0; r < of_fine.size(); ++r) {
        of_fine[r] = above[static_cast<std::size_t>(levels_[fine].parent[r])];
        for (const Candidate& c : levels_[fine].candidates[r].best) {
          float& score = best[(static_cast<std::uint64_t>(of_fine[r]) << 32) | c.phrase];
          score = std::max(score, c.score);
        }
      }
      above = of_fine;
    }
    return best;
  }

  /// Whether a region above has the phrase; words of such a name count less.
  bool is_above(std::size_t l, std::size_t r, std::uint32_t phrase, float& score) const {
    const Phrase& asked = table_.phrases[phrase];
    for (std::size_t level = l; level > 0; --level) {
      r = static_cast<std::size_t>(levels_[level].parent[r]);
      const auto& above = chosen_[level - 1][r].phrases;
      for (const std::uint32_t other : above) {
        if (above.size() == 1 && within(asked, table_.phrases[other])) return true;
        if (other == phrase) score *= 0.8f;
      }
    }
    return false;
  }

  bool is_name_above(std::size_t l, std::size_t r, std::string_view name) const {
    const std::string folded = fold(name);
    if (const auto& barred = levels_[l].barred; !barred.empty()) {
      if (std::find(barred[r].begin(), barred[r].end(), folded) != barred[r].end()) return true;
    }
    for (std::size_t level = l; level > 0; --level) {
      r = static_cast<std::size_t>(levels_[level].parent[r]);
      if (fold(names_[level - 1][r]) == folded) return true;
    }
    return false;
  }

  std::string fall_back(std::size_t l, std::size_t r, std::unordered_set<std::string>& taken) {
    // A title that fits whole before one that must be cut.
    for (const auto& source : {titles_, texts_}) {
      for (const bool whole : {true, false}) {
        if (source.empty()) continue;
        for (const std::int64_t row : levels_[l].rows[r]) {
          const std::string_view text = source[static_cast<std::size_t>(row)];
          if (is_short(text) != whole) continue;
          const std::string name = short_title(text);
          if (name.empty() || is_name_above(l, r, name)) continue;
          if (taken.insert(fold(name)).second) return name;
        }
      }
    }
    for (std::size_t number = r + 1;; ++number) {
      const std::string name = "Region " + std::to_string(number);
      if (is_name_above(l, r, name)) continue;
      if (taken.insert(fold(name)).second) return name;
    }
  }

  std::vector<std::string> key_phrases(const Candidates& candidates,
                                       const std::vector<float>& shares, std::size_t most) const {
    std::vector<std::string> shown;
    std::unordered_set<std::string> said;
    for (const std::uint32_t phrase :
         choose_key_phrases(table_, candidates, shares, corpus_.size(), most)) {
      const std::string& spelled = spelling_.at(phrase);
      if (!spelled.empty() && said.insert(fold(spelled)).second) shown.push_back(spelled);
    }
    return shown;
  }

  const Corpus& corpus_;
  const PhraseTable& table_;
  std::span<const LevelToName> levels_;
  std::span<const std::string_view> texts_;
  std::span<const std::string_view> titles_;
  std::unordered_map<std::uint32_t, std::string> spelling_;
  std::vector<std::vector<Chosen>> chosen_;
  std::vector<std::vector<std::string>> names_;
};

}  // namespace

std::size_t count_words(std::string_view name) {
  std::size_t words = 0;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find(' ', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    at = end + 1;
    WordReader reader(part);
    std::string_view word;
    Gap gap = Gap::space;
    const bool digit = std::any_of(part.begin(), part.end(), [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
    if (digit || reader.next(word, gap)) ++words;
  }
  return words;
}

namespace {

/// What a title says before a bracket: "Mercury (planet)" is Mercury to a reader
/// who sees where it stands.
std::string before_bracket(std::string_view title) {
  title = title.substr(0, 400);
  const std::size_t bracket = title.find(" (");
  if (bracket != std::string_view::npos && bracket > 0) title = title.substr(0, bracket);
  return clean(title);
}

}  // namespace

bool is_short(std::string_view title) {
  const std::string whole = before_bracket(title);
  return count_words(whole) <= kMostWords && whole.size() <= kMostTitleBytes;
}

std::string short_title(std::string_view title) {
  const std::string whole = before_bracket(title);
  std::size_t said = 0;  // behind the last word that is not of grammar
  std::size_t end = 0;   // behind the last word
  WordReader reader(whole);
  std::string_view word;
  Gap gap = Gap::space;
  bool says_something = false;
  bool whole_title = true;
  while (reader.next(word, gap)) {
    unsigned known = 0;
    for (const std::uint16_t classes : word_classes(fold(word))) known |= classes;
    const auto behind = static_cast<std::size_t>(word.data() + word.size() - whole.data());
    // Writing without blanks is cut by length.
    if (count_words(std::string_view(whole).substr(0, behind)) > kMostWords ||
        (behind > kMostTitleBytes && end > 0)) {
      // "A Study of the" is no name, but "Things Fall Apart" is whole.
      end = said > 0 ? said : end;
      whole_title = false;
      break;
    }
    end = behind;
    if ((known & kStop) != 0) continue;
    said = behind;
    says_something = says_something || (known & kEmpty) == 0;
  }
  if (!says_something) return {};
  // Numbers are no words to the reader of words, but "Apollo 11" ends with one.
  if (whole_title && count_words(whole) <= kMostWords &&
      whole.find_first_not_of(" 0123456789", end) == std::string::npos) {
    end = whole.size();
  }
  std::string cut = whole.substr(0, end);
  if (cut.size() > kMostTitleBytes) {
    cut.resize(kMostTitleBytes);
    cut = clean(cut);  // a letter cut in two
  }
  return capitalized(cut);
}

std::vector<LevelNames> name_levels(const Corpus& corpus, const PhraseTable& table,
                                    std::span<const LevelToName> levels,
                                    std::span<const std::string_view> texts,
                                    std::span<const std::string_view> titles, std::size_t n_phrases,
                                    Workers& workers, Monitor& monitor) {
  Namer namer(corpus, table, levels, texts, titles);
  namer.spell(workers, monitor);
  std::vector<LevelNames> names;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    monitor.throw_if_cancelled();
    names.push_back(namer.name_level(l, n_phrases));
  }
  return names;
}

}  // namespace knowmap::label
