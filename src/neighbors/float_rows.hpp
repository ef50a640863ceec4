#pragma once

#include "neighbors/candidate_rows.hpp"
#include "neighbors/rows.hpp"

namespace knowmap::neighbors {

/// Rows as they are, scored in float: for the metrics that are no product. Only
/// the order is held; the data live elsewhere, where one row alone is quickly read.
class FloatRows final : public CandidateRows {
 public:
  FloatRows(const RowReader& data, const Scoring& scoring);

  void reorder(std::span<const std::int32_t> order) override;
  std::size_t panel_bytes() const override { return kPanel * data_.cols * sizeof(float); }
  void pack(std::span<const std::int32_t> rows, std::byte* panels) const override;
  void scores(const std::byte* a, const std::byte* b, std::size_t b_panels, float* out,
              std::size_t ld) const override;
  void pair_scores(std::span<const std::int32_t> rows, float* out, std::size_t ld) const override;

 private:
  RowReader data_;
  const Scoring& scoring_;
  std::vector<std::int32_t> order_;
};

}  // namespace knowmap::neighbors
