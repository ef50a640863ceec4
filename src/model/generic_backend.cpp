#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

#include "model/backend.hpp"
#include "model/positions.hpp"

namespace knowmap {

namespace {

class GenericLinear final : public Linear {
 public:
  GenericLinear(at::Tensor weight, at::Tensor bias, Activation activation)
      : weight_(std::move(weight)), bias_(std::move(bias)), activation_(activation) {}

  at::Tensor operator()(const at::Tensor& x) const override {
    at::Tensor y = at::linear(x, weight_, bias_);
    return activation_ == Activation::gelu ? at::gelu_(y) : y;
  }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  Activation activation_;
};

class GenericBackend final : public Backend {
 public:
  GenericBackend(at::Device device, at::ScalarType dtype) : device_(device), dtype_(dtype) {}

  at::Device device() const override { return device_; }
  at::ScalarType dtype() const override { return dtype_; }

  at::Tensor keep(const at::Tensor& weight) const override { return weight.to(device_, dtype_); }

  at::Tensor keep_table(const at::Tensor& weight) const override { return keep(weight); }

  std::unique_ptr<Linear> linear(const at::Tensor& weight, const at::Tensor& bias,
                                 Activation activation, std::size_t /*number*/) const override {
    return std::make_unique<GenericLinear>(keep(weight), keep(bias), activation);
  }

  at::Tensor embed(const PackedTokens& tokens, const EmbeddingTables& tables) const override {
    const auto ids = tokens.ids.subspan(static_cast<std::size_t>(tokens.offsets.front()),
                                        static_cast<std::size_t>(tokens.tokens()));
    at::Tensor sum = at::embedding(tables.word, to_device(ids));
    if (tables.scale != 1.0) sum = (sum.to(at::kFloat) * tables.scale).to(dtype_);
    if (tables.position.defined()) {
      sum = sum + at::embedding(tables.position, to_device(table_positions(tokens, tables)));
    }
    if (tables.type.defined()) sum = sum + tables.type;
    return tables.norm ? normed(sum, tables.norm) : sum;
  }

  void turn_heads(at::Tensor& qkv, const PackedTokens& tokens, std::int64_t first_token,
                  const HeadOptions& o) const override {
    const at::Tensor where = to_device(positions_in_texts(tokens, first_token, qkv.size(0)));
    const auto part = [&](std::int64_t first, std::int64_t heads, const NormWeights& weights) {
      const at::Tensor view =
          qkv.narrow(1, first * o.head_dim, heads * o.head_dim).unflatten(1, {heads, o.head_dim});
      at::Tensor x = view.to(at::kFloat);
      if (weights) x = normed(x, weights);
      if (o.rotary.defined()) {
        const at::Tensor angles = o.rotary.index_select(0, where).unsqueeze(1);
        const std::int64_t half = o.head_dim / 2;
        const at::Tensor cosine = angles.narrow(2, 0, half);
        const at::Tensor sine = angles.narrow(2, half, half);
        const at::Tensor a = x.narrow(2, 0, half);
        const at::Tensor b = x.narrow(2, half, half);
        x = at::cat({a * cosine - b * sine, b * cosine + a * sine}, 2);
      }
      view.copy_(x);
    };
    if (o.query_norm || o.rotary.defined()) part(0, o.heads, o.query_norm);
    if (o.key_norm || o.rotary.defined()) part(o.heads, o.kv_heads, o.key_norm);
  }

  void attention(const at::Tensor& qkv, const PackedTokens& tokens, const AttentionOptions& o,
                 Team* /*team*/, at::Tensor& out) const override {
    const auto groups = groups_of(tokens);
    for (const auto& [length, count, index] : groups->groups) {
      // (count, heads + 2 kv_heads, length, head_dim)
      const at::Tensor group = qkv.index_select(0, index)
                                   .view({count, length, o.heads + 2 * o.kv_heads, o.head_dim})
                                   .transpose(1, 2);
      const at::Tensor mixed =
          attend(group.narrow(1, 0, o.heads), group.narrow(1, o.heads, o.kv_heads),
                 group.narrow(1, o.heads + o.kv_heads, o.kv_heads), o);
      out.index_copy_(0, index, mixed.transpose(1, 2).reshape({count * length, out.size(1)}));
    }
  }

  void norm(const at::Tensor& x, const NormWeights& weights, at::Tensor& out) const override {
    out.copy_(normed(x, weights));
  }

  void add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const NormWeights& weights,
                      at::Tensor& out) const override {
    out.copy_(normed(x + residual, weights));
  }

  void add(at::Tensor& x, const at::Tensor& y) const override { x.add_(y); }

  void activate(at::Tensor& x, Activation activation) const override {
    x.copy_(activated(x, activation));
  }

  at::Tensor gate(const at::Tensor& x, Activation activation) const override {
    const std::int64_t n = x.size(1) / 2;
    return activated(x.narrow(1, 0, n), activation) * x.narrow(1, n, n);
  }

 private:
  // Masked scores exist for this many queries at a time.
  static constexpr std::int64_t kQueries = 256;

