// UMAP beyond the plain map: targets, densMAP, the serial order, given starts,
// updating.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "knowmap/umap.hpp"
#include "support/random.hpp"
#include "umap/curve.hpp"
#include "umap/densmap.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/initial.hpp"
#include "umap/serial_layout.hpp"
#include "umap/targets.hpp"

namespace knowmap {
namespace {

using umap::SparseGraph;

constexpr std::size_t kRows = 120;
constexpr std::size_t kColumns = 11;

/// Arrays that umap-learn made: tests/reference/umap_make.py.
const std::vector<double>& reference(const std::string& name) {
  static const std::map<std::string, std::vector<double>> arrays = [] {
    std::map<std::string, std::vector<double>> result;
    std::ifstream file(std::string(KNOWMAP_TEST_DATA) + "/umap_reference.txt");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key;
      std::size_t rows = 0, cols = 0;
      words >> key >> rows >> cols;
      for (double value; words >> value;) result[key].push_back(value);
    }
    return result;
  }();
  return arrays.at(name);
}

Matrix matrix_of(const std::string& name, std::size_t cols) {
  const std::vector<double>& values = reference(name);
  Matrix result(values.size() / cols, cols);
  for (std::size_t i = 0; i < values.size(); ++i) result.data()[i] = static_cast<float>(values[i]);
  return result;
}

KnnGraph reference_neighbours() {
  KnnGraph graph{{kRows, kColumns}, {kRows, kColumns}};
  for (std::size_t i = 0; i < kRows * kColumns; ++i) {
    graph.indices.data()[i] = static_cast<std::int32_t>(reference("indices").at(i));
    graph.distances.data()[i] = static_cast<float>(reference("distances").at(i));
  }
  return graph;
}

SparseGraph reference_fuzzy(Workers& workers) {
  const KnnGraph graph = reference_neighbours();
  const umap::Smoothed s = umap::smooth_distances(graph, kColumns, 1.0f, true, workers);
  return umap::fuzzy_union(graph, umap::membership_strengths(graph, kColumns, s, false, workers),
                           1.0f, workers);
}

void expect_graph(const SparseGraph& graph, const std::string& name) {
  const auto& offsets = reference("offsets_" + name);
  const auto& columns = reference("columns_" + name);
  const auto& weights = reference("weights_" + name);
  ASSERT_EQ(graph.offsets.size(), offsets.size());
  ASSERT_EQ(graph.size(), weights.size());
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    ASSERT_EQ(static_cast<double>(graph.offsets[i]), offsets[i]);
  }
  for (std::size_t e = 0; e < weights.size(); ++e) {
    ASSERT_EQ(static_cast<double>(graph.columns[e]), columns[e]);
    ASSERT_NEAR(static_cast<double>(graph.weights[e]), weights[e], 1e-5) << name << " " << e;
  }
}

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

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    mx += x[i] / n;
    my += y[i] / n;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xy / std::sqrt(xx * yy);
}

TEST(Targets, IntersectionsAreUmapLearns) {
  Workers workers(2);
  std::vector<std::int32_t> classes;
  for (const double c : reference("classes")) classes.push_back(static_cast<std::int32_t>(c));
  for (const auto& [name, weight] : {std::pair<std::string, float>{"0.5", 0.5f}, {"0.9", 0.9f}}) {
    expect_graph(umap::intersect_classes(reference_fuzzy(workers), classes, weight, workers),
                 "classes_" + name);
  }
  KnnOptions knn;
  knn.metric = Metric::euclidean;
  knn.n_neighbors = kColumns;
  const KnnGraph near = knn_graph(matrix_of("targets", 1), knn);
  const umap::Smoothed s = umap::smooth_distances(near, kColumns, 1.0f, true, workers);
  const Matrix strengths = umap::membership_strengths(near, kColumns, s, false, workers);
  for (const auto& [name, weight] : {std::pair<std::string, float>{"0.3", 0.3f}, {"0.7", 0.7f}}) {
    expect_graph(
        umap::intersect_targets(reference_fuzzy(workers), near, strengths, weight, workers),
        "targets_" + name);
  }
}

