#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "model/architecture.hpp"
#include "model/backend.hpp"
#include "model/model_files.hpp"
#include "model/weights.hpp"
#include "support/team.hpp"

namespace knowmap {

/// Asked between layers; true stops the forward pass with `CancelledError`.
using StopSign = std::function<bool()>;

/// Texts on their way through the layers.
struct Passage {
  PackedTokens tokens;
  at::Tensor x;                    // (rows, hidden): tokens, and rows that round them up
  std::vector<at::Tensor> rotary;  // one for each rope of the architecture
};

/// A model with its weights on a device: the one engine for all families.
///
/// Texts go through all layers (`forward`), or, where the weights are larger than
/// memory, all texts through one layer after the other (`read_layer`, `pass`):
/// the same operations in the same order, so the same bytes. Thread-safe.
class Transformer {
 public:
  /// One layer's weights, prepared for the device.
  struct Layer;

  /// Reads the weights that `files` names; with `resident` false only what is
  /// outside the layers. Throws `ModelError`.
  static std::unique_ptr<Transformer> load(const ModelFiles& files,
                                           std::unique_ptr<Backend> backend, bool resident = true);
  ~Transformer();

  /// The last hidden state (tokens, hidden_size). `chunk_rows` bounds the rows
  /// that the widest activations exist for at a time on one thread. The team's
  /// idle threads help.
  at::Tensor forward(const PackedTokens& tokens, std::int64_t chunk_rows, const StopSign& stop,
                     Team* team = nullptr) const;

  /// `tokens` must outlive the passage.
  Passage begin(const PackedTokens& tokens) const;
  /// Makes it resident.
  void read_layers();
  /// Reads layer `i` from the file, and tells the system that its pages may go.
  std::shared_ptr<const Layer> read_layer(std::int64_t i) const;
  /// `room` keeps the memory of queries, keys and values from layer to layer, where the
  /// passages that go through one after the other are the same.
  void pass(const Layer& layer, Passage& passage, std::int64_t chunk_rows, Team* team = nullptr,
            at::Tensor* room = nullptr) const;
  /// (tokens, hidden_size)
  at::Tensor finish(Passage& passage) const;

  /// Bytes of one token's activations at their widest, apart from the chunk.
  std::uint64_t bytes_per_token() const;
  /// Bytes of one chunk row.
  std::uint64_t bytes_per_chunk_row() const;
  /// Bytes of one layer's weights as they are held, and of all weights.
  std::uint64_t layer_bytes() const;
  std::uint64_t weight_bytes() const;
  /// Bytes of what a run's products make beside their results.
  std::uint64_t kernel_bytes() const { return layers() > 0 ? backend_->kernel_bytes() : 0; }

  /// (vocabulary, hidden_size); on a CPU where it lies in the file.
  const at::Tensor& word_table() const { return tables_.word; }
  std::int64_t layers() const { return architecture_.layers; }
  /// Linear products: `Backend::linear` numbers them from 0.
  std::size_t products() const { return kLayerProducts * static_cast<std::size_t>(layers()); }
  bool resident() const { return !layers_.empty() || architecture_.layers == 0; }
  const Backend& backend() const { return *backend_; }
  const Architecture& architecture() const { return architecture_; }

 private:
  Transformer(const ModelFiles& files, std::unique_ptr<Backend> backend);
  void read_embeddings();
  static constexpr std::size_t kLayerProducts = 4;
  void choose_names();
  NormWeights read_norm(const std::string& name, std::int64_t dim) const;
  std::unique_ptr<Linear> read_linear(const std::vector<std::string>& names, std::int64_t out,
                                      std::int64_t in, bool bias, Activation activation,
                                      std::size_t number) const;
  /// What attention gives each row, before its output's product.
  at::Tensor attend(const Layer& layer, Passage& passage, std::int64_t chunk_rows, Team* team,
                    at::Tensor* room) const;
  void feed_forward(const Layer& layer, at::Tensor& rows) const;
  /// Whether the product `up` computes the activation too.
  bool fuses_activation() const {
    return !architecture_.gated && architecture_.activation == Activation::gelu;
  }
  /// x = x + y, with the norm that follows, where one does.
  void join(at::Tensor& x, at::Tensor& y, const NormWeights& norm_out) const;

  Weights weights_;
  Architecture architecture_;
  std::unique_ptr<Backend> backend_;
  std::string prefix_;
  EmbeddingTables tables_;
  NormWeights final_norm_;
  at::Tensor relative_bias_;
  std::vector<std::shared_ptr<const Layer>> layers_;
};

}  // namespace knowmap
