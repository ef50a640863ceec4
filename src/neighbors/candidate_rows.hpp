#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "neighbors/kernels.hpp"

namespace knowmap::neighbors {

/// Rows in a form in which many pairs are scored quickly, and nearly right. For
/// two rows, score(x, y) + bias(y) ranks y among x's neighbours, higher first;
/// the score is the same from both sides.
class CandidateRows {
 public:
  virtual ~CandidateRows() = default;
  std::size_t size() const { return bias_.size(); }
  float bias(std::size_t row) const { return bias_[row]; }

  /// Puts the rows into another order: row order[i] becomes row i.
  virtual void reorder(std::span<const std::int32_t> order) = 0;

  /// Bytes of kPanel rows side by side, and of `rows` rows in whole panels.
  virtual std::size_t panel_bytes() const = 0;
  std::size_t packed_bytes(std::size_t rows) const {
    return (rows + kPanel - 1) / kPanel * panel_bytes();
  }
  /// Packs the rows named, the last panel filled up.
  virtual void pack(std::span<const std::int32_t> rows, std::byte* panels) const = 0;
  /// The scores of panel `a`'s rows with those of `b_panels` panels: kPanel rows
  /// of `ld` floats.
  virtual void scores(const std::byte* a, const std::byte* b, std::size_t b_panels, float* out,
                      std::size_t ld) const = 0;
  /// The scores of all pairs of the rows named, at most kPanel of them: a
  /// symmetric matrix with `ld` columns, a multiple of 4. Its diagonal is not set.
  virtual void pair_scores(std::span<const std::int32_t> rows, float* out,
                           std::size_t ld) const = 0;

 protected:
  std::vector<float> bias_;
};

}  // namespace knowmap::neighbors