  /// (count, heads, length, head_dim) from keys and values of fewer heads.
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& o) const {
    const std::int64_t length = q.size(2);
    const bool grouped = o.heads != o.kv_heads;
    const bool all_before = o.sight.before >= length - 1;
    const bool all_after = o.sight.after >= length - 1;
    if (!o.bias.defined() && all_before && (all_after || o.sight.after == 0)) {
      return at::scaled_dot_product_attention(q, k, v, {}, 0.0, !all_after, o.scale, grouped);
    }
    at::Tensor out = at::empty_like(q, at::MemoryFormat::Contiguous);
    for (std::int64_t i = 0; i < length; i += kQueries) {
      const std::int64_t n = std::min(kQueries, length - i);
      const std::int64_t begin = std::max<std::int64_t>(0, i - o.sight.before);
      const std::int64_t end = std::min(length, i + n + o.sight.after);
      const at::Tensor distance = at::arange(begin, end, at::kLong).unsqueeze(0) -
                                  at::arange(i, i + n, at::kLong).unsqueeze(1);
      at::Tensor mask = at::zeros(distance.sizes(), at::kFloat);
      mask.masked_fill_(distance.lt(-o.sight.before).logical_or_(distance.gt(o.sight.after)),
                        -std::numeric_limits<double>::infinity());
      mask = mask.to(device_);
      if (o.bias.defined()) {
        mask = mask + o.bias.index_select(1, (distance + o.bias_zero).flatten().to(device_))
                          .view({o.heads, n, end - begin});
      }
      out.narrow(2, i, n).copy_(at::scaled_dot_product_attention(
          q.narrow(2, i, n), k.narrow(2, begin, end - begin), v.narrow(2, begin, end - begin),
          mask.to(dtype_), 0.0, false, o.scale, grouped));
    }
    return out;
  }

  template <class Numbers>
  at::Tensor to_device(const Numbers& numbers) const {
    return to_device(
        at::tensor(at::ArrayRef<std::int32_t>(numbers.data(), numbers.size()), at::kInt));
  }

  /// From pinned memory where the device is CUDA: the copy then runs beside what
  /// the device has in hand, and nobody waits for it. (Its allocator keeps the
  /// memory until the copy is done.)
  at::Tensor to_device(const at::Tensor& numbers) const {
    if (!device_.is_cuda()) return numbers.to(device_);
    return numbers.pin_memory().to(device_, /*non_blocking=*/true);
  }

  /// Texts of one length, which go through the fused kernel together. No mask is
  /// needed then, and a mask would keep some devices from the fused kernel.
  struct Group {
    std::int64_t length;
    std::int64_t count;
    at::Tensor index;  // of their rows in the batch, text by text; on the device
  };
  struct Groups {
    std::vector<std::int64_t> offsets;
    std::vector<Group> groups;
  };

  /// A batch's groups, made once for all of its layers.
  std::shared_ptr<const Groups> groups_of(const PackedTokens& tokens) const {
    const std::lock_guard lock(groups_mutex_);
    if (groups_ != nullptr && std::ranges::equal(groups_->offsets, tokens.offsets)) return groups_;
    auto made = std::make_shared<Groups>();
    made->offsets.assign(tokens.offsets.begin(), tokens.offsets.end());
    std::map<std::int64_t, std::vector<std::int64_t>> by_length;
    const std::int64_t first = tokens.offsets.front();
    for (std::int64_t t = 0; t < tokens.texts(); ++t) {
      by_length[tokens.offsets[t + 1] - tokens.offsets[t]].push_back(tokens.offsets[t] - first);
    }
    for (const auto& [length, starts] : by_length) {
      const at::Tensor start = at::tensor(starts, at::kLong);
      const at::Tensor index =
          (start.unsqueeze(1) + at::arange(length, at::kLong).unsqueeze(0)).flatten();
      made->groups.push_back({length, static_cast<std::int64_t>(starts.size()), to_device(index)});
    }
    groups_ = std::move(made);
    return groups_;
  }

  static at::Tensor activated(const at::Tensor& x, Activation activation) {
    switch (activation) {
      case Activation::gelu:
        return at::gelu(x);
      case Activation::gelu_tanh:
        return at::gelu(x, "tanh");
      case Activation::silu:
        return at::silu(x);
      case Activation::relu:
        return at::relu(x);
      default:
        return x;
    }
  }

  /// In float32, whatever comes.
  static at::Tensor normed(const at::Tensor& x, const NormWeights& w) {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor gamma = w.gamma.to(at::kFloat);
    if (w.kind == NormKind::rms_norm) {
      const at::Tensor scale = at::rsqrt(wide.square().mean(-1, true) + w.eps);
      return (wide * scale * gamma).to(x.scalar_type());
    }
    const at::Tensor beta = w.beta.defined() ? w.beta.to(at::kFloat) : at::Tensor();
    return at::layer_norm(wide, {x.size(-1)}, gamma, beta, w.eps).to(x.scalar_type());
  }

  at::Device device_;
  at::ScalarType dtype_;
  mutable std::mutex groups_mutex_;
  mutable std::shared_ptr<const Groups> groups_;  // of the last batch
};

}  // namespace

std::unique_ptr<Backend> make_generic_backend(at::Device device, at::ScalarType dtype) {
  return std::make_unique<GenericBackend>(device, dtype);
}

}  // namespace knowmap
