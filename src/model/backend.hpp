#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/activation.hpp"
#include "model/architecture.hpp"
#include "support/team.hpp"

namespace knowmap {

/// Token ids of some texts laid end to end; text i owns [offsets[i], offsets[i + 1]).
struct PackedTokens {
  std::span<const std::int32_t> ids;
  std::span<const std::int64_t> offsets;

  std::int64_t tokens() const { return offsets.back() - offsets.front(); }
  std::int64_t texts() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// y = activation(x Wᵀ + b), prepared once for its device.
class Linear {
 public:
  virtual ~Linear() = default;
  /// x (rows, in) → (rows, out).
  virtual at::Tensor operator()(const at::Tensor& x) const = 0;
  /// The same into `y` (rows, out), whose rows lie one after the other.
  virtual void into(const at::Tensor& x, at::Tensor& y) const { y.copy_((*this)(x)); }
  /// next(this(x)); what passes between the two need not be laid out where both know a
  /// shorter way.
  virtual at::Tensor then(const at::Tensor& x, const Linear& next) const {
    return next((*this)(x));
  }
  /// What computes behind it: itself, or the form that was chosen.
  virtual const Linear& form() const { return *this; }
};

/// How large each input channel of a product gets, (in) a product in the model's
/// order; undefined where it is not known.
using ChannelSizes = std::vector<at::Tensor>;

/// A linear of which it is not settled yet whether it computes in the backend's
/// own format or in 8 bits: modes at will, then `settle`.
class SwitchableLinear : public Linear {
 public:
  enum class Mode {
    own,      ///< the backend's format
    compare,  ///< own; the 8-bit product is made beside it, for `error`
    int8,
  };
  virtual void set_mode(Mode mode) = 0;
  /// Squared distance of the compared products over their squared length, in the
  /// mean over rows: the same for any threads and however rows were cut.
  virtual double error() const = 0;
  /// Seconds that a product over some hundred rows takes on the calling thread.
  virtual double seconds(Mode mode) const = 0;
  /// Lets the form that the mode does not need go, and what the choice needed.
  virtual void settle() = 0;
  /// Multiplications a row.
  virtual std::int64_t work() const = 0;
};

struct NormWeights {
  at::Tensor gamma;  // (dim), float32 on the CPU
  at::Tensor beta;   // (dim), or undefined
  double eps = 1e-12;
  NormKind kind = NormKind::layer_norm;

  explicit operator bool() const { return gamma.defined(); }
};

struct EmbeddingTables {
  at::Tensor word;                   // (vocabulary, dim)
  at::Tensor position;               // (positions, dim), or undefined
  std::int64_t position_offset = 0;  // row of a text's first token
  std::int64_t padding_id = -1;      // an id that has the row before that, and is not counted
  at::Tensor type;                   // (dim): the one type that single texts have; or undefined
  double scale = 1.0;
  NormWeights norm;  // or none
};

/// How a layer's tokens see each other.
struct AttentionOptions {
  std::int64_t heads = 0;
  /// Heads of keys and values, each shared by heads / kv_heads queries' heads.
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double scale = 1.0;
  Sight sight;
  /// What is added to scores by head and distance, where defined: float32
  /// (heads, distances) on the device, distance 0 (key - query) in column
  /// `bias_zero`, with 32 columns to spare beyond the greatest distance.
  at::Tensor bias;
  std::int64_t bias_zero = 0;
};

/// What happens to queries and keys before they meet.
struct HeadOptions {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  NormWeights query_norm;  // over head_dim; or none
  NormWeights key_norm;
  at::Tensor rotary;  // `Backend::rotary_table`, or undefined
};

/// The few operations that a transformer is made of, on one device and in one
/// number format. Tokens come without padding; no operation lays out scores of
/// the size texts × heads × length².
class Backend {
 public:
  virtual ~Backend() = default;

  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// What products' weights are held in.
  virtual at::ScalarType weight_dtype() const { return dtype(); }
  /// What the products' library makes and keeps as it meets new numbers of rows, bytes.
  virtual std::uint64_t kernel_bytes() const { return 0; }
  /// Products compute rows in multiples of it: others are filled up.
  virtual std::int64_t row_multiple() const { return 1; }

