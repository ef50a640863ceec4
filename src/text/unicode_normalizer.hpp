#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// `NFC`, `NFD`, `NFKC`, `NFKD` (Unicode annex 15). Text that is in the form
/// already, which nearly all is, is copied.
class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form);
  std::size_t run(std::string_view text, Place place, std::string& out) const override;

 private:
  struct Mark {
    char32_t c;
    std::uint8_t combining_class;
  };
  void normalize_run(std::string_view run, std::string& out) const;
  void append_decomposed(char32_t c, std::vector<Mark>& out) const;

  enum Flag : std::uint8_t {
    kChanges = 1,  // alone it isn't in the form
    kJoins = 2,    // what comes before it can matter: they may compose, or change places
  };
  bool composes_;
  bool compatibly_;
  CodePointTable<std::uint8_t> flags_;
  CodePointTable<std::uint8_t> make_flags() const;
};

}  // namespace knowmap::text
