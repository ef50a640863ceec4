#include "label/vote.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "label/calibration.hpp"

namespace knowmap {

namespace label {

namespace {

using Weights = KnnLabelerOptions::Weights;

constexpr std::size_t kGrain = 512;
constexpr float kNone = std::numeric_limits<float>::infinity();

/// exp(-(d - rho) / sigma) with the sigma at which the strengths sum to
/// log2(voters), found by halving as umap-learn's `smooth_knn_dist` finds it.
void membership(std::span<const double> distances, std::span<double> weights) {
  const std::size_t k = distances.size();
  const double target = std::log2(static_cast<double>(k));
  const double rho = std::max(0.0, *std::min_element(distances.begin(), distances.end()));
  double mean = 0;
  for (const double d : distances) mean += d;
  mean /= static_cast<double>(k);
  const auto strength = [&](double distance, double sigma) {
    return distance <= rho ? 1.0 : std::exp(-(distance - rho) / sigma);
  };
  double low = 0, high = std::numeric_limits<double>::infinity(), sigma = 1;
  for (int step = 0; step < 64; ++step) {
    double sum = 0;
    for (const double d : distances) sum += strength(d, sigma);
    if (std::fabs(sum - target) < 1e-5) break;
    if (sum > target) {
      high = sigma;
      sigma = (low + high) / 2;
    } else {
      low = sigma;
      sigma = std::isinf(high) ? sigma * 2 : (low + high) / 2;
    }
  }
  sigma = std::max({sigma, 1e-3 * mean, std::numeric_limits<double>::min()});
  for (std::size_t j = 0; j < k; ++j) weights[j] = strength(distances[j], sigma);
}

void inverse(std::span<const double> distances, std::span<double> weights) {
  // Rounding may put an equal row a little below 0; a weight below 0 would be no
  // vote. Both count as equal.
  const bool equal_rows =
      std::any_of(distances.begin(), distances.end(), [](double d) { return d <= 0; });
  for (std::size_t j = 0; j < distances.size(); ++j) {
    weights[j] = equal_rows ? (distances[j] <= 0 ? 1.0 : 0.0) : 1.0 / distances[j];
  }
}

}  // namespace

void check_options(const KnnLabelerOptions& options) {
  const auto refuse = [](const char* name, const char* wanted, double value) {
    throw std::invalid_argument(std::string(name) + " must be " + wanted + ", not " +
                                std::to_string(value));
  };
  if (options.n_neighbors == 0) refuse("n_neighbors", "at least 1", 0);
  if (options.top_k == 0) refuse("top_k", "at least 1", 0);
  if (!(options.min_confidence >= 0 && options.min_confidence <= 1)) {
    refuse("min_confidence", "from 0 to 1", options.min_confidence);
  }
  if (!(options.target_error >= 0 && options.target_error <= 1)) {
    refuse("target_error", "from 0 to 1", options.target_error);
  }
  if (std::isnan(options.max_distance)) {
    refuse("max_distance", "a number", options.max_distance);
  }
  if (options.weights == Weights::function && !options.weight_function) {
    throw std::invalid_argument("weights are a function, but weight_function is empty");
  }
}

BasicMatrix<double> weigh_voters(const KnnGraph& voters, const ClassesOf& classes,
                                 const KnnLabelerOptions& options, Workers& workers) {
  const std::size_t k = voters.n_neighbors();
  if (voters.distances.rows() != voters.size() || voters.distances.cols() != k) {
    throw std::invalid_argument("the voters' distances have another shape than their indices");
  }
  const auto votes = [&](std::size_t i, std::size_t j) {
    const std::int32_t voter = voters.indices(i, j);
    if (voter < 0) return false;
    if (static_cast<std::size_t>(voter) >= classes.rows()) {
      throw std::invalid_argument("voter " + std::to_string(voter) + " of row " +
                                  std::to_string(i) + " is not among the " +
                                  std::to_string(classes.rows()) + " classes given");
    }
    return classes.known(static_cast<std::size_t>(voter));
  };
  BasicMatrix<double> weights(voters.size(), k, 0.0);
  if (options.weights == Weights::function) {
    Matrix distances(voters.size(), k);
    Matrix given(voters.size(), k, 0.0f);
    for (std::size_t i = 0; i < voters.size(); ++i) {
      for (std::size_t j = 0; j < k; ++j) {
        distances(i, j) = votes(i, j) ? voters.distances(i, j) : kNone;
      }
    }
    options.weight_function(distances, given);
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (distances.data()[i] == kNone) continue;
      if (!(given.data()[i] >= 0) || std::isinf(given.data()[i])) {
        throw std::invalid_argument("the weight function gave " + std::to_string(given.data()[i]) +
                                    " for distance " + std::to_string(distances.data()[i]) +
                                    "; a weight is 0 or more");
      }
      weights.data()[i] = given.data()[i];
    }
    return weights;
  }
  workers.run_ranges(voters.size(), kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<double> distances;
    std::vector<double> own;
    std::vector<std::size_t> place;
    for (std::size_t i = begin; i < end; ++i) {
      distances.clear();
      place.clear();
      for (std::size_t j = 0; j < k; ++j) {
        if (!votes(i, j)) continue;
        distances.push_back(voters.distances(i, j));
        place.push_back(j);
      }
      if (place.empty()) continue;
      own.assign(place.size(), 1.0);
      if (options.weights == Weights::distance) inverse(distances, own);
      if (options.weights == Weights::membership) membership(distances, own);
      for (std::size_t j = 0; j < place.size(); ++j) weights(i, place[j]) = own[j];
    }
  });
  return weights;
}

