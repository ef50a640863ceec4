#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/knn.hpp"
#include "neighbors/kernels.hpp"
#include "neighbors/small_kernels.hpp"
#include "neighbors/top_k.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

double normal(std::uint64_t seed, std::uint64_t i, std::uint64_t j) {
  double sum = -6;
  for (std::uint64_t s = 0; s < 12; ++s) {
    sum += unit(random_bits(seed, RandomStage::sample, i, j * 12 + s));
  }
  return sum;
}

Matrix random_rows(std::size_t n, std::size_t d, std::uint64_t seed) {
  Matrix x(n, d);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) x(i, j) = static_cast<float>(normal(seed, i, j));
  }
  return x;
}

/// Rows on a curved sheet of few dimensions, as embeddings lie.
Matrix sheet(std::size_t n, std::size_t few, std::size_t many, std::uint64_t seed) {
  const Matrix low = random_rows(n, few, seed);
  const Matrix turn = random_rows(few, many, seed + 1);
  Matrix x(n, many);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < many; ++j) {
      float sum = 0;
      for (std::size_t l = 0; l < few; ++l) sum += low(i, l) * turn(l, j);
      x(i, j) = std::sin(sum / 2);
    }
  }
  return x;
}

/// The metrics that are no product, column by column in double, from their
/// definitions.
double other_distance(const float* a, const float* b, std::size_t d, Metric metric, double p) {
  double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
  double sum = 0, most = 0, powers = 0, canberra = 0, both = 0, differ = 0, any = 0, one = 0;
  for (std::size_t j = 0; j < d; ++j) {
    mean_a += static_cast<double>(a[j]) / static_cast<double>(d);
    mean_b += static_cast<double>(b[j]) / static_cast<double>(d);
  }
  for (std::size_t j = 0; j < d; ++j) {
    const double x = static_cast<double>(a[j]), y = static_cast<double>(b[j]);
    ab += (x - mean_a) * (y - mean_b);
    aa += (x - mean_a) * (x - mean_a);
    bb += (y - mean_b) * (y - mean_b);
    sum += std::abs(x - y);
    most = std::max(most, std::abs(x - y));
    powers += std::pow(std::abs(x - y), p);
    both += std::abs(x + y);
    if (x != 0 || y != 0) canberra += std::abs(x - y) / (std::abs(x) + std::abs(y));
    differ += x != y;
    any += x != 0 || y != 0;
    one += (x != 0) != (y != 0);
  }
  switch (metric) {
    case Metric::correlation:
      return aa < 1e-12 || bb < 1e-12 ? 1 : std::max(0.0, 1 - ab / std::sqrt(aa * bb));
    case Metric::manhattan:
      return sum;
    case Metric::chebyshev:
      return most;
    case Metric::minkowski:
      return std::pow(powers, 1 / p);
    case Metric::canberra:
      return canberra;
    case Metric::braycurtis:
      return both > 0 ? sum / both : 0;
    case Metric::hamming:
      return differ / static_cast<double>(d);
    default:
      return any > 0 ? one / any : 0;
  }
}

double distance(const float* a, const float* b, std::size_t d, Metric metric) {
  double dot = 0, aa = 0, bb = 0, squares = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const double x = static_cast<double>(a[j]);
    const double y = static_cast<double>(b[j]);
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) * (x - y);
  }
  if (metric == Metric::euclidean) return std::sqrt(squares);
  if (metric == Metric::inner_product) return 1 - dot;
  if (aa <= 0 || bb <= 0) return 1;
  return std::max(0.0, 1 - dot / std::sqrt(aa * bb));
}

