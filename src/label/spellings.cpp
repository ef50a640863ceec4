#include "label/spellings.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>

#include "label/phrase_scores.hpp"
#include "support/random.hpp"

namespace knowmap::label {

namespace {

constexpr std::size_t kRangeRows = 512;
constexpr std::size_t kWaveRanges = 128;
/// A mention within a sentence counts this much more than one at its start.
constexpr std::uint32_t kInside = 16;

struct Form {
  std::uint32_t phrase;  // place in `wanted`
  std::array<std::uint32_t, 3> spelling;
  std::uint32_t weight;
  bool same(const Form& o) const { return phrase == o.phrase && spelling == o.spelling; }
  bool operator<(const Form& o) const {
    return std::tie(phrase, spelling) < std::tie(o.phrase, o.spelling);
  }
};

void merge_same(std::vector<Form>& forms) {
  std::sort(forms.begin(), forms.end());
  std::size_t out = 0;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (out > 0 && forms[out - 1].same(forms[i])) {
      forms[out - 1].weight += forms[i].weight;
    } else {
      forms[out++] = forms[i];
    }
  }
  forms.resize(out);
}

std::uint64_t key_of(const std::uint32_t* words, std::size_t length) {
  std::uint64_t key = length;
  for (std::size_t i = 0; i < length; ++i) key = mix(key * 0x9e3779b97f4a7c15ULL + words[i]);
  return key;
}

std::string join(const Corpus& corpus, const std::array<std::uint32_t, 3>& spelling,
                 std::size_t length) {
  std::string joined;
  for (std::size_t i = 0; i < length; ++i) {
    const std::string word = clean(corpus.spellings[spelling[i]]);
    const bool tight = i == 0 || is_unspaced(word) || (!joined.empty() && joined.back() == '\'') ||
                       (joined.size() >= 3 && joined.substr(joined.size() - 3) == "\u2019");
    if (!tight) joined += ' ';
    joined += word;
  }
  return joined;
}

/// English; what ends in "s" is left alone, it may be one already.
void make_plural(std::string& noun) {
  const auto ends = [&](std::string_view end) {
    return noun.size() > end.size() + 1 && noun.ends_with(end);
  };
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (noun.empty() || !letter(noun.back()) || ends("s")) return;
  if (ends("man")) {
    noun.replace(noun.size() - 2, 2, "en");
  } else if (ends("y") &&
             std::string_view("aeiou").find(noun[noun.size() - 2]) == std::string_view::npos) {
    noun.replace(noun.size() - 1, 1, "ies");
  } else if (ends("x") || ends("z") || ends("ch") || ends("sh")) {
    noun += "es";
  } else {
    noun += 's';
  }
}

/// Spanish, a single noun: "escultor", "pez", "región".
void make_spanish_plural(std::string& noun) {
  static constexpr std::string_view kAccented[] = {"án", "én", "ín", "ón", "ún"};
  static constexpr std::string_view kPlain[] = {"anes", "enes", "ines", "ones", "unes"};
  if (noun.size() < 3 || noun.back() == 's' || noun.back() == 'x') return;
  for (std::size_t i = 0; i < 5; ++i) {
    if (!noun.ends_with(kAccented[i])) continue;
    noun.replace(noun.size() - kAccented[i].size(), std::string::npos, kPlain[i]);
    return;
  }
  const char last = noun.back();
  if (std::string_view("aeo").find(last) != std::string_view::npos) {
    noun += 's';
  } else if (last == 'z') {
    noun.replace(noun.size() - 1, 1, "ces");
  } else if (std::string_view("dlnrj").find(last) != std::string_view::npos) {
    noun += "es";
  }
}

/// French, a single noun: "sculpteur", "animal", "tableau".
void make_french_plural(std::string& noun) {
  const char last = noun.empty() ? 's' : noun.back();
  if (last == 's' || last == 'x' || last == 'z' || (last & 0x80) != 0) {
    if (noun.ends_with("é") || noun.ends_with("è")) noun += 's';
    return;
  }
  if (noun.ends_with("al")) {
    noun.replace(noun.size() - 1, 1, "ux");
  } else if (noun.ends_with("eau") || noun.ends_with("eu")) {
    noun += 'x';
  } else if (last >= 'a' && last <= 'z') {
    noun += 's';
  }
}

bool is_content(const Corpus& corpus, Token token, Language language) {
  const std::uint32_t word = corpus.word(token);
  return word != Corpus::kRare && (corpus.word_class(word, language) & kStop) == 0;
}

}  // namespace

