#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"
#include "model/safetensors.hpp"
#include "model/transformer.hpp"

namespace knowmap {

namespace {

// Attention's products are so much narrower than the feed-forward's that they
// may have this many times its rows at once.
constexpr std::int64_t kNarrowChunks = 4;

/// Looks weights up by name, checks their shape, and gives them as float32.
class WeightReader {
 public:
  WeightReader(const SafeTensors& file, std::string prefix)
      : file_(file), prefix_(std::move(prefix)) {}

  at::Tensor get(const std::string& name, std::vector<std::int64_t> shape) const {
    const TensorEntry& entry = file_.at(prefix_ + name);
    if (entry.shape != shape) {
      throw ModelError("tensor '" + prefix_ + name + "' has the shape " + text(entry.shape) +
                       ", config.json asks for " + text(shape));
    }
    const at::ScalarType type = dtype(entry, name);
    // A header of odd length leaves the numbers unaligned, which only a copy mends.
    if (reinterpret_cast<std::uintptr_t>(entry.data) % at::elementSize(type) != 0) {
      at::Tensor copy = at::empty(shape, type);
      std::memcpy(copy.data_ptr(), entry.data, entry.bytes);
      return copy.to(at::kFloat);
    }
    // The mapping outlives the tensors: both belong to the model.
    return at::from_blob(const_cast<char*>(entry.data), shape, type).to(at::kFloat);
  }

 private:
  at::ScalarType dtype(const TensorEntry& entry, const std::string& name) const {
    switch (entry.type) {
      case TensorType::float32:
        return at::kFloat;
      case TensorType::float16:
        return at::kHalf;
      case TensorType::bfloat16:
        return at::kBFloat16;
      default:
        throw ModelError("tensor '" + prefix_ + name + "' holds no floating-point numbers");
    }
  }

  static std::string text(const std::vector<std::int64_t>& shape) {
    std::string out = "(";
    for (const std::int64_t n : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(n);
    return out + ")";
  }

  const SafeTensors& file_;
  std::string prefix_;
};

/// What MPNet adds to scores (Song et al. 2020, arXiv 2004.09297; the buckets are
/// T5's, Raffel et al. 2019): near distances have a weight each, farther ones
/// share theirs by their logarithm. `weights` (buckets, heads) → (heads,
/// distances) for texts up to `length` tokens, distance 0 in column length - 1.
at::Tensor relative_bias(const at::Tensor& weights, std::int64_t length) {
  constexpr std::int64_t kSlack = 32;
  constexpr double kFarthest = 128;
  const std::int64_t side = weights.size(0) / 2;
  const std::int64_t exact = side / 2;
  const at::Tensor distance = at::arange(1 - length, length + kSlack, at::kLong);
  const at::Tensor far = distance.abs();
  // In float32, as the model was trained: boundaries lie on powers of two.
  const at::Tensor shared = at::log(far.to(at::kFloat) / static_cast<double>(exact)) /
                            std::log(kFarthest / static_cast<double>(exact)) *
                            static_cast<double>(side - exact);
  const at::Tensor bucket =
      at::where(far.lt(exact), far,
                at::clamp_max(exact + shared.clamp_min(0).to(at::kLong), side - 1)) +
      distance.gt(0).to(at::kLong) * side;
  return weights.index_select(0, bucket).t().contiguous();
}

/// BERT's encoder (Devlin et al. 2018, arXiv 1810.04805): post-norm, absolute
/// positions, GELU; and MPNet's, the same with other names and a bias.
class Bert final : public Transformer {
 public:
  Bert(const ModelFiles& files, std::unique_ptr<Backend> backend)
      : file_(files.weights), config_(files.config), backend_(std::move(backend)) {
    // BertForMaskedLM and the like keep the encoder under "bert.".
    const std::string head = config_.model_type + ".";
    const bool nested = file_.find(head + "embeddings.word_embeddings.weight") != nullptr;
    const WeightReader weights(file_, nested ? head : "");
    read_embeddings(weights);
    read_attention(weights);
    for (std::int64_t i = 0; i < config_.layers; ++i) layers_.push_back(read_layer(weights, i));
  }

  at::Tensor forward(const PackedTokens& tokens, std::int64_t chunk_rows,
                     const StopSign& stop) const override {
    at::Tensor x = backend_->embed(tokens, tables_);
    for (const Layer& layer : layers_) {
      if (stop()) throw CancelledError("cancelled between two layers");
      const at::Tensor qkv = by_chunks(x, *layer.qkv, kNarrowChunks * chunk_rows);
      const at::Tensor context = backend_->attention(qkv, tokens, attention_);
      at::Tensor mixed = by_chunks(context, *layer.attention_out, kNarrowChunks * chunk_rows);
      backend_->add_layer_norm(mixed, x, layer.attention_norm, mixed);
      x = mixed;
      feed_forward(x, layer, chunk_rows);
    }
    return x.slice(0, 0, tokens.tokens());
  }

  const Backend& backend() const override { return *backend_; }

  std::uint64_t bytes_per_token() const override {
    // x, the three of qkv, what attention gives, and the sum before the norm.
    return static_cast<std::uint64_t>(config_.hidden_size) * 6 * element_size();
  }
  std::uint64_t bytes_per_chunk_row() const override {
    return static_cast<std::uint64_t>(config_.intermediate_size + 2 * config_.hidden_size) *
           element_size();
  }
  std::uint64_t weight_bytes() const override {
    const auto h = static_cast<std::uint64_t>(config_.hidden_size);
    const auto f = static_cast<std::uint64_t>(config_.intermediate_size);
    const std::uint64_t layer = 4 * h * h + 2 * h * f + 9 * h + f;
    const auto rows = static_cast<std::uint64_t>(config_.vocabulary_size + config_.max_positions);
    return layer * layers_.size() * element_size() + rows * h * tables_.word.element_size();
  }

