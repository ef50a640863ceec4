#include "neighbors/top_k.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "neighbors/kernels.hpp"

namespace knowmap::neighbors {

TopK::TopK(std::size_t rows, std::size_t capacity)
    : keys_(rows, (std::max<std::size_t>(capacity, 1) + 7) / 8 * 8, kNoKey),
      thresholds_(rows, -std::numeric_limits<float>::infinity()) {}

void TopK::offer(std::size_t row, const float* scores, const float* bias,
                 const std::int32_t* indices, std::size_t n) {
  std::uint64_t* const keys = keys_.row(row);
  kernels().offer(keys, keys_.cols(), scores, bias, indices, n);
  const std::uint64_t last = keys[keys_.cols() - 1];
  if (last == kNoKey) return;
  auto bits = static_cast<std::uint32_t>(last >> 32);
  bits ^= (bits >> 31) != 0 ? 0u : 0x7fffffffu;
  std::atomic_ref(thresholds_[row]).store(std::bit_cast<float>(bits), std::memory_order_relaxed);
}

std::size_t TopK::take(std::size_t row, std::span<std::int32_t> out) const {
  const std::uint64_t* keys = keys_.row(row);
  const std::size_t most = std::min(keys_.cols(), out.size());
  std::size_t count = 0;
  for (; count < most && keys[count] != kNoKey; ++count) {
    out[count] = static_cast<std::int32_t>(static_cast<std::uint32_t>(keys[count]));
  }
  return count;
}

}  // namespace knowmap::neighbors
