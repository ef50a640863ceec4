#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "model/backend.hpp"

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

  std::unique_ptr<Linear> linear(const at::Tensor& weight, const at::Tensor& bias,
                                 Activation activation) const override {
    return std::make_unique<GenericLinear>(keep(weight), keep(bias), activation);
  }

  at::Tensor embed(const PackedTokens& tokens, const EmbeddingTables& tables) const override {
    const std::int64_t n = tokens.tokens();
    at::Tensor ids = at::empty({n}, at::kLong);
    at::Tensor positions = at::empty({n}, at::kLong);
    auto* id = ids.data_ptr<std::int64_t>();
    auto* position = positions.data_ptr<std::int64_t>();
    const std::int64_t first = tokens.offsets.front();
    for (std::int64_t t = 0; t < tokens.texts(); ++t) {
      for (std::int64_t i = tokens.offsets[t]; i < tokens.offsets[t + 1]; ++i) {
        id[i - first] = tokens.ids[i];
        position[i - first] = i - tokens.offsets[t] + tables.position_offset;
      }
    }
    const at::Tensor sum = at::embedding(tables.word, ids.to(device_)) +
                           at::embedding(tables.position, positions.to(device_)) + tables.type;
    return norm(sum, tables.norm);
  }

  at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens,
                       const AttentionOptions& o) const override {
    at::Tensor out = at::empty({qkv.size(0), o.heads * o.head_dim}, qkv.options());
    // Texts of one length go through the fused kernel together. No mask is
    // needed then, and a mask would keep some devices from the fused kernel.
    std::map<std::int64_t, std::vector<std::int64_t>> by_length;
    const std::int64_t first = tokens.offsets.front();
    for (std::int64_t t = 0; t < tokens.texts(); ++t) {
      by_length[tokens.offsets[t + 1] - tokens.offsets[t]].push_back(tokens.offsets[t] - first);
    }
    for (const auto& [length, starts] : by_length) {
      const auto count = static_cast<std::int64_t>(starts.size());
      const at::Tensor start = at::tensor(starts, at::kLong);
      const at::Tensor index =
          (start.unsqueeze(1) + at::arange(length, at::kLong).unsqueeze(0)).flatten().to(device_);
      // (count, heads + 2 kv_heads, length, head_dim)
      const at::Tensor group = qkv.index_select(0, index)
                                   .view({count, length, o.heads + 2 * o.kv_heads, o.head_dim})
                                   .transpose(1, 2);
      const at::Tensor mixed =
          attend(group.narrow(1, 0, o.heads), group.narrow(1, o.heads, o.kv_heads),
                 group.narrow(1, o.heads + o.kv_heads, o.kv_heads), o);
      out.index_copy_(0, index, mixed.transpose(1, 2).reshape({count * length, out.size(1)}));
    }
    return out;
  }

  void add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                      const LayerNormWeights& weights, at::Tensor& out) const override {
    out.copy_(norm(x + residual, weights));
  }

 private:
  // Masked scores exist for this many queries at a time.
  static constexpr std::int64_t kQueries = 256;

  /// (count, heads, length, head_dim) from keys and values of fewer heads.
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& o) const {
    const std::int64_t length = q.size(2);
    const bool grouped = o.heads != o.kv_heads;
    const bool all_before = o.before >= length - 1;
    const bool all_after = o.after >= length - 1;
    if (!o.bias.defined() && all_before && (all_after || o.after == 0)) {
      return at::scaled_dot_product_attention(q, k, v, {}, 0.0, !all_after, o.scale, grouped);
    }
    at::Tensor out = at::empty_like(q, at::MemoryFormat::Contiguous);
    for (std::int64_t i = 0; i < length; i += kQueries) {
      const std::int64_t n = std::min(kQueries, length - i);
      const std::int64_t begin = std::max<std::int64_t>(0, i - o.before);
      const std::int64_t end = std::min(length, i + n + o.after);
      const at::Tensor distance = at::arange(begin, end, at::kLong).unsqueeze(0) -
                                  at::arange(i, i + n, at::kLong).unsqueeze(1);
      at::Tensor mask = at::zeros(distance.sizes(), at::kFloat);
      mask.masked_fill_(distance.lt(-o.before).logical_or_(distance.gt(o.after)),
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

  static at::Tensor norm(const at::Tensor& x, const LayerNormWeights& w) {
    return at::layer_norm(x, {x.size(1)}, w.gamma, w.beta, w.eps);
  }

  at::Device device_;
  at::ScalarType dtype_;
};

}  // namespace

std::unique_ptr<Backend> make_generic_backend(at::Device device, at::ScalarType dtype) {
  return std::make_unique<GenericBackend>(device, dtype);
}

}  // namespace knowmap