TEST(Targets, ClassesPartAndNumbersOrderTheMap) {
  const std::size_t n = 600;
  const Matrix x = clouds(n, 6, 1, 0);  // one cloud: the data say nothing of the targets
  std::vector<std::int32_t> classes(n);
  Matrix numbers(n, 1);
  for (std::size_t i = 0; i < n; ++i) {
    classes[i] = static_cast<std::int32_t>(i % 3);
    numbers(i, 0) = static_cast<float>(unit(random_bits(1, RandomStage::sample, i)));
  }
  const auto kept = [&](const Matrix& map) {
    KnnOptions knn;
    knn.metric = Metric::euclidean;
    knn.n_neighbors = 10;
    const KnnGraph near = knn_graph(map, knn);
    std::size_t same = 0;
    double gap = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < 10; ++j) {
        const auto other = static_cast<std::size_t>(near.indices(i, j));
        same += classes[other] == classes[i];
        gap +=
            std::abs(static_cast<double>(numbers(i, 0)) - static_cast<double>(numbers(other, 0)));
      }
    }
    return std::pair(static_cast<double>(same) / static_cast<double>(10 * n),
                     gap / static_cast<double>(10 * n));
  };
  UmapOptions o = quick();
  o.n_epochs = 200;
  const auto plain = kept(UmapProjector(o).fit(x));
  UmapData data{x, nullptr, {}, classes, {}};
  EXPECT_GT(kept(UmapProjector(o).fit(data)).first, std::max(0.9, plain.first + 0.3));
  data.classes = {};
  data.targets = numbers;
  o.target_weight = 0.8f;
  EXPECT_LT(kept(UmapProjector(o).fit(data)).second, plain.second / 2);
  data.classes = classes;
  EXPECT_THROW(UmapProjector(o).fit(data), std::invalid_argument);
  data.targets = {};
  data.classes = std::span(classes).first(5);
  EXPECT_THROW(UmapProjector(o).fit(data), std::invalid_argument);
}

TEST(Serial, FollowsUmapLearn) {
  // umap-learn's own strengths: whether an edge is sampled may hang on their last bit.
  SparseGraph graph;
  graph.offsets.clear();
  for (const double o : reference("offsets_1.0")) {
    graph.offsets.push_back(static_cast<std::size_t>(o));
  }
  for (std::size_t e = 0; e < graph.offsets.back(); ++e) {
    graph.columns.push_back(static_cast<std::int32_t>(reference("columns_1.0")[e]));
    graph.weights.push_back(static_cast<float>(reference("weights_1.0")[e]));
  }
  umap::drop_weak_edges(graph, 20);
  const umap::Curve curve = umap::fit_curve(0.1, 1.0);
  umap::LayoutOptions options;
  options.n_epochs = 20;
  options.learning_rate = 0.05f;
  options.a = static_cast<float>(curve.a);
  options.b = static_cast<float>(curve.b);
  std::array<std::int64_t, 3> state{};
  for (std::size_t r = 0; r < 3; ++r) {
    state[r] = static_cast<std::int64_t>(reference("serial_state").at(r));
  }
  umap::SerialLayout layout(graph, matrix_of("start", 2), options, state);
  for (const auto& [rounds, tolerance] : {std::pair<std::size_t, double>{3, 1e-4}, {20, 2e-3}}) {
    layout.run(rounds - layout.epoch());
    const Matrix truth = matrix_of("serial_" + std::to_string(rounds), 2);
    for (std::size_t i = 0; i < truth.size(); ++i) {
      ASSERT_NEAR(layout.positions().data()[i], truth.data()[i], tolerance) << rounds << " " << i;
    }
  }
  UmapOptions o = quick();
  o.serial = true;
  const Matrix x = clouds(300, 5, 3, 4);
  UmapProjector one(o);
  o.threads = 3;
  EXPECT_TRUE(same_bytes(one.fit(x), UmapProjector(o).fit(x)));
}

TEST(Densmap, RadiiAreUmapLearns) {
  Workers workers(2);
  SparseGraph graph = reference_fuzzy(workers);
  umap::drop_weak_edges(graph, 20);
  const KnnGraph near = reference_neighbours();
  const auto radii =
      umap::log_radii(graph, umap::edge_distances(graph, near, kColumns, workers), 2, workers);
  for (std::size_t i = 0; i < kRows; ++i) {
    ASSERT_NEAR(static_cast<double>(radii[i]), reference("rad_orig").at(i), 2e-5);
  }
  KnnOptions knn;
  knn.metric = Metric::euclidean;
  knn.n_neighbors = kColumns;
  const KnnGraph on_map = knn_graph(matrix_of("dens_map", 2), knn);
  const umap::Smoothed s = umap::smooth_distances(on_map, kColumns, 1.0f, true, workers);
  const SparseGraph fuzzy = umap::fuzzy_union(
      on_map, umap::membership_strengths(on_map, kColumns, s, false, workers), 1.0f, workers);
  const auto there =
      umap::log_radii(fuzzy, umap::edge_distances(fuzzy, on_map, kColumns, workers), 1, workers);
  for (std::size_t i = 0; i < kRows; ++i) {
    ASSERT_NEAR(static_cast<double>(there[i]), reference("rad_emb").at(i), 1e-4);
  }
}

