#include "label/phrases.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "label/definition.hpp"
#include "support/random.hpp"

namespace knowmap::label {

namespace {

constexpr std::size_t kRangeRows = 512;
constexpr std::size_t kWaveRanges = 128;
constexpr std::size_t kShards = 64;
/// Runs of words kept in a shard between waves: 16 bytes each.
constexpr std::size_t kMostKept = std::size_t{1} << 20;

struct Count {
  std::uint64_t hash;
  std::uint32_t rows;
};

std::uint64_t hash_of(const Corpus& corpus, std::span<const Token> tokens, std::size_t begin,
                      std::size_t length) {
  std::uint64_t hash = length;
  for (std::size_t i = begin; i < begin + length; ++i) {
    hash = mix(hash * 0x9e3779b97f4a7c15ULL + corpus.word(tokens[i]));
  }
  return hash;
}

std::size_t shard_of(std::uint64_t hash) { return hash >> 58; }
static_assert(kShards == 64);

/// The frequent runs: hash to number, open addressing, made once.
class Vocabulary {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;
  explicit Vocabulary(std::span<const std::uint64_t> hashes) {
    std::size_t size = 64;
    while (size < 2 * hashes.size() + 2) size *= 2;
    slots_.assign(size, {0, kNone});
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      std::size_t at = hashes[i] & (size - 1);
      while (slots_[at].number != kNone) at = (at + 1) & (size - 1);
      slots_[at] = {hashes[i], static_cast<std::uint32_t>(i)};
    }
  }
  std::uint32_t find(std::uint64_t hash) const {
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at].number != kNone && slots_[at].hash != hash)
      at = (at + 1) & (slots_.size() - 1);
    return slots_[at].number;
  }

 private:
  struct Slot {
    std::uint64_t hash;
    std::uint32_t number;
  };
  std::vector<Slot> slots_;
};

/// All runs of a text and its title, each once.
void hashes_of_row(const Corpus& corpus, std::size_t row, std::vector<std::uint64_t>& hashes) {
  hashes.clear();
  for (const auto tokens : {corpus.text(row), corpus.title(row)}) {
    for_each_phrase(corpus, tokens, corpus.language[row],
                    [&](std::size_t begin, std::size_t length) {
                      hashes.push_back(hash_of(corpus, tokens, begin, length));
                    });
  }
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

/// Hashes of the frequent runs, sorted, with their counts.
std::vector<Count> count_runs(const Corpus& corpus, Workers& workers, Monitor& monitor) {
  const std::size_t n = corpus.size();
  const std::size_t n_ranges = (n + kRangeRows - 1) / kRangeRows;
  std::vector<std::vector<Count>> kept(kShards);
  const auto merge_equal = [](std::vector<Count>& counts) {
    std::sort(counts.begin(), counts.end(),
              [](const Count& a, const Count& b) { return a.hash < b.hash; });
    std::size_t out = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (out > 0 && counts[out - 1].hash == counts[i].hash) {
        counts[out - 1].rows += counts[i].rows;
      } else {
        counts[out++] = counts[i];
      }
    }
    counts.resize(out);
  };
  for (std::size_t wave = 0; wave < n_ranges; wave += kWaveRanges) {
    std::vector<std::vector<Count>> parts(std::min(kWaveRanges, n_ranges - wave));
    workers.run(
        parts.size(),
        [&](std::size_t item, int) {
          const std::size_t begin = (wave + item) * kRangeRows;
          std::vector<std::uint64_t> hashes;
          for (std::size_t row = begin; row < std::min(n, begin + kRangeRows); ++row) {
            if (monitor.cancelled()) return;
            hashes_of_row(corpus, row, hashes);
            for (const std::uint64_t hash : hashes) parts[item].push_back({hash, 1});
          }
          merge_equal(parts[item]);
          monitor.add(std::min(n, begin + kRangeRows) - begin);
        },
        &monitor);
    workers.run(
        kShards,
        [&](std::size_t shard, int) {
          if (monitor.cancelled()) return;
          std::vector<Count>& counts = kept[shard];
          for (const auto& part : parts) {
            const auto begin = std::lower_bound(
                part.begin(), part.end(), shard,
                [](const Count& c, std::size_t s) { return shard_of(c.hash) < s; });
            const auto end = std::lower_bound(
                begin, part.end(), shard + 1,
                [](const Count& c, std::size_t s) { return shard_of(c.hash) < s; });
            counts.insert(counts.end(), begin, end);
          }
          merge_equal(counts);
          for (std::uint32_t least = 2; counts.size() > kMostKept; ++least) {
            std::erase_if(counts, [&](const Count& c) { return c.rows < least; });
          }
        },
        &monitor);
  }
  const std::uint32_t fewest = fewest_rows(n);
  // What most texts hold sets nothing apart.
  const std::size_t most = n < 20 ? n : n / 2;
  std::vector<Count> frequent;
  for (const auto& counts : kept) {
    for (const Count& c : counts) {
      if (c.rows >= fewest && c.rows <= most) frequent.push_back(c);
    }
  }
  return frequent;
}