/// All pairs in double, ties (to float) by the lower index.
KnnGraph oracle(MatrixView<const float> data, MatrixView<const float> queries, std::size_t k,
                Metric metric, bool leave_self) {
  KnnGraph graph{{queries.rows, k}, {queries.rows, k}};
  for (std::size_t i = 0; i < queries.rows; ++i) {
    std::vector<std::pair<float, std::int32_t>> all;
    for (std::size_t j = 0; j < data.rows; ++j) {
      if (leave_self && i == j) continue;
      all.emplace_back(static_cast<float>(distance(queries.row(i), data.row(j), data.cols, metric)),
                       static_cast<std::int32_t>(j));
    }
    std::sort(all.begin(), all.end());
    for (std::size_t r = 0; r < k; ++r) {
      graph.indices(i, r) = r < all.size() ? all[r].second : -1;
      graph.distances(i, r) =
          r < all.size() ? all[r].first : std::numeric_limits<float>::infinity();
    }
  }
  return graph;
}

bool same_bytes(const KnnGraph& a, const KnnGraph& b) {
  return a.indices.size() == b.indices.size() &&
         std::memcmp(a.indices.data(), b.indices.data(), a.indices.size() * 4) == 0 &&
         std::memcmp(a.distances.data(), b.distances.data(), a.distances.size() * 4) == 0;
}

void expect_same(const KnnGraph& found, const KnnGraph& truth) {
  ASSERT_EQ(found.size(), truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    for (std::size_t r = 0; r < truth.n_neighbors(); ++r) {
      ASSERT_EQ(found.indices(i, r), truth.indices(i, r)) << "row " << i << " rank " << r;
      if (truth.indices(i, r) < 0) continue;
      ASSERT_NEAR(found.distances(i, r), truth.distances(i, r),
                  1e-6f * (1 + std::abs(truth.distances(i, r))));
    }
  }
}

KnnOptions exact(std::size_t k, Metric metric, int threads = 2) {
  KnnOptions o;
  o.n_neighbors = k;
  o.metric = metric;
  o.search = KnnOptions::Search::exact;
  o.threads = threads;
  return o;
}

constexpr Metric kMetrics[] = {Metric::euclidean, Metric::cosine, Metric::inner_product};

TEST(Knn, EqualsBruteForceInDouble) {
  // Sizes on both sides of a panel (48) and a block (480), odd widths.
  for (const auto& [n, d] : {std::pair{50, 3}, {47, 17}, {481, 33}, {1000, 64}}) {
    const Matrix x = random_rows(static_cast<std::size_t>(n), static_cast<std::size_t>(d), 1);
    for (const Metric metric : kMetrics) {
      SCOPED_TRACE(std::string(metric_name(metric)) + " " + std::to_string(n));
      expect_same(knn_graph(x, exact(15, metric)), oracle(x, x, 15, metric, true));
    }
  }
}

TEST(Knn, DuplicatesAndTiesGoToTheLowerIndex) {
  Matrix x = random_rows(600, 8, 2);
  for (std::size_t i = 0; i < 600; i += 3) {  // 200 rows of ten kinds
    std::copy_n(x.row(i % 30), 8, x.row(i));
  }
  for (const Metric metric : kMetrics) {
    expect_same(knn_graph(x, exact(10, metric)), oracle(x, x, 10, metric, true));
  }
  const Matrix constant(700, 4, 0.5f);
  const KnnGraph graph = knn_graph(constant, exact(3, Metric::euclidean));
  EXPECT_EQ(graph.indices(0, 0), 1);
  EXPECT_EQ(graph.indices(699, 0), 0);
  EXPECT_EQ(graph.indices(699, 2), 2);
  EXPECT_EQ(graph.distances(699, 2), 0.0f);
}

TEST(Knn, FarFromTheOriginAndTinyOrHugeNumbers) {
  for (const float scale : {1e-18f, 1.0f, 1e18f}) {
    Matrix x = random_rows(200, 6, 3);
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= scale;
    expect_same(knn_graph(x, exact(5, Metric::cosine)), oracle(x, x, 5, Metric::cosine, true));
    const KnnGraph found = knn_graph(x, exact(5, Metric::euclidean));
    const KnnGraph truth = oracle(x, x, 5, Metric::euclidean, true);
    EXPECT_EQ(std::memcmp(found.indices.data(), truth.indices.data(), truth.indices.size() * 4), 0);
  }
  Matrix x = random_rows(200, 6, 4);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 1000;
  expect_same(knn_graph(x, exact(5, Metric::euclidean)), oracle(x, x, 5, Metric::euclidean, true));
}

