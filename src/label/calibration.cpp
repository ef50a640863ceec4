#include "label/calibration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace knowmap::label {

namespace {

constexpr std::size_t kFeatures = 5;
constexpr std::size_t kFewest = 20;
/// Rows that a class' record counts of the overall one.
constexpr double kPrior = 5;
constexpr double kRidge = 1e-2;
constexpr std::size_t kBinRows = 50;
constexpr std::size_t kMostBins = 40;

using Features = std::array<double, kFeatures>;

double log_odds(double p) {
  p = std::clamp(p, 1e-4, 1 - 1e-4);
  return std::log(p / (1 - p));
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

double log_distance(float distance) { return std::log(std::clamp(distance, 1e-6f, 1e6f)); }

Features features_of(const VoteFeatures& vote, float precision) {
  return {vote.share, vote.margin, log_distance(vote.nearest), log_distance(vote.mean),
          log_odds(precision)};
}

double linear(const LabelCalibration& c, const Features& x) {
  double z = c.coefficients[0];
  for (std::size_t f = 0; f < kFeatures; ++f) {
    z += c.coefficients[f + 1] * (x[f] - c.means[f]) / c.spreads[f];
  }
  return z;
}

/// Newton's method on the penalised likelihood; the system is so small that it
/// is solved by elimination.
void fit_logistic(LabelCalibration& c, const std::vector<Features>& rows,
                  const std::vector<bool>& right) {
  const auto n = static_cast<double>(rows.size());
  c.means.assign(kFeatures, 0);
  c.spreads.assign(kFeatures, 0);
  for (const Features& x : rows) {
    for (std::size_t f = 0; f < kFeatures; ++f) c.means[f] += x[f] / n;
  }
  for (const Features& x : rows) {
    for (std::size_t f = 0; f < kFeatures; ++f) {
      c.spreads[f] += (x[f] - c.means[f]) * (x[f] - c.means[f]) / n;
    }
  }
  for (double& spread : c.spreads) spread = spread > 1e-12 ? std::sqrt(spread) : 1.0;
  constexpr std::size_t kSize = kFeatures + 1;
  c.coefficients.assign(kSize, 0.0);
  for (int round = 0; round < 30; ++round) {
    std::array<std::array<double, kSize + 1>, kSize> system{};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double p = sigmoid(linear(c, rows[i]));
      std::array<double, kSize> x;
      x[0] = 1;
      for (std::size_t f = 0; f < kFeatures; ++f) {
        x[f + 1] = (rows[i][f] - c.means[f]) / c.spreads[f];
      }
      const double slope = std::max(p * (1 - p), 1e-9);
      for (std::size_t a = 0; a < kSize; ++a) {
        for (std::size_t b = 0; b < kSize; ++b) system[a][b] += slope * x[a] * x[b];
        system[a][kSize] += ((right[i] ? 1.0 : 0.0) - p) * x[a];
      }
    }
    for (std::size_t a = 0; a < kSize; ++a) {
      system[a][a] += kRidge;
      system[a][kSize] -= kRidge * c.coefficients[a];
    }
    // Positive definite by the ridge: no pivoting is needed.
    for (std::size_t a = 0; a < kSize; ++a) {
      for (std::size_t b = a + 1; b < kSize; ++b) {
        const double factor = system[b][a] / system[a][a];
        for (std::size_t j = a; j <= kSize; ++j) system[b][j] -= factor * system[a][j];
      }
    }
    double largest = 0;
    std::array<double, kSize> step{};
    for (std::size_t a = kSize; a-- > 0;) {
      double value = system[a][kSize];
      for (std::size_t b = a + 1; b < kSize; ++b) value -= system[a][b] * step[b];
      step[a] = value / system[a][a];
      largest = std::max(largest, std::fabs(step[a]));
    }
    // A step too long, where nearly all are right, is cut.
    const double cut = largest > 2 ? 2 / largest : 1;
    for (std::size_t a = 0; a < kSize; ++a) c.coefficients[a] += cut * step[a];
    if (largest < 1e-8) break;
  }
}

double raw_score(const LabelCalibration& c, const VoteFeatures& vote, std::int32_t label) {
  if (c.coefficients.empty()) return vote.share;
  const bool on_record = label >= 0 && static_cast<std::size_t>(label) < c.precision.size();
  return sigmoid(linear(
      c, features_of(vote, on_record ? c.precision[static_cast<std::size_t>(label)] : 0.5f)));
}

/// Pool adjacent violators over bins of equal size.
void fit_isotonic(LabelCalibration& c, std::vector<std::pair<float, bool>> scored) {
  std::stable_sort(scored.begin(), scored.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t n = scored.size();
  const std::size_t bins = std::clamp<std::size_t>(n / kBinRows, 1, kMostBins);
  struct Bin {
    double score, right, rows;
  };
  std::vector<Bin> pooled;
  for (std::size_t b = 0; b < bins; ++b) {
    Bin bin{0, 0, 0};
    for (std::size_t i = n * b / bins; i < n * (b + 1) / bins; ++i) {
      bin.score += scored[i].first;
      bin.right += scored[i].second ? 1 : 0;
      bin.rows += 1;
    }
    pooled.push_back(bin);
    while (pooled.size() > 1) {
      const Bin last = pooled.back();
      Bin& before = pooled[pooled.size() - 2];
      if (before.right / before.rows < last.right / last.rows) break;
      before = {before.score + last.score, before.right + last.right, before.rows + last.rows};
      pooled.pop_back();
    }
  }
  for (const Bin& bin : pooled) {
    c.score.push_back(static_cast<float>(bin.score / bin.rows));
    // No number of rows makes certain.
    c.right.push_back(static_cast<float>((bin.right + 0.5) / (bin.rows + 1)));
  }
  for (std::size_t b = 1; b < c.right.size(); ++b) {
    c.right[b] = std::max(c.right[b], c.right[b - 1]);
  }
}

/// Upper end of the interval of an error rate (Wilson 1927), one standard error.
double upper_error(double wrong, double rows) {
  const double rate = wrong / rows;
  const double half = std::sqrt(rate * (1 - rate) / rows + 1 / (4 * rows * rows));
  return (rate + 1 / (2 * rows) + half) / (1 + 1 / rows);
}

void find_threshold(LabelCalibration& c, std::vector<std::pair<float, bool>> judged,
                    float target_error) {
  std::stable_sort(judged.begin(), judged.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  const auto n = static_cast<double>(judged.size());
  double wrong = 0;
  for (const auto& [sure, right] : judged) wrong += right ? 0 : 1;
  c.coverage = 1;
  c.error = n > 0 ? static_cast<float>(wrong / n) : 0.0f;
  if (target_error >= 1) return;
  c.threshold = 2;
  c.coverage = 0;
  c.error = 0;
  wrong = 0;
  for (std::size_t i = 0; i < judged.size(); ++i) {
    wrong += judged[i].second ? 0 : 1;
    if (i + 1 < judged.size() && judged[i + 1].first == judged[i].first) continue;
    const auto rows = static_cast<double>(i + 1);
    if (upper_error(wrong, rows) > target_error) continue;
    c.threshold = judged[i].first;
    c.coverage = static_cast<float>(rows / n);
    c.error = static_cast<float>(wrong / rows);
  }
}

}  // namespace

LabelCalibration calibrate(const Votes& votes, std::span<const std::int32_t> truth,
                           std::size_t n_classes, float target_error) {
  LabelCalibration c;
  std::vector<std::size_t> rows;
  std::vector<double> said(n_classes), right_of(n_classes);
  double right_rows = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const std::int32_t label = votes.top.classes(i, 0);
    if (truth[i] < 0 || label < 0) continue;
    rows.push_back(i);
    ++said[static_cast<std::size_t>(label)];
    if (label == truth[i]) {
      ++right_of[static_cast<std::size_t>(label)];
      ++right_rows;
    }
  }
  const auto vote_of = [&](std::size_t i) {
    return VoteFeatures{votes.top.shares(i, 0), votes.top.shares(i, 0) - votes.top.shares(i, 1),
                        votes.nearest[i], votes.mean[i]};
  };
  if (rows.size() >= kFewest) {
    const double overall = right_rows / static_cast<double>(rows.size());
    c.precision.resize(n_classes);
    for (std::size_t k = 0; k < n_classes; ++k) {
      c.precision[k] = static_cast<float>((right_of[k] + kPrior * overall) / (said[k] + kPrior));
    }
    std::vector<Features> features;
    std::vector<bool> right;
    for (const std::size_t i : rows) {
      const std::int32_t label = votes.top.classes(i, 0);
      features.push_back(features_of(vote_of(i), c.precision[static_cast<std::size_t>(label)]));
      right.push_back(label == truth[i]);
    }
    fit_logistic(c, features, right);
    std::vector<std::pair<float, bool>> scored;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      scored.emplace_back(static_cast<float>(sigmoid(linear(c, features[r]))), right[r]);
    }
    fit_isotonic(c, std::move(scored));
  }
  std::vector<std::pair<float, bool>> judged;
  for (const std::size_t i : rows) {
    const std::int32_t label = votes.top.classes(i, 0);
    judged.emplace_back(confidence(c, vote_of(i), label), label == truth[i]);
  }
  find_threshold(c, std::move(judged), target_error);
  return c;
}

