#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "knowmap/knn.hpp"
#include "knowmap/umap.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

/// Rows in clouds, as whole numbers from -100 to 100.
Matrix clouds(std::size_t n, std::size_t d, std::uint64_t seed) {
  Matrix x(n, d);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      const double centre = unit(random_bits(seed, RandomStage::sample, 1000000 + i % 9, j));
      const double noise = unit(random_bits(seed, RandomStage::sample, i, j));
      x(i, j) = std::round(static_cast<float>(120 * centre + 80 * noise - 100));
    }
  }
  return x;
}

std::vector<std::int8_t> bytes_of(const Matrix& x) {
  std::vector<std::int8_t> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = static_cast<std::int8_t>(x.data()[i]);
  return out;
}

bool same_bytes(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool same_bytes(const KnnGraph& a, const KnnGraph& b) {
  return a.indices.size() == b.indices.size() && same_bytes(a.distances, b.distances) &&
         std::memcmp(a.indices.data(), b.indices.data(), a.indices.size() * sizeof(std::int32_t)) ==
             0;
}

/// A file of rows as the search sees it; remembers how long the longest read was.
class Slow final : public RowSource {
 public:
  explicit Slow(const Matrix& rows) : rows_(rows) {}
  std::size_t rows() const override { return rows_.rows(); }
  std::size_t cols() const override { return rows_.cols(); }
  bool is_resident() const override { return false; }
  void read(std::size_t begin, std::size_t end, float* out) const override {
    std::size_t seen = longest;
    while (end - begin > seen && !longest.compare_exchange_weak(seen, end - begin)) {
    }
    std::copy_n(rows_.row(begin), (end - begin) * rows_.cols(), out);
  }
  mutable std::atomic<std::size_t> longest{0};

 private:
  const Matrix& rows_;
};

TEST(RowSource, HalvesAreWidenedExactly) {
  // All 65,536 of them, against their definition.
  std::vector<std::uint16_t> bits(65536);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  const auto source = rows_in_memory(bits.data(), NumberType::float16, 256, 256);
  Matrix wide(256, 256);
  source->read(0, 256, wide.data());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const int exponent = bits[i] >> 10 & 31;
    const int fraction = bits[i] & 1023;
    const float found = wide.data()[i];
    ASSERT_EQ(std::signbit(found), bits[i] >> 15 != 0) << i;
    if (exponent == 31) {
      ASSERT_TRUE(fraction == 0 ? std::isinf(found) : std::isnan(found)) << i;
      continue;
    }
    const double size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    ASSERT_EQ(std::abs(static_cast<double>(found)), size) << i;
  }
}

TEST(RowSource, TheGraphIsThatOfTheSameRowsAsFloats) {
  const Matrix x = clouds(5000, 48, 1);
  const std::vector<std::int8_t> bytes = bytes_of(x);
  for (const Metric metric : {Metric::cosine, Metric::euclidean, Metric::inner_product,
                              Metric::correlation, Metric::manhattan}) {
    KnnOptions o;
    o.metric = metric;
    o.search = KnnOptions::Search::approximate;
    o.threads = 2;
    const KnnGraph truth = knn_graph(x, o);
    o.threads = 3;
    const auto resident = rows_in_memory(bytes.data(), NumberType::int8, x.rows(), x.cols());
    const KnnGraph found = knn_graph(*resident, o);
    EXPECT_TRUE(same_bytes(truth, found)) << metric_name(metric);
    EXPECT_EQ(truth.recall, found.recall);
    if (metric == Metric::manhattan) {
      EXPECT_THROW(knn_graph(Slow(x), o), std::invalid_argument);
      continue;
    }
    const Slow slow(x);
    EXPECT_TRUE(same_bytes(truth, knn_graph(slow, o))) << metric_name(metric);
    EXPECT_LE(slow.longest, 1024u);
  }
  KnnOptions exact;
  exact.search = KnnOptions::Search::exact;
  EXPECT_TRUE(same_bytes(knn_graph(x, exact), knn_graph(Slow(x), exact)));
  const auto queries = x.view().slice(0, 100);
  EXPECT_TRUE(same_bytes(knn_query(x, queries), knn_query(Slow(x), queries)));
}

TEST(RowSource, ManyBatchesAnswerLikeOne) {
  // 3,200 columns: the 48 MiB of a batch hold fewer rows than there are.
  const Matrix x = clouds(6000, 3200, 2);
  KnnOptions o;
  o.search = KnnOptions::Search::approximate;
  o.target_recall = 0;
  EXPECT_TRUE(same_bytes(knn_graph(x, o), knn_graph(Slow(x), o)));
}

TEST(RowSource, MistakesAreNamed) {
  Matrix x = clouds(1000, 8, 3);
  KnnOptions o;
  o.metric = Metric::precomputed;
  EXPECT_THROW(knn_graph(Slow(x), o), std::invalid_argument);
  x(700, 3) = std::numeric_limits<float>::quiet_NaN();
  try {
    knn_graph(Slow(x));
    FAIL() << "NaN was taken";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("row 700"), std::string::npos) << e.what();
  }
}

TEST(RowSource, AMapIsThatOfTheSameRowsAsFloats) {
  const Matrix x = clouds(1500, 24, 4);
  const Slow slow(x);
  UmapOptions options;
  options.n_epochs = 30;
  options.metric = Metric::cosine;
  for (const auto init : {UmapOptions::Init::spectral, UmapOptions::Init::pca}) {
    options.init = init;
    UmapProjector of_rows(options);
    of_rows.fit(x);
    UmapProjector of_source(options);
    UmapData data;
    data.source = &slow;
    EXPECT_TRUE(same_bytes(of_rows.embedding(), of_source.fit(data)));
    EXPECT_EQ(of_rows.init_used(), of_source.init_used());
    // New rows come with their neighbours.
    const auto some = x.view().slice(0, 50);
    EXPECT_THROW(of_source.transform(some), std::invalid_argument);
    const KnnGraph near = knn_query(slow, some);
    EXPECT_TRUE(same_bytes(of_rows.transform(some), of_source.transform(some, near)));
    // Given the rows, it is a map like any other.
    of_source.attach_rows(x);
    EXPECT_TRUE(same_bytes(of_rows.transform(some), of_source.transform(some)));
  }
  UmapData both;
  both.rows = x;
  both.source = &slow;
  EXPECT_THROW(UmapProjector(options).fit(both), std::invalid_argument);
}

}  // namespace
}  // namespace knowmap
