// KnnLabeler: small vote tables by hand, and brute force as the oracle.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "knowmap/error.hpp"
#include "knowmap/knn.hpp"
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

TEST(KnnLabeler, VotersByAnIndex) {
  // Eight clouds, a class each, which overlap a little.
  Matrix rows = random_rows(6000, 24, 5);
  std::vector<std::int32_t> classes(rows.rows());
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    classes[i] = static_cast<std::int32_t>(i % 8);
    rows(i, i % 8) += 0.8f;
  }
  Matrix asked(1000, rows.cols());
  std::copy_n(rows.row(5000), asked.size(), asked.data());
  const auto labeler = [&](KnnOptions::Search search, int threads) {
    KnnLabelerOptions options;
    options.metric = Metric::euclidean;
    options.search = search;
    options.calibrate = true;
    options.threads = threads;
    KnnLabeler made(options);
    made.fit(rows.view().slice(0, 5000), std::span(classes).first(5000));
    return made;
  };
  const auto exact = labeler(KnnOptions::Search::exact, 2).predict(asked);
  const KnnLabeler indexed = labeler(KnnOptions::Search::approximate, 2);
  const auto found = indexed.predict(asked);
  std::size_t same = 0;
  for (std::size_t i = 0; i < asked.rows(); ++i) same += exact.labels[i] == found.labels[i];
  EXPECT_GE(same, 970u);
  EXPECT_EQ(labeler(KnnOptions::Search::approximate, 1).predict(asked).confidence,
            found.confidence);
  // Few rows are looked at one and all.
  EXPECT_EQ(labeler(KnnOptions::Search::automatic, 2).predict(asked).confidence, exact.confidence);

  LabelerState state;
  state.options = indexed.state().options;
  state.data = indexed.state().data.clone();
  state.numbers = indexed.state().numbers;
  state.classes = indexed.state().classes;
  state.n_classes = indexed.state().n_classes;
  state.calibration = indexed.state().calibration;
  EXPECT_EQ(KnnLabeler::from_state(std::move(state)).predict(asked).confidence, found.confidence);

  // What the index learnt is part of the state, and is not found out again.
  const VoterIndex& index = indexed.state().index;
  ASSERT_GT(index.leaders.size(), 1u);
  ASSERT_EQ(index.cells.size(), 5000u);
  const auto kept = [&](const VoterIndex& held) {
    const LabelerState& s = indexed.state();
    return KnnLabeler::from_state({s.options, s.data.clone(), s.numbers, s.classes, s.n_classes,
                                   s.multi_label, s.calibration, held});
  };
  EXPECT_EQ(kept(index).predict(asked).confidence, found.confidence);
  VoterIndex fewer = index;
  fewer.probes = 1;
  EXPECT_EQ(kept(fewer).state().index.probes, 1u);
  VoterIndex torn = index;
  torn.cells.pop_back();
  EXPECT_THROW(kept(torn), std::invalid_argument);
  EXPECT_TRUE(labeler(KnnOptions::Search::exact, 2).state().index.leaders.empty());
}

