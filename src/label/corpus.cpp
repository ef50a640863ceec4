#include "label/corpus.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "support/random.hpp"

namespace knowmap::label {

namespace {

constexpr std::size_t kRangeRows = 512;   // rows read by one task
constexpr std::size_t kWaveRanges = 128;  // tasks between two merges
constexpr std::size_t kMostWordBytes = 64;
constexpr std::size_t kProse = 12;  // words from which a text shows its language

std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ bytes.size();  // FNV-1a, then mixed
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix(hash);
}

/// Words to numbers, in order of first appearance. Open addressing: it is the
/// hottest table of the stage.
class SpellingTable {
 public:
  std::uint32_t number(std::string_view word) {
    if (2 * (words_.size() + 1) > slots_.size()) grow();
    const std::uint64_t hash = hash_bytes(word);
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at] != kFree) {
      if (hashes_[slots_[at]] == hash && words_[slots_[at]] == word) return slots_[at];
      at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = static_cast<std::uint32_t>(words_.size());
    words_.push_back(word);
    hashes_.push_back(hash);
    return slots_[at];
  }
  const std::vector<std::string_view>& words() const { return words_; }

 private:
  static constexpr std::uint32_t kFree = 0xffffffff;
  void grow() {
    slots_.assign(std::max<std::size_t>(64, 2 * slots_.size()), kFree);
    for (std::size_t i = 0; i < words_.size(); ++i) {
      std::size_t at = hashes_[i] & (slots_.size() - 1);
      while (slots_[at] != kFree) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<std::uint32_t>(i);
    }
  }
  std::vector<std::string_view> words_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> slots_;
};

/// The words of some texts, numbered among themselves.
struct Part {
  SpellingTable table;
  std::vector<std::uint32_t> rows;  // of each spelling: texts that hold it
  std::vector<Token> tokens;
  std::vector<std::uint32_t> lengths;
};

void read_text(std::string_view text, std::uint32_t row_mark, Part& part,
               std::vector<std::uint32_t>& last_row) {
  WordReader reader(text.substr(0, Corpus::kMostBytes));
  std::string_view word;
  Gap gap = Gap::space;
  std::uint32_t length = 0;
  while (length < Corpus::kMostWords && reader.next(word, gap)) {
    const bool readable = word.size() <= kMostWordBytes;
    const std::uint32_t spelling = readable ? part.table.number(word) + 1 : Corpus::kRare;
    if (readable) {
      if (spelling > part.rows.size()) {
        part.rows.push_back(0);
        last_row.push_back(std::numeric_limits<std::uint32_t>::max());
      }
      if (last_row[spelling - 1] != row_mark) {
        last_row[spelling - 1] = row_mark;
        ++part.rows[spelling - 1];
      }
    }
    part.tokens.push_back({spelling & 0x3fffffffu, static_cast<std::uint32_t>(gap) & 3u});
    ++length;
  }
  part.lengths.push_back(length);
}

