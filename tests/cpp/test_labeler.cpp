// KnnLabeler: small vote tables by hand, and brute force as the oracle.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "knowmap/error.hpp"
#include "knowmap/labeler.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

using Weights = KnnLabelerOptions::Weights;

Matrix matrix(std::initializer_list<std::initializer_list<float>> rows) {
  Matrix m(rows.size(), rows.begin()->size());
  std::size_t i = 0;
  for (const auto& row : rows) std::copy(row.begin(), row.end(), m.row(i++));
  return m;
}

Matrix random_rows(std::size_t n, std::size_t d, std::uint64_t seed) {
  Matrix m(n, d);
  for (std::size_t i = 0; i < m.size(); ++i) {
    m.data()[i] = static_cast<float>(unit(random_bits(seed, RandomStage::sample, i)) - 0.5);
  }
  return m;
}

KnnGraph graph(std::initializer_list<std::int32_t> indices,
               std::initializer_list<float> distances) {
  KnnGraph g;
  g.indices = BasicMatrix<std::int32_t>(1, indices.size());
  g.distances = Matrix(1, indices.size());
  std::copy(indices.begin(), indices.end(), g.indices.data());
  std::copy(distances.begin(), distances.end(), g.distances.data());
  return g;
}

std::vector<float> shares(const KnnGraph& voters, std::vector<std::int32_t> classes,
                          std::size_t n_classes, Weights weights) {
  const Matrix m = vote(voters, classes, n_classes, weights);
  return {m.data(), m.data() + m.size()};
}

TEST(Vote, Uniform) {
  EXPECT_EQ(shares(graph({0, 1, 2, 3}, {1, 2, 3, 4}), {0, 2, 2, 1}, 3, Weights::uniform),
            (std::vector<float>{0.25f, 0.25f, 0.5f}));
}

TEST(Vote, ByDistance) {
  // 1/1 against 1/2 + 1/4.
  const auto s = shares(graph({0, 1, 2}, {1, 2, 4}), {0, 1, 1}, 2, Weights::distance);
  EXPECT_FLOAT_EQ(s[0], 1.0f / 1.75f);
  EXPECT_FLOAT_EQ(s[1], 0.75f / 1.75f);
}

TEST(Vote, OnlyEqualRowsVoteWhereThereAreAny) {
  EXPECT_EQ(shares(graph({0, 1, 2, 3}, {0, 0, 0.1f, 0.1f}), {1, 0, 0, 0}, 2, Weights::distance),
            (std::vector<float>{0.5f, 0.5f}));
  // Rounding below 0 is equal, too.
  EXPECT_EQ(shares(graph({0, 1}, {-1e-8f, 0.1f}), {1, 0}, 2, Weights::distance),
            (std::vector<float>{0, 1}));
  // Uniform votes don't look at the distance.
  EXPECT_EQ(shares(graph({0, 1}, {0, 0.1f}), {1, 0}, 2, Weights::uniform),
            (std::vector<float>{0.5f, 0.5f}));
}

TEST(Vote, UnknownAndMissingVotersAreSilent) {
  EXPECT_EQ(shares(graph({0, 1, -1}, {0, 1, std::numeric_limits<float>::infinity()}), {-1, 0}, 2,
                   Weights::distance),
            (std::vector<float>{1, 0}));
  EXPECT_EQ(shares(graph({0}, {1}), {-1}, 2, Weights::uniform), (std::vector<float>{0, 0}));
}

TEST(Vote, RefusesWhatDoesNotFit) {
  EXPECT_THROW(shares(graph({5}, {1}), {0}, 1, Weights::uniform), std::invalid_argument);
  EXPECT_THROW(shares(graph({0}, {1}), {3}, 2, Weights::uniform), std::invalid_argument);
}

TEST(DecideLabels, TiesMarginAbstention) {
  const Matrix m = matrix({{0.4f, 0.4f, 0.2f}, {0.1f, 0.3f, 0.6f}, {0, 0, 0}});
  const LabelPrediction all = decide_labels(m, 0);
  EXPECT_EQ(all.labels, (std::vector<std::int32_t>{0, 2, -1}));  // nobody voted on the last
  EXPECT_FLOAT_EQ(all.margin[0], 0);
  EXPECT_FLOAT_EQ(all.margin[1], 0.3f);
  const LabelPrediction sure = decide_labels(m, 0.5f);
  EXPECT_EQ(sure.labels, (std::vector<std::int32_t>{-1, 2, -1}));
  EXPECT_FLOAT_EQ(sure.confidence[0], 0.4f);  // told although it abstains
  EXPECT_THROW(decide_labels(m, 1.5f), std::invalid_argument);
  EXPECT_THROW(decide_labels(m, std::nanf("")), std::invalid_argument);
}

