#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/fingerprint.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/tokenizer.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// What the model computes in. Embeddings are float32 whatever it is.
enum class Precision {
  automatic,  ///< bfloat16 where the device has arithmetic for it, else float32
  float32,
  bfloat16,
};

/// "auto", "float32", "bfloat16"; throws `std::invalid_argument`.
KNOWMAP_EXPORT Precision precision_from_name(std::string_view name);
KNOWMAP_EXPORT std::string_view precision_name(Precision precision) noexcept;

struct EmbedderOptions {
  /// "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", "mps".
  std::string device = "auto";
  Precision precision = Precision::automatic;
  /// Longest text in tokens, special tokens counted; the rest of a text is not
  /// read. 0 = what the model's files say.
  std::size_t max_seq_length = 0;
  /// Bytes that the engine plans for, weights included; 0 = what is free.
  std::uint64_t memory_limit = 0;
  /// Tokens that go through the model at once on one worker; 0 = planned.
  std::size_t batch_tokens = 0;
  /// Threads, 0 = one for each core. The result does not depend on it.
  int threads = 0;
};

/// What the last `encode` did.
struct EmbedReport {
  std::uint64_t texts = 0;
  std::uint64_t tokens = 0;
  std::uint64_t batches = 0;
  /// Times an allocation failed and a batch was split or shrunk.
  std::uint64_t backoffs = 0;
  double seconds = 0.0;
  /// Highest resident memory of the process seen meanwhile.
  std::uint64_t peak_bytes = 0;
  /// Tokens a batch, as planned and at the end.
  std::uint64_t batch_tokens_planned = 0;
  std::uint64_t batch_tokens_final = 0;
  std::string device;
  std::string precision;
};

/// Turns texts into vectors: tokenizer, transformer, pooling, normalisation, as
/// sentence-transformers lays them down in the model's folder.
///
/// Never builds scores of the size batch × heads × length². A failed allocation
/// splits the batch in hand and keeps what is done; `OutOfMemoryError` comes
/// only when a single text, cut into chunks, fails. One `encode` at a time.
class KNOWMAP_EXPORT Embedder {
 public:
  /// Reads a folder with `config.json`, `model.safetensors`, `tokenizer.json`
  /// and, where they exist, `modules.json` and the modules it names. Throws
  /// `ModelError`, `TokenizerError`, `std::invalid_argument` (options).
  static Embedder load(const std::filesystem::path& folder, const EmbedderOptions& options = {});

  Embedder(Embedder&&) noexcept;
  Embedder& operator=(Embedder&&) noexcept;
  ~Embedder();

  /// (texts, dimension), in the caller's order. Each row is the same bytes
  /// whatever texts come with it. Throws `OutOfMemoryError`, `CancelledError`.
  Matrix encode(std::span<const std::string_view> texts, const ProgressCallback& progress = {});
  /// The same into rows that the caller owns, (texts, dimension).
  void encode_into(std::span<const std::string_view> texts, MatrixView<float> out,
                   const ProgressCallback& progress = {});

  /// Ids as the model sees them: special tokens in, cut at `max_seq_length`.
  std::vector<std::vector<std::int32_t>> tokenize(std::span<const std::string_view> texts) const;

  const Tokenizer& tokenizer() const;
  std::size_t dimension() const;
  std::size_t max_seq_length() const;
  /// Resolved: never "auto".
  const std::string& device() const;
  Precision precision() const;
  /// Of the last `encode`.
  const EmbedReport& report() const;
  /// All that decides the bytes of a row: hashes of weights, tokenizer and
  /// configuration, pooling, precision, length.
  const Fingerprint& fingerprint() const;

 private:
  struct Impl;
  explicit Embedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace knowmap