TEST(Knn, AZeroRowLiesOneFromEveryOther) {
  Matrix x = random_rows(20, 5, 5);
  std::fill_n(x.row(7), 5, 0.0f);
  const KnnGraph graph = knn_graph(x, exact(3, Metric::cosine));
  EXPECT_EQ(graph.distances(7, 0), 1.0f);
  EXPECT_EQ(graph.indices(7, 0), 0);
  EXPECT_EQ(graph.indices(7, 2), 2);
}

TEST(Knn, FewerRowsThanNeighboursAreFilledUp) {
  for (const std::size_t n : {0u, 1u, 2u, 5u}) {
    const Matrix x = random_rows(n, 4, 6);
    expect_same(knn_graph(x, exact(7, Metric::euclidean)),
                oracle(x, x, 7, Metric::euclidean, true));
  }
  EXPECT_EQ(knn_graph(random_rows(2, 4, 6), exact(3, Metric::cosine)).distances(0, 2),
            std::numeric_limits<float>::infinity());
}

TEST(Knn, TheSameBytesForAnyNumberOfThreads) {
  const Matrix x = random_rows(1500, 20, 7);
  for (const auto search : {KnnOptions::Search::exact, KnnOptions::Search::approximate}) {
    KnnOptions o = exact(15, Metric::cosine, 1);
    o.search = search;
    const KnnGraph one = knn_graph(x, o);
    for (const int threads : {1, 2, 3, 4, 7}) {
      o.threads = threads;
      const KnnGraph again = knn_graph(x, o);
      EXPECT_TRUE(same_bytes(one, again)) << threads;
      EXPECT_EQ(one.recall, again.recall);
    }
  }
}

TEST(Knn, QueriesEqualBruteForceAndDoNotDependOnOneAnother) {
  const Matrix x = random_rows(700, 12, 8);
  const Matrix q = random_rows(130, 12, 9);
  for (const Metric metric : kMetrics) {
    const KnnGraph all = knn_query(x, q, exact(6, metric));
    expect_same(all, oracle(x, q, 6, metric, false));
    for (const std::size_t i : {0u, 64u, 129u}) {
      const KnnGraph one = knn_query(x, q.view().slice(i, i + 1), exact(6, metric));
      EXPECT_EQ(std::memcmp(one.indices.data(), all.indices.row(i), 6 * 4), 0);
      EXPECT_EQ(std::memcmp(one.distances.data(), all.distances.row(i), 6 * 4), 0);
    }
  }
  // Equal rows are found: nothing is left out.
  EXPECT_EQ(knn_query(x, x.view().slice(5, 6), exact(1, Metric::euclidean)).indices(0, 0), 5);
}

TEST(Knn, TheApproximateSearchFindsNearlyAll) {
  const std::size_t n = 6000;
  const Matrix x = sheet(n, 8, 48, 10);
  for (const Metric metric : {Metric::cosine, Metric::euclidean}) {
    KnnOptions o = exact(15, metric);
    const KnnGraph truth = knn_graph(x, o);
    o.search = KnnOptions::Search::approximate;
    const KnnGraph found = knn_graph(x, o);
    std::size_t hits = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t r = 0; r < 15; ++r) {
        const auto* row = found.indices.row(i);
        EXPECT_NE(row[r], static_cast<std::int32_t>(i));
        hits += std::find(row, row + 15, truth.indices(i, r)) != row + 15;
      }
    }
    EXPECT_GT(static_cast<double>(hits) / static_cast<double>(15 * n), 0.95) << metric_name(metric);
  }
}

TEST(Knn, TheApproximateSearchCopesWithManyEqualRows) {
  KnnOptions o = exact(5, Metric::euclidean);
  o.search = KnnOptions::Search::approximate;
  const KnnGraph graph = knn_graph(Matrix(3000, 4, 1.0f), o);
  for (std::size_t i = 0; i < 3000; ++i) {
    EXPECT_EQ(graph.distances(i, 4), 0.0f);
    EXPECT_NE(graph.indices(i, 0), static_cast<std::int32_t>(i));
  }
}

