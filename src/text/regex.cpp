#include "text/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <stdexcept>

#include "knowmap/error.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

namespace {

// Backtracking that goes on beyond this is a pattern gone wild.
constexpr std::uint32_t kMatchLimit = 50'000'000;
constexpr std::size_t kStackBytes = std::size_t{1} << 20;

std::string hex_range(char32_t first, char32_t last) {
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), "\\x{%X}-\\x{%X}", static_cast<unsigned>(first),
                static_cast<unsigned>(last));
  return text.data();
}

/// What `\s` and `\w` match there, as the inside of a class.
std::string space_members() {
  return "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
         "\\x{3000}";
}

const std::string& word_members() {
  static const std::string members = [] {
    std::string made;
    for (const Range& r : pattern_word_ranges()) made += hex_range(r.first, r.last);
    return made;
  }();
  return members;
}

/// The category `name` and what newer Unicode added to it.
std::string category_members(std::string_view name) {
  std::string members = "\\p{" + std::string(name) + "}";
  if (name.empty() || name.size() > 2) return members;
  for (const CategoryRange& r : newer_members()) {
    const bool same = static_cast<char>(r.category >> 8) == name[0] &&
                      (name.size() == 1 || static_cast<char>(r.category & 0xFF) == name[1]);
    if (same) members += hex_range(r.first, r.last);
  }
  return members;
}

/// Rewrites a pattern for PCRE2.
class Translation {
 public:
  explicit Translation(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (in_.substr(at_, 2) == "(?") {
        group();
      } else if (c == '{') {
        repeat();
      } else {
        anchored_ |= c == '^' || c == '$';
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

  /// Whether it asks where a line or the text begins or ends.
  bool anchored() const { return anchored_; }

 private:
  /// An escape at `at_`; `inside` a class.
  void escape(bool inside) {
    if (at_ + 1 >= in_.size()) throw std::invalid_argument("it ends with a backslash");
    const char c = in_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 's':
        return members(space_members(), inside, false);
      case 'S':
        // A class can't hold the complement of a list: PCRE2's own, which
        // lacks the one space that isn't one any more.
        if (inside) return put("\\S\\x{180E}");
        return members(space_members(), inside, true);
      case 'w':
        return members(word_members(), inside, false);
      case 'W':
        if (inside) return put("\\W");
        return members(word_members(), inside, true);
      case 'd':
        return members(category_members("Nd"), inside, false);
      case 'D':
        if (inside) return put("\\D");
        return members(category_members("Nd"), inside, true);
      case 'h':
        return members("0-9a-fA-F", inside, false);
      case 'H':
        if (!inside) return members("0-9a-fA-F", inside, true);
        throw std::invalid_argument("\\H in a class is not known");
      case 'b':
        if (inside) return put("\\b");
        return boundary(false);
      case 'B':
        return boundary(true);
      case 'p':
      case 'P':
        return property(c == 'P', inside);
      case 'u':
        return code_point(4);
      case 'x':
        if (in_.substr(at_, 1) != "{") return code_point(2);
        put("\\x{");
        ++at_;
        return;
      case 'v':  // PCRE2 takes it for any vertical space
        return put("\\x0B");
      case 'k':
      case 'g':
        throw std::invalid_argument("references to groups are not known");
      case 'Q':  // quotes in PCRE2 only
      case 'E':
      case 'K':
        throw std::invalid_argument(std::string("\\") + c + " is not known");
      default:
        anchored_ |= !inside && (c == 'A' || c == 'z' || c == 'Z' || c == 'G');
        out_ += '\\';
        out_ += c;
    }
  }

  void put(std::string_view text) { out_ += text; }

  /// What is left of an escape by hexadecimal digits, at most `most` of them.
  void code_point(std::size_t most) {
    const std::string_view rest = in_.substr(at_, most);
    const std::size_t digits =
        std::min(rest.find_first_not_of("0123456789abcdefABCDEF"), rest.size());
    if (digits == 0 || (most == 4 && digits < most)) {
      throw std::invalid_argument("an escape with too few hexadecimal digits");
    }
    if (most == 2 && digits == 2 && rest[0] >= '8') {
      throw std::invalid_argument("an escape for a byte of a longer character is not known");
    }
    put("\\x{" + std::string(rest.substr(0, digits)) + "}");
    at_ += digits;
  }

  /// "(?" and the options that may follow: there, m lets a dot match line ends.
  void group() {
    const std::size_t end = std::min(in_.find_first_not_of("imx-", at_ + 2), in_.size());
    const bool has_options =
        end > at_ + 2 && end < in_.size() && (in_[end] == ':' || in_[end] == ')');
    put("(?");
    at_ += 2;
    for (; has_options && at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
    if (!has_options && at_ < in_.size() && std::isalpha(static_cast<unsigned char>(in_[at_]))) {
      throw std::invalid_argument("the options of a group other than i, m and x are not known");
    }
  }

  /// A "{": repetitions that the two read differently are not known.
  void repeat() {
    const std::size_t close = std::min(in_.find('}', at_), in_.size());
    const std::string_view inside = in_.substr(at_ + 1, close - at_ - 1);
    const bool counts = close < in_.size() && !inside.empty() &&
                        inside.find_first_not_of("0123456789,") == inside.npos;
    if (counts && (inside[0] == ',' || in_.substr(close + 1, 1) == "+")) {
      throw std::invalid_argument("{,n} and a + behind {n,m} are not known");
    }
    out_ += in_[at_++];
  }

  void members(const std::string& list, bool inside, bool negated) {
    if (!inside) out_ += negated ? "[^" : "[";
    out_ += list;
    if (!inside) out_ += ']';
  }

  /// Where a word begins or ends.
  void boundary(bool negated) {
    const std::string word = "[" + word_members() + "]";
    const std::string edge =
        "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))";
    out_ += negated ? "(?!" + edge + ")" : edge;
  }

  void property(bool negated, bool inside) {
    const std::size_t close = at_ < in_.size() && in_[at_] == '{' ? in_.find('}', at_) : in_.npos;
    if (close == in_.npos) throw std::invalid_argument("a \\p without a {name}");
    std::string_view name = in_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (negated && inside) return put("\\P{" + std::string(name) + "}");
    members(category_members(name), inside, negated);
  }

  void character_class() {
    out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == '^') out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == ']') {
      out_ += "\\]";
      ++at_;
    }
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '\\') {
        escape(true);
      } else if (in_[at_] == '[' && in_.substr(at_, 2) != "[:") {
        throw std::invalid_argument("a class within a class is not known");
      } else if (in_.substr(at_, 2) == "&&") {
        throw std::invalid_argument("the intersection of classes (&&) is not known");
      } else if (in_[at_] == '[') {
        const std::size_t close = in_.find(":]", at_);
        if (close == in_.npos) throw std::invalid_argument("[: without :]");
        out_ += in_.substr(at_, close + 2 - at_);
        at_ = close + 2;
      } else {
        out_ += in_[at_++];
      }
    }
    if (at_ == in_.size()) throw std::invalid_argument("a class that is not closed");
    out_ += in_[at_++];
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  bool anchored_ = false;
};

