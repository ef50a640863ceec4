#include "neighbors/small_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace knowmap::neighbors {

namespace {

constexpr std::size_t kGrain = 1024;

/// The root of the mean square of prepared entries, over every 16th row; summed
/// by runs in their order.
double root_mean_square(const RowReader& data, const Scoring& scoring, Workers& workers) {
  constexpr std::size_t kEvery = 16;
  std::vector<double> squares((data.rows + kGrain - 1) / kGrain, 0.0);
  workers.run_ranges(data.rows, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> line(data.cols);
    std::vector<float> room;
    const float* rows = data.run(begin, end, room);
    double sum = 0;
    for (std::size_t i = begin; i < end; i += kEvery) {
      scoring.prepare(rows + (i - begin) * data.cols, line.data());
      sum += kernels().dot(line.data(), line.data(), data.cols);
    }
    squares[begin / kGrain] = sum;
  });
  double sum = 0;
  std::size_t seen = 0;
  for (std::size_t run = 0; run < squares.size(); ++run) {
    sum += squares[run];
    seen += (std::min(data.rows, (run + 1) * kGrain) - run * kGrain + kEvery - 1) / kEvery;
  }
  const std::size_t entries = seen * data.cols;
  return entries == 0 ? 0.0 : std::sqrt(sum / static_cast<double>(entries));
}

}  // namespace

SmallRows::SmallRows(const RowReader& data, const Scoring& scoring, Workers& workers,
                     Monitor* monitor)
    : groups_((data.cols + 3) / 4),
      bytes_(data.rows, small_stride(data.cols)),
      correction_(data.rows) {
  // The scale is set by how large entries are on the whole; the few beyond are
  // cut off, so that one outlier doesn't leave the others without digits.
  constexpr double kSpread = 5;
  const double root = root_mean_square(data, scoring, workers);
  by_ = root > 0 ? static_cast<float>(kSmallMost / (kSpread * root)) : 0.0f;
  scale_ = by_ > 0 ? 1 / (by_ * by_) : 0.0f;
  fill(data, scoring, workers, monitor);
}

SmallRows::SmallRows(const RowReader& data, const Scoring& scoring, const SmallRows& like,
                     Workers& workers)
    : groups_(like.groups_),
      bytes_(data.rows, like.bytes_.cols()),
      correction_(data.rows),
      by_(like.by_),
      scale_(like.scale_) {
  fill(data, scoring, workers, nullptr);
}

void SmallRows::fill(const RowReader& data, const Scoring& scoring, Workers& workers,
                     Monitor* monitor) {
  bias_.resize(data.rows);
  workers.run_ranges(
      data.rows, kGrain,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<float> line(data.cols);
        std::vector<float> room;
        const float* row = data.run(begin, end, room);
        for (std::size_t i = begin; i < end; ++i, row += data.cols) {
          bias_[i] = scoring.prepare(row, line.data());
          const std::int32_t sum =
              small_kernels().quantize(line.data(), data.cols, by_, bytes_.row(i));
          correction_[i] =
              kSmallZero * sum - kSmallZero * kSmallZero / 2 * static_cast<std::int32_t>(data.cols);
        }
      },
      monitor);
}

void SmallRows::reorder(std::span<const std::int32_t> order) {
  // In place, cycle by cycle: a second copy would be the largest thing in memory.
  std::vector<bool> done(order.size(), false);
  std::vector<std::uint8_t> kept(bytes_.cols());
  for (std::size_t start = 0; start < order.size(); ++start) {
    if (done[start]) continue;
    std::memcpy(kept.data(), bytes_.row(start), kept.size());
    const float bias = bias_[start];
    const std::int32_t correction = correction_[start];
    std::size_t to = start;
    for (auto from = static_cast<std::size_t>(order[to]); from != start;
         to = from, from = static_cast<std::size_t>(order[to])) {
      std::memcpy(bytes_.row(to), bytes_.row(from), kept.size());
      bias_[to] = bias_[from];
      correction_[to] = correction_[from];
      done[to] = true;
    }
    std::memcpy(bytes_.row(to), kept.data(), kept.size());
    bias_[to] = bias;
    correction_[to] = correction;
    done[to] = true;
  }
}

void SmallRows::pack(std::span<const std::int32_t> rows, std::byte* panels) const {
  // Rows that fill up a panel: any numbers will do.
  static constexpr std::uint8_t kFiller[4] = {};
  for (std::size_t begin = 0; begin < rows.size(); begin += kPanel, panels += panel_bytes()) {
    const std::size_t few = std::min(kPanel, rows.size() - begin);
    const std::uint8_t* from[kPanel];
    std::int32_t correction[kPanel] = {};
    for (std::size_t r = 0; r < few; ++r) {
      const auto row = static_cast<std::size_t>(rows[begin + r]);
      from[r] = bytes_.row(row);
      correction[r] = correction_[row];
    }
    std::byte* to = panels;
    for (std::size_t g = 0; g < groups_; ++g) {
      for (std::size_t r = 0; r < few; ++r, to += 4) std::memcpy(to, from[r] + 4 * g, 4);
      for (std::size_t r = few; r < kPanel; ++r, to += 4) std::memcpy(to, kFiller, 4);
    }
    std::memcpy(to, correction, sizeof correction);
  }
}

void SmallRows::scores(const std::byte* a, const std::byte* b, std::size_t b_panels, float* out,
                       std::size_t ld) const {
  small_kernels().product(reinterpret_cast<const std::uint8_t*>(a),
                          reinterpret_cast<const std::uint8_t*>(b), b_panels, groups_, scale_, out,
                          ld);
}

void SmallRows::pair_scores(std::span<const std::int32_t> rows, float* out, std::size_t ld) const {
  const std::uint8_t* pointers[kPanel];
  std::int32_t corrections[kPanel];
  std::int32_t products[kPanel * kPanel];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    pointers[i] = bytes_.row(static_cast<std::size_t>(rows[i]));
    corrections[i] = correction_[static_cast<std::size_t>(rows[i])];
  }
  small_kernels().pairs(pointers, rows.size(), bytes_.cols(), products, kPanel);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = i + 1; j < rows.size(); ++j) {
      const std::int32_t product = products[i * kPanel + j] - corrections[i] - corrections[j];
      out[i * ld + j] = out[j * ld + i] = static_cast<float>(product) * scale_;
    }
  }
}

}  // namespace knowmap::neighbors