LabelCalibration calibrate_sets(const Votes& votes, const ClassesOf& truth, float target_error) {
  LabelCalibration c;
  std::vector<std::pair<float, bool>> scored;
  for (std::size_t i = 0; i < votes.nearest.size(); ++i) {
    if (!truth.known(i)) continue;
    const auto own = truth.of(i);
    for (std::size_t t = 0; t < votes.top.classes.cols() && votes.top.classes(i, t) >= 0; ++t) {
      const bool right = std::find(own.begin(), own.end(), votes.top.classes(i, t)) != own.end();
      scored.emplace_back(votes.top.shares(i, t), right);
    }
  }
  if (scored.size() >= kFewest) fit_isotonic(c, scored);
  // Judged are those that would be given.
  std::vector<std::pair<float, bool>> judged;
  for (const auto& [share, right] : scored) {
    const float sure = confidence(c, {share, 0, 0, 0}, -1);
    if (sure > 0.5f) judged.emplace_back(sure, right);
  }
  find_threshold(c, std::move(judged), target_error);
  return c;
}

float confidence(const LabelCalibration& c, const VoteFeatures& vote, std::int32_t label) {
  if (c.score.empty()) return vote.share;
  const auto score = static_cast<float>(raw_score(c, vote, label));
  const auto above = std::upper_bound(c.score.begin(), c.score.end(), score);
  if (above == c.score.begin()) return c.right.front();
  if (above == c.score.end()) return c.right.back();
  const auto at = static_cast<std::size_t>(above - c.score.begin());
  const float width = c.score[at] - c.score[at - 1];
  const float part = width > 0 ? (score - c.score[at - 1]) / width : 1.0f;
  return c.right[at - 1] + part * (c.right[at] - c.right[at - 1]);
}

}  // namespace knowmap::label
