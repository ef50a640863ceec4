#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/parallel.hpp"
#include "text/added_tokens.hpp"
#include "text/model.hpp"
#include "text/normalizer.hpp"
#include "text/post_processor.hpp"
#include "text/pre_tokenizer.hpp"

namespace knowmap::text {

/// A step that cuts text into words: it rewrites the text or splits it. One of
/// the two is null.
struct CuttingStep {
  std::unique_ptr<const Normalizer> rewrite;
  std::unique_ptr<const PreTokenizer> split;
};

/// The parts of a tokenizer, as `tokenizer.json` lists them. No part is null.
struct Pipeline {
  /// All added tokens, by id.
  std::vector<AddedToken> added;
  /// Those that are looked for in the raw text, and those in the normalised.
  AddedTokens raw_tokens;
  AddedTokens normalized_tokens;
  /// One after the other; there is at least one, whose output is valid UTF-8.
  std::vector<std::unique_ptr<const Normalizer>> normalizers;
  /// One after the other, each on the words of the one before it.
  std::vector<CuttingStep> cutting;
  std::unique_ptr<const Model> model;
  std::unique_ptr<const PostProcessor> post_processor;

  /// One more than the highest id.
  std::int32_t vocabulary_size() const;
};

/// Reads the text of a `tokenizer.json`; throws `TokenizerError`.
Pipeline parse_pipeline(std::string_view json, std::string_view origin);

/// Runs texts through a pipeline, a piece at a time, and stops once it has the
/// ids that were asked for: memory and work follow the ids, not the text. Keeps
/// its buffers from text to text; one for each thread.
class Encoder {
 public:
  explicit Encoder(const Pipeline& pipeline);

  /// Appends the ids of `text`, at most `max_length` (0 = no limit, otherwise
  /// at least the number of special tokens). Stops early, with some ids
  /// missing, where `monitor` is cancelled.
  void encode(std::string_view text, std::size_t max_length, std::vector<std::int32_t>& ids,
              const Monitor* monitor = nullptr);

  /// Bytes that the steps have been given so far, counted again where they were
  /// given again: a measure of work that is the same on every machine.
  std::uint64_t work() const { return work_; }

 private:
  /// What a step left for when more text has come.
  struct Buffer {
    std::string text;
    bool started = false;
    std::vector<Span> words;
  };

  bool done() const;
  void encode_sections(std::string_view text);
  void begin_section(std::string_view rest, bool of_text);
  std::size_t feed(std::string_view raw, bool last);
  std::size_t normalize(std::string_view raw, bool last);
  std::size_t pending() const;
  void drain(bool last);
  std::size_t cut(std::size_t begin, std::size_t end, bool last);
  std::size_t cut_step(std::size_t step, std::string_view text, bool of_text, bool last);
  void forget_consumed();

  const Pipeline& pipeline_;
  const Monitor* monitor_ = nullptr;
  std::vector<std::int32_t>* ids_ = nullptr;
  /// The size that `ids_` may reach before the closing special tokens.
  std::size_t limit_ = 0;
  std::unique_ptr<Model::Scratch> scratch_;

  /// What stands before each normaliser but the first, which reads the text.
  std::vector<Buffer> normalizing_;
  /// What stands behind each step that rewrites, and the words of each that splits.
  std::vector<Buffer> cutting_;

  /// Normalised text of the section at hand: what is before `consumed_` has
  /// become ids and stays only as context.
  std::string normalized_;
  std::size_t consumed_ = 0;
  /// Where the search for added tokens goes on in `normalized_`.
  std::size_t search_ = 0;
  /// White space that follows belongs to the added token before it.
  bool stripping_ = false;
  /// The text's first code point is the next to be cut.
  bool of_text_ = false;
  std::uint64_t work_ = 0;
};

}  // namespace knowmap::text
