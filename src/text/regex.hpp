#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace knowmap::text {

/// A regular expression as `tokenizers` reads it (Oniguruma's syntax, Unicode
/// 16), by PCRE2: what the two read differently is rewritten. Thread-safe.
class Regex {
 public:
  struct Found {
    enum class State { match, none, more } state;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// Throws std::invalid_argument with PCRE2's reason.
  explicit Regex(std::string_view pattern);

  /// Whether text can be searched before all of it is there: no match is empty
  /// and none depends on what stands before it.
  bool streams() const { return streams_; }

  /// The first match in text[from, ...), where `text` is valid UTF-8. `more`:
  /// text behind the end could change it; from `begin` on nothing is sure.
  /// Asked only where not `last`. Throws `TokenizerError` where PCRE2 gives up.
  Found find(std::string_view text, std::size_t from, bool last) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  bool streams_ = false;
};

}  // namespace knowmap::text