/// Reads texts into `tokens` and `offsets` with the numbers of `table` + 1.
void read_all(std::span<const std::string_view> texts, bool tell, SpellingTable& table,
              std::vector<std::uint32_t>& rows, std::vector<Token>& tokens,
              std::vector<std::uint64_t>& offsets, Workers& workers, Monitor& monitor) {
  const std::size_t n_ranges = (texts.size() + kRangeRows - 1) / kRangeRows;
  offsets.assign(1, 0);
  offsets.reserve(texts.size() + 1);
  for (std::size_t wave = 0; wave < n_ranges; wave += kWaveRanges) {
    std::vector<Part> parts(std::min(kWaveRanges, n_ranges - wave));
    workers.run(
        parts.size(),
        [&](std::size_t item, int) {
          const std::size_t begin = (wave + item) * kRangeRows;
          const std::size_t end = std::min(texts.size(), begin + kRangeRows);
          std::vector<std::uint32_t> last_row;
          for (std::size_t row = begin; row < end; ++row) {
            if (monitor.cancelled()) return;
            read_text(texts[row], static_cast<std::uint32_t>(row), parts[item], last_row);
          }
          if (tell) monitor.add(end - begin);
        },
        &monitor);
    workers.run(
        1,
        [&](std::size_t, int) {
          std::vector<std::uint32_t> global;
          for (Part& part : parts) {
            if (monitor.cancelled()) return;
            global.assign(part.table.words().size() + 1, Corpus::kRare);
            for (std::size_t i = 0; i < part.table.words().size(); ++i) {
              global[i + 1] = table.number(part.table.words()[i]) + 1;
              if (global[i + 1] > rows.size()) rows.push_back(0);
              rows[global[i + 1] - 1] += part.rows[i];
            }
            for (Token token : part.tokens) {
              token.spelling = global[token.spelling] & 0x3fffffffu;
              tokens.push_back(token);
            }
            for (const std::uint32_t length : part.lengths) {
              offsets.push_back(offsets.back() + length);
            }
            part = Part{};
          }
        },
        &monitor);
  }
}

bool ends_with(std::string_view word, std::string_view end) {
  return word.size() > end.size() && word.substr(word.size() - end.size()) == end;
}

}  // namespace

std::uint32_t fewest_rows(std::size_t n_rows) {
  const auto grown = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(n_rows)) / 25);
  return std::max<std::uint32_t>(n_rows < 60 ? 1 : n_rows < 2000 ? 2 : 3, grown);
}

std::vector<std::string> singulars(std::string_view word, Language language) {
  const auto cut = [&](std::size_t letters, std::string_view put = "") {
    return std::string(word.substr(0, word.size() - letters)) + std::string(put);
  };
  if (language == Language::english) {
    if (word == "men" || ends_with(word, "men")) return {cut(2, "an")};
    if (word == "people") return {"person"};
    if (word == "children") return {"child"};
    if (word == "mice") return {"mouse"};
    if (ends_with(word, "wolves")) return {cut(3, "f")};
    if (word == "lives") return {"life"};
    if (word == "genera") return {"genus"};
    if (word == "phenomena") return {"phenomenon"};
    if (word == "bacteria") return {"bacterium"};
    if (word.size() < 4 || word.back() != 's') return {};
    for (const std::string_view kept :
         {"ss", "us", "is", "ics", "series", "species", "news", "ous"}) {
      if (ends_with(word, kept) || word == kept) return {};
    }
    if (ends_with(word, "ies")) return {cut(3, "y"), cut(1)};
    for (const std::string_view end : {"sses", "shes", "ches", "xes", "zes", "oes"}) {
      if (ends_with(word, end)) return {cut(2), cut(1)};
    }
    return {cut(1)};
  }
  if (word.size() < 4) return {};
  if (language == Language::spanish) {
    if (ends_with(word, "iones")) return {cut(5, "ión")};
    if (ends_with(word, "anes")) return {cut(4, "án"), cut(2)};
    if (ends_with(word, "ces")) return {cut(3, "z"), cut(1)};
    if (ends_with(word, "eses")) return {cut(4, "és"), cut(2), cut(1)};
    if (ends_with(word, "es")) return {cut(1), cut(2)};
    if (ends_with(word, "as") || ends_with(word, "os")) return {cut(1)};
    return {};
  }
  if (language == Language::french) {
    if (ends_with(word, "eaux") || ends_with(word, "eux")) return {cut(1)};
    if (ends_with(word, "aux")) return {cut(2, "l"), cut(1)};
    if (word.back() == 's' && !ends_with(word, "ss") && !ends_with(word, "us")) return {cut(1)};
    return {};
  }
  return {};
}

