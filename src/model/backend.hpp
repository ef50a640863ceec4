#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

namespace knowmap {

/// Token ids of some texts laid end to end; text i owns [offsets[i], offsets[i + 1]).
struct PackedTokens {
  std::span<const std::int32_t> ids;
  std::span<const std::int64_t> offsets;

  std::int64_t tokens() const { return offsets.back() - offsets.front(); }
  std::int64_t texts() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

enum class Activation { none, gelu };

/// y = activation(x Wᵀ + b), prepared once for its device.
class Linear {
 public:
  virtual ~Linear() = default;
  /// x (rows, in) → (rows, out).
  virtual at::Tensor operator()(const at::Tensor& x) const = 0;
};

struct LayerNormWeights {
  at::Tensor gamma;  // (dim)
  at::Tensor beta;   // (dim)
  double eps = 1e-12;
};

struct EmbeddingTables {
  at::Tensor word;                   // (vocabulary, dim)
  at::Tensor position;               // (positions, dim)
  std::int64_t position_offset = 0;  // row of a text's first token
  at::Tensor type;                   // (dim): the one type that single texts have
  LayerNormWeights norm;
};

/// How a layer's tokens see each other.
struct AttentionOptions {
  static constexpr std::int64_t kAll = std::int64_t{1} << 40;

  std::int64_t heads = 0;
  /// Heads of keys and values, each shared by heads / kv_heads queries' heads.
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double scale = 1.0;
  /// Token i sees tokens i - before ... i + after of its text.
  std::int64_t before = kAll;
  std::int64_t after = kAll;
  /// What is added to scores by head and distance, where defined: float32
  /// (heads, distances) on the device, distance 0 (key - query) in column
  /// `bias_zero`, with 32 columns to spare beyond the greatest distance.
  at::Tensor bias;
  std::int64_t bias_zero = 0;
};

/// The few operations that a transformer is made of, on one device and in one
/// number format. Tokens come without padding; no operation lays out scores of
/// the size texts × heads × length².
class Backend {
 public:
  virtual ~Backend() = default;

  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// `embed` rounds its rows up to a multiple of this, with rows of zeros at the
  /// end; the other operations keep them. So products come in few sizes, for
  /// each of which oneDNN makes and keeps a kernel.
  virtual std::int64_t row_multiple() const { return 1; }

  /// A weight of the file (float32, on the CPU) in the form that `embed` and
  /// `add_layer_norm` take.
  virtual at::Tensor keep(const at::Tensor& weight) const = 0;
  /// `weight` (out, in) and `bias` (out) as in the file.
  virtual std::unique_ptr<Linear> linear(const at::Tensor& weight, const at::Tensor& bias,
                                         Activation activation) const = 0;
  /// (tokens rounded up, dim): word + position + type, normalised.
  virtual at::Tensor embed(const PackedTokens& tokens, const EmbeddingTables& tables) const = 0;
  /// Each text attends to itself. `qkv` (tokens, (heads + 2 kv_heads) · head_dim)
  /// holds all queries, then keys, then values of a token → (tokens, heads · head_dim).
  virtual at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens,
                               const AttentionOptions& options) const = 0;
  /// out = layer_norm(x + residual), all (tokens, dim); `out` may be `x` or `residual`.
  virtual void add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                              const LayerNormWeights& norm, at::Tensor& out) const = 0;
};

/// libtorch's own operators, on any device.
std::unique_ptr<Backend> make_generic_backend(at::Device device, at::ScalarType dtype);
/// Prepacked oneDNN linears and our kernels, on the CPU; float32 or bfloat16.
std::unique_ptr<Backend> make_cpu_backend(at::ScalarType dtype);

}  // namespace knowmap
