#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "knowmap/labeler.hpp"

namespace knowmap {

LabelPrediction decide_labels(MatrixView<const float> shares, float min_confidence) {
  if (!(min_confidence >= 0.0f && min_confidence <= 1.0f)) {
    throw std::invalid_argument("min_confidence must be from 0 to 1, not " +
                                std::to_string(min_confidence));
  }
  LabelPrediction decided;
  decided.labels.resize(shares.rows, -1);
  decided.confidence.resize(shares.rows, 0.0f);
  decided.margin.resize(shares.rows, 0.0f);
  for (std::size_t i = 0; i < shares.rows; ++i) {
    const float* row = shares.row(i);
    float best = 0.0f;
    float second = 0.0f;
    std::int32_t label = -1;
    for (std::size_t c = 0; c < shares.cols; ++c) {
      if (row[c] > best) {  // strictly: a tie stays with the lower class
        second = best;
        best = row[c];
        label = static_cast<std::int32_t>(c);
      } else if (row[c] > second) {
        second = row[c];
      }
    }
    decided.confidence[i] = best;
    decided.margin[i] = best - second;
    if (best >= min_confidence) decided.labels[i] = label;
  }
  return decided;
}

Matrix vote(const KnnGraph& voters, std::span<const std::int32_t> classes, std::size_t n_classes,
            KnnLabelerOptions::Weights weights) {
  const std::size_t k = voters.n_neighbors();
  if (voters.distances.rows() != voters.size() || voters.distances.cols() != k) {
    throw std::invalid_argument("the voters' distances have another shape than their indices");
  }
  const bool by_distance = weights == KnnLabelerOptions::Weights::distance;
  Matrix shares(voters.size(), n_classes, 0.0f);
  std::vector<double> votes(n_classes);
  for (std::size_t i = 0; i < voters.size(); ++i) {
    const std::int32_t* index = voters.indices.row(i);
    const float* distance = voters.distances.row(i);
    std::fill(votes.begin(), votes.end(), 0.0);
    // Rounding may put an equal row a little below 0; a weight below 0 would be
    // no vote. Both count as equal.
    bool equal_rows = false;
    for (std::size_t j = 0; by_distance && j < k; ++j) {
      if (index[j] < 0) continue;
      if (static_cast<std::size_t>(index[j]) < classes.size() && classes[index[j]] < 0) continue;
      equal_rows = equal_rows || distance[j] <= 0.0f;
    }
    double total = 0.0;
    for (std::size_t j = 0; j < k; ++j) {
      if (index[j] < 0) continue;
      if (static_cast<std::size_t>(index[j]) >= classes.size()) {
        throw std::invalid_argument("voter " + std::to_string(index[j]) + " of row " +
                                    std::to_string(i) + " is not among the " +
                                    std::to_string(classes.size()) + " classes given");
      }
      const std::int32_t c = classes[index[j]];
      if (c < 0) continue;
      if (static_cast<std::size_t>(c) >= n_classes) {
        throw std::invalid_argument("class " + std::to_string(c) + " of row " +
                                    std::to_string(index[j]) +
                                    " is not below n_classes = " + std::to_string(n_classes));
      }
      double weight = 1.0;
      if (equal_rows) {
        weight = distance[j] <= 0.0f ? 1.0 : 0.0;
      } else if (by_distance) {
        weight = 1.0 / static_cast<double>(distance[j]);
      }
      votes[c] += weight;
      total += weight;
    }
    if (total <= 0.0) continue;  // nobody votes: shares of 0
    for (std::size_t c = 0; c < n_classes; ++c) {
      shares(i, c) = static_cast<float>(votes[c] / total);
    }
  }
  return shares;
}

}  // namespace knowmap