TEST(Densmap, TheTermIsTheGradientOfTheCorrelation) {
  Workers workers(2);
  const SparseGraph graph = reference_fuzzy(workers);
  const float lambda = 1.5f, shift = 0.1f, a = 1.577f, b = 0.895f;
  std::vector<float> radii;
  for (const double r : reference("rad_orig")) radii.push_back(static_cast<float>(r));
  Matrix places = matrix_of("dens_map", 2);
  umap::DensityTerm term(graph, radii, lambda, shift, a, b);
  term.prepare(graph, places, workers);

  // The objective in double precision: covariance over the shifted deviation.
  const auto n = static_cast<double>(kRows);
  double mean = 0, variance = 0;
  for (const float r : radii) mean += static_cast<double>(r) / n;
  for (const float r : radii) variance += (r - mean) * (r - mean) / n;
  const auto objective = [&](std::size_t moved, double dx) {
    std::vector<double> radius(kRows);
    const auto x = [&](std::size_t i, std::size_t d) {
      return static_cast<double>(places(i, d)) + (i == moved && d == 0 ? dx : 0);
    };
    for (std::size_t i = 0; i < kRows; ++i) {
      double spread = 0, sum = 0;
      for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
        const auto j = static_cast<std::size_t>(graph.columns[e]);
        const double d2 = std::pow(x(i, 0) - x(j, 0), 2) + std::pow(x(i, 1) - x(j, 1), 2);
        const double phi = 1 / (1 + static_cast<double>(a) * std::pow(d2, static_cast<double>(b)));
        spread += phi * d2;
        sum += phi;
      }
      radius[i] = std::log(1e-8 + spread / sum);
    }
    double m = 0, v = 0, c = 0;
    for (const double r : radius) m += r / n;
    for (std::size_t i = 0; i < kRows; ++i) {
      v += (radius[i] - m) * (radius[i] - m) / n;
      c += radius[i] * (static_cast<double>(radii[i]) - mean) / std::sqrt(variance) / (n - 1);
    }
    return c / std::sqrt(v + static_cast<double>(shift));
  };
  double total = 0;
  for (const float w : graph.weights) total += static_cast<double>(w);
  std::vector<double> found, expected;
  for (std::size_t v = 0; v < 40; ++v) {
    expected.push_back((objective(v, 1e-5) - objective(v, -1e-5)) / 2e-5);
    double sum = 0;
    for (std::size_t e = graph.offsets[v]; e < graph.offsets[v + 1]; ++e) {
      const auto w = static_cast<std::size_t>(graph.columns[e]);
      const float dx = places(v, 0) - places(w, 0);
      const float dy = places(v, 1) - places(w, 1);
      const double mu = static_cast<double>(graph.weights[e]);
      // Both directions of an edge are counted in a sum of phi: half each.
      sum += 2 * static_cast<double>(term.coefficient(v, w, graph.weights[e], dx * dx + dy * dy)) *
             mu * n / (static_cast<double>(lambda) * total * (n - 1)) * static_cast<double>(dx);
    }
    found.push_back(sum);
  }
  double largest = 0;
  for (const double g : expected) largest = std::max(largest, std::abs(g));
  for (std::size_t v = 0; v < 40; ++v) EXPECT_NEAR(found[v], expected[v], 0.02 * largest) << v;
  EXPECT_GT(correlation(found, expected), 0.999);
}

