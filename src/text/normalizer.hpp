#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knowmap::text {

/// Where a stretch of text stands in the section that it belongs to. A section
/// is what lies between two added tokens; it may come in several stretches.
struct Place {
  /// Nothing of the section has been taken yet.
  bool start = true;
  /// The section starts where the whole text does.
  bool of_text = true;
  /// Nothing follows in the section.
  bool last = true;
};

/// Rewrites text: a normaliser, or the part of a pre-tokeniser that does so.
/// Thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;

  /// Appends to `out` what becomes of the beginning of `text`, as far as what
  /// follows can't change it, and returns how many bytes are done with: all of
  /// them where `place.last`. What is left comes again, with more behind it.
  virtual std::size_t run(std::string_view text, Place place, std::string& out) const = 0;
};

}  // namespace knowmap::text