/// What a thread needs to match, whatever the pattern.
struct Matching {
  Matching()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 * 1024, kStackBytes, nullptr)) {
    if (!data || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Matching() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Matching(const Matching&) = delete;
  Matching& operator=(const Matching&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR units(const char* text) { return reinterpret_cast<PCRE2_SPTR>(text); }

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
};

Regex::Regex(std::string_view pattern) {
  Translation translation(pattern);
  const std::string translated = translation.run();
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(
      units(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (!code) throw std::invalid_argument(error_text(error));
  code_ = std::make_shared<Code>(code);
  // Where it can't be compiled to machine code, it is interpreted.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);

  std::uint32_t behind = 0;
  std::uint32_t empty = 0;
  pcre2_pattern_info(code, PCRE2_INFO_MAXLOOKBEHIND, &behind);
  pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
  streams_ = behind == 0 && empty == 0 && !translation.anchored();
}

Regex::Found Regex::find(std::string_view text, std::size_t from, bool last) const {
  thread_local Matching matching;
  const std::uint32_t options = PCRE2_NO_UTF_CHECK | (last ? 0 : PCRE2_PARTIAL_HARD);
  int rc = pcre2_match(code_->code, units(text.data()), text.size(), from, options, matching.data,
                       matching.context);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(code_->code, units(text.data()), text.size(), from, options | PCRE2_NO_JIT,
                     matching.data, matching.context);
  }
  if (rc == PCRE2_ERROR_NOMATCH) return {Found::State::none};
  const PCRE2_SIZE* at = pcre2_get_ovector_pointer(matching.data);
  if (rc == PCRE2_ERROR_PARTIAL) return {Found::State::more, at[0], at[1]};
  if (rc < 0) {
    throw TokenizerError("a regular expression of the tokenizer can't be matched on this text: " +
                         error_text(rc));
  }
  return {Found::State::match, at[0], at[1]};
}

}  // namespace knowmap::text