TEST(Densmap, TheMapKeepsHowDenseTheDataAre) {
  // Three clouds of different widths.
  Matrix x = clouds(900, 5, 3, 30);
  const Matrix centres = clouds(900, 5, 3, 30);
  for (std::size_t i = 0; i < 900; ++i) {
    for (std::size_t j = 0; j < 5; ++j) {
      const double centre = 30 * unit(random_bits(5, RandomStage::sample, 1000000 + i % 3, j));
      const double width = std::pow(3.0, static_cast<double>(i % 3)) / 3;
      x(i, j) = static_cast<float>(centre + width * (static_cast<double>(x(i, j)) - centre));
    }
  }
  UmapOptions o = quick();
  o.n_epochs = 200;
  o.output_dens = true;
  const auto agreement = [&](bool densmap) {
    o.densmap = densmap;
    UmapProjector projector(o);
    EXPECT_TRUE(finite(projector.fit(x)));
    std::vector<double> data, map;
    for (std::size_t i = 0; i < 900; ++i) {
      data.push_back(static_cast<double>(projector.radii()(i, 0)));
      map.push_back(static_cast<double>(projector.radii()(i, 1)));
    }
    return correlation(data, map);
  };
  const double without = agreement(false);
  EXPECT_GT(agreement(true), std::max(0.8, without + 0.1));
  o.densmap = true;
  o.threads = 1;
  UmapProjector one(o);
  one.fit(x);
  o.threads = 3;
  EXPECT_TRUE(same_bytes(one.embedding(), UmapProjector(o).fit(x)));
}

TEST(Umap, ShortPassesGiveTheSameBytesForAnyNumberOfThreads) {
  const Matrix x = clouds(3000, 8, 5, 4);  // enough rows that threads go from pass to pass together
  UmapOptions o = quick();
  o.n_epochs = 20;
  o.threads = 1;
  UmapProjector one(o);
  one.fit(x);
  for (const int threads : {2, 3, 4, 7}) {
    o.threads = threads;
    EXPECT_TRUE(same_bytes(one.embedding(), UmapProjector(o).fit(x))) << threads;
  }
}

TEST(Umap, InEveryNumberOfColumnsARowsPlaceIsItsOwn) {
  const Matrix x = clouds(140, 5, 3, 4);
  for (const std::size_t dims : {1u, 2u, 3u, 4u, 7u}) {
    UmapOptions o = quick();
    o.n_epochs = 30;
    o.n_components = dims;
    UmapProjector projector(o);
    projector.fit(x);
    const Matrix placed = projector.transform(x);
    for (std::size_t i = 0; i < 140; i += 3) {
      const Matrix one = projector.transform(x.view().slice(i, i + 1));
      ASSERT_EQ(std::memcmp(one.data(), placed.row(i), dims * sizeof(float)), 0)
          << dims << " " << i;
    }
  }
}

TEST(Umap, StartsFromGivenPlacesAndKeepsSnapshots) {
  const Matrix x = clouds(400, 5, 3, 4);
  Matrix initial = umap::random_start(400, 2, 9);
  UmapOptions o = quick();
  o.snapshot_epochs = {10, 60};
  UmapProjector projector(o);
  UmapData data{x, nullptr, initial, {}, {}};
  projector.fit(data);
  EXPECT_EQ(projector.init_used(), "given");
  ASSERT_EQ(projector.snapshots().size(), 3u);
  EXPECT_FALSE(same_bytes(projector.snapshots()[0], projector.embedding()));
  EXPECT_TRUE(same_bytes(projector.snapshots()[1], projector.embedding()));
  o.snapshot_epochs = {};
  EXPECT_TRUE(same_bytes(UmapProjector(o).fit(data), projector.embedding()));
  for (std::size_t i = 0; i < 400; ++i) std::copy_n(initial.row(i % 7), 2, initial.row(i));
  EXPECT_TRUE(finite(UmapProjector(o).fit(data)));
  initial(3, 1) = std::nanf("");
  EXPECT_THROW(UmapProjector(o).fit(data), std::invalid_argument);
  const Matrix narrow(400, 1, 0.0f);
  data.initial = narrow;
  EXPECT_THROW(UmapProjector(o).fit(data), std::invalid_argument);
}

TEST(Umap, EqualRowsAreLaidOutOnce) {
  const Matrix distinct = clouds(200, 5, 3, 4);
  Matrix x(800, 5);
  for (std::size_t i = 0; i < 800; ++i) std::copy_n(distinct.row(i % 200), 5, x.row(i));
  UmapOptions o = quick();
  const Matrix alone = UmapProjector(o).fit(distinct).clone();
  o.unique = true;
  UmapProjector projector(o);
  const Matrix& y = projector.fit(x);
  for (std::size_t i = 0; i < 800; ++i) {
    ASSERT_EQ(std::memcmp(y.row(i), alone.row(i % 200), 2 * sizeof(float)), 0);
  }
  EXPECT_TRUE(finite(projector.transform(x.view().slice(0, 9))));
}

