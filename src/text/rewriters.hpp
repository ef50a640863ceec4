#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

/// Makes valid UTF-8 of anything: the first step of every file, but for those
/// that begin with `BertNormalizer`, which does so itself.
class Utf8Normalizer final : public Normalizer {
 public:
  std::size_t run(std::string_view text, Place place, std::string& out) const override;
};

/// Makes of each code point a string, without regard to what stands beside it.
class CodePointNormalizer : public Normalizer {
 public:
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 protected:
  static constexpr std::uint16_t kAnything = 0xFFFF;
  explicit CodePointNormalizer(std::uint16_t touched) : touched_(touched) {}
  /// Appends what becomes of `c`, not ASCII, which has a property of `touched`
  /// (or none, where that is `kAnything`).
  virtual void append(char32_t c, std::string& out) const = 0;
  /// What ASCII becomes: one byte each; 0 = it is taken out (as NUL never is).
  std::array<char, 128> ascii_ = identity();

 private:
  static std::array<char, 128> identity();
  std::uint16_t touched_;
};

/// `Lowercase`.
class Lowercase final : public CodePointNormalizer {
 public:
  Lowercase();

 private:
  void append(char32_t c, std::string& out) const override;
};

/// `StripAccents`: takes out all marks, without decomposing first.
class StripAccents final : public CodePointNormalizer {
 public:
  StripAccents() : CodePointNormalizer(kMark) {}

 private:
  void append(char32_t, std::string&) const override {}
};

/// `Nmt`: takes out some control characters, makes blanks of some others.
class Nmt final : public CodePointNormalizer {
 public:
  Nmt();

 private:
  void append(char32_t c, std::string& out) const override;
};

/// `Strip`: takes off white space at a section's ends.
class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  bool left_;
  bool right_;
};

/// `Prepend`: puts a string before a section that is not empty.
class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  std::string prefix_;
};

/// `Replace` of a string that is not empty.
class Replace final : public Normalizer {
 public:
  Replace(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::size_t run(std::string_view text, Place place, std::string& out) const override;
  const std::string& pattern() const { return pattern_; }
  const std::string& content() const { return content_; }

 private:
  std::string pattern_;
  std::string content_;
};

/// `ByteLevel`: spells each byte as a code point that can be seen (the table of
/// GPT-2's encoder.py).
class ByteLevel final : public Normalizer {
 public:
  ByteLevel();
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  struct Spelling {
    std::uint8_t length;
    std::array<char, 2> bytes;
  };
  std::array<Spelling, 256> spelling_;
};

enum class PrependScheme { always, first, never };

/// What `Metaspace` rewrites: blanks become another character, and one is put
/// before a section (`first`: only before a text) that doesn't start with it.
class Metaspace final : public Normalizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme);
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  Replace blanks_;
  PrependScheme scheme_;
};

/// The blank that the pre-tokeniser `ByteLevel` puts before a section that
/// doesn't start with one.
class PrefixSpace final : public Normalizer {
 public:
  std::size_t run(std::string_view text, Place place, std::string& out) const override;
};

}  // namespace knowmap::text
