#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.hpp"
#include "text/unicode.hpp"

namespace knowmap::text {

struct BpeOptions {
  /// What stands for a code point that is not in the vocabulary; without it,
  /// such a code point is left out.
  std::optional<std::string> unk_token;
  /// Before each code point of a word but the first, and behind the last.
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  /// Unknown code points side by side are one unknown token.
  bool fuse_unk = false;
  /// A code point that is not in the vocabulary is spelled <0xE4><0xB8><0xAD>.
  bool byte_fallback = false;
  /// A word that is a token is that token, whatever the merges say.
  bool ignore_merges = false;
};

/// A map from two numbers to two, made once.
class PairMap {
 public:
  struct Value {
    std::uint32_t rank;
    std::int32_t id;
  };
  explicit PairMap(std::size_t size);
  /// A later value for the same pair replaces the earlier one.
  void set(std::uint32_t a, std::uint32_t b, Value value);
  /// Null where there is none.
  const Value* find(std::uint32_t a, std::uint32_t b) const {
    const std::uint64_t key = std::uint64_t{a} << 32 | b;
    for (std::size_t i = slot(key);; i = (i + 1) & (entries_.size() - 1)) {
      if (entries_[i].key == key) return &entries_[i].value;
      if (entries_[i].key == kFree) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Entry {
    std::uint64_t key = kFree;
    Value value{};
  };
  std::size_t slot(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ULL) >> shift_);
  }
  int shift_;
  std::vector<Entry> entries_;
};

/// `BPE`: a word is cut into code points, and again and again the neighbours
/// whose merge comes first in the list are joined.
///
/// Long words (whole texts, where nothing cuts them) are cut first between code
/// points that no merge ever joins: that changes no id.
class Bpe final : public Model {
 public:
  struct Merge {
    std::int32_t left;
    std::int32_t right;
    std::int32_t merged;
  };

  /// Merges by rank; their ids are in the vocabulary.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options);

  std::unique_ptr<Scratch> make_scratch() const override;
  void tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                std::vector<std::int32_t>& ids) const override;
  std::size_t last_cut(std::string_view text) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Work;
  struct Symbol {
    std::int32_t id;
    std::int32_t previous;
    std::int32_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t at;
    std::int32_t merged;
  };

  void tokenize_part(std::string_view part, Work& work, std::vector<std::int32_t>& ids) const;
  void spell(std::string_view part, std::vector<Symbol>& symbols) const;
  void merge(Work& work) const;
  std::int32_t unknown(std::string_view code_point) const;
  void allow_cuts(const std::vector<Merge>& merges);
  bool joined(char32_t left, char32_t right) const;

  /// For a code point: its token's id, or one of these.
  static constexpr std::int32_t kNoToken = -1;
  static constexpr std::int32_t kBytes = -2;

  Vocabulary vocabulary_;
  BpeOptions options_;
  PairMap merges_;
  std::array<std::int32_t, 256> bytes_;
  CodePointTable<std::int32_t> code_points_;
  std::int32_t unknown_ = -1;

  /// Whether words may be cut at all, and which code points some merge joins.
  bool cuts_ = false;
  PairMap joined_;
  std::bitset<128 * 128> joined_ascii_;
};

}  // namespace knowmap::text
