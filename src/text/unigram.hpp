#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.hpp"
#include "text/model.hpp"

namespace knowmap::text {

/// `Unigram`: of all ways to cut a word into tokens, that of the greatest sum of
/// scores (Kudo 2018), found by Viterbi's algorithm. Unknown code points side by
/// side are one unknown token, or the tokens of their bytes.
class Unigram final : public Model {
 public:
  /// Tokens and scores by id. `unknown`: the id of the unknown token.
  Unigram(const std::vector<std::pair<std::string, double>>& tokens,
          std::optional<std::int32_t> unknown, bool byte_fallback);

  std::unique_ptr<Scratch> make_scratch() const override;
  void tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Work;
  /// The best way to reach a place.
  struct Node {
    double score = 0;
    std::size_t from = kNone;
    std::int32_t id = 0;
  };
  struct Piece {
    std::size_t begin;
    std::size_t end;
    std::int32_t id;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  void best_path(std::string_view word, Work& work, std::size_t limit,
                 std::vector<std::int32_t>& ids) const;
  void emit(std::string_view word, Work& work, std::vector<std::int32_t>& ids) const;
  void emit_unknown(std::string_view unknown, std::vector<std::int32_t>& ids) const;
  [[noreturn]] void fail_unknown(std::string_view unknown) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  double unknown_score_;
  std::optional<std::int32_t> unknown_;
  bool byte_fallback_;
  std::array<std::int32_t, 256> bytes_;
};

}  // namespace knowmap::text
