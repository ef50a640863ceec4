#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/progress.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// Token ids of many texts laid end to end, without padding.
struct TokenBatch {
  /// Ids of all texts, one after the other.
  std::vector<std::int32_t> ids;
  /// Text i owns ids [offsets[i], offsets[i + 1]); texts + 1 entries.
  std::vector<std::int64_t> offsets{0};

  std::size_t texts() const { return offsets.size() - 1; }
  std::size_t tokens() const { return ids.size(); }
  std::span<const std::int32_t> text(std::size_t i) const {
    return {ids.data() + offsets[i], static_cast<std::size_t>(offsets[i + 1] - offsets[i])};
  }
};

/// Turns UTF-8 text into token ids as HF `tokenizers` would, from the same
/// `tokenizer.json`: WordPiece, WordLevel, BPE (byte-level or with byte
/// fall-back) and Unigram, with the normalisers, pre-tokenisers, post-processors
/// and added tokens that embedding models' files use.
///
/// The file's own `truncation` and `padding` sections are set aside: the length
/// is the caller's, and nothing is padded. Invalid UTF-8 is read as U+FFFD, one
/// for each maximal broken part, as Python's `errors="replace"` does.
/// Thread-safe: a loaded tokenizer never changes.
class KNOWMAP_EXPORT Tokenizer {
 public:
  /// Reads a `tokenizer.json`. Throws `TokenizerError` where the file is
  /// missing, malformed, or holds a component that is not known.
  static Tokenizer load(const std::filesystem::path& file);
  /// The same from the text of the file; `origin` names it in messages.
  static Tokenizer from_json(std::string_view json, std::string_view origin = "tokenizer.json");

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// The ids of one text with its special tokens ([CLS] … [SEP]), at most
  /// `max_length` of them, special tokens counted; 0 = no limit. Work stops
  /// once the length is sure. Throws `TokenizerError` for a text that the file
  /// has no id for, nor an unknown token.
  std::vector<std::int32_t> encode(std::string_view text, std::size_t max_length = 0) const;

  /// The ids of many texts on `threads` threads (0 = one for each core).
  TokenBatch encode_batch(std::span<const std::string_view> texts, std::size_t max_length = 0,
                          int threads = 0, const ProgressCallback& progress = {}) const;

  /// How many special tokens are put around one text.
  std::size_t special_tokens() const;
  /// One more than the highest id.
  std::size_t vocabulary_size() const;
  /// The token of an id; empty where there is none.
  std::string_view token(std::int32_t id) const;
  /// The id of a token, or -1.
  std::int32_t id(std::string_view token) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace knowmap
