#include "label/text_words.hpp"

#include <utf8proc.h>

#include <cstdlib>

namespace knowmap::label {

namespace {

enum class Kind : std::uint8_t { letter, mark, digit, unspaced, joiner, blank, stop, soft };

struct Point {
  utf8proc_int32_t code;
  std::size_t bytes;  // at least 1
};

Point point_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {byte, 1};
  utf8proc_int32_t code = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &code);
  if (length <= 0) return {-1, 1};
  return {code, static_cast<std::size_t>(length)};
}

/// Scripts without blanks between words. Kana is left out: katakana runs are
/// words, and hiragana mostly grammar.
bool unspaced(utf8proc_int32_t c) {
  return (c >= 0x3400 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0x20000 && c <= 0x3ffff) || (c >= 0x0e00 && c <= 0x0eff) ||  // Thai, Lao
         (c >= 0x1000 && c <= 0x109f) ||                                    // Myanmar
         (c >= 0x1780 && c <= 0x17ff);                                      // Khmer
}

Kind kind_of(utf8proc_int32_t c) {
  if (c >= 0 && c < 0x80) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Kind::letter;
    if (c >= '0' && c <= '9') return Kind::digit;
    if (c == ' ' || c == '\t' || c == '\r') return Kind::blank;
    if (c == '-' || c == '\'') return Kind::joiner;
    if (c == '.' || c == '!' || c == '?' || c == '\n' || c == ';') return Kind::stop;
    return Kind::soft;
  }
  if (c < 0) return Kind::soft;
  if (c == 0x2019 || c == 0x02bc || c == 0x2010 || c == 0x2011) return Kind::joiner;
  if (c == 0xad || c == 0x200c || c == 0x200d) return Kind::mark;  // soft hyphen, (non-)joiners
  if (c == 0x3002 || c == 0xff01 || c == 0xff1f || c == 0x0964 || c == 0x061f) return Kind::stop;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      if (c >= 0x3041 && c <= 0x309f) return Kind::soft;  // hiragana: particles, endings
      return unspaced(c) ? Kind::unspaced : Kind::letter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return Kind::mark;
    case UTF8PROC_CATEGORY_ND:
      return Kind::digit;
    case UTF8PROC_CATEGORY_ZS:
      return Kind::blank;
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return Kind::stop;
    default:
      return Kind::soft;
  }
}

bool is_apostrophe(utf8proc_int32_t c) { return c == '\'' || c == 0x2019 || c == 0x02bc; }

/// Whether the letters before an apostrophe are one of French's short words.
bool is_elided(std::string_view head) {
  constexpr std::string_view kElided[] = {"l", "d", "j", "m", "n", "s", "t", "c", "qu"};
  constexpr std::string_view kLong[] = {"jusqu", "lorsqu", "puisqu", "quelqu", "quoiqu"};
  std::string lower;
  for (const char c : head) {
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower.size() > 6) return false;
  }
  for (const std::string_view word : kElided) {
    if (lower == word) return true;
  }
  for (const std::string_view word : kLong) {
    if (lower == word) return true;
  }
  return false;
}

/// The words of other places may come with an upper-case first letter.
bool upper(utf8proc_int32_t c) {
  if (c < 0) return false;
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}

