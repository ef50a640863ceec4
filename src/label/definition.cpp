#include "label/definition.hpp"

#include <algorithm>

namespace knowmap::label {

namespace {

constexpr std::size_t kReach = 70;     // words until the defining verb
constexpr std::size_t kSentences = 2;  // sentences looked at
constexpr int kMostHeads = 4;          // "physicist, mathematician and writer"

}  // namespace

void find_definition(const Corpus& corpus, std::size_t row, std::vector<Span>& found) {
  found.clear();
  const Language language = corpus.language[row];
  if (language == Language::other) return;
  const std::span<const Token> text = corpus.text(row);
  const auto is = [&](std::size_t i, unsigned wanted) {
    return (corpus.word_class(corpus.word(text[i]), language) & wanted) != 0;
  };
  const std::size_t reach = std::min(text.size(), kReach);
  std::size_t sentences = 0;
  std::size_t at = 1;
  // The first "is a", "was the", "are": a verb with a noun phrase behind it.
  for (; at < reach; ++at) {
    if (text[at].gap_before() == Gap::sentence && ++sentences >= kSentences) return;
    if (!is(at, kCopula)) continue;
    std::size_t after = at + 1;
    while (after < text.size() && after < at + 3 && is(after, kVerbal) && !is(after, kCopula)) {
      ++after;  // "is also a", "was originally the"
    }
    if (after >= text.size() || text[after].gap_before() != Gap::space) continue;
    if (is(after, kDeterminer)) {
      at = after + 1;
      break;
    }
    // Without an article only plurals define: "Noble gases are elements".
    if (!is(after, kStop) && at > 0) {
      at = after;
      break;
    }
  }
  if (at >= reach) return;

  // Noun phrases from here, joined by commas and "and".
  const bool head_last = language == Language::english;
  int heads = 0;
  while (heads < kMostHeads && at < text.size()) {
    while (at < text.size() && is(at, kDeterminer) && text[at].gap_before() != Gap::sentence) ++at;
    std::size_t end = at;
    while (end < text.size() && end < at + 7 && !is(end, kStop) &&
           (end == at || text[end].gap_before() == Gap::space)) {
      ++end;
    }
    if (end == at) return;
    const std::size_t head = head_last ? end - 1 : at;
    const bool transparent = is(head, kTransparent);
    if (head_last) {
      for (std::size_t length = 1; length <= 3 && length <= end - at; ++length) {
        found.push_back(
            {static_cast<std::uint32_t>(end - length), static_cast<std::uint32_t>(length)});
      }
    } else {
      for (std::size_t length = 1; length <= 3 && length <= end - at; ++length) {
        found.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(length)});
      }
      // "jugador de fútbol", "système d'exploitation".
      if (end == at + 1 && end + 1 < text.size() && is(end, kLink) && !is(end + 1, kStop) &&
          text[end].gap_before() == Gap::space && text[end + 1].gap_before() == Gap::space) {
        found.push_back({static_cast<std::uint32_t>(at), 3});
      }
    }
    ++heads;
    if (end >= text.size() || text[end].gap_before() == Gap::sentence) return;
    if (transparent && is(end, kLink) && text[end].gap_before() == Gap::space) {
      at = end + 1;  // a kind of X is an X
      continue;
    }
    if (is(end, kAnd)) {
      at = end + 1;
      if (at < text.size() && text[at].gap_before() != Gap::space) return;
      continue;
    }
    // A comma goes on with the list only where an "and" ends it near by; what
    // else comes behind a comma is another thought.
    if (text[end].gap_before() != Gap::soft || is(end, kStop)) return;
    bool list = false;
    for (std::size_t i = end; i < text.size() && i < end + 10; ++i) {
      if (text[i].gap_before() == Gap::sentence) break;
      if (is(i, kAnd)) {
        list = true;
        break;
      }
      if (is(i, kStop)) break;
    }
    if (!list) return;
    at = end;
  }
}

}  // namespace knowmap::label
