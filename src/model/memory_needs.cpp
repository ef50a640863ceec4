#include <algorithm>

#include "model/transformer.hpp"

namespace knowmap {

namespace {

std::uint64_t positive(std::int64_t n) { return static_cast<std::uint64_t>(n); }

}  // namespace

std::uint64_t Transformer::bytes_per_token() const {
  const Architecture& a = architecture_;
  // x; queries, keys and values; what attention gives.
  const std::int64_t numbers = a.hidden_size + (2 * a.heads + 2 * a.kv_heads) * a.head_dim;
  return positive(numbers) * at::elementSize(backend_->dtype());
}

std::uint64_t Transformer::bytes_per_chunk_row() const {
  const Architecture& a = architecture_;
  const std::int64_t wide = a.intermediate_size * (a.gated ? 3 : 1);
  // The feed-forward's; attention's narrower products have four times its rows.
  const std::int64_t numbers = std::max(wide + 2 * a.hidden_size, 4 * 2 * a.hidden_size);
  return positive(numbers) * at::elementSize(backend_->dtype());
}

std::uint64_t Transformer::layer_bytes() const {
  const Architecture& a = architecture_;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  const std::int64_t numbers =
      a.hidden_size * (2 * q + 2 * kv) + a.hidden_size * a.intermediate_size * (a.gated ? 3 : 2);
  return positive(numbers) * at::elementSize(backend_->weight_dtype());
}

std::uint64_t Transformer::weight_bytes() const {
  std::uint64_t total = positive(layers()) * layer_bytes();
  for (const at::Tensor& table : {tables_.word, tables_.position}) {
    if (table.defined()) total += table.nbytes();
  }
  return total;
}

}  // namespace knowmap