TEST(Umap, RowsBeyondTheDisconnectionDistanceHaveNoPlace) {
  Matrix x = clouds(300, 4, 2, 3);
  for (std::size_t j = 0; j < 4; ++j) x(7, j) = 1000;
  UmapOptions o = quick();
  o.disconnection_distance = 50;
  UmapProjector projector(o);
  const Matrix& y = projector.fit(x);
  for (std::size_t i = 0; i < 300; ++i) ASSERT_EQ(std::isnan(y(i, 0)), i == 7) << i;
  const Matrix placed = projector.transform(x.view().slice(6, 8));
  EXPECT_TRUE(std::isfinite(placed(0, 0)));
  EXPECT_TRUE(std::isnan(placed(1, 0)));
  EXPECT_TRUE(finite(projector.inverse_transform(placed.view().slice(0, 1))));
}

TEST(Umap, PointsOfTheMapLeadBackToRowsLikeThoseThere) {
  const Matrix x = clouds(900, 6, 3, 20);
  UmapOptions o = quick();
  o.n_epochs = 150;
  for (const float leveling : {0.0f, 0.8f}) {
    o.density_leveling = leveling;
    UmapProjector projector(o);
    projector.fit(x);
    const Matrix back = projector.inverse_transform(projector.embedding().view().slice(0, 60));
    for (std::size_t i = 0; i < 60; ++i) {
      double own = 0, other = 0;
      for (std::size_t j = 0; j < 6; ++j) {
        own += std::pow(static_cast<double>(back(i, j) - x(i, j)), 2);
        other += std::pow(static_cast<double>(back(i, j) - x(i + 1, j)), 2);
      }
      EXPECT_LT(own, other) << i;
    }
    const Matrix part = projector.inverse_transform(projector.embedding().view().slice(20, 23));
    EXPECT_EQ(std::memcmp(part.data(), back.row(20), part.size() * sizeof(float)), 0);
    EXPECT_THROW(projector.inverse_transform(x), std::invalid_argument);
  }
}

TEST(Umap, AnUpdatedMapKeepsWhereThingsLay) {
  const Matrix all = clouds(1000, 6, 4, 8);
  UmapProjector projector(quick());
  const Matrix before = projector.fit(all.view().slice(0, 800)).clone();
  const Matrix& after = projector.update(all.view().slice(800, 1000));
  ASSERT_EQ(after.rows(), 1000u);
  std::vector<double> old_x, new_x;
  for (std::size_t i = 0; i < 800; ++i) {
    old_x.push_back(static_cast<double>(before(i, 0)));
    new_x.push_back(static_cast<double>(after(i, 0)));
  }
  EXPECT_GT(correlation(old_x, new_x), 0.95);
  KnnOptions knn;
  knn.metric = Metric::euclidean;
  knn.n_neighbors = 5;
  const KnnGraph near = knn_query(after.view().slice(0, 800), after.view().slice(800, 1000), knn);
  std::size_t right = 0;
  for (std::size_t i = 0; i < 200; ++i) right += near.indices(i, 0) % 4 == static_cast<int>(i % 4);
  EXPECT_GT(right, 190u);
  EXPECT_TRUE(finite(projector.transform(all.view().slice(0, 3))));
}

TEST(Umap, AMapGoesOnFromEarlierPlaces) {
  const Matrix all = clouds(1000, 6, 4, 8);
  const float none = std::numeric_limits<float>::quiet_NaN();
  UmapProjector projector(quick());
  const Matrix before = projector.fit(all.view().slice(0, 900)).clone();
  Matrix earlier(1000, 2, none);
  std::copy_n(before.data(), before.size(), earlier.data());
  UmapData data;
  data.rows = all;
  data.earlier = earlier;
  UmapOptions o = quick();
  UmapProjector again(o);
  const Matrix after = again.fit(data).clone();
  EXPECT_EQ(again.init_used(), "given");
  // They lie where they lay: within a twentieth of the map, in the mean.
  double moved = 0, reach = 0;
  for (std::size_t i = 0; i < 900; ++i) {
    moved += std::hypot(static_cast<double>(after(i, 0) - before(i, 0)),
                        static_cast<double>(after(i, 1) - before(i, 1)));
    reach = std::max(reach, std::abs(static_cast<double>(before(i, 0) - before(0, 0))));
  }
  EXPECT_LT(moved / 900, 0.05 * reach);
  // `update` is the same.
  EXPECT_EQ(std::memcmp(projector.update(all.view().slice(900, 1000)).data(), after.data(),
                        after.size() * sizeof(float)),
            0);
  for (const int threads : {1, 3}) {
    o.threads = threads;
    EXPECT_EQ(
        std::memcmp(UmapProjector(o).fit(data).data(), after.data(), after.size() * sizeof(float)),
        0);
  }

  UmapData one;
  one.rows = all.view().slice(0, 1);
  one.earlier = after.view().slice(7, 8);
  EXPECT_EQ(UmapProjector(o).fit(one)(0, 1), after(7, 1));

  const auto refused = [&](const UmapData& wrong) {
    EXPECT_THROW(UmapProjector(o).fit(wrong), std::invalid_argument);
  };
  UmapData both = data;
  both.initial = after;
  refused(both);
  UmapData few = data;
  few.earlier = earlier.view().slice(0, 10);
  refused(few);
  earlier(3, 1) = std::numeric_limits<float>::infinity();
  refused(data);
}

