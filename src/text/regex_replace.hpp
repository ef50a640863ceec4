#pragma once

#include <string>
#include <string_view>

#include "text/normalizer.hpp"
#include "text/split.hpp"

namespace knowmap::text {

/// `Replace` of what a pattern matches.
class RegexReplace final : public Normalizer {
 public:
  RegexReplace(Regex regex, std::string content)
      : pattern_(std::move(regex)), content_(std::move(content)) {}

  std::size_t run(std::string_view text, Place place, std::string& out) const override {
    std::vector<Piece> pieces;
    const std::size_t sure = pattern_.find_matches(text, place.last, pieces);
    for (const Piece& piece : pieces) {
      if (piece.is_match) {
        out += content_;
      } else {
        out.append(text.substr(piece.begin, piece.end - piece.begin));
      }
    }
    const std::size_t done = pieces.empty() ? 0 : pieces.back().end;
    out.append(text.substr(done, sure - done));
    return sure;
  }

 private:
  RegexPattern pattern_;
  std::string content_;
};

}  // namespace knowmap::text