  /// A weight of the file, on the CPU, in the form that norms and the embedding's
  /// smaller tables take.
  virtual at::Tensor keep(const at::Tensor& weight) const = 0;
  /// The table of words: where it is, if it can stay there.
  virtual at::Tensor keep_table(const at::Tensor& weight) const = 0;
  /// `weight` (out, in) and `bias` (out) in the file's number format; `activation`
  /// is none or gelu, `number` the product's place in the model's order.
  virtual std::unique_ptr<Linear> linear(const at::Tensor& weight, const at::Tensor& bias,
                                         Activation activation, std::size_t number) const = 0;
  /// (tokens, dim): word · scale + position + type, normalised.
  virtual at::Tensor embed(const PackedTokens& tokens, const EmbeddingTables& tables) const = 0;
  /// Cosines and sines of the positions before `length`, for `turn_heads`.
  at::Tensor rotary_table(const Rope& rope, std::int64_t length) const;
  /// Norms and turns the queries and keys of `qkv` where they are; its layout is
  /// that of `attention`, its first row that of token `first`.
  virtual void turn_heads(at::Tensor& qkv, const PackedTokens& tokens, std::int64_t first,
                          const HeadOptions& options) const = 0;
  /// Each text attends to itself. `qkv` (tokens, (heads + 2 kv_heads) · head_dim)
  /// holds all queries, then keys, then values of a token; `out` is (tokens,
  /// heads · head_dim) and may be the queries' part of `qkv`. On the CPU the
  /// team's idle threads help.
  virtual void attention(const at::Tensor& qkv, const PackedTokens& tokens,
                         const AttentionOptions& options, Team* team, at::Tensor& out) const = 0;
  /// out = norm(x), (rows, dim); `out` may be `x`.
  virtual void norm(const at::Tensor& x, const NormWeights& norm, at::Tensor& out) const = 0;
  /// out = layer_norm(x + residual), all (rows, dim); `out` may be `x` or `residual`.
  virtual void add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                              const NormWeights& norm, at::Tensor& out) const = 0;
  /// x += y.
  virtual void add(at::Tensor& x, const at::Tensor& y) const = 0;
  /// x = activation(x), for those that `linear` does not know (gelu, and none, it does).
  virtual void activate(at::Tensor& x, Activation activation) const = 0;
  /// (rows, 2 n) → (rows, n): activation(first half) · second half.
  virtual at::Tensor gate(const at::Tensor& x, Activation activation) const = 0;
};

/// libtorch's own operators, on any device.
std::unique_ptr<Backend> make_generic_backend(at::Device device, at::ScalarType dtype);
/// Our kernels, and prepacked oneDNN linears where these are faster, on the CPU; float32, bfloat16,
/// or float16: products' weights held so, arithmetic and activations in float32.
std::unique_ptr<Backend> make_cpu_backend(at::ScalarType dtype);
/// The same in float32; what goes through the products is noted in `sizes`, which
/// has a place for each and outlives the backend.
std::unique_ptr<Backend> make_watching_cpu_backend(ChannelSizes& sizes);
/// The same with every linear switchable, in 8 bits with channels brought to like
/// sizes by `sizes`; they are appended to `linears` as the model makes them, and
/// belong to the model. Both outlive the loading.
std::unique_ptr<Backend> make_switchable_cpu_backend(at::ScalarType dtype,
                                                     std::vector<SwitchableLinear*>& linears,
                                                     const ChannelSizes& sizes);

/// Whether this machine's bfloat16 products are quicker than its float32 ones: it
/// has arithmetic for them, and the instructions that KNOWMAP_MAX_ISA allows include it.
bool bfloat16_is_fast();

}  // namespace knowmap