TEST(Umap, AMapIsTurnedBackToWhereItWas) {
  const Matrix places = clouds(200, 2, 4, 3);
  Matrix map(200, 2);
  for (std::size_t i = 0; i < 200; ++i) {  // turned by a right angle, and shifted
    map(i, 0) = 7 - places(i, 1);
    map(i, 1) = places(i, 0) - 3;
  }
  Matrix earlier = places.clone();
  earlier(5, 0) = std::numeric_limits<float>::quiet_NaN();
  map(9, 1) = std::numeric_limits<float>::quiet_NaN();
  umap::turn_back(map, earlier);
  for (std::size_t i = 0; i < 200; ++i) {
    if (i == 9) continue;
    EXPECT_NEAR(map(i, 0), places(i, 0), 1e-4) << i;
    EXPECT_NEAR(map(i, 1), places(i, 1), 1e-4) << i;
  }
  // Mirrored it is another map, and is not mirrored back.
  Matrix mirrored = places.clone();
  for (std::size_t i = 0; i < 200; ++i) mirrored(i, 0) = -mirrored(i, 0);
  const double was = std::hypot(static_cast<double>(mirrored(0, 0) - mirrored(1, 0)),
                                static_cast<double>(mirrored(0, 1) - mirrored(1, 1)));
  umap::turn_back(mirrored, places);
  EXPECT_NEAR(std::hypot(static_cast<double>(mirrored(0, 0) - mirrored(1, 0)),
                         static_cast<double>(mirrored(0, 1) - mirrored(1, 1))),
              was, 1e-4);
}

TEST(Umap, RowsWithoutAPlaceBeginAmongTheirNeighbours) {
  // 0 - 1 - 2 - 3 in a chain, 4 - 5 apart, 6 alone; only 0 and 1 have places.
  const float none = std::numeric_limits<float>::quiet_NaN();
  SparseGraph graph;
  graph.offsets = {0, 2, 4, 7, 8, 9, 10, 10};
  graph.columns = {1, 2, 0, 2, 0, 1, 3, 2, 5, 4};
  graph.weights = {1, 1, 1, 0.5f, 1, 0.5f, 1, 1, 1, 1};
  Matrix places(7, 2, none);
  places(0, 0) = places(0, 1) = 0;
  places(1, 0) = 3;
  places(1, 1) = 6;
  umap::place_among_neighbors(places, graph);
  EXPECT_EQ(places(1, 1), 6);
  EXPECT_FLOAT_EQ(places(2, 0), 1);  // (1 x 0 + 0.5 x 3) / 1.5
  EXPECT_FLOAT_EQ(places(2, 1), 2);
  EXPECT_FLOAT_EQ(places(3, 0), 1);  // reached from 2 alone
  EXPECT_FLOAT_EQ(places(3, 1), 2);
  EXPECT_EQ(places(4, 0), places(5, 0));
  // Those that no way leads to stand beside the map, each group by itself.
  const auto apart = [&](std::size_t a, double x, double y) {
    return std::hypot(static_cast<double>(places(a, 0)) - x, static_cast<double>(places(a, 1)) - y);
  };
  EXPECT_NEAR(apart(4, 1.5, 3), 4.5, 1e-5);
  EXPECT_NEAR(apart(6, 1.5, 3), 4.5, 1e-5);
  EXPECT_GT(apart(6, static_cast<double>(places(4, 0)), static_cast<double>(places(4, 1))), 1);

  Matrix nobody(7, 2, none);
  umap::place_among_neighbors(nobody, graph);
  EXPECT_TRUE(finite(nobody));
}

}  // namespace
}  // namespace knowmap
