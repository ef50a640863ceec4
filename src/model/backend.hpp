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
  at::Tensor word;      // (vocabulary, dim)
  at::Tensor position;  // (positions, dim)
  at::Tensor type;      // (dim): the one type that single texts have
  LayerNormWeights norm;
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
  /// Each text attends to itself. `qkv` (tokens, 3 · heads · head_dim) holds all
  /// queries, then keys, then values of a token → (tokens, heads · head_dim).
  virtual at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens,
                               std::int64_t heads) const = 0;
  /// out = layer_norm(x + residual), all (tokens, dim); `out` may be `x` or `residual`.
  virtual void add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                              const LayerNormWeights& norm, at::Tensor& out) const = 0;
};

/// libtorch's own operators, on any device.
std::unique_ptr<Backend> make_generic_backend(at::Device device, at::ScalarType dtype);
/// Prepacked oneDNN linears and our kernels, on the CPU; float32 or bfloat16.
std::unique_ptr<Backend> make_cpu_backend(at::ScalarType dtype);

}  // namespace knowmap