TEST(Knn, MistakesAreNamed) {
  Matrix x = random_rows(3000, 4, 12);
  EXPECT_THROW(knn_graph(x, exact(0, Metric::cosine)), std::invalid_argument);
  EXPECT_THROW(knn_query(x, random_rows(2, 5, 1), exact(1, Metric::cosine)), std::invalid_argument);
  EXPECT_THROW(metric_from_name("mahalanobis"), std::invalid_argument);
  EXPECT_EQ(metric_from_name("inner_product"), Metric::inner_product);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    x(2345, 1) = bad;
    x(2999, 1) = bad;
    try {
      knn_graph(x, exact(3, Metric::cosine));
      FAIL();
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find("row 2345"), std::string::npos) << e.what();
    }
  }
}

TEST(Knn, ProgressIsReportedAndCancels) {
  const Matrix x = random_rows(6000, 64, 13);
  for (const auto search : {KnnOptions::Search::exact, KnnOptions::Search::approximate}) {
    KnnOptions o = exact(15, Metric::cosine);
    o.search = search;
    int calls = 0;
    o.progress = [&](const Progress& p) {
      EXPECT_EQ(p.stage, "neighbors");
      EXPECT_LE(p.done, p.total);
      ++calls;
      return true;
    };
    knn_graph(x, o);
    EXPECT_GE(calls, 1);
    o.progress = [](const Progress&) { return false; };
    EXPECT_THROW(knn_graph(x, o), CancelledError);
  }
}

TEST(Knn, OtherMetricsEqualBruteForceInDouble) {
  // Small whole numbers with zeros: ties, equal columns, and columns 0 in both.
  Matrix x(530, 19);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x.data()[i] = static_cast<float>(std::max(0, static_cast<int>(bounded(mix(i), 9)) - 3));
  }
  std::fill_n(x.row(11), x.cols(), 0.0f);
  std::fill_n(x.row(12), x.cols(), 0.0f);
  std::fill_n(x.row(13), x.cols(), 2.0f);
  for (const Metric metric :
       {Metric::correlation, Metric::manhattan, Metric::chebyshev, Metric::minkowski,
        Metric::canberra, Metric::braycurtis, Metric::hamming, Metric::jaccard}) {
    SCOPED_TRACE(metric_name(metric));
    KnnOptions o = exact(10, metric);
    o.p = 3;
    const KnnGraph found = knn_graph(x, o);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      std::vector<double> all;
      for (std::size_t j = 0; j < x.rows(); ++j) {
        const double d = other_distance(x.row(i), x.row(j), x.cols(), metric, o.p);
        if (j != i) all.push_back(d);
        for (std::size_t r = 0; r < 10; ++r) {
          if (found.indices(i, r) != static_cast<std::int32_t>(j)) continue;
          ASSERT_NE(i, j);
          ASSERT_NEAR(static_cast<double>(found.distances(i, r)), d, 1e-5);
        }
      }
      std::sort(all.begin(), all.end());
      for (std::size_t r = 0; r < 10; ++r) {
        ASSERT_NEAR(static_cast<double>(found.distances(i, r)), all[r], 1e-5) << i << " " << r;
      }
    }
  }
}

TEST(Knn, EveryMetricHasItsName) {
  for (int m = 0; m <= static_cast<int>(Metric::precomputed); ++m) {
    const auto metric = static_cast<Metric>(m);
    EXPECT_EQ(metric_from_name(metric_name(metric)), metric);
  }
}

