#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.hpp"

namespace knowmap::text {

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin;
  std::size_t end;
};

/// Cuts normalised text into words. Thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  /// Appends the words of `text` (valid UTF-8) to `words` and returns how many
  /// bytes are done with. Where more text follows (`last` is false), words that
  /// it could change are left for the next call.
  virtual std::size_t split(std::string_view text, bool last, std::vector<Span>& words) const = 0;
};

/// `BertPreTokenizer`: words end at white space, and each punctuation mark is a
/// word of its own.
class BertPreTokenizer final : public PreTokenizer {
 public:
  BertPreTokenizer();
  std::size_t split(std::string_view text, bool last, std::vector<Span>& words) const override;

 private:
  const Properties& properties_;
  std::array<std::uint16_t, 128> ascii_;
};

/// `Whitespace`: runs of \w, and runs of what is neither that nor white space.
class WhitespacePreTokenizer final : public PreTokenizer {
 public:
  std::size_t split(std::string_view text, bool last, std::vector<Span>& words) const override;
};

}  // namespace knowmap::text
