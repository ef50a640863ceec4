#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace knowmap::neighbors {

/// The best `capacity` (score, index) pairs of each row, higher scores first and
/// ties by the lower index. What is kept doesn't depend on the order in which
/// pairs come, so rows can be filled from any thread (one at a time a row).
///
/// A row's buffer holds twice its capacity and is cut back when full, which
/// costs less than a heap; `threshold` is what a pair must reach to matter.
class TopK {
 public:
  TopK() = default;
  /// `repeats`: the same pair may come more than once, and counts once.
  TopK(std::size_t rows, std::size_t capacity, bool repeats);

  const float* thresholds(std::size_t row) const { return thresholds_.data() + row; }
  void push(std::size_t row, float score, std::int32_t index) {
    const std::size_t room = 2 * capacity_;
    keys_[row * room + counts_[row]] = key(score, index);
    if (++counts_[row] == room) cut(row);
  }
  /// The row's indices, best first. Reorders the buffer.
  std::size_t take(std::size_t row, std::span<std::int32_t> out);
  std::size_t capacity() const { return capacity_; }

 private:
  static std::uint64_t key(float score, std::int32_t index) {
    // Unsigned numbers in the order of falling scores, then rising indices.
    score += 0.0f;  // minus zero ties with zero
    std::uint32_t bits;
    __builtin_memcpy(&bits, &score, sizeof bits);
    bits ^= (bits >> 31) != 0 ? 0u : 0x7fffffffu;
    return static_cast<std::uint64_t>(bits) << 32 | static_cast<std::uint32_t>(index);
  }
  static float score(std::uint64_t key) {
    auto bits = static_cast<std::uint32_t>(key >> 32);
    bits ^= (bits >> 31) != 0 ? 0u : 0x7fffffffu;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  void cut(std::size_t row);

  std::size_t capacity_ = 0;
  bool repeats_ = false;
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint32_t> counts_;
  std::vector<float> thresholds_;
};

}  // namespace knowmap::neighbors
