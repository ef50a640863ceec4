#include "text/bpe.hpp"

#include <algorithm>
#include <bit>

#include "knowmap/error.hpp"
#include "text/word_cache.hpp"

namespace knowmap::text {

namespace {

// What is shorter is worked on at once.
constexpr std::size_t kLongWord = 128;

CodePointTable<std::int32_t> make_code_points(const Vocabulary& vocabulary,
                                              const std::array<std::int32_t, 256>& bytes,
                                              bool byte_fallback) {
  std::vector<std::int32_t> flat(kCodePoints, -1);
  if (byte_fallback) {
    for (char32_t c = 0; c < kCodePoints; ++c) {
      char spelled[kLongestUtf8];
      const char* end = encode_utf8(c, spelled);
      if (std::all_of(static_cast<const char*>(spelled), end,
                      [&](char b) { return bytes[static_cast<std::uint8_t>(b)] >= 0; })) {
        flat[c] = -2;
      }
    }
  }
  for (const auto& [token, id] : vocabulary.tokens()) {
    if (token.empty()) continue;
    const Decoded first = decode_utf8(token.data(), token.data() + token.size());
    if (first.length == token.size()) flat[first.c] = id;
  }
  return CodePointTable<std::int32_t>(flat);
}

}  // namespace

PairMap::PairMap(std::size_t size) {
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(size * 2, 16));
  shift_ = 64 - std::countr_zero(slots);
  entries_.resize(slots);
}

void PairMap::set(std::uint32_t a, std::uint32_t b, Value value) {
  const std::uint64_t key = std::uint64_t{a} << 32 | b;
  std::size_t i = slot(key);
  while (entries_[i].key != kFree && entries_[i].key != key) i = (i + 1) & (entries_.size() - 1);
  entries_[i] = {key, value};
}

struct Bpe::Work final : Model::Scratch {
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
  WordCache cache;
};

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      merges_(merges.size()),
      bytes_(byte_ids(vocabulary_)),
      code_points_(make_code_points(vocabulary_, bytes_, options_.byte_fallback)),
      joined_(merges.size()) {
  if (options_.unk_token) unknown_ = vocabulary_.id(*options_.unk_token);
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    merges_.set(static_cast<std::uint32_t>(merge.left), static_cast<std::uint32_t>(merge.right),
                {static_cast<std::uint32_t>(rank), merge.merged});
  }
  allow_cuts(merges);
}

/// Notes which code points merges join. Merges of tokens that stand for other
/// code points than they are spelled with would spoil that.
void Bpe::allow_cuts(const std::vector<Merge>& merges) {
  if (!options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty()) return;
  auto bytes = bytes_;
  std::sort(bytes.begin(), bytes.end());
  for (const Merge& merge : merges) {
    for (std::int32_t id : {merge.left, merge.right}) {
      if (id == unknown_) return;
      if (options_.byte_fallback && std::binary_search(bytes.begin(), bytes.end(), id)) return;
    }
    const std::string_view left = vocabulary_.token(merge.left);
    const std::string_view right = vocabulary_.token(merge.right);
    if (left.empty() || right.empty()) return;
    const char32_t a = decode_utf8_before(left, left.size());
    const char32_t b = decode_utf8(right.data(), right.data() + right.size()).c;
    if (a < 128 && b < 128) joined_ascii_.set(a * 128 + b);
    joined_.set(a, b, {});
  }
  cuts_ = true;
}

bool Bpe::joined(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return joined_ascii_[left * 128 + right];
  return joined_.find(left, right) != nullptr;
}

std::size_t Bpe::last_cut(std::string_view text) const {
  if (!cuts_ || options_.ignore_merges || text.empty()) return 0;
  std::size_t at = text.size();
  char32_t right = 0;
  bool has_right = false;
  while (at > 0) {
    const char32_t c = decode_utf8_before(text, at);
    // Behind an unknown code point a token may be kept back.
    if (has_right && code_points_[c] >= 0 && !joined(c, right)) return at;
    char bytes[kLongestUtf8];
    at -= static_cast<std::size_t>(encode_utf8(c, bytes) - bytes);
    right = c;
    has_right = true;
  }
  return 0;
}

std::unique_ptr<Model::Scratch> Bpe::make_scratch() const { return std::make_unique<Work>(); }

void Bpe::tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                   std::vector<std::int32_t>& ids) const {
  Work& work = static_cast<Work&>(*scratch);
  if (options_.ignore_merges) {
    if (const std::int32_t id = vocabulary_.id(word); id >= 0) {
      ids.push_back(id);
      return;
    }
  }
  if (!cuts_ || word.size() < kLongWord) return tokenize_part(word, work, ids);
  const char* end = word.data() + word.size();
  std::size_t begin = 0;
  bool kept_back = false;  // an unknown token
  Decoded left{0, 0};
  for (std::size_t i = 0; i < word.size();) {
    const Decoded right = decode_utf8(word.data() + i, end);
    if (begin < i && !kept_back && !joined(left.c, right.c)) {
      tokenize_part(word.substr(begin, i - begin), work, ids);
      if (ids.size() >= limit) return;
      begin = i;
    }
    const std::int32_t id = code_points_[right.c];
    kept_back = id == kNoToken || (id == kBytes && kept_back);
    left = right;
    i += right.length;
  }
  tokenize_part(word.substr(begin), work, ids);
}

