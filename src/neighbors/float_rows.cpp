#include "neighbors/float_rows.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace knowmap::neighbors {

FloatRows::FloatRows(const RowReader& data, const Scoring& scoring)
    : data_(data), scoring_(scoring), order_(data.rows) {
  bias_.assign(data.rows, 0.0f);
  std::iota(order_.begin(), order_.end(), 0);
}

void FloatRows::reorder(std::span<const std::int32_t> order) {
  std::vector<std::int32_t> now(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    now[i] = order_[static_cast<std::size_t>(order[i])];
  }
  order_ = std::move(now);
}

void FloatRows::pack(std::span<const std::int32_t> rows, std::byte* panels) const {
  std::array<float, kPanel> bias;
  std::vector<float> room;
  for (std::size_t begin = 0; begin < rows.size(); begin += kPanel, panels += panel_bytes()) {
    neighbors::pack(
        scoring_, std::min(kPanel, rows.size() - begin),
        [&](std::size_t r) {
          const auto row = static_cast<std::size_t>(rows[begin + r]);
          return data_.row(static_cast<std::size_t>(order_[row]), room);
        },
        reinterpret_cast<float*>(panels), bias.data());
  }
}

void FloatRows::scores(const std::byte* a, const std::byte* b, std::size_t b_panels, float* out,
                       std::size_t ld) const {
  scoring_.tile(reinterpret_cast<const float*>(a), 1, reinterpret_cast<const float*>(b), b_panels,
                out, ld);
}

void FloatRows::pair_scores(std::span<const std::int32_t> rows, float* out, std::size_t ld) const {
  std::vector<float> panel(kPanel * data_.cols);
  pack(rows, reinterpret_cast<std::byte*>(panel.data()));
  std::array<float, kPanel * kPanel> tile;
  scoring_.tile(panel.data(), 1, panel.data(), 1, tile.data(), kPanel);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(tile.data() + i * kPanel, rows.size(), out + i * ld);
  }
}

}  // namespace knowmap::neighbors