 private:
  struct Layer {
    std::unique_ptr<Linear> qkv;
    std::unique_ptr<Linear> attention_out;
    LayerNormWeights attention_norm;
    std::unique_ptr<Linear> up;
    std::unique_ptr<Linear> down;
    LayerNormWeights output_norm;
  };

  std::uint64_t element_size() const { return at::elementSize(backend_->dtype()); }

  void read_embeddings(const WeightReader& weights) {
    const std::int64_t d = config_.hidden_size;
    const std::string base = "embeddings.";
    tables_.position_offset = config_.position_offset;
    tables_.word =
        backend_->keep(weights.get(base + "word_embeddings.weight", {config_.vocabulary_size, d}));
    tables_.position = backend_->keep(weights.get(
        base + "position_embeddings.weight", {config_.max_positions + config_.position_offset, d}));
    tables_.type =
        backend_->keep(config_.token_types == 0 ? at::zeros({d})
                                                : weights.get(base + "token_type_embeddings.weight",
                                                              {config_.token_types, d})[0]);
    tables_.norm = read_norm(weights, base + "LayerNorm");
  }

  void read_attention(const WeightReader& weights) {
    attention_.heads = attention_.kv_heads = config_.heads;
    attention_.head_dim = config_.hidden_size / config_.heads;
    attention_.scale = 1.0 / std::sqrt(static_cast<double>(attention_.head_dim));
    if (config_.relative_buckets == 0) return;
    const at::Tensor bias = weights.get("encoder.relative_attention_bias.weight",
                                        {config_.relative_buckets, config_.heads});
    attention_.bias = relative_bias(bias, config_.max_positions).to(backend_->device());
    attention_.bias_zero = config_.max_positions - 1;
  }

  LayerNormWeights read_norm(const WeightReader& weights, const std::string& name) const {
    const std::int64_t d = config_.hidden_size;
    return {backend_->keep(weights.get(name + ".weight", {d})),
            backend_->keep(weights.get(name + ".bias", {d})), config_.layer_norm_eps};
  }

  Layer read_layer(const WeightReader& weights, std::int64_t number) const {
    const std::int64_t d = config_.hidden_size;
    const std::int64_t f = config_.intermediate_size;
    const std::string base = "encoder.layer." + std::to_string(number) + ".";
    const bool mpnet = config_.model_type == "mpnet";
    const std::string self = base + (mpnet ? "attention.attn." : "attention.self.");
    // Query, key and value as one product: one pass over the rows, one kernel.
    const auto joined = [&](const char* part, std::vector<std::int64_t> shape) {
      return at::cat({weights.get(self + (mpnet ? "q." : "query.") + part, shape),
                      weights.get(self + (mpnet ? "k." : "key.") + part, shape),
                      weights.get(self + (mpnet ? "v." : "value.") + part, shape)});
    };
    const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in,
                            Activation activation) {
      return backend_->linear(weights.get(name + ".weight", {out, in}),
                              weights.get(name + ".bias", {out}), activation);
    };
    Layer layer;
    layer.qkv = backend_->linear(joined("weight", {d, d}), joined("bias", {d}), Activation::none);
    layer.attention_out =
        linear(mpnet ? self + "o" : base + "attention.output.dense", d, d, Activation::none);
    layer.attention_norm =
        read_norm(weights, base + (mpnet ? "attention.LayerNorm" : "attention.output.LayerNorm"));
    layer.up = linear(base + "intermediate.dense", f, d, Activation::gelu);
    layer.down = linear(base + "output.dense", d, f, Activation::none);
    layer.output_norm = read_norm(weights, base + "output.LayerNorm");
    return layer;
  }

  /// A linear over a few rows at a time.
  at::Tensor by_chunks(const at::Tensor& x, const Linear& linear, std::int64_t chunk) const {
    const std::int64_t n = x.size(0);
    if (n <= chunk) return linear(x);
    at::Tensor out;
    for (std::int64_t i = 0; i < n; i += chunk) {
      const at::Tensor part = linear(x.slice(0, i, std::min(n, i + chunk)));
      if (!out.defined()) out = at::empty({n, part.size(1)}, part.options());
      out.slice(0, i, i + part.size(0)).copy_(part);
    }
    return out;
  }

  /// x = norm(x + down(up(x))), a few rows at a time.
  void feed_forward(at::Tensor& x, const Layer& layer, std::int64_t chunk) const {
    for (std::int64_t i = 0; i < x.size(0); i += chunk) {
      at::Tensor rows = x.slice(0, i, std::min(x.size(0), i + chunk));
      backend_->add_layer_norm((*layer.down)((*layer.up)(rows)), rows, layer.output_norm, rows);
    }
  }

  SafeTensors file_;
  TransformerConfig config_;
  std::unique_ptr<Backend> backend_;
  EmbeddingTables tables_;
  AttentionOptions attention_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Transformer> Transformer::load(const ModelFiles& files,
                                               std::unique_ptr<Backend> backend) {
  return std::make_unique<Bert>(files, std::move(backend));
}

}  // namespace knowmap
