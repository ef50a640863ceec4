#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/pre_tokenizer.hpp"
#include "text/regex.hpp"

namespace knowmap::text {

/// What becomes of the matches that text is cut at.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// A stretch of text that a pattern matches, or that lies between two matches.
struct Piece {
  std::size_t begin;
  std::size_t end;
  bool is_match;
};

/// Finds what text is cut at. Thread-safe.
class Pattern {
 public:
  virtual ~Pattern() = default;
  /// Appends pieces that cover `text`, or where not `last`, as much of it as
  /// what follows can't change.
  virtual void find(std::string_view text, bool last, std::vector<Piece>& pieces) const = 0;
};

/// A string that is not empty.
class StringPattern final : public Pattern {
 public:
  explicit StringPattern(std::string string) : string_(std::move(string)) {}
  void find(std::string_view text, bool last, std::vector<Piece>& pieces) const override;

 private:
  std::string string_;
};

/// Each code point with a property.
class PropertyPattern final : public Pattern {
 public:
  explicit PropertyPattern(Property property) : property_(property) {}
  void find(std::string_view text, bool last, std::vector<Piece>& pieces) const override;

 private:
  Property property_;
};

class RegexPattern final : public Pattern {
 public:
  explicit RegexPattern(Regex regex) : regex_(std::move(regex)) {}
  void find(std::string_view text, bool last, std::vector<Piece>& pieces) const override;
  /// Appends pieces up to the end of the last match, and returns how far it is
  /// sure that no other one begins.
  std::size_t find_matches(std::string_view text, bool last, std::vector<Piece>& pieces) const;

 private:
  Regex regex_;
};

/// `Split`, and `Punctuation`, `Digits`, `WhitespaceSplit`, `CharDelimiterSplit`,
/// which are splits with a pattern of their own.
class Split final : public PreTokenizer {
 public:
  /// `invert`: what the pattern leaves is what text is cut at.
  Split(std::unique_ptr<const Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  std::size_t split(std::string_view text, bool last, std::vector<Span>& words) const override;

 private:
  std::unique_ptr<const Pattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace knowmap::text