std::vector<std::string> spell_phrases(const Corpus& corpus, const PhraseTable& table,
                                       std::span<const std::uint32_t> wanted, Workers& workers,
                                       Monitor& monitor) {
  std::unordered_map<std::uint64_t, std::uint32_t> place_of;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Phrase& phrase = table.phrases[wanted[i]];
    place_of.emplace(key_of(phrase.words, phrase.length), static_cast<std::uint32_t>(i));
  }
  const std::size_t n = corpus.size();
  const std::size_t n_ranges = (n + kRangeRows - 1) / kRangeRows;
  std::vector<Form> forms;
  for (std::size_t wave = 0; wave < n_ranges; wave += kWaveRanges) {
    std::vector<std::vector<Form>> parts(std::min(kWaveRanges, n_ranges - wave));
    workers.run(
        parts.size(),
        [&](std::size_t item, int) {
          const std::size_t begin_row = (wave + item) * kRangeRows;
          const std::size_t end_row = std::min(n, begin_row + kRangeRows);
          for (std::size_t row = begin_row; row < end_row; ++row) {
            if (monitor.cancelled()) return;
            for (const auto tokens : {corpus.text(row), corpus.title(row)}) {
              for_each_phrase(
                  corpus, tokens, corpus.language[row], [&](std::size_t begin, std::size_t length) {
                    std::uint32_t words[3];
                    for (std::size_t i = 0; i < length; ++i)
                      words[i] = corpus.word(tokens[begin + i]);
                    const auto found = place_of.find(key_of(words, length));
                    if (found == place_of.end()) return;
                    Form form{found->second, {0, 0, 0}, 1};
                    for (std::size_t i = 0; i < length; ++i) {
                      form.spelling[i] = tokens[begin + i].spelling;
                    }
                    const Language language = corpus.language[row];
                    // "lois physiques" says nothing of how "la physique" is written.
                    const bool adjective =
                        length == 1 && begin > 0 &&
                        (language == Language::spanish || language == Language::french) &&
                        tokens[begin].gap_before() == Gap::space &&
                        is_content(corpus, tokens[begin - 1], language);
                    if (!adjective && tokens[begin].gap_before() != Gap::sentence &&
                        !(length == 1 && is_within_name(corpus, tokens, begin, language))) {
                      form.weight = kInside;
                    }
                    parts[item].push_back(form);
                  });
            }
          }
          merge_same(parts[item]);
          monitor.add(end_row - begin_row);
        },
        &monitor);
    for (auto& part : parts) {
      forms.insert(forms.end(), part.begin(), part.end());
      std::vector<Form>().swap(part);
    }
    workers.run(
        1, [&](std::size_t, int) { merge_same(forms); }, &monitor);
  }

  // How a word's plural is written: the first spelling that was met, without a
  // capital if there is one.
  std::vector<std::uint32_t> plural_of(corpus.words.size(), 0);
  for (std::uint32_t s = 2; s < corpus.spellings.size(); ++s) {
    const std::uint32_t word = corpus.word_of_spelling[s];
    if (word == Corpus::kRare || fold(corpus.spellings[s]) == corpus.words[word]) continue;
    const std::uint32_t old = plural_of[word];
    if (old == 0 || (corpus.capitalized[old] && !corpus.capitalized[s])) plural_of[word] = s;
  }

  std::vector<std::string> spelled(wanted.size());
  for (std::size_t at = 0; at < forms.size();) {
    const std::uint32_t place = forms[at].phrase;
    const Phrase& phrase = table.phrases[wanted[place]];
    const std::uint32_t head = head_word(phrase);
    const bool head_first = head == phrase.words[0];
    const std::size_t head_at = head_first ? 0 : phrase.length - 1;
    const Form* best = nullptr;
    const Form* best_plural = nullptr;
    std::uint64_t all = 0, plural = 0, capital_heads = 0;
    for (; at < forms.size() && forms[at].phrase == place; ++at) {
      const Form& form = forms[at];
      all += form.weight;
      const std::string_view written = corpus.spellings[form.spelling[head_at]];
      if (corpus.capitalized[form.spelling[head_at]]) capital_heads += form.weight;
      if (!best || form.weight > best->weight) best = &form;
      if (fold(written) != corpus.words[head]) {
        plural += form.weight;
        if (!best_plural || form.weight > best_plural->weight) best_plural = &form;
      }
    }
    // Proper nouns keep their number.
    const bool proper = capital_heads * 2 > all;
    const bool sort_of_thing = phrase.defining * 5 >= phrase.rows && phrase.defining >= 3;
    if (best_plural &&
        ((!proper && sort_of_thing && plural * 100 >= all) || plural * (proper ? 2 : 6) >= all)) {
      best = best_plural;
    }
    auto spelling = best->spelling;
    // Other languages would have to bend the adjectives as well.
    const bool bends =
        phrase.length == 1 || (!head_first && 2 * phrase.romance <= phrase.occurrences);
    const bool turn = best != best_plural && !proper && sort_of_thing && bends;
    if (turn && plural_of[head] != 0) spelling[head_at] = plural_of[head];
    spelled[place] = join(corpus, spelling, phrase.length);
    if (turn && plural_of[head] == 0 && phrase.defining * 10 >= phrase.rows * 3 &&
        phrase.defining >= 5) {
      const bool single = phrase.length == 1;
      if (corpus.main_language == Language::english) make_plural(spelled[place]);
      if (single && corpus.main_language == Language::spanish) {
        make_spanish_plural(spelled[place]);
      }
      if (single && corpus.main_language == Language::french) make_french_plural(spelled[place]);
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!spelled[i].empty()) continue;
    const Phrase& phrase = table.phrases[wanted[i]];
    for (std::uint32_t w = 0; w < phrase.length; ++w) {
      if (w > 0) spelled[i] += ' ';
      spelled[i] += corpus.words[phrase.words[w]];
    }
  }
  return spelled;
}

}  // namespace knowmap::label
