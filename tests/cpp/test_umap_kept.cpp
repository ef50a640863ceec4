// A finished map: levelled, and saved.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/umap.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

/// `count` clouds of normal-like points, row i in cloud i % count.
Matrix clouds(std::size_t n, std::size_t d, std::size_t count, float apart) {
  Matrix x(n, d);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      double at = -3;
      for (std::size_t s = 0; s < 6; ++s) {
        at += unit(random_bits(5, RandomStage::sample, i, j * 6 + s));
      }
      const double centre = unit(random_bits(5, RandomStage::sample, 1000000 + i % count, j));
      x(i, j) = static_cast<float>(at + static_cast<double>(apart) * centre);
    }
  }
  return x;
}

bool same_bytes(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool finite(const Matrix& x) {
  return std::all_of(x.data(), x.data() + x.size(), [](float v) { return std::isfinite(v); });
}

UmapOptions quick() {
  UmapOptions o;
  o.n_epochs = 60;
  o.threads = 2;
  return o;
}

TEST(Level, PointsSpreadEvenlyAndStayInOrder) {
  // Most points in two small heaps.
  Matrix x(4000, 2);
  for (std::size_t i = 0; i < 4000; ++i) {
    for (std::size_t d = 0; d < 2; ++d) {
      const double at = unit(random_bits(3, RandomStage::sample, i, d));
      x(i, d) = static_cast<float>(i % 10 == 0 ? 10 * at : 3 + (i % 2 == 0 ? 0 : 4) + 0.3 * at);
    }
  }
  const auto taken = [](const Matrix& y) {  // cells of a 30 x 30 grid with a point
    float least[2] = {1e9f, 1e9f}, most[2] = {-1e9f, -1e9f};
    for (std::size_t i = 0; i < y.rows(); ++i) {
      for (std::size_t d = 0; d < 2; ++d) {
        least[d] = std::min(least[d], y(i, d));
        most[d] = std::max(most[d], y(i, d));
      }
    }
    std::vector<bool> cells(900);
    for (std::size_t i = 0; i < y.rows(); ++i) {
      std::size_t cell = 0;
      for (std::size_t d = 0; d < 2; ++d) {
        const float at = (y(i, d) - least[d]) / (most[d] - least[d]) * 29.999f;
        cell = cell * 30 + static_cast<std::size_t>(at);
      }
      cells[cell] = true;
    }
    return static_cast<double>(std::count(cells.begin(), cells.end(), true)) / 900;
  };
  const Matrix even = level_density(x, 1, 2);
  EXPECT_GT(taken(even), 0.7);  // a disc fills pi / 4 = .785 of its square
  EXPECT_LT(taken(x), 0.5);
  const Matrix half = level_density(x, 0.5f, 1);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(half.data()[i], (x.data()[i] + even.data()[i]) / 2, 1e-4);
  }
  EXPECT_TRUE(same_bytes(level_density(x, 0, 1), x));
  EXPECT_TRUE(same_bytes(level_density(x, 1, 3), even));
  for (const std::size_t dims : {1u, 3u}) {
    const Matrix y = clouds(500, dims, 2, 9);
    EXPECT_TRUE(finite(level_density(y, 1, 1)));
  }
  x(5, 0) = std::nanf("");
  const Matrix with_gap = level_density(x, 1, 1);
  EXPECT_TRUE(std::isnan(with_gap(5, 0)) && std::isfinite(with_gap(6, 0)));
  EXPECT_THROW(level_density(x, 1.5f), std::invalid_argument);
}

