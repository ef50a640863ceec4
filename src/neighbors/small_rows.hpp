#pragma once

#include "neighbors/candidate_rows.hpp"
#include "neighbors/rows.hpp"
#include "neighbors/small_kernels.hpp"

namespace knowmap::neighbors {

/// Rows as small integers with one scale for all: a quarter of float's memory,
/// and products at the speed of 8-bit instructions. For the metrics that
/// `Scoring` turns into products.
class SmallRows final : public CandidateRows {
 public:
  SmallRows(const RowReader& data, const Scoring& scoring, Workers& workers, Monitor* monitor);
  /// Other rows with the scale of `like`, to be scored with its rows.
  SmallRows(const RowReader& data, const Scoring& scoring, const SmallRows& like, Workers& workers);

  void reorder(std::span<const std::int32_t> order) override;
  std::size_t panel_bytes() const override { return small_panel_bytes(groups_); }
  void pack(std::span<const std::int32_t> rows, std::byte* panels) const override;
  void scores(const std::byte* a, const std::byte* b, std::size_t b_panels, float* out,
              std::size_t ld) const override;
  void pair_scores(std::span<const std::int32_t> rows, float* out, std::size_t ld) const override;

 private:
  void fill(const RowReader& data, const Scoring& scoring, Workers& workers, Monitor* monitor);

  std::size_t groups_;
  BasicMatrix<std::uint8_t> bytes_;
  /// Half of what a pair's product of bytes has too much, for each row.
  std::vector<std::int32_t> correction_;
  /// What an entry is multiplied with, and what a product of integers is.
  float by_ = 0;
  float scale_ = 0;
};

}  // namespace knowmap::neighbors
