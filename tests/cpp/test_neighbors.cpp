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
    for (const int threads : {2, 4, 7}) {
      o.threads = threads;
      EXPECT_TRUE(same_bytes(one, knn_graph(x, o))) << threads;
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
  // Rows on a curved sheet of few dimensions, as embeddings lie.
  const std::size_t n = 6000;
  const Matrix low = random_rows(n, 8, 10);
  const Matrix turn = random_rows(8, 48, 11);
  Matrix x(n, 48);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < 48; ++j) {
      float sum = 0;
      for (std::size_t l = 0; l < 8; ++l) sum += low(i, l) * turn(l, j);
      x(i, j) = std::sin(sum / 2);
    }
  }
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
  EXPECT_THROW(metric_from_name("manhattan"), std::invalid_argument);
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

TEST(TopK, KeepsTheBestWhateverTheOrder) {
  for (const bool repeats : {false, true}) {
    neighbors::TopK forth(1, 5, repeats);
    neighbors::TopK back(1, 5, repeats);
    std::vector<std::pair<float, std::int32_t>> pairs;
    for (std::int32_t i = 0; i < 100; ++i) {
      pairs.emplace_back(static_cast<float>(i * 37 % 20) - 10.0f, i);
    }
    for (const auto& [s, i] : pairs) forth.push(0, s, i);
    if (repeats) {
      for (const auto& [s, i] : pairs) forth.push(0, s, i);
    }
    std::reverse(pairs.begin(), pairs.end());
    for (const auto& [s, i] : pairs) back.push(0, s, i);
    std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::vector<std::int32_t> a(5), b(5);
    ASSERT_EQ(forth.take(0, a), 5u);
    ASSERT_EQ(back.take(0, b), 5u);
    for (std::size_t r = 0; r < 5; ++r) {
      EXPECT_EQ(a[r], pairs[r].second);
      EXPECT_EQ(b[r], pairs[r].second);
    }
  }
}

TEST(Kernels, IntegerProductsAreExact) {
  using neighbors::kPanel;
  const std::size_t groups = 7;
  const std::size_t bytes = 2 * kPanel * 4 * groups;
  std::vector<std::int8_t> a(bytes), b(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    a[i] = static_cast<std::int8_t>(static_cast<int>(bounded(mix(i + 1), 127)) - 63);
    b[i] =
        i % 5 == 0 ? -63 : static_cast<std::int8_t>(static_cast<int>(bounded(mix(~i), 127)) - 63);
  }
  std::vector<std::int32_t> c(4 * kPanel * kPanel);
  neighbors::kernels().product_int(a.data(), 2, b.data(), 2, groups, c.data(), 2 * kPanel);
  const auto at = [&](const std::vector<std::int8_t>& x, std::size_t row, std::size_t k) {
    return static_cast<int>(
        x[row / kPanel * kPanel * 4 * groups + k / 4 * 4 * kPanel + row % kPanel * 4 + k % 4]);
  };
  for (std::size_t i = 0; i < 2 * kPanel; ++i) {
    for (std::size_t j = 0; j < 2 * kPanel; ++j) {
      int sum = 0;
      for (std::size_t k = 0; k < 4 * groups; ++k) sum += at(a, i, k) * at(b, j, k);
      ASSERT_EQ(c[i * 2 * kPanel + j], sum) << i << " " << j;
    }
  }
}

}  // namespace
}  // namespace knowmap
