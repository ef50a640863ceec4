#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/byte_trie.hpp"

namespace knowmap::text {

/// Tokens and their ids. Two tokens may have one id, as `tokenizers` allows.
class Vocabulary {
 public:
  /// Each token once; ids ≥ 0.
  explicit Vocabulary(std::vector<std::pair<std::string, std::int32_t>> tokens);

  /// How many tokens there are: not the highest id, where ids have gaps.
  std::size_t size() const { return tokens_.size(); }
  /// -1 where there are no tokens.
  std::int32_t highest_id() const { return tokens_.empty() ? -1 : tokens_.back().second; }
  /// The id of a token, or -1.
  std::int32_t id(std::string_view token) const { return trie_.find(token); }
  /// The token of an id; empty where there is none.
  std::string_view token(std::int32_t id) const;
  /// The longest token that `text` starts with.
  ByteTrie::Match longest(std::string_view text) const { return trie_.longest(text); }
  /// Calls f(id, length) for each token that `text` starts with, the shortest first.
  template <typename F>
  void for_each_prefix(std::string_view text, F f) const {
    trie_.for_each_prefix(text, f);
  }
  /// All tokens, by id.
  const std::vector<std::pair<std::string, std::int32_t>>& tokens() const { return tokens_; }

 private:
  std::vector<std::pair<std::string, std::int32_t>> tokens_;
  ByteTrie trie_;
};

/// Cuts a word into the tokens of a vocabulary. Thread-safe.
class Model {
 public:
  /// Buffers that one thread keeps from word to word.
  class Scratch {
   public:
    virtual ~Scratch() = default;
  };

  virtual ~Model() = default;
  /// What `tokenize` needs; null where that is nothing.
  virtual std::unique_ptr<Scratch> make_scratch() const { return nullptr; }
  /// Appends the ids of `word`, which is valid UTF-8 and not empty. May stop
  /// once there are `limit` ids in all. Throws `TokenizerError` for a word that
  /// has no ids, not even an unknown one.
  virtual void tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                        std::vector<std::int32_t>& ids) const = 0;
  /// The last place where a word that begins with `text` may be cut so that its
  /// two parts give the same ids apart; 0 where there is none.
  virtual std::size_t last_cut(std::string_view) const { return 0; }
  virtual const Vocabulary& vocabulary() const = 0;
};

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  /// A word of more code points is one unknown token.
  std::size_t max_input_chars_per_word = 100;
};

/// `WordPiece`: again and again the longest token that the rest of the word
/// starts with; where there is none, the whole word is unknown.
class WordPiece final : public Model {
 public:
  /// `unk_token` must be in the vocabulary.
  WordPiece(Vocabulary vocabulary, const WordPieceOptions& options);

  void tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  bool is_too_long(std::string_view word) const;

  Vocabulary vocabulary_;
  /// Tokens that go on with a word, without their prefix.
  ByteTrie continuing_;
  std::int32_t unknown_;
  std::size_t max_chars_;
};

/// `WordLevel`: a word is a token, or unknown.
class WordLevel final : public Model {
 public:
  WordLevel(Vocabulary vocabulary, const std::string& unk_token)
      : vocabulary_(std::move(vocabulary)), unknown_(vocabulary_.id(unk_token)) {}

  void tokenize(std::string_view word, Scratch* scratch, std::size_t limit,
                std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  std::int32_t unknown_;  // -1: there is none
};

/// The ids of the tokens <0x00> … <0xFF>, -1 where there is none.
std::array<std::int32_t, 256> byte_ids(const Vocabulary& vocabulary);

}  // namespace knowmap::text