TEST(KnnLabeler, VotesInTheMetric) {
  const Matrix data = matrix({{0, 0}, {0, 1}, {10, 10}, {10, 11}, {5, 5}});
  const std::vector<std::int32_t> classes{0, 0, 1, 1, -1};
  KnnLabeler labeler({.n_neighbors = 2, .metric = Metric::euclidean});
  labeler.fit(data, classes);
  EXPECT_EQ(labeler.n_classes(), 2u);
  const Matrix rows = matrix({{1, 1}, {9, 9}, {5, 5}});
  const LabelPrediction p = labeler.predict(rows);
  EXPECT_EQ(p.labels[0], 0);
  EXPECT_EQ(p.labels[1], 1);
  const KnnGraph voters = labeler.voters(rows);
  for (std::size_t i = 0; i < voters.indices.size(); ++i) {
    EXPECT_NE(voters.indices.data()[i], 4);  // unknown rows do not vote
  }
}

TEST(KnnLabeler, VotersAreRowsGivenToFit) {
  const Matrix data = matrix({{0, 1}, {1, 0}, {1, 0.1f}});
  const std::vector<std::int32_t> classes{-1, 0, 1};
  KnnLabeler labeler({.n_neighbors = 1});
  labeler.fit(data, classes);
  EXPECT_EQ(labeler.voters(matrix({{1, 0}})).indices(0, 0), 1);
  EXPECT_EQ(labeler.voters(matrix({{1, 0.1f}})).indices(0, 0), 2);
}

TEST(KnnLabeler, MoreNeighborsThanLabelledRows) {
  const Matrix data = matrix({{0, 1}, {1, 0}, {1, 1}});
  KnnLabeler labeler({.n_neighbors = 50});
  labeler.fit(data, std::vector<std::int32_t>{0, 1, 1});
  const Matrix p = labeler.predict_proba(matrix({{1, 0}}));
  EXPECT_FLOAT_EQ(p(0, 0), 1.0f / 3);
  EXPECT_FLOAT_EQ(p(0, 1), 2.0f / 3);
  EXPECT_EQ(labeler.voters(data).n_neighbors(), 3u);
}

