#include <algorithm>
#include <limits>

#include "text/pipeline.hpp"

namespace knowmap::text {

namespace {

// A piece is normalised at once: small enough to stay in the nearest cache, and
// no more than the ids wanted are likely to need.
constexpr std::size_t kMinPiece = 512;
constexpr std::size_t kMaxPiece = 8192;
constexpr std::size_t kBytesPerToken = 6;

bool is_continuation(char byte) { return (static_cast<std::uint8_t>(byte) & 0xC0) == 0x80; }

}  // namespace

bool Encoder::done() const { return ids_->size() >= limit_ || (monitor_ && monitor_->cancelled()); }

void Encoder::encode(std::string_view text, std::size_t max_length, std::vector<std::int32_t>& ids,
                     const Monitor* monitor) {
  const auto& before = pipeline_.post_processor->before();
  const auto& after = pipeline_.post_processor->after();
  ids_ = &ids;
  monitor_ = monitor;
  limit_ = max_length == 0 ? std::numeric_limits<std::size_t>::max()
                           : ids.size() + max_length - after.size();
  ids.insert(ids.end(), before.begin(), before.end());
  encode_sections(text);
  if (ids.size() > limit_) ids.resize(limit_);
  ids.insert(ids.end(), after.begin(), after.end());
}

/// Cuts the raw text at added tokens into sections, which are normalised apart.
void Encoder::encode_sections(std::string_view text) {
  const std::size_t wanted = std::min(limit_ - std::min(limit_, ids_->size()), text.size());
  const std::size_t piece = std::clamp(wanted * kBytesPerToken, kMinPiece, kMaxPiece);
  std::size_t pos = 0;
  std::size_t search = 0;
  std::size_t step = piece;
  begin_section();
  while (!done()) {
    const std::size_t end = pos + std::min(step, text.size() - pos);
    if (const auto match = pipeline_.raw_tokens.find(text, search, end, pos)) {
      feed(text.substr(pos, match->begin - std::min(pos, match->begin)), true);
      if (!done() && match->begin < match->end) ids_->push_back(match->id);
      pos = match->end;
      search = match->next;
      step = piece;
      begin_section();
      continue;
    }
    search = std::max(search, end);
    if (end == text.size()) {
      feed(text.substr(pos), true);
      return;
    }
    const std::string_view rest = text.substr(pos);
    const std::size_t cut = pipeline_.normalizer->last_cut(rest, end - pos);
    if (cut == 0) {
      step *= 2;
      continue;
    }
    feed(rest.substr(0, cut), false);
    pos += cut;
    // A word that has not ended yet is read again with what follows: doubling
    // keeps that linear.
    step = std::max(piece, normalized_.size() - consumed_);
  }
}

void Encoder::begin_section() {
  normalized_.clear();
  consumed_ = 0;
  search_ = 0;
  stripping_ = false;
}

void Encoder::feed(std::string_view raw, bool last) {
  pipeline_.normalizer->normalize(raw, normalized_);
  drain(last);
  forget_consumed();
}

/// Makes ids of the normalised text, as far as what follows can't change them.
void Encoder::drain(bool last) {
  const AddedTokens& added = pipeline_.normalized_tokens;
  const std::size_t size = normalized_.size();
  // Up to here the longest token would end, and one code point follow it.
  const std::size_t margin = added.empty() ? 0 : added.longest() + 4;
  std::size_t decided = last ? size : size - std::min(size, margin);
  while (!last && decided > 0 && decided < size && is_continuation(normalized_[decided])) --decided;
  if (stripping_) {
    consumed_ = skip_space(normalized_, consumed_);
    stripping_ = consumed_ == size;
  }
  while (!done()) {
    const auto match = added.find(normalized_, search_, decided, consumed_);
    if (!match) break;
    if (match->begin > consumed_) tokenize_words(consumed_, match->begin, true);
    // Where the token before it has stripped all of it, nothing is left of it.
    if (!done() && match->begin < match->end) ids_->push_back(match->id);
    consumed_ = match->end;
    search_ = match->next;
    stripping_ = match->rstrip && consumed_ == size;
  }
  search_ = std::max(search_, decided);
  if (consumed_ < decided) consumed_ = tokenize_words(consumed_, decided, last);
}

/// Makes ids of the words in normalized_[begin, end); returns where it stopped.
std::size_t Encoder::tokenize_words(std::size_t begin, std::size_t end, bool last) {
  const std::string_view text = std::string_view(normalized_).substr(begin, end - begin);
  words_.clear();
  const std::size_t split = pipeline_.pre_tokenizer->split(text, last, words_);
  for (const Span& word : words_) {
    if (ids_->size() >= limit_) break;
    pipeline_.model->tokenize(text.substr(word.begin, word.end - word.begin), *ids_);
  }
  return begin + split;
}

/// Drops what has become ids, but for one code point: `single_word` looks back.
void Encoder::forget_consumed() {
  std::size_t keep = std::min(consumed_, search_);
  if (keep > 0) --keep;
  while (keep > 0 && is_continuation(normalized_[keep])) --keep;
  normalized_.erase(0, keep);
  consumed_ -= keep;
  search_ -= keep;
}

}  // namespace knowmap::text