void append(std::string& out, utf8proc_int32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(code, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

}  // namespace

bool WordReader::next(std::string_view& word, Gap& gap) {
  const auto widen = [&](Gap seen) {
    if (static_cast<int>(seen) > static_cast<int>(pending_)) pending_ = seen;
  };
  bool full_stop = false;
  while (at_ < text_.size()) {
    const Point point = point_at(text_, at_);
    const Kind kind = kind_of(point.code);
    if (kind == Kind::letter || kind == Kind::unspaced) break;
    at_ += point.bytes;
    if (kind == Kind::digit) {
      // A number, with what hangs on it ("20th", "1990s", "5-HT").
      while (at_ < text_.size()) {
        const Point more = point_at(text_, at_);
        const Kind what = kind_of(more.code);
        if (what != Kind::digit && what != Kind::letter && what != Kind::mark &&
            what != Kind::joiner) {
          break;
        }
        at_ += more.bytes;
      }
      widen(Gap::soft);
    } else if (kind == Kind::stop) {
      // A full stop within an abbreviation ("U.S.", "St. Louis") is seen to
      // below: the sentence ends only where blanks follow.
      full_stop = true;
      widen(Gap::soft);
      if (point.code != '.') widen(Gap::sentence);
    } else if (kind == Kind::blank) {
      if (full_stop) widen(Gap::sentence);
    } else if (kind != Kind::mark) {
      widen(Gap::soft);
    }
  }
  if (at_ >= text_.size()) return false;

  const std::size_t begin = at_;
  std::size_t end = at_;
  const Point first = point_at(text_, at_);
  end += first.bytes;
  if (kind_of(first.code) == Kind::unspaced) {
    while (end < text_.size()) {
      const Point more = point_at(text_, end);
      if (kind_of(more.code) != Kind::mark) break;
      end += more.bytes;
    }
  } else {
    while (end < text_.size()) {
      const Point point = point_at(text_, end);
      const Kind kind = kind_of(point.code);
      if (kind == Kind::letter || kind == Kind::mark || kind == Kind::digit) {
        end += point.bytes;
        continue;
      }
      if (kind != Kind::joiner || end + point.bytes >= text_.size()) break;
      const Point after = point_at(text_, end + point.bytes);
      const Kind after_kind = kind_of(after.code);
      if (after_kind != Kind::letter && after_kind != Kind::digit) break;
      if (is_apostrophe(point.code)) {
        if (is_elided(text_.substr(begin, end - begin))) {
          end += point.bytes;
          break;
        }
        if (after.code == 's' || after.code == 'S') {
          const std::size_t behind = end + point.bytes + after.bytes;
          const Kind last =
              behind < text_.size() ? kind_of(point_at(text_, behind).code) : Kind::blank;
          if (last != Kind::letter && last != Kind::digit && last != Kind::mark) {
            word = text_.substr(begin, end - begin);
            gap = pending_;
            at_ = behind;
            pending_ = Gap::space;
            return true;
          }
        }
      }
      end += point.bytes + after.bytes;
    }
  }
  word = text_.substr(begin, end - begin);
  gap = pending_;
  at_ = end;
  pending_ = Gap::space;
  return true;
}

std::string fold(std::string_view word) {
  std::string folded;
  folded.reserve(word.size());
  bool composed = true;
  for (std::size_t at = 0; at < word.size();) {
    const Point point = point_at(word, at);
    at += point.bytes;
    if (point.code < 0 || point.code == 0xad || point.code == 0x200c) continue;
    if (is_apostrophe(point.code)) {
      folded += '\'';
    } else if (point.code == 0x2010 || point.code == 0x2011) {
      folded += '-';
    } else if (point.code < 0x80) {
      folded += point.code >= 'A' && point.code <= 'Z' ? static_cast<char>(point.code - 'A' + 'a')
                                                       : static_cast<char>(point.code);
    } else {
      append(folded, utf8proc_tolower(point.code));
      composed = composed && kind_of(point.code) != Kind::mark;
    }
  }
  if (!composed) {
    if (utf8proc_uint8_t* nfc =
            utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(folded.c_str()))) {
      folded = reinterpret_cast<const char*>(nfc);
      std::free(nfc);
    }
  }
  return folded;
}

bool is_capitalized(std::string_view word) {
  return !word.empty() && upper(point_at(word, 0).code);
}

std::string capitalized(std::string_view words) {
  if (words.empty()) return {};
  const Point first = point_at(words, 0);
  // "iPhone", "pH", "mRNA" are written so on purpose.
  if (first.bytes < words.size() && upper(point_at(words, first.bytes).code)) {
    return std::string(words);
  }
  std::string result;
  if (first.code < 0) {
    result = words.substr(0, 1);
  } else {
    append(result, utf8proc_totitle(first.code));
  }
  result += words.substr(first.bytes);
  return result;
}

bool is_unspaced(std::string_view word) {
  return !word.empty() && unspaced(point_at(word, 0).code);
}

std::string clean(std::string_view text) {
  std::string result;
  bool blank = false;
  for (std::size_t at = 0; at < text.size();) {
    const Point point = point_at(text, at);
    at += point.bytes;
    if (point.code < 0) continue;
    const auto category = utf8proc_category(point.code);
    if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZS ||
        category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP) {
      blank = !result.empty();
      continue;
    }
    // Format characters turn or hide text; joiners within words are needed.
    const bool joiner = point.code == 0x200c || point.code == 0x200d;
    if (category == UTF8PROC_CATEGORY_CF && !joiner) continue;
    if (category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CO) continue;
    if (blank) result += ' ';
    blank = false;
    append(result, point.code);
  }
  return result;
}

}  // namespace knowmap::label