Corpus read_corpus(std::span<const std::string_view> texts,
                   std::span<const std::string_view> titles, Workers& workers, Monitor& monitor) {
  Corpus corpus;
  const std::size_t n = texts.size();
  std::vector<std::uint32_t> new_spelling;
  {
    SpellingTable table;
    std::vector<std::uint32_t> rows;
    read_all(texts, true, table, rows, corpus.tokens, corpus.offsets, workers, monitor);
    if (!titles.empty()) {
      read_all(titles, false, table, rows, corpus.title_tokens, corpus.title_offsets, workers,
               monitor);
    }
    if (table.words().size() >= (std::size_t{1} << 30)) throw std::bad_alloc();

    // Folded words of all spellings, and how many texts hold each.
    struct Folded {
      std::uint32_t rows = 0;
      std::uint32_t number = Corpus::kRare;
    };
    std::unordered_map<std::string, Folded> folded;
    std::vector<Folded*> of_spelling(table.words().size());
    workers.run(
        1,
        [&](std::size_t, int) {
          for (std::size_t i = 0; i < table.words().size(); ++i) {
            if ((i & 1023) == 0 && monitor.cancelled()) return;
            Folded& entry = folded[fold(table.words()[i])];
            entry.rows += rows[i];
            of_spelling[i] = &entry;
          }
        },
        &monitor);

    // Rare words are forgotten, but for those of grammar; the rest is numbered
    // in order of first appearance.
    const std::uint32_t fewest = fewest_rows(n);
    corpus.words.emplace_back();
    corpus.word_rows.push_back(0);
    corpus.classes.push_back({});
    corpus.spellings.emplace_back();
    corpus.word_of_spelling.push_back(Corpus::kRare);
    corpus.capitalized.push_back(false);
    corpus.spellings.emplace_back();
    corpus.word_of_spelling.push_back(Corpus::kRare);
    corpus.capitalized.push_back(true);
    new_spelling.assign(table.words().size() + 1, Corpus::kRare);
    for (std::size_t i = 0; i < table.words().size(); ++i) {
      Folded& entry = *of_spelling[i];
      if (entry.number == Corpus::kRare) {
        const std::string word = fold(table.words()[i]);
        const auto known = word_classes(word);
        const bool of_grammar = known[0] != 0 || known[1] != 0 || known[2] != 0;
        if (word.empty() || (entry.rows < fewest && !of_grammar)) {
          if (is_capitalized(table.words()[i])) new_spelling[i + 1] = Corpus::kRareName;
          continue;
        }
        entry.number = static_cast<std::uint32_t>(corpus.words.size());
        corpus.words.push_back(word);
        corpus.word_rows.push_back(entry.rows);
        corpus.classes.push_back({known[0], known[1], known[2], 0});
      }
      new_spelling[i + 1] = static_cast<std::uint32_t>(corpus.spellings.size());
      corpus.spellings.push_back(table.words()[i]);
      corpus.word_of_spelling.push_back(entry.number);
      corpus.capitalized.push_back(is_capitalized(table.words()[i]));
    }
  }
  const auto renumber = [&](std::vector<Token>& tokens) {
    workers.run_ranges(
        tokens.size(), 1 << 16,
        [&](std::size_t begin, std::size_t end, int) {
          for (std::size_t i = begin; i < end; ++i) {
            tokens[i].spelling = new_spelling[tokens[i].spelling] & 0x3fffffffu;
          }
        },
        &monitor);
  };
  renumber(corpus.tokens);
  renumber(corpus.title_tokens);

  // Each text's language, by its words of grammar. A text that shows none (a
  // few words long, say) has that of the most texts.
  corpus.language.assign(n, Language::other);
  workers.run_ranges(
      n, kRangeRows,
      [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t row = begin; row < end; ++row) {
          std::array<std::uint32_t, kLanguages> hits{};
          std::size_t read = 0;
          for (const Token token : corpus.text(row)) {
            if (++read > 120) break;
            for (std::size_t l = 0; l < kLanguages; ++l) {
              hits[l] += (corpus.classes[corpus.word(token)][l] & kStop) != 0;
            }
          }
          const auto best = std::max_element(hits.begin(), hits.end());
          // Prose is a third to a half grammar; names alone have some by chance.
          if (*best >= 2 && *best * 8 >= std::min<std::size_t>(read, 120)) {
            corpus.language[row] = static_cast<Language>(best - hits.begin());
          }
        }
      },
      &monitor);
  std::array<std::size_t, kLanguages + 1> texts_in{};
  for (const Language l : corpus.language) ++texts_in[static_cast<std::size_t>(l)];
  const auto most = std::max_element(texts_in.begin(), texts_in.end() - 1);
  std::size_t unreadable = 0;  // prose in a language that has no list
  for (std::size_t row = 0; row < n; ++row) {
    unreadable += corpus.language[row] == Language::other && corpus.text(row).size() >= kProse;
  }
  if (*most > 0 && *most * 4 >= unreadable) {
    corpus.main_language = static_cast<Language>(most - texts_in.begin());
    for (std::size_t row = 0; row < n; ++row) {
      if (corpus.language[row] == Language::other && corpus.text(row).size() < kProse) {
        corpus.language[row] = corpus.main_language;
      }
    }
  }

  // In languages that have no list, what stands in very many texts is grammar.
  for (std::size_t w = 1; w < corpus.words.size(); ++w) {
    std::uint16_t& unlisted = corpus.classes[w][kLanguages];
    for (std::size_t l = 0; l < kLanguages; ++l) {
      if (texts_in[l] * 20 < n) continue;
      unlisted = static_cast<std::uint16_t>(unlisted | (corpus.classes[w][l] & (kStop | kEmpty)));
    }
    if (unreadable >= 50 && corpus.word_rows[w] * 5 >= unreadable) unlisted |= kStop;
  }

  const auto merge_plurals = [&](std::size_t, int) {
    // Plurals are counted with their singular, where that is a word of some use
    // ("physics" stays; "physic" is none).
    std::unordered_map<std::string_view, std::uint32_t> number_of;
    for (std::size_t w = 1; w < corpus.words.size(); ++w) {
      number_of.emplace(corpus.words[w], static_cast<std::uint32_t>(w));
    }
    std::vector<std::uint32_t> one(corpus.words.size());
    for (std::size_t w = 0; w < one.size(); ++w) one[w] = static_cast<std::uint32_t>(w);
    for (std::size_t w = 1; w < corpus.words.size(); ++w) {
      if ((w & 4095) == 0) monitor.throw_if_cancelled();
      bool done = false;
      for (std::size_t l = 0; l < kLanguages && !done; ++l) {
        if (texts_in[l] * 20 < n || texts_in[l] == 0) continue;
        if ((corpus.classes[w][l] & kStop) != 0) break;
        for (const std::string& singular : singulars(corpus.words[w], static_cast<Language>(l))) {
          const auto found = number_of.find(singular);
          if (found == number_of.end() || found->second == w) continue;
          const std::uint32_t to = found->second;
          if ((corpus.classes[to][l] & kStop) != 0) continue;
          if (corpus.word_rows[to] * 50 < corpus.word_rows[w]) continue;
          one[w] = to;
          done = true;
          break;
        }
      }
    }
    for (std::size_t w = 1; w < one.size(); ++w) {
      std::uint32_t to = one[w];
      for (int step = 0; step < 3 && one[to] != to; ++step) to = one[to];
      if (to == w || one[to] != to) continue;
      corpus.word_rows[to] += corpus.word_rows[w];
      for (std::size_t l = 0; l <= kLanguages; ++l) corpus.classes[to][l] |= corpus.classes[w][l];
      one[w] = to;
    }
    for (std::uint32_t& word : corpus.word_of_spelling) word = one[word];
  };
  workers.run(1, merge_plurals, &monitor);
  return corpus;
}

}  // namespace knowmap::label
