#include <ATen/ATen.h>

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
        position[i - first] = i - tokens.offsets[t];
      }
    }
    const at::Tensor sum = at::embedding(tables.word, ids.to(device_)) +
                           at::embedding(tables.position, positions.to(device_)) + tables.type;
    return norm(sum, tables.norm);
  }

  at::Tensor attention(const at::Tensor& qkv, const PackedTokens& tokens,
                       std::int64_t heads) const override {
    const std::int64_t dim = qkv.size(1) / 3;
    at::Tensor out = at::empty({qkv.size(0), dim}, qkv.options());
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
      const at::Tensor rows =
          (start.unsqueeze(1) + at::arange(length, at::kLong).unsqueeze(0)).flatten().to(device_);
      // (3, count, heads, length, head_dim)
      const at::Tensor group = qkv.index_select(0, rows)
                                   .view({count, length, 3, heads, dim / heads})
                                   .permute({2, 0, 3, 1, 4});
      const at::Tensor mixed = at::scaled_dot_product_attention(group[0], group[1], group[2]);
      out.index_copy_(0, rows, mixed.transpose(1, 2).reshape({count * length, dim}));
    }
    return out;
  }

  void add_layer_norm(const at::Tensor& x, const at::Tensor& residual,
                      const LayerNormWeights& weights, at::Tensor& out) const override {
    out.copy_(norm(x + residual, weights));
  }

 private:
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
