#include "text/split.hpp"

#include <algorithm>
#include <optional>

namespace knowmap::text {

void StringPattern::find(std::string_view text, bool last, std::vector<Piece>& pieces) const {
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(string_, done)) != text.npos; done = at + string_.size()) {
    if (done < at) pieces.push_back({done, at, false});
    pieces.push_back({at, at + string_.size(), true});
  }
  if (last && done < text.size()) pieces.push_back({done, text.size(), false});
}

void PropertyPattern::find(std::string_view text, bool last, std::vector<Piece>& pieces) const {
  const Properties& property = properties();
  const char* end = text.data() + text.size();
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.data() + i, end);
    if (property[next.c] & property_) {
      if (done < i) pieces.push_back({done, i, false});
      done = i + next.length;
      pieces.push_back({i, done, true});
    }
    i += next.length;
  }
  if (last && done < text.size()) pieces.push_back({done, text.size(), false});
}

void RegexPattern::find(std::string_view text, bool last, std::vector<Piece>& pieces) const {
  const std::size_t before = pieces.size();
  find_matches(text, last, pieces);
  const std::size_t done = pieces.size() > before ? pieces.back().end : 0;
  if (last && done < text.size()) pieces.push_back({done, text.size(), false});
}

std::size_t RegexPattern::find_matches(std::string_view text, bool last,
                                       std::vector<Piece>& pieces) const {
  if (!last && !regex_.streams()) return 0;
  std::size_t done = 0;
  std::optional<std::size_t> matched_to;
  for (std::size_t from = 0; from <= text.size();) {
    const Regex::Found found = regex_.find(text, from, last);
    if (found.state == Regex::Found::State::more) return found.begin;
    if (found.state == Regex::Found::State::none) break;
    if (found.begin == found.end && matched_to == found.end) {
      // No empty match where one has ended: on by a code point.
      if (from == text.size()) break;
      from += decode_utf8(text.data() + from, text.data() + text.size()).length;
      continue;
    }
    if (done < found.begin) pieces.push_back({done, found.begin, false});
    pieces.push_back({found.begin, found.end, true});
    from = done = found.end;
    matched_to = found.end;
  }
  return text.size();
}

std::size_t Split::split(std::string_view text, bool last, std::vector<Span>& words) const {
  thread_local std::vector<Piece> pieces;
  pieces.clear();
  pattern_->find(text, last, pieces);
  if (pieces.empty()) return last ? text.size() : 0;
  const std::size_t done = pieces.back().end;
  const auto push = [&words](std::size_t begin, std::size_t end) {
    if (begin < end) words.push_back({begin, end});
  };
  if (behavior_ == SplitBehavior::isolated || behavior_ == SplitBehavior::removed) {
    const bool keep_all = behavior_ == SplitBehavior::isolated;
    for (const Piece& piece : pieces) {
      if (keep_all || piece.is_match == invert_) push(piece.begin, piece.end);
    }
    return done;
  }

  // Pieces are joined to words; the last word may go on in what follows.
  Span word{pieces[0].begin, pieces[0].end};
  bool before = pieces[0].is_match != invert_;  // whether the last piece matched
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    const bool is_match = pieces[i].is_match != invert_;
    bool goes_on = false;
    switch (behavior_) {
      case SplitBehavior::contiguous:
        goes_on = is_match == before;
        break;
      case SplitBehavior::merged_with_previous:
        goes_on = is_match && !before;
        break;
      default:  // merged_with_next
        goes_on = before && !is_match;
        break;
    }
    if (!goes_on) {
      push(word.begin, word.end);
      word.begin = pieces[i].begin;
    }
    word.end = pieces[i].end;
    before = is_match;
  }
  if (!last) return word.begin;
  push(word.begin, word.end);
  return done;
}

}  // namespace knowmap::text