Votes count_votes(const KnnGraph& voters, const BasicMatrix<double>& weights,
                  const ClassesOf& classes, std::size_t n_classes, std::size_t keep,
                  Workers& workers) {
  const std::size_t m = voters.size();
  const std::size_t k = voters.n_neighbors();
  Votes votes;
  votes.top.classes = BasicMatrix<std::int32_t>(m, keep, -1);
  votes.top.shares = Matrix(m, keep, 0.0f);
  votes.nearest.assign(m, kNone);
  votes.mean.assign(m, kNone);
  struct Vote {
    std::int32_t label;
    double weight;
  };
  workers.run_ranges(m, kGrain, [&](std::size_t begin, std::size_t end, int) {
    std::vector<Vote> cast;
    for (std::size_t i = begin; i < end; ++i) {
      cast.clear();
      double total = 0, far = 0;
      std::size_t count = 0;
      for (std::size_t j = 0; j < k; ++j) {
        const std::int32_t voter = voters.indices(i, j);
        if (voter < 0 || !classes.known(static_cast<std::size_t>(voter))) continue;
        const float distance = voters.distances(i, j);
        votes.nearest[i] = std::min(votes.nearest[i], distance);
        far += distance;
        ++count;
        total += weights(i, j);
        for (const std::int32_t label : classes.of(static_cast<std::size_t>(voter))) {
          if (label < 0 || static_cast<std::size_t>(label) >= n_classes) {
            throw std::invalid_argument("class " + std::to_string(label) + " of row " +
                                        std::to_string(voter) +
                                        " is not below n_classes = " + std::to_string(n_classes));
          }
          cast.push_back({label, weights(i, j)});
        }
      }
      if (count > 0) votes.mean[i] = static_cast<float>(far / static_cast<double>(count));
      if (total <= 0) continue;  // nobody votes: shares of 0
      // Votes for a class are summed in the order of the voters.
      std::stable_sort(cast.begin(), cast.end(),
                       [](const Vote& a, const Vote& b) { return a.label < b.label; });
      std::size_t out = 0;
      for (std::size_t v = 0; v < cast.size(); ++v) {
        if (out > 0 && cast[out - 1].label == cast[v].label) {
          cast[out - 1].weight += cast[v].weight;
        } else {
          cast[out++] = cast[v];
        }
      }
      cast.resize(out);
      std::erase_if(cast, [](const Vote& v) { return v.weight <= 0; });
      const auto share = [&](const Vote& v) { return static_cast<float>(v.weight / total); };
      const std::size_t best = std::min(keep, cast.size());
      std::partial_sort(cast.begin(), cast.begin() + static_cast<std::ptrdiff_t>(best), cast.end(),
                        [&](const Vote& a, const Vote& b) {
                          const float of_a = share(a), of_b = share(b);
                          return of_a != of_b ? of_a > of_b : a.label < b.label;
                        });
      for (std::size_t t = 0; t < best; ++t) {
        votes.top.classes(i, t) = cast[t].label;
        votes.top.shares(i, t) = share(cast[t]);
      }
    }
  });
  return votes;
}

TopClasses first_classes(const TopClasses& top, std::size_t keep) {
  const std::size_t m = top.classes.rows();
  const std::size_t t = std::min(keep, top.classes.cols());
  TopClasses out{{m, keep, -1}, {m, keep, 0.0f}};
  for (std::size_t i = 0; i < m; ++i) {
    std::copy_n(top.classes.row(i), t, out.classes.row(i));
    std::copy_n(top.shares.row(i), t, out.shares.row(i));
  }
  return out;
}

