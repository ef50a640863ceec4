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

}  // namespace

Encoder::Encoder(const Pipeline& pipeline)
    : pipeline_(pipeline),
      scratch_(pipeline.model->make_scratch()),
      normalizing_(pipeline.normalizers.size()),
      cutting_(pipeline.cutting.size()) {}

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
  begin_section(text, true);
  while (!done()) {
    const std::size_t end = pos + std::min(step, text.size() - pos);
    if (const auto match = pipeline_.raw_tokens.find(text, search, end, pos)) {
      feed(text.substr(pos, match->begin - std::min(pos, match->begin)), true);
      if (!done() && match->begin < match->end) ids_->push_back(match->id);
      pos = match->end;
      search = match->next;
      step = piece;
      begin_section(text.substr(pos), pos == 0);
      continue;
    }
    search = std::max(search, end);
    if (end == text.size()) {
      feed(text.substr(pos), true);
      return;
    }
    // White space at the end may belong to a token that follows.
    const std::size_t sure =
        pipeline_.raw_tokens.strips_left() ? skip_space_before(text, end, pos) : end;
    pos += feed(text.substr(pos, sure - pos), false);
    // What is not done with is read again with what follows: doubling keeps
    // that linear.
    step = std::max({piece, pending(), 2 * (end - pos)});
  }
}

/// Starts a section, which `rest` begins with.
void Encoder::begin_section(std::string_view rest, bool of_text) {
  const auto clear = [](Buffer& buffer) {
    buffer.text.clear();
    buffer.started = false;
  };
  std::for_each(normalizing_.begin(), normalizing_.end(), clear);
  std::for_each(cutting_.begin(), cutting_.end(), clear);
  normalized_.clear();
  consumed_ = 0;
  search_ = 0;
  stripping_ = false;
  of_text_ = false;
  if (!of_text || rest.empty()) return;
  // Where its first code point is taken out, the text starts at none.
  const auto length = decode_utf8(rest.data(), rest.data() + rest.size()).length;
  normalize(rest.substr(0, length), true);
  of_text_ = !normalized_.empty();
  normalized_.clear();
  std::for_each(normalizing_.begin(), normalizing_.end(), clear);
}

/// Takes raw text, as far as it is sure what becomes of it: returns how far.
std::size_t Encoder::feed(std::string_view raw, bool last) {
  const std::size_t taken = normalize(raw, last);
  drain(last);
  forget_consumed();
  return taken;
}

std::size_t Encoder::normalize(std::string_view raw, bool last) {
  const auto& steps = pipeline_.normalizers;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Buffer& from = normalizing_[i];
    const std::string_view text = i == 0 ? raw : std::string_view(from.text);
    std::string& to = i + 1 < steps.size() ? normalizing_[i + 1].text : normalized_;
    work_ += text.size();
    const std::size_t used = steps[i]->run(text, {!from.started, true, last}, to);
    from.started |= used > 0;
    if (i == 0) {
      taken = used;
    } else {
      from.text.erase(0, used);
    }
  }
  return taken;
}

/// Bytes that wait for more text.
std::size_t Encoder::pending() const {
  std::size_t bytes = normalized_.size() - consumed_;
  for (const auto* buffers : {&normalizing_, &cutting_}) {
    for (const Buffer& buffer : *buffers) bytes += buffer.text.size();
  }
  return bytes;
}

/// Makes ids of the normalised text, as far as what follows can't change them.
void Encoder::drain(bool last) {
  const AddedTokens& added = pipeline_.normalized_tokens;
  const std::size_t size = normalized_.size();
  // Up to here the longest token would end, and one code point follow it.
  const std::size_t margin = added.empty() ? 0 : added.longest() + kLongestUtf8;
  std::size_t decided = last ? size : size - std::min(size, margin);
  while (!last && decided > 0 && decided < size && is_continuation(normalized_[decided])) --decided;
  if (stripping_) {
    consumed_ = skip_space(normalized_, consumed_);
    stripping_ = consumed_ == size;
  }
  while (!done()) {
    const auto match = added.find(normalized_, search_, decided, consumed_);
    if (!match) break;
    cut(consumed_, std::max(consumed_, match->begin), true);
    // Where the token before it has stripped all of it, nothing is left of it.
    if (!done() && match->begin < match->end) ids_->push_back(match->id);
    consumed_ = match->end;
    search_ = match->next;
    stripping_ = match->rstrip && consumed_ == size;
    of_text_ = false;
  }
  search_ = std::max(search_, decided);
  if (!last && added.strips_left()) decided = skip_space_before(normalized_, decided, consumed_);
  if (consumed_ < decided || (last && consumed_ == size)) consumed_ = cut(consumed_, decided, last);
}

/// Makes ids of normalized_[begin, end), which stands between added tokens;
/// returns where it stopped.
std::size_t Encoder::cut(std::size_t begin, std::size_t end, bool last) {
  const std::string_view text = std::string_view(normalized_).substr(begin, end - begin);
  const std::size_t used = cut_step(0, text, of_text_, last);
  if (used > 0) of_text_ = false;
  return begin + used;
}

/// Runs cutting step number `step`, and those after it on what comes of it;
/// returns how many bytes are done with.
std::size_t Encoder::cut_step(std::size_t step, std::string_view text, bool of_text, bool last) {
  const Model& model = *pipeline_.model;
  work_ += text.size();
  if (step == pipeline_.cutting.size()) {
    const std::size_t end = last ? text.size() : model.last_cut(text);
    if (end > 0 && ids_->size() < limit_) {
      model.tokenize(text.substr(0, end), scratch_.get(), limit_, *ids_);
    }
    return end;
  }
  const CuttingStep& cutting = pipeline_.cutting[step];
  Buffer& buffer = cutting_[step];
  if (cutting.rewrite) {
    const std::size_t used =
        cutting.rewrite->run(text, {!buffer.started, of_text, last}, buffer.text);
    buffer.started |= used > 0;
    const std::size_t done = cut_step(step + 1, buffer.text, of_text, last);
    buffer.text.erase(0, done);
    if (last) buffer.started = false;
    return used;
  }
  buffer.words.clear();
  const std::size_t used = cutting.split->split(text, last, buffer.words);
  const bool to_model = step + 1 == pipeline_.cutting.size();
  for (const Span& word : buffer.words) {
    if (ids_->size() >= limit_) break;
    const std::string_view part = text.substr(word.begin, word.end - word.begin);
    if (to_model) {
      work_ += part.size();
      model.tokenize(part, scratch_.get(), limit_, *ids_);
    } else {
      cut_step(step + 1, part, of_text && word.begin == 0, true);
    }
  }
  return used;
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
