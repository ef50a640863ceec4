#include "neighbors/ranking.hpp"

#include <algorithm>
#include <utility>

#include "support/memory.hpp"

namespace knowmap::neighbors {

namespace {

/// Rows that are read at once.
constexpr std::size_t kRun = 1024;

/// Rows of a batch: an eighth of the data, or a quarter of the memory that is
/// left, but not so few that the passes are many.
std::size_t rows_of_batch(const RowReader& data) {
  constexpr std::size_t kLeast = std::size_t{48} << 20;
  const std::size_t row = std::max<std::size_t>(1, data.cols * sizeof(float));
  std::size_t bytes = data.rows * row / 8;
  if (const std::uint64_t left = available_memory(); left > 0) {
    bytes = std::min<std::size_t>(bytes, left / 4);
  }
  return std::max(bytes, kLeast) / row;
}

}  // namespace

/// Questions [begin, end) and the rows that they are about.
struct Ranking::Batch {
  std::size_t begin = 0;
  std::size_t end = 0;
  Matrix rows;
  std::vector<std::int32_t> which;  ///< the rows held, ascending
  std::vector<std::int32_t> place;  ///< where each row of the data is held, or -1
};

Ranking::Ranking(const RowReader& data, Metric metric, double p, Workers& workers)
    : data_(data),
      workers_(workers),
      distance_(metric, p, data.cols),
      own_norms_(all_norms(distance_, data, workers)),
      norms_(own_norms_) {}

Ranking::Ranking(const RowReader& data, Metric metric, double p, std::span<const double> norms,
                 Workers& workers)
    : data_(data), workers_(workers), distance_(metric, p, data.cols), norms_(norms) {}

void Ranking::answer(const Questions& questions, Monitor* monitor) const {
  Batch batch;
  if (data_.is_direct()) {
    batch.end = questions.count;
    answer(questions, batch, monitor);
    return;
  }
  batch.place.assign(data_.rows, -1);
  const std::size_t most = rows_of_batch(data_);
  std::vector<std::int32_t> wanted;
  for (; batch.begin < questions.count; batch.begin = batch.end) {
    for (batch.end = batch.begin; batch.end < questions.count; ++batch.end) {
      if (batch.end > batch.begin && batch.which.size() >= most) break;
      questions.candidates(batch.end, wanted);
      if (questions.queries.rows == 0) {
        wanted.push_back(static_cast<std::int32_t>(questions.row(batch.end)));
      }
      for (const std::int32_t row : wanted) {
        if (std::exchange(batch.place[static_cast<std::size_t>(row)], 0) < 0) {
          batch.which.push_back(row);
        }
      }
    }
    gather(batch, monitor);
    answer(questions, batch, monitor);
    for (const std::int32_t row : batch.which) batch.place[static_cast<std::size_t>(row)] = -1;
    batch.which.clear();
  }
}

void Ranking::gather(Batch& batch, Monitor* monitor) const {
  std::sort(batch.which.begin(), batch.which.end());
  for (std::size_t at = 0; at < batch.which.size(); ++at) {
    batch.place[static_cast<std::size_t>(batch.which[at])] = static_cast<std::int32_t>(at);
  }
  if (batch.rows.rows() < batch.which.size()) {
    batch.rows = Matrix();  // let go of first
    batch.rows = Matrix(batch.which.size() + batch.which.size() / 16, data_.cols);
  }
  workers_.run_ranges(
      data_.rows, kRun,
      [&](std::size_t begin, std::size_t end, int) {
        const auto from = std::lower_bound(batch.which.begin(), batch.which.end(),
                                           static_cast<std::int32_t>(begin));
        const auto to = std::lower_bound(from, batch.which.end(), static_cast<std::int32_t>(end));
        if (from == to) return;
        const auto first = static_cast<std::size_t>(*from);
        std::vector<float> room;
        const float* rows = data_.run(first, static_cast<std::size_t>(to[-1]) + 1, room);
        for (auto row = from; row != to; ++row) {
          std::copy_n(rows + (static_cast<std::size_t>(*row) - first) * data_.cols, data_.cols,
                      batch.rows.row(static_cast<std::size_t>(row - batch.which.begin())));
        }
      },
      monitor);
}

void Ranking::answer(const Questions& questions, const Batch& batch, Monitor* monitor) const {
  const bool direct = data_.is_direct();
  const auto row_of = [&](std::size_t i) {
    return direct ? data_.view().row(i) : batch.rows.row(static_cast<std::size_t>(batch.place[i]));
  };
  workers_.run_ranges(
      batch.end - batch.begin, 64,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::int32_t> candidates;
        std::vector<const float*> rows;
        for (std::size_t q = batch.begin + begin; q < batch.begin + end; ++q) {
          questions.candidates(q, candidates);
          rows.resize(candidates.size());
          for (std::size_t c = 0; c < rows.size(); ++c) {
            rows[c] = row_of(static_cast<std::size_t>(candidates[c]));
          }
          const std::size_t asked = questions.row(q);
          const bool foreign = questions.queries.rows != 0;
          const float* query = foreign ? questions.queries.row(asked) : row_of(asked);
          const double norm = foreign          ? distance_.norm(query)
                              : norms_.empty() ? 0.0
                                               : norms_[asked];
          const auto [indices, distances] = questions.answer(q);
          rank_candidates(distance_, norms_, query, norm, candidates, rows, indices, distances);
        }
        if (questions.counted && monitor != nullptr) monitor->add(end - begin);
      },
      monitor);
}

}  // namespace knowmap::neighbors
