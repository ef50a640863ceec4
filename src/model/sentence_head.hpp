#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/backend.hpp"
#include "model/model_files.hpp"

namespace knowmap {

/// One vector a text from its tokens' (tokens, hidden), float32, modes side by
/// side: `out[i]` has `modes.size() × hidden` numbers. The first `skip` tokens of
/// each text (a prompt's) take no part, where the mode is over several.
void pool(const at::Tensor& hidden, const PackedTokens& tokens, std::span<const PoolingMode> modes,
          std::int64_t skip, std::span<float* const> out);

/// row /= its length; a row of zeros stays one.
void normalize(std::span<float> row);

/// What turns token vectors into a text's vector: pooling, and the modules after
/// it. On the CPU, row by row, so that a row's bytes depend on no other.
class SentenceHead {
 public:
  /// Reads the weights of Dense and LayerNorm; `hidden` is the transformer's
  /// width. Throws `ModelError`.
  SentenceHead(const SentenceModules& modules, std::int64_t hidden);

  std::size_t dimension() const { return static_cast<std::size_t>(dimension_); }
  /// `out[i]` takes the first `dimensions` numbers of text i's vector.
  void apply(const at::Tensor& hidden, const PackedTokens& tokens, std::int64_t skip,
             std::size_t dimensions, std::span<float* const> out) const;

 private:
  struct Step {
    SentenceModule module;
    at::Tensor weight;  // float32 (out, in), or (dim)
    at::Tensor bias;
  };
  void run(std::vector<float>& row) const;

  std::vector<PoolingMode> pooling_;
  std::vector<Step> steps_;
  std::int64_t pooled_ = 0;
  std::int64_t dimension_ = 0;
};

}  // namespace knowmap
