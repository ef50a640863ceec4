#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/matrix.hpp"

namespace knowmap::neighbors {

/// The best `capacity` (score, index) pairs of each row, higher scores first and
/// ties by the lower index; a pair that comes twice counts once. What is kept
/// doesn't depend on the order in which pairs come, so rows can be filled from
/// any thread, a row by one at a time. `threshold` may be read at any time: it
/// only rises, so a pair that falls short of an old one is none of the best.
class TopK {
 public:
  TopK() = default;
  /// `capacity` is rounded up to a multiple of 8.
  TopK(std::size_t rows, std::size_t capacity);

  /// The score that a pair must reach to matter; -infinity until a row is full.
  float threshold(std::size_t row) const {
    return std::atomic_ref(const_cast<float&>(thresholds_[row])).load(std::memory_order_relaxed);
  }
  /// The thresholds of the rows from `row` on, where no one writes meanwhile.
  const float* thresholds(std::size_t row) const { return thresholds_.data() + row; }

  /// Offers the pairs (scores[j] + bias[j], indices[j]) to a row; one whose score
  /// is NaN is passed over.
  void offer(std::size_t row, const float* scores, const float* bias, const std::int32_t* indices,
             std::size_t n);
  void push(std::size_t row, float score, std::int32_t index) {
    constexpr float kNoBias = 0;
    offer(row, &score, &kNoBias, &index, 1);
  }

  /// The row's indices, best first; answers how many there are.
  std::size_t take(std::size_t row, std::span<std::int32_t> out) const;
  std::size_t rows() const { return keys_.rows(); }
  std::size_t capacity() const { return keys_.cols(); }

 private:
  BasicMatrix<std::uint64_t> keys_;
  std::vector<float> thresholds_;
};

}  // namespace knowmap::neighbors
