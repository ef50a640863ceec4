#include "text/unicode_normalizer.hpp"

#include <algorithm>

namespace knowmap::text {

UnicodeNormalizer::UnicodeNormalizer(NormalForm form)
    : composes_(form == NormalForm::nfc || form == NormalForm::nfkc),
      compatibly_(form == NormalForm::nfkc || form == NormalForm::nfkd),
      flags_(make_flags()) {}

CodePointTable<std::uint8_t> UnicodeNormalizer::make_flags() const {
  const Properties& property = properties();
  std::vector<std::uint8_t> flat(kCodePoints);
  if (composes_) {
    for (char32_t c : composing_seconds()) flat[c] |= kJoins;
  }
  std::vector<Mark> parts;
  std::string before;
  std::string after;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (property[c] & kCombining) flat[c] |= kJoins;
    if (!(property[c] & (kDecomposes | kCompatible))) continue;
    parts.clear();
    append_decomposed(c, parts);
    if (parts.empty()) continue;
    if ((flat[parts[0].c] & kJoins) || parts[0].combining_class != 0) flat[c] |= kJoins;
    before.clear();
    after.clear();
    append_utf8(c, before);
    normalize_run(before, after);
    if (before != after) flat[c] |= kChanges;
  }
  return CodePointTable<std::uint8_t>(flat);
}

void UnicodeNormalizer::append_decomposed(char32_t c, std::vector<Mark>& out) const {
  const Properties& property = properties();
  const std::uint16_t is = property[c];
  const auto push = [&](char32_t part) {
    out.push_back({part, (property[part] & kCombining) ? combining_class(part) : std::uint8_t{0}});
  };
  if (compatibly_ && (is & kCompatible)) {
    for (char32_t part : decompose_compatibly(c)) push(part);
  } else if (is & kDecomposes) {
    for (char32_t part : decompose(c)) push(part);
  } else {
    push(c);
  }
}

/// Normalises a run that nothing before or behind it can change.
void UnicodeNormalizer::normalize_run(std::string_view run, std::string& out) const {
  std::vector<Mark> codes;
  const char* end = run.data() + run.size();
  for (const char* p = run.data(); p < end;) {
    const Decoded next = decode_utf8(p, end);
    append_decomposed(next.c, codes);
    p += next.length;
  }
  for (auto from = codes.begin(); from != codes.end();) {
    const auto is_starter = [](const Mark& m) { return m.combining_class == 0; };
    from = std::find_if_not(from, codes.end(), is_starter);
    const auto to = std::find_if(from, codes.end(), is_starter);
    std::stable_sort(from, to, [](const Mark& a, const Mark& b) {
      return a.combining_class < b.combining_class;
    });
    from = to;
  }
  if (!composes_) {
    for (const Mark& mark : codes) append_utf8(mark.c, out);
    return;
  }
  // Each code point is tried with the last starter, unless one of its own or a
  // higher class stands between them.
  std::size_t size = 0;
  std::size_t starter = codes.size();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const Mark mark = codes[i];
    const bool adjacent = size > 0 && starter == size - 1;
    const bool blocked = starter == codes.size() ||
                         (!adjacent && codes[size - 1].combining_class >= mark.combining_class);
    const char32_t joined = blocked ? 0 : compose(codes[starter].c, mark.c);
    if (joined != 0) {
      codes[starter].c = joined;
      continue;
    }
    if (mark.combining_class == 0) starter = size;
    codes[size++] = mark;
  }
  for (std::size_t i = 0; i < size; ++i) append_utf8(codes[i].c, out);
}

std::size_t UnicodeNormalizer::run(std::string_view text, Place place, std::string& out) const {
  const char* data = text.data();
  const std::size_t size = text.size();
  std::size_t copied = 0;   // before it, all is written
  std::size_t starter = 0;  // the last code point that joins nothing before it
  bool in_form = true;      // from `starter` on
  const auto flush = [&](std::size_t end) {
    if (in_form) return;
    out.append(data + copied, starter - copied);
    normalize_run(text.substr(starter, end - starter), out);
    copied = end;
    in_form = true;
  };
  for (std::size_t i = 0; i < size;) {
    std::size_t length = 1;
    std::uint8_t flags = 0;
    if (static_cast<std::uint8_t>(data[i]) >= 0x80) {
      const Decoded next = decode_utf8(data + i, data + size);
      flags = flags_[next.c];
      length = next.length;
    }
    if (!(flags & kJoins)) {
      flush(i);
      starter = i;
    }
    if (flags != 0) in_form = false;
    i += length;
  }
  // What follows may join the last run.
  const std::size_t end = place.last ? size : starter;
  if (place.last) flush(size);
  if (copied < end) out.append(data + copied, end - copied);
  return end;
}

}  // namespace knowmap::text
