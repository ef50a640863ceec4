#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "neighbors/row_reader.hpp"
#include "neighbors/rows.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// Puts candidates in order by their distances in double. Rows that do not lie in
/// memory as float32 are brought there in batches, each by one pass through the
/// source: as many questions at a time as a small part of memory has room for.
/// So questions that come one after the other had better have candidates in common.
class Ranking {
 public:
  /// `data` is read once where the metric wants norms.
  Ranking(const RowReader& data, Metric metric, double p, Workers& workers);
  /// With `norms` of an `all_norms` before.
  Ranking(const RowReader& data, Metric metric, double p, std::span<const double> norms,
          Workers& workers);
  Ranking(const Ranking&) = delete;  // norms_ may look at own_norms_
  Ranking& operator=(const Ranking&) = delete;

  struct Questions {
    std::size_t count = 0;
    /// The row that question q is about: one of the data, or of `queries` where
    /// these have rows.
    std::function<std::size_t(std::size_t q)> row;
    MatrixView<const float> queries;
    /// Writes the candidates of question q: rows of the data.
    std::function<void(std::size_t q, std::vector<std::int32_t>& out)> candidates;
    /// Where the answer to question q goes: nearest first, ties by the lower
    /// index; -1 and infinity where there are fewer.
    std::function<std::pair<std::span<std::int32_t>, std::span<float>>(std::size_t q)> answer;
    /// Whether each question is a step of the monitor's.
    bool counted = false;
  };
  void answer(const Questions& questions, Monitor* monitor) const;

 private:
  struct Batch;
  void answer(const Questions& questions, const Batch& batch, Monitor* monitor) const;
  void gather(Batch& batch, Monitor* monitor) const;

  RowReader data_;
  Workers& workers_;
  ExactDistance distance_;
  std::vector<double> own_norms_;
  std::span<const double> norms_;
};

}  // namespace knowmap::neighbors
