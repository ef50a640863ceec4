// The search on a device, run on libtorch's CPU device: what the CPU's own kernels find, to the
// bit, however the tiles lie, and with failures where a device has no room.

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/knn.hpp"
#include "neighbors/on_device.hpp"
#include "neighbors/search.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

using neighbors::DeviceTiles;

Matrix clouds(std::size_t n, std::size_t dims) {
  Matrix x(n, dims);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < dims; ++j) {
      const double draw = unit(random_bits(3, RandomStage::sample, i, j));
      x(i, j) = static_cast<float>(draw + (j % 7 == i % 7 ? 2 : 0) - 0.5);
    }
  }
  return x;
}

bool same(const KnnGraph& a, const KnnGraph& b) {
  return a.size() == b.size() && a.n_neighbors() == b.n_neighbors() &&
         std::memcmp(a.indices.data(), b.indices.data(), a.indices.size() * sizeof(std::int32_t)) ==
             0 &&
         std::memcmp(a.distances.data(), b.distances.data(), a.distances.size() * sizeof(float)) ==
             0;
}

class OnDevice : public ::testing::Test {
 protected:
  KnnGraph graph(const DeviceTiles& tiles = {}) {
    return neighbors::graph_on_device(x_, options_, c10::kCPU, workers_, tiles);
  }
  KnnGraph query(const DeviceTiles& tiles = {}) {
    return neighbors::query_on_device(x_, x_.view().slice(0, 50), options_, c10::kCPU, workers_,
                                      tiles);
  }
  KnnGraph exact() { return neighbors::exact_graph(x_, options_, workers_); }

  Matrix x_ = clouds(700, 33);
  KnnOptions options_;
  Workers workers_{2};
};

TEST_F(OnDevice, FindsWhatTheCpuFinds) {
  for (const Metric metric :
       {Metric::cosine, Metric::euclidean, Metric::inner_product, Metric::correlation}) {
    options_.metric = metric;
    const KnnGraph truth = exact();
    const KnnGraph asked = neighbors::exact_query(x_, x_.view().slice(0, 50), options_, workers_);
    for (const auto& [queries, data] : std::vector<std::pair<std::size_t, std::size_t>>{
             {0, 0}, {700, 700}, {64, 100}, {100, 64}, {1, 700}, {699, 1}, {37, 41}}) {
      DeviceTiles tiles;
      tiles.queries = queries;
      tiles.data = data;
      EXPECT_TRUE(same(graph(tiles), truth))
          << metric_name(metric) << ", tiles of " << queries << " x " << data;
      EXPECT_TRUE(same(query(tiles), asked)) << metric_name(metric);
    }
  }
}

TEST_F(OnDevice, FewRows) {
  for (const std::size_t n : {1, 2, 3, 15, 16}) {
    x_ = clouds(n, 5);
    const KnnGraph found = graph();
    EXPECT_TRUE(same(found, exact())) << n;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t r = 0; r < found.n_neighbors(); ++r) {
        EXPECT_NE(found.indices(i, r), static_cast<std::int32_t>(i));
        EXPECT_EQ(found.indices(i, r) < 0, r + 1 >= n);
      }
    }
  }
  EXPECT_EQ(neighbors::query_on_device(x_, MatrixView<const float>{}, options_, c10::kCPU, workers_)
                .size(),
            0u);
}

TEST_F(OnDevice, OfEquallyNearRowsAnyWillDo) {
  const Matrix few = clouds(20, 33);
  for (std::size_t i = 0; i < 700; ++i) std::copy_n(few.row(i % 20), 33, x_.row(i));
  const KnnGraph truth = exact();
  DeviceTiles tiles;
  tiles.queries = 128;
  tiles.data = 96;
  const KnnGraph found = graph(tiles);
  EXPECT_EQ(std::memcmp(found.distances.data(), truth.distances.data(),
                        truth.distances.size() * sizeof(float)),
            0);
  EXPECT_TRUE(same(found, graph(tiles)));
}

TEST_F(OnDevice, ATileWithoutRoomIsMadeSmaller) {
  const KnnGraph truth = exact();
  std::size_t failed = 0, largest = 0;
  int kind = 0;
  DeviceTiles tiles;
  tiles.queries = 512;
  tiles.data = 700;
  tiles.before_tile = [&](std::size_t queries, std::size_t data) {
    if (queries * data <= 20000) {
      largest = std::max(largest, queries * data);
      return;
    }
    ++failed;
    switch (kind++ % 3) {
      case 0:
        throw c10::OutOfMemoryError({__func__, __FILE__, 1}, "CUDA out of memory");
      case 1:
        throw std::bad_alloc();
      default:
        throw std::runtime_error("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)");
    }
  };
  EXPECT_TRUE(same(graph(tiles), truth));
  EXPECT_GE(failed, 3u);
  EXPECT_GT(largest, 10000u) << "no smaller than it must be";

  // Room that is there at first and then taken away.
  std::size_t seen = 0;
  tiles.before_tile = [&](std::size_t queries, std::size_t data) {
    if (++seen > 3 && queries * data > 9000) throw std::bad_alloc();
  };
  EXPECT_TRUE(same(graph(tiles), truth));
}

TEST_F(OnDevice, WhereNothingHasRoomItSaysSo) {
  DeviceTiles tiles;
  tiles.before_tile = [](std::size_t, std::size_t) { throw std::bad_alloc(); };
  try {
    graph(tiles);
    FAIL();
  } catch (const OutOfMemoryError& error) {
    EXPECT_NE(std::string(error.what()).find("take device 'cpu'"), std::string::npos);
  }
  // What is no lack of room is no reason to try again.
  std::size_t tries = 0;
  tiles.before_tile = [&](std::size_t, std::size_t) {
    ++tries;
    throw std::runtime_error("an illegal memory access was encountered");
  };
  EXPECT_THROW(graph(tiles), std::runtime_error);
  EXPECT_EQ(tries, 1u);
}

TEST_F(OnDevice, ProgressAndCancel) {
  std::uint64_t last = 0;
  options_.progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.stage, "neighbors");
    last = progress.done;
    return true;
  };
  DeviceTiles tiles;
  tiles.queries = 64;
  graph(tiles);
  EXPECT_EQ(last, 700u);
  options_.progress = [](const Progress&) { return false; };
  EXPECT_THROW(graph(tiles), CancelledError);
}

TEST_F(OnDevice, WhatItCannotDo) {
  options_.metric = Metric::manhattan;
  EXPECT_THROW(graph(), std::invalid_argument);
  options_.metric = Metric::cosine;
  for (const std::string name : {"gpu", "cuda:x", ""}) {
    options_.device = name;
    EXPECT_THROW(knn_graph(x_, options_), std::invalid_argument) << name;
  }
  x_(3, 2) = std::numeric_limits<float>::quiet_NaN();
  options_.device = "auto";
  EXPECT_THROW(knn_graph(x_, options_), std::invalid_argument);
}

}  // namespace
}  // namespace knowmap