TEST(KnnLabeler, OneSearchForLabelsAndVoters) {
  const Matrix rows = random_rows(400, 6, 9);
  std::vector<std::int32_t> classes(400);
  for (std::size_t i = 0; i < 400; ++i) classes[i] = static_cast<std::int32_t>(i % 5) - 1;
  KnnLabeler labeler({.n_neighbors = 7, .weights = Weights::distance, .calibrate = true});
  labeler.fit(rows, classes);
  const Matrix asked = random_rows(50, 6, 10);
  const KnnGraph voters = labeler.voters(asked);
  const LabelPrediction direct = labeler.predict(asked), by = labeler.predict_by(voters);
  EXPECT_EQ(by.labels, direct.labels);
  EXPECT_EQ(by.confidence, direct.confidence);
  EXPECT_EQ(by.margin, direct.margin);
  const LabelSets own = labeler.classes_of({voters.indices.row(3), 7});
  ASSERT_EQ(own.size(), 7u);
  for (std::size_t j = 0; j < 7; ++j) {
    EXPECT_EQ(own.of(j)[0], classes[static_cast<std::size_t>(voters.indices(3, j))]);
  }
  EXPECT_THROW(labeler.classes_of(std::vector<std::int32_t>{0}),
               std::invalid_argument);  // class -1
  EXPECT_THROW(labeler.classes_of(std::vector<std::int32_t>{400}), std::invalid_argument);
  KnnGraph wrong{{1, 1}, {1, 1}};
  wrong.indices(0, 0) = 5;  // not labelled
  EXPECT_THROW(labeler.predict_by(wrong), std::invalid_argument);
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

TEST(Vote, MembershipIsOneForTheNearestAndSumsToTheLogarithm) {
  const KnnGraph voters = graph({0, 1, 2, 3, 4, 5, 6, 7}, {1, 1.2f, 1.5f, 2, 2.2f, 3, 3.5f, 5});
  const auto s = shares(voters, {0, 1, 2, 3, 4, 5, 6, 7}, 8, Weights::membership);
  // The nearest has strength 1 of log2(8) = 3.
  EXPECT_NEAR(s[0], 1.0f / 3, 1e-4);
  EXPECT_TRUE(std::is_sorted(s.rbegin(), s.rend()));
  // exp(-(d - rho) / sigma): the logarithms of two shares are as their distances.
  const double sigma = 0.2 / std::log(s[0] / s[1]);
  for (std::size_t j = 2; j < 8; ++j) {
    EXPECT_NEAR(std::log(s[0] / s[j]), (voters.distances(0, j) - 1) / sigma, 1e-3);
  }
}

TEST(Vote, MembershipOfEqualDistances) {
  EXPECT_EQ(shares(graph({0, 1, 2, 3}, {2, 2, 2, 2}), {0, 0, 1, 1}, 2, Weights::membership),
            (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(shares(graph({0, 1}, {0, 0}), {0, 1}, 2, Weights::membership),
            (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(shares(graph({0}, {3}), {1}, 2, Weights::membership), (std::vector<float>{0, 1}));
}

TEST(KnnLabeler, OwnWeights) {
  const Matrix data = matrix({{0, 0}, {1, 0}, {3, 0}});
  KnnLabelerOptions options{.n_neighbors = 3, .metric = Metric::euclidean};
  options.weights = Weights::function;
  options.weight_function = [](MatrixView<const float> distances, MatrixView<float> weights) {
    for (std::size_t i = 0; i < distances.size(); ++i) {
      weights.data[i] = distances.data[i] > 2 ? 10.0f : 1.0f;
    }
  };
  KnnLabeler labeler(options);
  labeler.fit(data, std::vector<std::int32_t>{0, 0, 1});
  EXPECT_EQ(labeler.predict(matrix({{0, 0}})).labels[0], 1);
  options.weight_function = [](MatrixView<const float>, MatrixView<float> weights) {
    std::fill_n(weights.data, weights.size(), -1.0f);
  };
  KnnLabeler wrong(options);
  wrong.fit(data, std::vector<std::int32_t>{0, 0, 1});
  EXPECT_THROW(wrong.predict(data), std::invalid_argument);
  options.weight_function = {};
  EXPECT_THROW(KnnLabeler{options}, std::invalid_argument);
}

TEST(KnnLabeler, TopClassesAreThoseOfAllShares) {
  const Matrix data = random_rows(400, 6, 11);
  std::vector<std::int32_t> classes(400);
  for (std::size_t i = 0; i < 400; ++i) {
    classes[i] = static_cast<std::int32_t>(bounded(random_bits(12, RandomStage::sample, i), 300));
  }
  KnnLabeler labeler({.n_neighbors = 20, .weights = Weights::distance, .top_k = 4});
  labeler.fit(data, classes);
  const Matrix rows = random_rows(50, 6, 13);
  const Matrix all = labeler.predict_proba(rows);
  const TopClasses top = labeler.predict_top(rows);
  const LabelPrediction predicted = labeler.predict(rows);
  ASSERT_EQ(top.classes.cols(), 4u);
  for (std::size_t i = 0; i < 50; ++i) {
    std::vector<std::int32_t> order(all.cols());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return all(i, static_cast<std::size_t>(a)) > all(i, static_cast<std::size_t>(b));
    });
    for (std::size_t t = 0; t < 4; ++t) {
      EXPECT_EQ(top.classes(i, t), order[t]);
      EXPECT_EQ(top.shares(i, t), all(i, static_cast<std::size_t>(order[t])));
      EXPECT_EQ(predicted.top.classes(i, t), order[t]);
    }
  }
}

TEST(KnnLabeler, SeveralLabelsARow) {
  const Matrix data = matrix({{0, 0}, {0, 1}, {1, 0}, {9, 9}, {9, 8}, {8, 9}, {50, 50}});
  // The last row is not known; the fifth is known to have no label.
  const LabelSets sets{{0, 2, 3, 5, 6, 6, 7, 8}, {0, 1, 0, 0, 1, 2, 2, -1}};
  KnnLabeler labeler({.n_neighbors = 3, .metric = Metric::euclidean});
  labeler.fit_sets(data, sets);
  EXPECT_TRUE(labeler.multi_label());
  EXPECT_EQ(labeler.state().data.rows(), 6u);
  const MultiLabelPrediction p = labeler.predict_sets(matrix({{0, 0}, {9, 9}}));
  EXPECT_EQ(p.labels.offsets, (std::vector<std::int64_t>{0, 2, 3}));
  EXPECT_EQ(p.labels.classes, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_FLOAT_EQ(p.confidence[0], 1);
  EXPECT_FLOAT_EQ(p.confidence[1], 2.0f / 3);
  const Matrix shares = labeler.predict_proba(matrix({{0, 0}}));
  EXPECT_FLOAT_EQ(shares(0, 0), 1);
  EXPECT_FLOAT_EQ(shares(0, 1), 2.0f / 3);
  EXPECT_THROW(labeler.predict(data), std::invalid_argument);
  EXPECT_THROW(labeler.fit_sets(data, LabelSets{{0, 2}, {0, -1}}), std::invalid_argument);
}

/// Rows on a line whose class is 1 with a chance that rises along it.
std::pair<Matrix, std::vector<std::int32_t>> noisy_line(std::size_t n, std::uint64_t seed) {
  Matrix m(n, 2);
  std::vector<std::int32_t> classes(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double x = unit(random_bits(seed, RandomStage::sample, i));
    m(i, 0) = static_cast<float>(x);
    m(i, 1) = static_cast<float>(unit(random_bits(seed, RandomStage::sample, i, 1)) * 0.05);
    classes[i] = unit(random_bits(seed, RandomStage::sample, i, 2)) < x ? 1 : 0;
  }
  return {std::move(m), std::move(classes)};
}

TEST(KnnLabeler, SetsAreCalibratedByAllThatGotVotes) {
  // Six labels, each with a chance of its own: what is told of a row is mostly
  // beyond its two best.
  const Matrix data = random_rows(3000, 3, 51), rows = random_rows(3000, 3, 52);
  const auto sets_of = [](const Matrix& of, std::uint64_t seed) {
    LabelSets sets;
    for (std::size_t i = 0; i < of.rows(); ++i) {
      for (std::int32_t c = 0; c < 6; ++c) {
        const double chance = std::clamp(0.55 + 0.25 * of(i, c % 3) * (c < 3 ? 1 : -1), 0.0, 1.0);
        const double drawn =
            unit(random_bits(seed, RandomStage::sample, i, static_cast<std::uint64_t>(c)));
        if (drawn < chance) sets.classes.push_back(c);
      }
      sets.offsets.push_back(static_cast<std::int64_t>(sets.classes.size()));
    }
    return sets;
  };
  const LabelSets known = sets_of(data, 53), truth = sets_of(rows, 54);
  const auto labeler = [&](std::size_t top_k) {
    KnnLabeler made(
        {.n_neighbors = 25, .metric = Metric::euclidean, .top_k = top_k, .calibrate = true});
    made.fit_sets(data, known);
    return made;
  };
  const KnnLabeler few = labeler(1);
  EXPECT_EQ(few.calibration().score, labeler(6).calibration().score);
  const MultiLabelPrediction p = few.predict_sets(rows);
  std::vector<std::pair<float, bool>> said;
  for (std::size_t i = 0; i < 3000; ++i) {
    const auto right = truth.of(i);
    for (auto at = p.labels.offsets[i]; at < p.labels.offsets[i + 1]; ++at) {
      const auto place = static_cast<std::size_t>(at);
      said.emplace_back(p.confidence[place], std::find(right.begin(), right.end(),
                                                       p.labels.classes[place]) != right.end());
    }
  }
  ASSERT_GT(said.size(), 5000u);
  // Many are equally sure: those stay in the order of the rows.
  std::stable_sort(said.begin(), said.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  double gap = 0;
  for (std::size_t b = 0; b < 10; ++b) {
    double sure = 0, right = 0;
    const std::size_t from = said.size() * b / 10, to = said.size() * (b + 1) / 10;
    for (std::size_t i = from; i < to; ++i) {
      sure += said[i].first;
      right += said[i].second;
    }
    gap += std::fabs(sure - right) / static_cast<double>(said.size());
  }
  EXPECT_LT(gap, 0.03);
  const KnnGraph voters = few.voters(rows);
  EXPECT_EQ(few.predict_sets_by(voters).confidence, p.confidence);
}

TEST(KnnLabeler, CalibratedConfidenceIsTheChanceOfBeingRight) {
  const auto [data, classes] = noisy_line(4000, 21);
  const auto [rows, truth] = noisy_line(4000, 22);
  KnnLabeler labeler({.n_neighbors = 15, .metric = Metric::euclidean, .calibrate = true});
  labeler.fit(data, classes);
  const LabelPrediction p = labeler.predict(rows);
  std::vector<std::pair<float, bool>> said;
  for (std::size_t i = 0; i < 4000; ++i)
    said.emplace_back(p.confidence[i], p.labels[i] == truth[i]);
  std::sort(said.begin(), said.end());
  double gap = 0;
  for (std::size_t b = 0; b < 10; ++b) {
    double sure = 0, right = 0;
    for (std::size_t i = 400 * b; i < 400 * (b + 1); ++i) {
      sure += said[i].first / 400;
      right += said[i].second ? 1.0 / 400 : 0;
    }
    gap += std::fabs(sure - right) / 10;
  }
  EXPECT_LT(gap, 0.03);
}

TEST(KnnLabeler, KeepsToTheWantedError) {
  const auto [data, classes] = noisy_line(4000, 31);
  const auto [rows, truth] = noisy_line(4000, 32);
  KnnLabeler labeler({.n_neighbors = 25, .metric = Metric::euclidean, .target_error = 0.1f});
  labeler.fit(data, classes);
  EXPECT_LE(labeler.calibration().error, 0.1f);
  const LabelPrediction p = labeler.predict(rows);
  double given = 0, wrong = 0;
  for (std::size_t i = 0; i < 4000; ++i) {
    given += p.labels[i] >= 0;
    wrong += p.labels[i] >= 0 && p.labels[i] != truth[i];
  }
  EXPECT_LT(wrong / given, 0.13);
  EXPECT_GT(given / 4000, 0.15);
  EXPECT_NEAR(given / 4000, labeler.calibration().coverage, 0.05);
  // An error that can't be kept: always silent, and it says so.
  KnnLabeler never({.n_neighbors = 25, .metric = Metric::euclidean, .target_error = 0.0f});
  never.fit(data, classes);
  EXPECT_EQ(never.calibration().coverage, 0);
  const LabelPrediction silent = never.predict(rows);
  EXPECT_TRUE(
      std::all_of(silent.labels.begin(), silent.labels.end(), [](auto l) { return l < 0; }));
}

TEST(KnnLabeler, AbstainsFarFromAllThatIsKnown) {
  const Matrix data = matrix({{0, 0}, {0, 1}});
  KnnLabeler labeler({.n_neighbors = 1, .metric = Metric::euclidean, .max_distance = 3});
  labeler.fit(data, std::vector<std::int32_t>{0, 0});
  const LabelPrediction p = labeler.predict(matrix({{0, 2}, {0, 9}}));
  EXPECT_EQ(p.labels, (std::vector<std::int32_t>{0, -1}));
  EXPECT_FLOAT_EQ(p.confidence[1], 1);
}

TEST(KnnLabeler, FewRowsTeachNothing) {
  const Matrix data = matrix({{0, 0}, {0, 1}, {1, 1}});
  for (std::size_t n = 1; n <= 3; ++n) {
    KnnLabeler labeler({.calibrate = true});
    labeler.fit(data.view().slice(0, n), std::vector<std::int32_t>(n, 0));
    EXPECT_FLOAT_EQ(labeler.predict(matrix({{1, 1}})).confidence[0], 1);
  }
}

TEST(KnnLabeler, StateAndBack) {
  const auto [data, classes] = noisy_line(500, 41);
  const auto [rows, truth] = noisy_line(100, 42);
  KnnLabeler labeler({.weights = Weights::membership, .target_error = 0.2f});
  labeler.fit(data, classes);
  const LabelerState& s = labeler.state();
  const KnnLabeler again = KnnLabeler::from_state(
      {s.options, s.data.clone(), s.numbers, s.classes, s.n_classes, s.multi_label, s.calibration});
  EXPECT_EQ(labeler.predict(rows).labels, again.predict(rows).labels);
  EXPECT_EQ(labeler.predict(rows).confidence, again.predict(rows).confidence);
  LabelerState torn{s.options, s.data.clone(), s.numbers, s.classes, 1, false, {}};
  EXPECT_THROW(KnnLabeler::from_state(std::move(torn)), std::invalid_argument);
}

// --- propagation -----------------------------------------------------------

/// Rows by dense matrices, as the papers write it down.
std::vector<std::int32_t> dense_propagation(const LinkGraph& links,
                                            const std::vector<std::int32_t>& classes,
                                            std::size_t n_classes) {
  const std::size_t n = links.size();
  std::vector<std::vector<double>> now(n, std::vector<double>(n_classes));
  for (std::size_t i = 0; i < n; ++i) {
    if (classes[i] >= 0) now[i][static_cast<std::size_t>(classes[i])] = 1;
  }
  for (int round = 0; round < 3000; ++round) {
    auto next = now;
    for (std::size_t i = 0; i < n; ++i) {
      if (classes[i] >= 0) continue;
      double sum = 0;
      std::fill(next[i].begin(), next[i].end(), 0.0);
      for (auto e = links.offsets[i]; e < links.offsets[i + 1]; ++e) {
        for (std::size_t c = 0; c < n_classes; ++c) {
          const double add = links.weights[e] * now[links.columns[e]][c];
          next[i][c] += add;
          sum += add;
        }
      }
      if (sum > 0) {
        for (double& v : next[i]) v /= sum;
      }
    }
    now = next;
  }
  std::vector<std::int32_t> labels(n, -1);
  for (std::size_t i = 0; i < n; ++i) {
    const auto best = std::max_element(now[i].begin(), now[i].end());
    if (*best > 0) labels[i] = static_cast<std::int32_t>(best - now[i].begin());
  }
  return labels;
}

TEST(Propagation, SeedsStayAndOthersFollow) {
  const Matrix data = random_rows(300, 3, 51);
  KnnOptions near;
  near.n_neighbors = 6;
  const LinkGraph links = link_neighbors(knn_graph(data, near), Weights::membership);
  std::vector<std::int32_t> classes(300, -1);
  for (std::size_t i = 0; i < 300; i += 15) classes[i] = static_cast<std::int32_t>(i / 15 % 4);
  PropagationOptions options;
  options.tolerance = 1e-9;
  options.max_iterations = 5000;
  const Propagation p = propagate_labels(links, classes, options);
  EXPECT_TRUE(p.converged);
  for (std::size_t i = 0; i < 300; i += 15) EXPECT_EQ(p.prediction.labels[i], classes[i]);
  EXPECT_EQ(p.prediction.labels, dense_propagation(links, classes, 4));
  for (const int threads : {1, 3}) {
    options.threads = threads;
    EXPECT_EQ(propagate_labels(links, classes, options).prediction.confidence,
              p.prediction.confidence);
  }
}

TEST(Propagation, ManyClassesInBlocks) {
  // More classes than a block has columns where rows are many: each row of a
  // chain's middle takes from both of its ends.
  const std::size_t chains = 40;
  LinkGraph links;
  std::vector<std::int32_t> classes;
  for (std::size_t c = 0; c < chains; ++c) {
    const auto first = static_cast<std::int32_t>(3 * c);
    for (const auto& row :
         {std::vector<std::int32_t>{first + 1}, std::vector<std::int32_t>{first, first + 2},
          std::vector<std::int32_t>{first + 1}}) {
      for (const std::int32_t to : row) {
        links.columns.push_back(to);
        links.weights.push_back(to == first ? 3.0f : 1.0f);
      }
      links.offsets.push_back(static_cast<std::int64_t>(links.columns.size()));
    }
    const auto label = static_cast<std::int32_t>(2 * c);
    classes.insert(classes.end(), {label, -1, label + 1});
  }
  for (const auto kind :
       {PropagationOptions::Kind::propagation, PropagationOptions::Kind::spreading}) {
    PropagationOptions options;
    options.kind = kind;
    const Propagation p = propagate_labels(links, classes, options);
    for (std::size_t c = 0; c < chains; ++c) {
      EXPECT_EQ(p.prediction.labels[3 * c + 1], classes[3 * c]);
      EXPECT_EQ(p.prediction.top.classes(3 * c + 1, 1), classes[3 * c + 2]);
      if (kind == PropagationOptions::Kind::propagation) {
        EXPECT_FLOAT_EQ(p.prediction.confidence[3 * c + 1], 0.75f);
      }
    }
  }
}

TEST(Propagation, UnreachedRowsAndMistakes) {
  LinkGraph links{{0, 1, 2, 2}, {1, 0}, {1, 1}};
  const Propagation p = propagate_labels(links, std::vector<std::int32_t>{5, -1, -1});
  EXPECT_EQ(p.prediction.labels, (std::vector<std::int32_t>{5, 5, -1}));
  EXPECT_EQ(p.prediction.confidence[2], 0);
  using V = std::vector<std::int32_t>;
  EXPECT_THROW(propagate_labels(links, V{0, 1}), std::invalid_argument);
  EXPECT_THROW(propagate_labels(links, V{-1, -1, -1}), std::invalid_argument);
  EXPECT_THROW(propagate_labels(links, V{0, -2, 1}), std::invalid_argument);
  PropagationOptions options;
  options.alpha = 1;
  EXPECT_THROW(propagate_labels(links, V{0, 1, 1}, options), std::invalid_argument);
  links.weights[0] = -1;
  EXPECT_THROW(propagate_labels(links, V{0, 1, 1}), std::invalid_argument);
  links.weights[0] = 1;
  links.columns[0] = 3;
  EXPECT_THROW(propagate_labels(links, V{0, 1, 1}), std::invalid_argument);
  EXPECT_EQ(propagate_labels({}, V{}).prediction.labels.size(), 0u);
}

TEST(LinkNeighbors, SymmetricUnion) {
  KnnGraph g{{3, 1}, {3, 1}};
  const std::int32_t to[] = {1, 0, 1};
  std::copy_n(to, 3, g.indices.data());
  std::fill_n(g.distances.data(), 3, 0.5f);
  const LinkGraph links = link_neighbors(g, Weights::distance);
  EXPECT_EQ(links.offsets, (std::vector<std::int64_t>{0, 1, 3, 4}));
  EXPECT_EQ(links.columns, (std::vector<std::int32_t>{1, 0, 2, 1}));
  EXPECT_EQ(links.weights, (std::vector<float>{2, 2, 2, 2}));
}

}  // namespace
}  // namespace knowmap
