#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "knowmap/matrix.hpp"
#include "model/backend.hpp"
#include "model/model_files.hpp"

namespace knowmap {

/// Asked between layers; true stops the forward pass with `CancelledError`.
using StopSign = std::function<bool()>;

/// A model with its weights on a device. Thread-safe: `forward` changes nothing.
class Transformer {
 public:
  virtual ~Transformer() = default;

  /// The last hidden state (tokens, hidden_size). `chunk_rows` bounds the rows
  /// that the feed-forward's wide activation exists for at a time.
  virtual at::Tensor forward(const PackedTokens& tokens, std::int64_t chunk_rows,
                             const StopSign& stop) const = 0;

  virtual const Backend& backend() const = 0;
  /// Bytes of one token's activations at their widest, apart from the chunk.
  virtual std::uint64_t bytes_per_token() const = 0;
  /// Bytes of one chunk row.
  virtual std::uint64_t bytes_per_chunk_row() const = 0;
  /// Bytes of the weights as they are held.
  virtual std::uint64_t weight_bytes() const = 0;

  /// Reads the weights that `files` names. Throws `ModelError`.
  static std::unique_ptr<Transformer> load(const ModelFiles& files,
                                           std::unique_ptr<Backend> backend);
};

/// One vector a text from its tokens' (tokens, hidden), float32, modes side by
/// side; L2-normalised on wish. `out[i]` has `modes × hidden` numbers.
void pool(const at::Tensor& hidden, const PackedTokens& tokens, const SentenceModules& modules,
          std::span<float* const> out);

}  // namespace knowmap