void Bpe::tokenize_part(std::string_view part, Work& work, std::vector<std::int32_t>& ids) const {
  const bool kept = part.size() <= WordCache::kLongestWord;
  if (kept && work.cache.find(part, ids)) return;
  spell(part, work.symbols);
  merge(work);
  const std::size_t before = ids.size();
  if (!work.symbols.empty()) {
    for (std::int32_t i = 0; i >= 0; i = work.symbols[static_cast<std::size_t>(i)].next) {
      ids.push_back(work.symbols[static_cast<std::size_t>(i)].id);
    }
  }
  if (kept) work.cache.insert(part, std::span(ids).subspan(before));
}

std::int32_t Bpe::unknown(std::string_view code_point) const {
  if (unknown_ < 0) {
    throw TokenizerError("\"" + std::string(code_point) +
                         "\" is not in the vocabulary, and neither is the unknown token \"" +
                         *options_.unk_token + "\"");
  }
  return unknown_;
}

/// The symbols that a word starts out as. As `tokenizers` does it, an unknown
/// token is kept back until a known code point or the end, even behind bytes.
void Bpe::spell(std::string_view part, std::vector<Symbol>& symbols) const {
  symbols.clear();
  const auto push = [&symbols](std::int32_t id) {
    const auto at = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  };
  const bool affixes =
      !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  std::int32_t kept_back = -1;
  std::string affixed;
  const char* end = part.data() + part.size();
  for (const char* p = part.data(); p < end;) {
    const Decoded next = decode_utf8(p, end);
    std::string_view spelled(p, next.length);
    std::int32_t id = code_points_[next.c];
    if (affixes) {
      affixed.clear();
      if (p > part.data()) affixed += options_.continuing_subword_prefix;
      affixed += spelled;
      if (p + next.length == end) affixed += options_.end_of_word_suffix;
      spelled = affixed;
      id = vocabulary_.id(affixed);
      const auto has_token = [&](char b) { return bytes_[static_cast<std::uint8_t>(b)] >= 0; };
      if (id < 0 && options_.byte_fallback &&
          std::all_of(affixed.begin(), affixed.end(), has_token)) {
        id = kBytes;
      }
    }
    p += next.length;
    if (id >= 0) {
      if (kept_back >= 0) push(kept_back);
      kept_back = -1;
      push(id);
    } else if (id == kBytes) {
      for (char b : spelled) push(bytes_[static_cast<std::uint8_t>(b)]);
    } else if (options_.unk_token) {
      if (kept_back >= 0 && !options_.fuse_unk) push(kept_back);
      kept_back = unknown(spelled);
    }
  }
  if (kept_back >= 0) push(kept_back);
  if (!symbols.empty()) symbols.back().next = -1;
}

/// Joins symbols, the best-ranked pair first and of equal ones the leftmost. A
/// pair that has changed since it was queued still counts where it becomes the
/// same token, as in `tokenizers`.
void Bpe::merge(Work& work) const {
  std::vector<Symbol>& symbols = work.symbols;
  std::vector<Candidate>& queue = work.queue;
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  const auto find = [&](std::int32_t left, std::int32_t right) {
    return merges_.find(static_cast<std::uint32_t>(symbols[static_cast<std::size_t>(left)].id),
                        static_cast<std::uint32_t>(symbols[static_cast<std::size_t>(right)].id));
  };
  const auto queue_pair = [&](std::int32_t left, std::int32_t right) {
    const PairMap::Value* value = find(left, right);
    if (value) queue.push_back({value->rank, left, value->id});
    return value != nullptr;
  };
  queue.clear();
  for (std::int32_t i = 1; i < static_cast<std::int32_t>(symbols.size()); ++i) queue_pair(i - 1, i);
  std::make_heap(queue.begin(), queue.end(), later);
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), later);
    const Candidate best = queue.back();
    queue.pop_back();
    Symbol& left = symbols[static_cast<std::size_t>(best.at)];
    if (left.id < 0 || left.next < 0) continue;  // it has become part of another; it is the last
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const PairMap::Value* value = find(best.at, left.next);
    if (!value || value->id != best.merged) continue;
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.at;
    if (left.previous >= 0 && queue_pair(left.previous, best.at)) {
      std::push_heap(queue.begin(), queue.end(), later);
    }
    if (left.next >= 0 && queue_pair(best.at, left.next)) {
      std::push_heap(queue.begin(), queue.end(), later);
    }
  }
}

}  // namespace knowmap::text
