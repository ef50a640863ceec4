#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/labeler.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// Classes of rows: one each, or as many as there are between two offsets.
struct ClassesOf {
  std::span<const std::int32_t> classes;
  std::span<const std::int64_t> offsets;  // empty: one each

  std::size_t rows() const { return offsets.empty() ? classes.size() : offsets.size() - 1; }
  std::span<const std::int32_t> of(std::size_t row) const {
    if (offsets.empty()) return classes.subspan(row, 1);
    return classes.subspan(static_cast<std::size_t>(offsets[row]),
                           static_cast<std::size_t>(offsets[row + 1] - offsets[row]));
  }
  bool known(std::size_t row) const {
    const auto own = of(row);
    return !(own.size() == 1 && own[0] < 0);
  }
};

/// Weights (m, k) of the voters that a graph names, 0 where there is none or its
/// class is not known. Throws `std::invalid_argument` where a voter is not among
/// the rows of `classes`, or a weight function gives what is no weight.
BasicMatrix<double> weigh_voters(const KnnGraph& voters, const ClassesOf& classes,
                                 const KnnLabelerOptions& options, Workers& workers);

/// The outcome of a vote, a row each.
struct Votes {
  TopClasses top;
  std::vector<float> nearest;  ///< distance of the nearest voter; infinity: nobody votes
  std::vector<float> mean;     ///< mean distance of the voters
};

/// Counts the votes; the `keep` best classes of each row are kept. A class
/// of n_classes or more throws `std::invalid_argument`.
Votes count_votes(const KnnGraph& voters, const BasicMatrix<double>& weights,
                  const ClassesOf& classes, std::size_t n_classes, std::size_t keep,
                  Workers& workers);

/// Labels, confidence and abstentions from votes of which at least two classes
/// are kept; `top` holds options.top_k of them.
LabelPrediction decide(const Votes& votes, const KnnLabelerOptions& options,
                       const LabelCalibration& calibration);

/// The first `keep` columns.
TopClasses first_classes(const TopClasses& top, std::size_t keep);

void check_options(const KnnLabelerOptions& options);

}  // namespace knowmap::label