TEST(Knn, PrecomputedDistancesAreTakenAsTheyAre) {
  const float none = std::numeric_limits<float>::infinity();
  Matrix d(3, 3, 0.0f);
  d(0, 1) = 2, d(0, 2) = 1, d(1, 0) = none, d(1, 2) = -3, d(2, 0) = 4, d(2, 1) = 4;
  const KnnGraph graph = knn_graph(d, exact(2, Metric::precomputed));
  EXPECT_EQ(graph.indices(0, 0), 2);
  EXPECT_EQ(graph.distances(0, 1), 2.0f);
  EXPECT_EQ(graph.indices(1, 0), 2);
  EXPECT_EQ(graph.indices(1, 1), -1);
  EXPECT_EQ(graph.indices(2, 0), 0);
  d(2, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(knn_graph(d, exact(2, Metric::precomputed)), std::invalid_argument);
  EXPECT_THROW(knn_graph(random_rows(3, 4, 1), exact(2, Metric::precomputed)),
               std::invalid_argument);
}

/// The share of `truth` that `found` has, by index.
double recall_of(const KnnGraph& found, const KnnGraph& truth) {
  std::size_t hits = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const std::int32_t* row = found.indices.row(i);
    for (std::size_t r = 0; r < truth.n_neighbors(); ++r) {
      hits += std::count(row, row + found.n_neighbors(), truth.indices(i, r)) > 0;
    }
  }
  return static_cast<double>(hits) / static_cast<double>(truth.indices.size());
}

TEST(Knn, TheApproximateSearchTakesEveryMetric) {
  Matrix x = sheet(3000, 5, 24, 20);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 1.5f;
  for (const Metric metric :
       {Metric::inner_product, Metric::correlation, Metric::manhattan, Metric::chebyshev,
        Metric::minkowski, Metric::canberra, Metric::braycurtis}) {
    KnnOptions o = exact(10, metric);
    const KnnGraph truth = knn_graph(x, o);
    o.search = KnnOptions::Search::approximate;
    const KnnGraph found = knn_graph(x, o);
    EXPECT_GT(recall_of(found, truth), 0.95) << metric_name(metric);
  }
}

TEST(Knn, RecallIsEstimatedAndWorkedTowards) {
  // Rows without structure, which no partition divides well.
  const Matrix x = random_rows(4000, 40, 21);
  KnnOptions o = exact(15, Metric::euclidean);
  const KnnGraph truth = knn_graph(x, o);
  EXPECT_EQ(truth.recall, 1);
  o.search = KnnOptions::Search::approximate;
  o.target_recall = 0;
  EXPECT_TRUE(std::isnan(knn_graph(x, o).recall));
  o.target_recall = 0.01;
  const KnnGraph low = knn_graph(x, o);
  EXPECT_NEAR(low.recall, recall_of(low, truth), 0.03);
  o.target_recall = 1;
  const KnnGraph high = knn_graph(x, o);
  EXPECT_NEAR(high.recall, recall_of(high, truth), 0.02);
  EXPECT_GT(recall_of(high, truth), recall_of(low, truth));
  // Where it may, the search ends with all pairs.
  o.search = KnnOptions::Search::automatic;
  o.exact_limit = 100;
  if (high.recall < 1) {
    const KnnGraph all = knn_graph(x, o);
    EXPECT_EQ(all.recall, 1);
    EXPECT_TRUE(same_bytes(all, truth));
  }
  o.target_recall = 1.5;
  EXPECT_THROW(knn_graph(x, o), std::invalid_argument);
}