/// All distances, sorted; votes in double as scikit-learn counts them.
void expect_brute_force(Weights weights, Metric metric, std::size_t k) {
  const std::size_t n = 300, d = 5, m = 120, n_classes = 4;
  Matrix data = random_rows(n, d, 1);
  Matrix rows = random_rows(m, d, 2);
  for (std::size_t i = 0; i < 10; ++i) std::copy_n(data.row(3 * i), d, rows.row(i));
  std::vector<std::int32_t> classes(n);
  for (std::size_t i = 0; i < n; ++i) {
    classes[i] =
        static_cast<std::int32_t>(bounded(random_bits(3, RandomStage::sample, i), n_classes + 1)) -
        1;
  }
  KnnLabeler labeler({.n_neighbors = k, .metric = metric, .weights = weights});
  labeler.fit(data, classes);
  const Matrix proba = labeler.predict_proba(rows);
  const LabelPrediction predicted = labeler.predict(rows);
  for (std::size_t i = 0; i < m; ++i) {
    std::vector<std::pair<double, std::int32_t>> all;
    for (std::size_t j = 0; j < n; ++j) {
      if (classes[j] < 0) continue;
      double square = 0, product = 0, a = 0, b = 0;
      for (std::size_t c = 0; c < d; ++c) {
        square += std::pow(static_cast<double>(rows(i, c)) - data(j, c), 2);
        product += static_cast<double>(rows(i, c)) * data(j, c);
        a += static_cast<double>(rows(i, c)) * rows(i, c);
        b += static_cast<double>(data(j, c)) * data(j, c);
      }
      all.emplace_back(
          metric == Metric::cosine ? 1 - product / std::sqrt(a * b) : std::sqrt(square),
          classes[j]);
    }
    std::sort(all.begin(), all.end());
    if (weights == Weights::distance && all[0].first < 1e-6) {
      EXPECT_NEAR(proba(i, static_cast<std::size_t>(all[0].second)), 1, 1e-3);
      continue;
    }
    std::vector<double> votes(n_classes);
    double total = 0;
    for (std::size_t j = 0; j < k; ++j) {
      const double w = weights == Weights::distance ? 1 / all[j].first : 1;
      votes[static_cast<std::size_t>(all[j].second)] += w;
      total += w;
    }
    double sum = 0;
    for (std::size_t c = 0; c < n_classes; ++c) {
      EXPECT_NEAR(proba(i, c), votes[c] / total, 1e-4) << "row " << i;
      sum += proba(i, c);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
    const auto best = std::max_element(votes.begin(), votes.end()) - votes.begin();
    if (weights == Weights::uniform) {
      EXPECT_EQ(predicted.labels[i], best) << "row " << i;
    }
  }
}

TEST(KnnLabeler, BruteForceUniformEuclidean) {
  expect_brute_force(Weights::uniform, Metric::euclidean, 7);
}
TEST(KnnLabeler, BruteForceDistanceEuclidean) {
  expect_brute_force(Weights::distance, Metric::euclidean, 5);
}
TEST(KnnLabeler, BruteForceUniformCosine) {
  expect_brute_force(Weights::uniform, Metric::cosine, 6);
}
TEST(KnnLabeler, BruteForceDistanceCosine) {
  expect_brute_force(Weights::distance, Metric::cosine, 9);
}

TEST(KnnLabeler, ThreadsDoNotMatter) {
  const Matrix data = random_rows(500, 8, 5);
  std::vector<std::int32_t> classes(500);
  for (std::size_t i = 0; i < 500; ++i) classes[i] = static_cast<std::int32_t>(i % 7);
  std::vector<float> first;
  for (const int threads : {1, 2, 4, 7}) {
    KnnLabeler labeler({.weights = Weights::distance, .threads = threads});
    labeler.fit(data, classes);
    const Matrix p = labeler.predict_proba(data);
    const std::vector<float> now(p.data(), p.data() + p.size());
    if (first.empty()) first = now;
    EXPECT_EQ(now, first) << threads << " threads";
  }
}

TEST(KnnLabeler, RefusesMistakes) {
  const Matrix data = matrix({{0, 1}, {1, 0}});
  EXPECT_THROW(KnnLabeler({.n_neighbors = 0}), std::invalid_argument);
  EXPECT_THROW(KnnLabeler({.min_confidence = -0.1f}), std::invalid_argument);
  KnnLabeler labeler;
  EXPECT_THROW(labeler.predict(data), std::invalid_argument);
  EXPECT_THROW(labeler.voters(data), std::invalid_argument);
  EXPECT_THROW(labeler.fit(data, std::vector<std::int32_t>{0}), std::invalid_argument);
  EXPECT_THROW(labeler.fit(data, std::vector<std::int32_t>{-1, -1}), std::invalid_argument);
  EXPECT_THROW(labeler.fit(data, std::vector<std::int32_t>{0, -2}), std::invalid_argument);
  EXPECT_THROW(labeler.fit(Matrix(), std::span<const std::int32_t>()), std::invalid_argument);
  labeler.fit(data, std::vector<std::int32_t>{0, 1});
  EXPECT_THROW(labeler.predict(matrix({{1, 2, 3}})), std::invalid_argument);
  Matrix bad = data.clone();
  bad(1, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(labeler.fit(bad, std::vector<std::int32_t>{0, 1}), std::invalid_argument);
  EXPECT_EQ(labeler.predict(data).labels, (std::vector<std::int32_t>{0, 0}));  // still the old fit
  EXPECT_TRUE(labeler.predict(Matrix(0, 2)).labels.empty());
}

TEST(KnnLabeler, Cancels) {
  const Matrix data = random_rows(3000, 16, 9);
  KnnLabelerOptions options;
  options.progress = [](const Progress& p) {
    EXPECT_EQ(p.stage, "label");
    EXPECT_LE(p.done, p.total);
    return false;
  };
  KnnLabeler labeler(std::move(options));
  labeler.fit(data, std::vector<std::int32_t>(3000, 0));
  EXPECT_THROW(labeler.predict(data), CancelledError);
}

}  // namespace
}  // namespace knowmap
