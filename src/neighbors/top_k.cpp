#include "neighbors/top_k.hpp"

#include <algorithm>
#include <limits>

namespace knowmap::neighbors {

TopK::TopK(std::size_t rows, std::size_t capacity, bool repeats)
    : capacity_(capacity),
      repeats_(repeats),
      keys_(rows * 2 * capacity),
      counts_(rows, 0),
      thresholds_(rows, -std::numeric_limits<float>::infinity()) {}

void TopK::cut(std::size_t row) {
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(row * 2 * capacity_);
  auto end = begin + counts_[row];
  const auto keep = static_cast<std::ptrdiff_t>(capacity_);
  if (repeats_) {
    std::sort(begin, end);
    end = std::unique(begin, end);
    if (end - begin < keep) {
      counts_[row] = static_cast<std::uint32_t>(end - begin);
      return;
    }
  } else {
    std::nth_element(begin, begin + keep - 1, end);
  }
  counts_[row] = static_cast<std::uint32_t>(keep);
  thresholds_[row] = score(begin[keep - 1]);
}

std::size_t TopK::take(std::size_t row, std::span<std::int32_t> out) {
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(row * 2 * capacity_);
  auto end = begin + counts_[row];
  std::sort(begin, end);
  if (repeats_) end = std::unique(begin, end);
  const auto count = std::min({static_cast<std::size_t>(end - begin), capacity_, out.size()});
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(begin[i]));
  }
  return count;
}

}  // namespace knowmap::neighbors