TEST(Level, NewRowsFollowTheLeveledMap) {
  const Matrix x = clouds(800, 6, 4, 12);
  UmapOptions o = quick();
  o.density_leveling = 0.7f;
  UmapProjector projector(o);
  projector.fit(x.view().slice(0, 700));
  const Matrix placed = projector.transform(x.view().slice(700, 800));
  KnnOptions knn;
  knn.metric = Metric::euclidean;
  knn.n_neighbors = 1;
  const KnnGraph near = knn_query(projector.embedding(), placed, knn);
  std::size_t right = 0;
  for (std::size_t i = 0; i < 100; ++i) right += near.indices(i, 0) % 4 == static_cast<int>(i % 4);
  EXPECT_GT(right, 95u);
  const Matrix part = projector.transform(x.view().slice(733, 735));
  EXPECT_EQ(std::memcmp(part.data(), placed.row(33), part.size() * sizeof(float)), 0);
}

class Saved : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("knowmap-umap-" + std::to_string(reinterpret_cast<std::uintptr_t>(this)));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(Saved, AMapComesBackTheSame) {
  const Matrix x = clouds(500, 6, 4, 12);
  const auto fresh = x.view().slice(400, 500);
  for (const float leveling : {0.0f, 0.5f}) {
    UmapOptions o = quick();
    o.density_leveling = leveling;
    o.output_dens = true;
    o.metric = Metric::cosine;
    UmapProjector projector(o);
    projector.fit(x.view().slice(0, 400));
    const Matrix placed = projector.transform(fresh);
    projector.save(folder_ / "bare.h5", false, "a note");
    projector.save(folder_ / "whole.h5", true);
    EXPECT_LT(std::filesystem::file_size(folder_ / "bare.h5") + 400 * 6 * sizeof(float),
              std::filesystem::file_size(folder_ / "whole.h5") + 2048);
    const UmapProjector whole = UmapProjector::load(folder_ / "whole.h5");
    EXPECT_TRUE(same_bytes(whole.embedding(), projector.embedding()));
    EXPECT_TRUE(same_bytes(whole.radii(), projector.radii()));
    EXPECT_TRUE(same_bytes(whole.transform(fresh), placed));
    EXPECT_EQ(whole.init_used(), projector.init_used());
    EXPECT_EQ(whole.options().metric, Metric::cosine);

    UmapProjector bare = UmapProjector::load(folder_ / "bare.h5");
    EXPECT_EQ(bare.note(), "a note");
    EXPECT_THROW(bare.transform(fresh), std::invalid_argument);
    EXPECT_THROW(bare.attach_rows(x.view().slice(1, 401)), std::invalid_argument);
    bare.attach_rows(x.view().slice(0, 400));
    EXPECT_TRUE(same_bytes(bare.transform(fresh), placed));
    EXPECT_TRUE(same_bytes(
        UmapProjector::restore(projector.describe(), projector.arrays(true)).transform(fresh),
        placed));
  }
}

TEST_F(Saved, DamageIsNamed) {
  EXPECT_THROW(UmapProjector(quick()).save(folder_ / "none.h5"), std::invalid_argument);
  EXPECT_THROW(UmapProjector::load(folder_ / "none.h5"), CheckpointError);
  UmapProjector projector(quick());
  projector.fit(clouds(100, 4, 2, 5));
  const auto file = folder_ / "map.h5";
  projector.save(file, true);
  const auto size = std::filesystem::file_size(file);
  for (const std::uintmax_t at : {std::uintmax_t{70}, size / 2, size - 9}) {
    std::filesystem::copy_file(file, folder_ / "bad.h5",
                               std::filesystem::copy_options::overwrite_existing);
    std::fstream bad(folder_ / "bad.h5", std::ios::in | std::ios::out | std::ios::binary);
    bad.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(bad.get() ^ 1);
    bad.seekp(static_cast<std::streamoff>(at));
    bad.put(byte);
    bad.close();
    EXPECT_THROW(UmapProjector::load(folder_ / "bad.h5"), CheckpointError) << at;
  }
  std::filesystem::resize_file(file, size / 2);
  EXPECT_THROW(UmapProjector::load(file), CheckpointError);
  EXPECT_THROW(UmapProjector::restore("{}", {}), CheckpointError);
  EXPECT_THROW(UmapProjector::restore("not JSON", {}), CheckpointError);
}

}  // namespace
}  // namespace knowmap
