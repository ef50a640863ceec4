#include "text/unigram.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "knowmap/error.hpp"
#include "text/utf8.hpp"
#include "text/word_cache.hpp"

namespace knowmap::text {

namespace {

// What an unknown code point costs more than the worst token.
constexpr double kUnknownPenalty = 10.0;
// Longer stretches are given out as soon as they are sure.
constexpr std::size_t kStretch = 1024;

/// Of equal tokens the last one counts.
Vocabulary make_vocabulary(const std::vector<std::pair<std::string, double>>& tokens) {
  std::unordered_map<std::string_view, std::int32_t> ids;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    ids[tokens[i].first] = static_cast<std::int32_t>(i);
  }
  std::vector<std::pair<std::string, std::int32_t>> entries;
  entries.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (ids[tokens[i].first] == id) entries.emplace_back(tokens[i].first, id);
  }
  return Vocabulary(std::move(entries));
}

}  // namespace

struct Unigram::Work final : Model::Scratch {
  /// Nodes by place, from `base` on.
  std::vector<Node> nodes;
  std::size_t base = 0;
  std::vector<Piece> pieces;
  /// The unknown code points before `base`.
  std::size_t unknown_begin = 0;
  std::size_t unknown_end = 0;
  WordCache cache;
};

Unigram::Unigram(const std::vector<std::pair<std::string, double>>& tokens,
                 std::optional<std::int32_t> unknown, bool byte_fallback)
    : vocabulary_(make_vocabulary(tokens)),
      unknown_(unknown),
      byte_fallback_(byte_fallback),
      bytes_(byte_ids(vocabulary_)) {
  double lowest = std::numeric_limits<double>::infinity();
  scores_.reserve(tokens.size());
  for (const auto& [token, score] : tokens) {
    scores_.push_back(score);
    lowest = std::min(lowest, score);
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

std::unique_ptr<Model::Scratch> Unigram::make_scratch() const { return std::make_unique<Work>(); }

void Unigram::tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                       std::vector<std::int32_t>& ids) const {
  Work& work = static_cast<Work&>(*scratch);
  if (word.size() > WordCache::kLongestWord) return best_path(word, work, limit, ids);
  if (work.cache.find(word, ids)) return;
  const std::size_t before = ids.size();
  best_path(word, work, std::numeric_limits<std::size_t>::max(), ids);
  work.cache.insert(word, std::span(ids).subspan(before));
}

void Unigram::best_path(std::string_view word, Work& work, std::size_t limit,
                        std::vector<std::int32_t>& ids) const {
  work.nodes.assign(1, Node{});
  work.base = 0;
  work.unknown_begin = work.unknown_end = 0;
  const auto reach = [&](std::size_t from, std::size_t to, double score, std::int32_t id) {
    if (to - work.base >= work.nodes.size()) work.nodes.resize(to - work.base + 1);
    Node& node = work.nodes[to - work.base];
    if (node.from == kNone || score > node.score) node = {score, from, id};
  };
  for (std::size_t at = 0; at < word.size();) {
    // Where no token reaches beyond, every path leads through here.
    if (at - work.base + 1 == work.nodes.size() && at - work.base > kStretch) {
      emit(word, work, ids);
      if (ids.size() >= limit) return;
    }
    const double score = work.nodes[at - work.base].score;
    const std::size_t length = decode_utf8(word.data() + at, word.data() + word.size()).length;
    bool alone = false;  // the code point is a token
    vocabulary_.for_each_prefix(word.substr(at), [&](std::int32_t id, std::size_t bytes) {
      reach(at, at + bytes, scores_[static_cast<std::size_t>(id)] + score, id);
      alone |= bytes == length;
    });
    if (!alone) {
      if (!unknown_) fail_unknown(word.substr(at, length));
      reach(at, at + length, unknown_score_ + score, *unknown_);
    }
    at += length;
  }
  emit(word, work, ids);
  if (work.unknown_begin < work.unknown_end) {
    emit_unknown(word.substr(work.unknown_begin, work.unknown_end - work.unknown_begin), ids);
  }
}

/// Appends the ids of the best path to the last node, which becomes the first.
void Unigram::emit(std::string_view word, Work& work, std::vector<std::int32_t>& ids) const {
  work.pieces.clear();
  const std::size_t last = work.base + work.nodes.size() - 1;
  for (std::size_t end = last; end > work.base;) {
    const Node& node = work.nodes[end - work.base];
    work.pieces.push_back({node.from, end, node.id});
    end = node.from;
  }
  for (auto piece = work.pieces.rbegin(); piece != work.pieces.rend(); ++piece) {
    const bool goes_on = work.unknown_begin < work.unknown_end;
    if (piece->id == unknown_) {
      if (!goes_on) work.unknown_begin = piece->begin;
      work.unknown_end = piece->end;
      continue;
    }
    if (goes_on) {
      emit_unknown(word.substr(work.unknown_begin, work.unknown_end - work.unknown_begin), ids);
      work.unknown_begin = work.unknown_end;
    }
    ids.push_back(piece->id);
  }
  work.nodes[0] = {work.nodes.back().score, kNone, 0};
  work.nodes.resize(1);
  work.base = last;
}

void Unigram::emit_unknown(std::string_view unknown, std::vector<std::int32_t>& ids) const {
  if (const std::int32_t id = vocabulary_.id(unknown); id >= 0) {
    ids.push_back(id);
    return;
  }
  const auto has_token = [&](char b) { return bytes_[static_cast<std::uint8_t>(b)] >= 0; };
  if (byte_fallback_ && std::all_of(unknown.begin(), unknown.end(), has_token)) {
    for (char b : unknown) ids.push_back(bytes_[static_cast<std::uint8_t>(b)]);
    return;
  }
  ids.push_back(*unknown_);
}

void Unigram::fail_unknown(std::string_view unknown) const {
  throw TokenizerError("\"" + std::string(unknown) +
                       "\" is not in the vocabulary, and the file names no unknown token (unk_id)");
}

}  // namespace knowmap::text