TEST(KnnIndex, AnswersNewRowsWithTheRecallItTells) {
  const Matrix x = sheet(6000, 6, 32, 40);
  const MatrixView<const float> data = x.view().slice(0, 5600);
  const MatrixView<const float> queries = x.view().slice(5600, 6000);
  for (const Metric metric : {Metric::cosine, Metric::euclidean, Metric::manhattan}) {
    SCOPED_TRACE(metric_name(metric));
    KnnOptions o = exact(10, metric);
    const KnnGraph truth = knn_query(data, queries, o);
    o.search = KnnOptions::Search::approximate;
    const KnnIndex index(data, o);
    EXPECT_FALSE(index.state().leaders.empty());
    EXPECT_GE(index.state().recall, 0.97);
    KnnQueryOptions q;
    q.threads = 1;
    const KnnGraph found = index.query(queries, q);
    EXPECT_GT(recall_of(found, truth), 0.95);
    for (const int threads : {2, 3, 7}) {
      q.threads = threads;
      EXPECT_TRUE(same_bytes(found, index.query(queries, q)));
    }
    // A row's answer doesn't depend on the others asked with it.
    const KnnGraph one = index.query(queries.slice(77, 78), q);
    EXPECT_EQ(std::memcmp(one.indices.data(), found.indices.row(77), 10 * 4), 0);
    EXPECT_EQ(std::memcmp(one.distances.data(), found.distances.row(77), 10 * 4), 0);
    // Its own rows are found, at no distance.
    const KnnGraph own = index.query(data.slice(0, 50), q);
    for (std::size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(own.indices(i, 0), static_cast<std::int32_t>(i));
      EXPECT_NEAR(own.distances(i, 0), 0.0f, 1e-6f);
    }
  }
}

TEST(KnnIndex, LooksAtAllOfFewRowsAndComesBackFromItsState) {
  const Matrix x = sheet(3000, 5, 20, 42);
  for (const auto search : {KnnOptions::Search::automatic, KnnOptions::Search::approximate}) {
    KnnOptions o = exact(5, Metric::euclidean);
    o.search = search;
    const KnnIndex index(x, o);
    const KnnGraph found = index.query(x.view().slice(10, 60));
    if (search == KnnOptions::Search::automatic) {
      EXPECT_EQ(index.state().recall, 1);
      EXPECT_TRUE(same_bytes(found, knn_query(x, x.view().slice(10, 60), o)));
    }
    KnnIndexState state;
    state.options = index.state().options;
    state.data = index.state().data.clone();
    state.leaders = index.state().leaders;
    state.cells = index.state().cells;
    state.probes = index.state().probes;
    state.recall = index.state().recall;
    const KnnIndex again = KnnIndex::from_state(std::move(state));
    EXPECT_TRUE(same_bytes(found, again.query(x.view().slice(10, 60))));
    // Over rows that lie elsewhere: the same, and none of them are held.
    const KnnIndex over = KnnIndex::over(x, o);
    EXPECT_TRUE(over.state().data.empty());
    EXPECT_TRUE(same_bytes(found, over.query(x.view().slice(10, 60))));
    KnnIndexState rest;
    rest.options = over.state().options;
    rest.leaders = over.state().leaders;
    rest.cells = over.state().cells;
    rest.probes = over.state().probes;
    rest.recall = over.state().recall;
    KnnIndex moved = KnnIndex::over(x, std::move(rest));
    const KnnIndex back = std::move(moved);
    EXPECT_TRUE(same_bytes(found, back.query(x.view().slice(10, 60))));
  }
  KnnIndexState wrong;
  wrong.data = random_rows(10, 3, 1);
  wrong.leaders = {11};
  wrong.cells.assign(10, 0);
  wrong.probes = 1;
  EXPECT_THROW(KnnIndex::from_state(std::move(wrong)), std::invalid_argument);
  KnnIndexState with_rows;
  with_rows.data = x.clone();
  EXPECT_THROW(KnnIndex::over(x, std::move(with_rows)), std::invalid_argument);
  EXPECT_THROW(KnnIndex::over(x, exact(5, Metric::precomputed)), std::invalid_argument);
  EXPECT_THROW(KnnIndex(x, exact(5, Metric::precomputed)), std::invalid_argument);
  EXPECT_THROW(KnnIndex(x).query(random_rows(2, 3, 1)), std::invalid_argument);
}

