#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knowmap/fingerprint.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/progress.hpp"
#include "knowmap/tokenizer.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// What the model computes in. Embeddings are float32 whatever it is.
enum class Precision {
  /// The fastest that keeps embeddings at a cosine of 0.999 to float32's: int8
  /// where the processor multiplies 8-bit numbers faster and the model bears it
  /// (loading measures both), else bfloat16 where the device has arithmetic for
  /// it, else float32.
  automatic,
  float32,
  bfloat16,
  /// Weights in 16 bits; a CPU computes in float32, which `report` says.
  float16,
  /// CPU only: products in 8 bits, but those that would bring the cosine to
  /// float32's below 0.995, which stay in the CPU's own format.
  int8,
};

/// "auto", "float32", "bfloat16", "float16", "int8"; throws `std::invalid_argument`.
KNOWMAP_EXPORT Precision precision_from_name(std::string_view name);
KNOWMAP_EXPORT std::string_view precision_name(Precision precision) noexcept;

/// Whether all layers are held in memory.
enum class Residency {
  automatic,  ///< held, where they fit beside their activations
  resident,
  streamed,  ///< read layer by layer for many texts at a time; the same bytes
};

/// What is done to texts before the model, and to vectors after it.
struct EncodeOptions {
  /// Put before each text; where not given, `prompt_name`'s.
  std::optional<std::string> prompt;
  /// One of the model's prompts; "" = the model's default, if it has one.
  std::string prompt_name;
  /// Divide each vector by its length, whatever the model's modules do.
  bool normalize = false;
  /// Keep this many numbers of each vector (before `normalize`); 0 = what the
  /// model's files say, else all.
  std::size_t truncate_dim = 0;
};

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
  Residency residency = Residency::automatic;
};

/// How a run would be laid out in memory, all in bytes but for the counts.
struct EmbedPlan {
  std::uint64_t available = 0;  ///< for this run, beside what is held; 0 = not known
  std::uint64_t weights = 0;    ///< as held: all, or two layers and what is outside them
  std::uint64_t layer = 0;      ///< one layer's weights
  bool streamed = false;
  std::uint64_t activations = 0;  ///< of all workers' tokens
  std::uint64_t workspace = 0;    ///< of chunks, attention, and the products' kernels
  std::uint64_t lasting = 0;      ///< rows given back, and the word table's pages as they come in
  std::uint64_t held = 0;         ///< resident now, weights that are held included
  std::uint64_t peak = 0;         ///< the highest resident memory to be expected
  std::uint64_t batch_tokens = 0;
  std::uint64_t super_batch_tokens = 0;  ///< that go through a layer together, where streamed
  std::uint64_t chunk_rows = 0;
  int workers = 1;
};

/// What the last `encode` did.
struct EmbedReport {
  std::uint64_t texts = 0;
  std::uint64_t tokens = 0;
  std::uint64_t batches = 0;
  /// Times an allocation failed and a batch was split or shrunk.
  std::uint64_t backoffs = 0;
  double seconds = 0.0;
  /// Highest resident memory of the process seen meanwhile, and what was foreseen
  /// from the texts' lengths before anything was computed.
  std::uint64_t peak_bytes = 0;
  std::uint64_t planned_peak_bytes = 0;
  /// Tokens a batch, as planned and at the end.
  std::uint64_t batch_tokens_planned = 0;
  std::uint64_t batch_tokens_final = 0;
  std::string device;
  /// What was computed in, and what weights were held in where that differs.
  std::string precision;
  /// Why it is that precision, for a person to read.
  std::string precision_reason;
  /// Layers were read for each super-batch.
  bool streamed = false;
};

/// Turns texts into vectors: tokenizer, transformer, pooling, normalisation, as
/// sentence-transformers lays them down in the model's folder.
///
/// Never builds scores of the size batch × heads × length². A failed allocation
/// splits the batch in hand and keeps what is done; `OutOfMemoryError` comes
/// only when a single text, cut into chunks, fails. One `encode` at a time.
class KNOWMAP_EXPORT Embedder {
 public:
  /// Reads a folder with `config.json`, `model.safetensors` (or its index), `tokenizer.json`
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
  /// Embeds `runs` of the texts, each from its first text to before its second number, one
  /// after the other: `take(i, rows)` gets run i's rows, (its texts, dimension), as soon as
  /// they are there, and `report()` tells of that run then; it leaves the embedder as it is.
  /// While a run is computed the next one is tokenised, so that some moments see one thread
  /// more than `threads`. Progress counts each run anew. For rows that are to be kept as they
  /// are made, of collections larger than memory. Throws what `encode` and `take` throw, and
  /// `std::invalid_argument` for a run that lies outside the texts.
  void encode_runs(std::span<const std::string_view> texts,
                   std::span<const std::pair<std::size_t, std::size_t>> runs,
                   const std::function<void(std::size_t i, Matrix rows)>& take,
                   const ProgressCallback& progress = {});

  /// The last hidden states of each text's tokens, (tokens, hidden), float32.
  std::vector<Matrix> encode_tokens(std::span<const std::string_view> texts,
                                    const ProgressCallback& progress = {});

  /// What following calls of `encode` do; `dimension` and `fingerprint` follow.
  /// Throws `std::invalid_argument` for an unknown prompt_name, and where
  /// truncate_dim exceeds the model's dimension.
  void set_encode_options(const EncodeOptions& options);
  /// The model's prompts by name.
  const std::map<std::string, std::string>& prompts() const;
  /// For texts of `max_seq_length`, as many as there may be.
  EmbedPlan plan() const;
  /// For these texts, which are tokenised for it.
  EmbedPlan plan(std::span<const std::string_view> texts) const;

  /// Ids as the model sees them: special tokens in, cut at `max_seq_length`.
  std::vector<std::vector<std::int32_t>> tokenize(std::span<const std::string_view> texts) const;

  const Tokenizer& tokenizer() const;
  std::size_t dimension() const;
  std::size_t max_seq_length() const;
  /// Resolved: never "auto".
  const std::string& device() const;
  Precision precision() const;
  /// Of the last `encode`, or run of `encode_runs`.
  const EmbedReport& report() const;
  /// All that decides the bytes of a row: hashes of weights, tokenizer and
  /// configuration, pooling, precision, length.
  const Fingerprint& fingerprint() const;

 private:
  struct Impl;
  explicit Embedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Embeddings in fewer bytes, as sentence-transformers' quantize_embeddings.
/// `int8` and `uint8` put each dimension's range in `calibration` (rows of its
/// own; empty = the embeddings themselves) onto 256 steps. (rows, cols).
KNOWMAP_EXPORT std::vector<std::uint8_t> quantize_uint8(MatrixView<const float> embeddings,
                                                        MatrixView<const float> calibration = {});
KNOWMAP_EXPORT std::vector<std::int8_t> quantize_int8(MatrixView<const float> embeddings,
                                                      MatrixView<const float> calibration = {});
/// A bit a dimension, 1 where it is above 0, the first the highest of its byte:
/// (rows, (cols + 7) / 8).
KNOWMAP_EXPORT std::vector<std::uint8_t> quantize_binary(MatrixView<const float> embeddings);

}  // namespace knowmap