LabelPrediction decide(const Votes& votes, const KnnLabelerOptions& options,
                       const LabelCalibration& calibration) {
  const std::size_t m = votes.nearest.size();
  LabelPrediction decided;
  decided.labels.assign(m, -1);
  decided.confidence.assign(m, 0.0f);
  decided.margin.assign(m, 0.0f);
  const float least = std::max(options.min_confidence, calibration.threshold);
  for (std::size_t i = 0; i < m; ++i) {
    const std::int32_t label = votes.top.classes(i, 0);
    const float share = votes.top.shares(i, 0);
    decided.margin[i] = share - votes.top.shares(i, 1);
    if (label < 0) continue;
    decided.confidence[i] =
        confidence(calibration, {share, decided.margin[i], votes.nearest[i], votes.mean[i]}, label);
    if (decided.confidence[i] >= least && votes.nearest[i] <= options.max_distance) {
      decided.labels[i] = label;
    }
  }
  decided.top = first_classes(votes.top, options.top_k);
  return decided;
}

}  // namespace label

LabelPrediction decide_labels(MatrixView<const float> shares, float min_confidence) {
  KnnLabelerOptions options;
  options.min_confidence = min_confidence;
  label::check_options(options);
  const std::size_t keep = std::max<std::size_t>(2, options.top_k);
  label::Votes votes;
  votes.top.classes = BasicMatrix<std::int32_t>(shares.rows, keep, -1);
  votes.top.shares = Matrix(shares.rows, keep, 0.0f);
  votes.nearest.assign(shares.rows, 0.0f);
  votes.mean.assign(shares.rows, 0.0f);
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < shares.rows; ++i) {
    const float* row = shares.row(i);
    order.clear();
    for (std::size_t c = 0; c < shares.cols; ++c) {
      if (row[c] > 0) order.push_back(static_cast<std::int32_t>(c));
    }
    const std::size_t best = std::min(keep, order.size());
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(best), order.end(),
        [&](std::int32_t a, std::int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    for (std::size_t t = 0; t < best; ++t) {
      votes.top.classes(i, t) = order[t];
      votes.top.shares(i, t) = row[order[t]];
    }
  }
  return label::decide(votes, options, {});
}

Matrix vote(const KnnGraph& voters, std::span<const std::int32_t> classes, std::size_t n_classes,
            KnnLabelerOptions::Weights weights) {
  KnnLabelerOptions options;
  options.weights = weights;
  label::check_options(options);
  Workers workers(1);
  const label::ClassesOf of{classes, {}};
  const auto weighed = label::weigh_voters(voters, of, options, workers);
  const std::size_t keep = std::max<std::size_t>(1, voters.n_neighbors());
  const label::Votes votes = label::count_votes(voters, weighed, of, n_classes, keep, workers);
  Matrix shares(voters.size(), n_classes, 0.0f);
  for (std::size_t i = 0; i < voters.size(); ++i) {
    for (std::size_t t = 0; t < keep && votes.top.classes(i, t) >= 0; ++t) {
      shares(i, static_cast<std::size_t>(votes.top.classes(i, t))) = votes.top.shares(i, t);
    }
  }
  return shares;
}

LabelPrediction label_by_graph(const KnnGraph& voters, std::span<const std::int32_t> classes,
                               const KnnLabelerOptions& options) {
  label::check_options(options);
  std::int32_t last = -1;
  for (const std::int32_t c : classes) last = std::max(last, c);
  const auto n_classes = static_cast<std::size_t>(last + 1);
  Workers workers(options.threads);
  const label::ClassesOf of{classes, {}};
  const auto weighed = label::weigh_voters(voters, of, options, workers);
  const std::size_t keep = std::max<std::size_t>(2, options.top_k);
  const label::Votes votes = label::count_votes(voters, weighed, of, n_classes, keep, workers);
  LabelCalibration calibration;
  if (options.calibrate || options.target_error < 1) {
    if (classes.size() != voters.size()) {
      throw std::invalid_argument("calibration needs a class, or -1, for each of the " +
                                  std::to_string(voters.size()) + " rows, not " +
                                  std::to_string(classes.size()));
    }
    calibration = label::calibrate(votes, classes, n_classes, options.target_error);
  }
  return label::decide(votes, options, calibration);
}

}  // namespace knowmap