TEST(TopK, KeepsTheBestWhateverTheOrder) {
  for (const std::size_t capacity : {8u, 16u, 24u, 32u, 40u}) {
    neighbors::TopK forth(1, capacity);
    neighbors::TopK back(1, capacity);
    std::vector<float> scores, bias;
    std::vector<std::int32_t> indices;
    for (std::int32_t i = 0; i < 100; ++i) {
      scores.push_back(i == 50 ? std::numeric_limits<float>::quiet_NaN()
                               : static_cast<float>(i * 37 % 20) - 10.0f);
      bias.push_back(static_cast<float>(i % 3));
      indices.push_back(i);
    }
    for (int twice = 0; twice < 2; ++twice) {
      forth.offer(0, scores.data(), bias.data(), indices.data(), 100);
    }
    std::vector<std::pair<float, std::int32_t>> pairs;
    for (std::size_t i = 100; i-- > 0;) {
      if (i == 50) continue;
      back.push(0, scores[i] + bias[i], indices[i]);
      pairs.emplace_back(-(scores[i] + bias[i]), indices[i]);
    }
    std::sort(pairs.begin(), pairs.end());
    std::vector<std::int32_t> a(capacity), b(capacity);
    ASSERT_EQ(forth.take(0, a), capacity);
    ASSERT_EQ(back.take(0, b), capacity);
    for (std::size_t r = 0; r < capacity; ++r) {
      EXPECT_EQ(a[r], pairs[r].second);
      EXPECT_EQ(b[r], pairs[r].second);
    }
    EXPECT_EQ(forth.threshold(0), -pairs[capacity - 1].first);
  }
}

TEST(Kernels, SmallNumbersAreMultipliedExactly) {
  using neighbors::kPanel;
  const std::size_t d = 131, n = kPanel;
  const std::size_t groups = (d + 3) / 4, stride = neighbors::small_stride(d);
  Matrix x = random_rows(n, d, 30);
  for (std::size_t i = 0; i < x.size(); i += 5) x.data()[i] = -100;  // cut to -63
  const neighbors::SmallKernels& kernel = neighbors::small_kernels();
  std::vector<std::uint8_t> bytes(n * stride);
  std::vector<std::uint8_t> panel(neighbors::small_panel_bytes(groups));
  std::vector<const std::uint8_t*> rows;
  std::vector<std::int32_t> correction;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint8_t* row = bytes.data() + i * stride;
    const std::int32_t sum = kernel.quantize(x.row(i), d, 20, row);
    rows.push_back(row);
    correction.push_back(64 * sum - 2048 * static_cast<std::int32_t>(d));
    for (std::size_t k = 0; k < d; ++k) {
      const float wanted = std::nearbyint(std::clamp(x(i, k) * 20, -63.0f, 63.0f));
      ASSERT_EQ(static_cast<float>(row[k]) - 64, wanted);
    }
    for (std::size_t k = 0; k < 4 * groups; ++k) {
      panel[k / 4 * 4 * kPanel + i * 4 + k % 4] = row[k];
    }
  }
  std::memcpy(panel.data() + groups * 4 * kPanel, correction.data(), kPanel * 4);
  Matrix scores(n, n);
  std::vector<std::int32_t> products(n * n);
  kernel.product(panel.data(), panel.data(), 1, groups, 1.0f, scores.data(), n);
  for (const std::size_t count : {1u, 5u, 48u}) {
    kernel.pairs(rows.data(), count, stride, products.data(), n);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = i; j < count; ++j) {
        int sum = 0;
        for (std::size_t k = 0; k < d; ++k) sum += (rows[i][k] - 64) * (rows[j][k] - 64);
        ASSERT_EQ(static_cast<int>(scores(i, j)), sum);
        ASSERT_EQ(products[i * n + j] - correction[i] - correction[j], sum);
      }
    }
  }
}

TEST(Kernels, MirrorTransposes) {
  using neighbors::kPanel;
  const Matrix from = random_rows(kPanel, 2 * kPanel, 31);
  Matrix to(kPanel, 2 * kPanel, 0.0f);
  neighbors::kernels().mirror(from.data(), to.data(), 2 * kPanel);
  for (std::size_t i = 0; i < kPanel; ++i) {
    for (std::size_t j = 0; j < kPanel; ++j) ASSERT_EQ(to(j, i), from(i, j));
  }
}

}  // namespace
}  // namespace knowmap