void add_one(std::uint32_t& count) {
  std::atomic_ref(count).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

bool is_within_name(const Corpus& corpus, std::span<const Token> tokens, std::size_t at,
                    Language language) {
  const auto capital = [&](std::size_t i) {
    return corpus.capitalized[tokens[i].spelling] &&
           (corpus.word_class(corpus.word(tokens[i]), language) & kStop) == 0;
  };
  if (!capital(at)) return false;
  const bool before = at > 0 && tokens[at].gap_before() == Gap::space &&
                      tokens[at - 1].gap_before() != Gap::sentence && capital(at - 1);
  const auto joined = [&](std::size_t i) {
    return i < tokens.size() && tokens[i].gap_before() == Gap::space;
  };
  if (before || (joined(at + 1) && capital(at + 1))) return true;
  // "King of England" is one, too; of its words "England" stands for itself.
  return joined(at + 1) && joined(at + 2) && capital(at + 2) &&
         (corpus.word_class(corpus.word(tokens[at + 1]), language) & kLink) != 0;
}

PhraseTable find_phrases(const Corpus& corpus, Workers& workers, Monitor& monitor) {
  PhraseTable table;
  const std::size_t n = corpus.size();
  std::vector<Count> frequent = count_runs(corpus, workers, monitor);
  std::vector<std::uint64_t> hashes(frequent.size());
  for (std::size_t i = 0; i < frequent.size(); ++i) hashes[i] = frequent[i].hash;
  const Vocabulary vocabulary(hashes);
  table.phrases.resize(frequent.size());
  for (std::size_t i = 0; i < frequent.size(); ++i) table.phrases[i].rows = frequent[i].rows;
  std::vector<Count>().swap(frequent);

  // The lowest place where each is met tells its words. Sums and least numbers
  // come out the same whichever thread is first.
  std::vector<std::uint64_t> first_place(hashes.size(), std::numeric_limits<std::uint64_t>::max());
  const auto meet = [&](std::uint32_t phrase, std::size_t row, bool title, std::size_t begin) {
    const std::uint64_t place = (row << 16) | (title ? 1u << 15 : 0u) | begin;
    std::atomic_ref lowest(first_place[phrase]);
    std::uint64_t seen = lowest.load(std::memory_order_relaxed);
    while (place < seen && !lowest.compare_exchange_weak(seen, place, std::memory_order_relaxed)) {
    }
  };
  static_assert(Corpus::kMostWords < (1u << 15));

  const std::size_t n_ranges = (n + kRangeRows - 1) / kRangeRows;
  std::vector<std::vector<Mention>> parts(n_ranges);
  std::vector<std::uint32_t> lengths(n);
  workers.run(
      n_ranges,
      [&](std::size_t item, int) {
        std::vector<Mention> row_mentions;
        std::vector<Span> definition;
        const std::size_t last = std::min(n, (item + 1) * kRangeRows);
        for (std::size_t row = item * kRangeRows; row < last; ++row) {
          if (monitor.cancelled()) return;
          row_mentions.clear();
          const Language language = corpus.language[row];
          const std::span<const Token> text = corpus.text(row);
          const auto stop = [&](std::size_t i) {
            return (corpus.word_class(corpus.word(text[i]), language) & kStop) != 0;
          };
          const auto break_before = [&](std::size_t i) {
            return i == 0 || i >= text.size() || text[i].gap_before() != Gap::space || stop(i - 1);
          };
          const auto break_after = [&](std::size_t i) {
            return i + 1 >= text.size() || text[i + 1].gap_before() != Gap::space || stop(i + 1);
          };
          for_each_phrase(corpus, text, language, [&](std::size_t begin, std::size_t length) {
            const std::uint32_t number = vocabulary.find(hash_of(corpus, text, begin, length));
            if (number == Vocabulary::kNone) return;
            meet(number, row, false, begin);
            row_mentions.push_back({number & 0x1fffffffu, 0});
            Phrase& phrase = table.phrases[number];
            add_one(phrase.occurrences);
            if (break_after(begin + length - 1)) add_one(phrase.closing);
            if (break_before(begin)) {
              add_one(phrase.opening);
              if (begin > 0 && text[begin].gap_before() == Gap::space &&
                  (corpus.word_class(corpus.word(text[begin - 1]), language) & kVerbal) != 0) {
                add_one(phrase.verbal);
              }
            }
            if (language == Language::spanish || language == Language::french) {
              add_one(phrase.romance);
            }
            if (length == 1 && is_within_name(corpus, text, begin, language)) {
              add_one(phrase.in_name);
            }
            if (text[begin].gap_before() != Gap::sentence) {
              bool capital = true;
              for (std::size_t i = begin; i < begin + length; ++i) {
                capital = capital && (corpus.capitalized[text[i].spelling] || stop(i));
              }
              if (capital) add_one(phrase.capitalized);
            } else if (length > 1 && corpus.capitalized[text[begin + length - 1].spelling]) {
              add_one(phrase.capitalized);
            }
          });
          find_definition(corpus, row, definition);
          for (const Span span : definition) {
            const std::uint32_t number =
                vocabulary.find(hash_of(corpus, text, span.begin, span.length));
            if (number == Vocabulary::kNone) continue;
            row_mentions.push_back({number & 0x1fffffffu, Mention::kDefining});
          }
          const std::span<const Token> title = corpus.title(row);
          for_each_phrase(corpus, title, language, [&](std::size_t begin, std::size_t length) {
            const std::uint32_t number = vocabulary.find(hash_of(corpus, title, begin, length));
            if (number == Vocabulary::kNone) return;
            meet(number, row, true, begin);
            const bool all = length == title.size();
            row_mentions.push_back({number & 0x1fffffffu,
                                    (Mention::kInTitle | (all ? Mention::kEntitling : 0u)) & 7u});
          });
          std::stable_sort(row_mentions.begin(), row_mentions.end(),
                           [](Mention a, Mention b) { return a.phrase < b.phrase; });
          std::size_t out = 0;
          for (std::size_t i = 0; i < row_mentions.size(); ++i) {
            if (out > 0 && row_mentions[out - 1].phrase == row_mentions[i].phrase) {
              row_mentions[out - 1].how = (row_mentions[out - 1].how | row_mentions[i].how) & 7u;
            } else {
              row_mentions[out++] = row_mentions[i];
            }
          }
          row_mentions.resize(out);
          for (const Mention mention : row_mentions) {
            if ((mention.how & Mention::kDefining) != 0) {
              add_one(table.phrases[mention.phrase].defining);
            }
            if ((mention.how & Mention::kEntitling) != 0) {
              add_one(table.phrases[mention.phrase].entitling);
            }
          }
          lengths[row] = static_cast<std::uint32_t>(out);
          parts[item].insert(parts[item].end(), row_mentions.begin(), row_mentions.end());
        }
        monitor.add(last - item * kRangeRows);
      },
      &monitor);

  const auto gather = [&](std::size_t, int) {
    table.offsets.assign(n + 1, 0);
    for (std::size_t row = 0; row < n; ++row)
      table.offsets[row + 1] = table.offsets[row] + lengths[row];
    table.mentions.resize(table.offsets[n]);
    for (std::size_t item = 0; item < n_ranges; ++item) {
      monitor.throw_if_cancelled();
      std::copy(
          parts[item].begin(), parts[item].end(),
          table.mentions.begin() + static_cast<std::ptrdiff_t>(table.offsets[item * kRangeRows]));
      std::vector<Mention>().swap(parts[item]);
    }
    // A run's length is in its hash alone; its first place is one of one length.
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      if ((i & 65535) == 0) monitor.throw_if_cancelled();
      const std::uint64_t place = first_place[i];
      if (place == std::numeric_limits<std::uint64_t>::max()) continue;
      const std::size_t row = place >> 16;
      const auto tokens = (place & (1u << 15)) != 0 ? corpus.title(row) : corpus.text(row);
      const std::size_t begin = place & 0x7fff;
      Phrase& phrase = table.phrases[i];
      for (std::size_t length = 1; length <= 3 && begin + length <= tokens.size(); ++length) {
        if (hash_of(corpus, tokens, begin, length) != hashes[i]) continue;
        phrase.length = static_cast<std::uint32_t>(length);
        for (std::size_t j = 0; j < length; ++j) phrase.words[j] = corpus.word(tokens[begin + j]);
      }
    }
  };
  workers.run(1, gather, &monitor);
  return table;
}

}  // namespace knowmap::label
