#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/umap.hpp"
#include "support/random.hpp"
#include "umap/curve.hpp"
#include "umap/fuzzy_graph.hpp"
#include "umap/initial.hpp"
#include "umap/layout.hpp"
#include "umap/spectral.hpp"

namespace knowmap {
namespace {

using umap::SparseGraph;

/// Arrays that umap-learn made: tests/reference/umap_make.py.
std::map<std::string, std::vector<double>>& reference() {
  static std::map<std::string, std::vector<double>> arrays = [] {
    std::map<std::string, std::vector<double>> result;
    std::ifstream file(std::string(KNOWMAP_TEST_DATA) + "/umap_reference.txt");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string name;
      std::size_t rows = 0, cols = 0;
      words >> name >> rows >> cols;
      for (double value; words >> value;) result[name].push_back(value);
      EXPECT_EQ(result[name].size(), rows * cols) << name;
    }
    return result;
  }();
  return arrays;
}

KnnGraph reference_graph() {
  constexpr std::size_t n = 120, k = 11;
  KnnGraph graph{{n, k}, {n, k}};
  for (std::size_t i = 0; i < n * k; ++i) {
    graph.indices.data()[i] = static_cast<std::int32_t>(reference()["indices"].at(i));
    graph.distances.data()[i] = static_cast<float>(reference()["distances"].at(i));
  }
  return graph;
}

void expect_near(const float* found, const std::vector<double>& truth, double tolerance) {
  for (std::size_t i = 0; i < truth.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(found[i]), truth[i], tolerance * (1 + std::abs(truth[i]))) << i;
  }
}

TEST(Umap, CurvesAreUmapLearns) {
  const std::vector<double>& curves = reference()["curves"];
  ASSERT_EQ(curves.size(), 24u);
  for (std::size_t c = 0; c < curves.size(); c += 4) {
    const umap::Curve curve = umap::fit_curve(curves[c], curves[c + 1]);
    EXPECT_NEAR(curve.a, curves[c + 2], 1e-5 * curves[c + 2]) << curves[c];
    EXPECT_NEAR(curve.b, curves[c + 3], 1e-5 * curves[c + 3]) << curves[c];
  }
}

TEST(Umap, FuzzyGraphIsUmapLearns) {
  Workers workers(2);
  const KnnGraph graph = reference_graph();
  for (const auto& [name, connectivity] :
       {std::pair<std::string, float>{"1", 1.0f}, {"2.5", 2.5f}}) {
    const umap::Smoothed s = umap::smooth_distances(graph, 11, connectivity, true, workers);
    expect_near(s.sigmas.data(), reference()["sigmas_" + name], 1e-5);
    expect_near(s.rhos.data(), reference()["rhos_" + name], 1e-6);
    expect_near(umap::membership_strengths(graph, 11, s, false, workers).data(),
                reference()["strengths_" + name], 1e-5);
  }
  const umap::Smoothed s = umap::smooth_distances(graph, 11, 1.0f, true, workers);
  const Matrix strengths = umap::membership_strengths(graph, 11, s, false, workers);
  for (const auto& [name, mix] : {std::pair<std::string, float>{"1.0", 1.0f}, {"0.3", 0.3f}}) {
    const SparseGraph fuzzy = umap::fuzzy_union(graph, strengths, mix, workers);
    ASSERT_EQ(fuzzy.offsets.size(), reference()["offsets_" + name].size());
    for (std::size_t i = 0; i < fuzzy.offsets.size(); ++i) {
      ASSERT_EQ(static_cast<double>(fuzzy.offsets[i]), reference()["offsets_" + name][i]);
    }
    for (std::size_t e = 0; e < fuzzy.size(); ++e) {
      ASSERT_EQ(static_cast<double>(fuzzy.columns[e]), reference()["columns_" + name][e]);
    }
    expect_near(fuzzy.weights.data(), reference()["weights_" + name], 1e-5);
  }
  // From the weights of the reference: those of a weak edge, right to 1e-5, give
  // its epochs to 1e-4 only.
  const std::vector<double>& weights = reference()["weights_1.0"];
  const std::vector<float> narrow(weights.begin(), weights.end());
  const std::vector<double> epochs = umap::epochs_per_sample(narrow, 200);
  const std::vector<double>& truth = reference()["epochs_per_sample_1.0"];
  ASSERT_EQ(epochs.size(), truth.size());
  for (std::size_t e = 0; e < truth.size(); ++e) {
    ASSERT_NEAR(epochs[e], truth[e], 1e-5 * truth[e]);
  }
}

TEST(Umap, WeakEdgesAreDropped) {
  SparseGraph graph;
  graph.offsets = {0, 2, 3, 4};
  graph.columns = {1, 2, 0, 0};
  graph.weights = {1.0f, 0.004f, 1.0f, 0.004f};
  umap::drop_weak_edges(graph, 200);
  EXPECT_EQ(graph.offsets, (std::vector<std::size_t>{0, 1, 2, 2}));
  EXPECT_EQ(graph.columns, (std::vector<std::int32_t>{1, 0}));
}

Matrix clouds(std::size_t n, std::size_t d, std::size_t count, std::uint64_t seed, float apart) {
  Matrix x(n, d);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      const double centre = unit(random_bits(seed, RandomStage::sample, 1000000 + i % count, j));
      double noise = -6;
      for (std::size_t s = 0; s < 12; ++s) {
        noise += unit(random_bits(seed, RandomStage::sample, i, j * 12 + s));
      }
      x(i, j) = static_cast<float>(noise) + apart * static_cast<float>(centre);
    }
  }
  return x;
}

SparseGraph fuzzy_of(const Matrix& x, Workers& workers, std::size_t k = 14) {
  KnnOptions o;
  o.n_neighbors = k;
  o.metric = Metric::euclidean;
  const KnnGraph graph = knn_graph(x, o);
  const umap::Smoothed s = umap::smooth_distances(graph, k, 1.0f, true, workers);
  return umap::fuzzy_union(graph, umap::membership_strengths(graph, k, s, false, workers), 1.0f,
                           workers);
}

double residual(const SparseGraph& graph, const umap::Eigenpairs& pairs, std::size_t c) {
  std::vector<double> degree(graph.rows(), 0.0);
  for (std::size_t i = 0; i < graph.rows(); ++i) {
    for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
      degree[i] += static_cast<double>(graph.weights[e]);
    }
  }
  double sum = 0;
  for (std::size_t i = 0; i < graph.rows(); ++i) {
    double y = static_cast<double>(pairs.vectors(i, c)) * (1 - pairs.values[c]);
    for (std::size_t e = graph.offsets[i]; e < graph.offsets[i + 1]; ++e) {
      const auto j = static_cast<std::size_t>(graph.columns[e]);
      y -= static_cast<double>(graph.weights[e]) / std::sqrt(degree[i] * degree[j]) *
           static_cast<double>(pairs.vectors(j, c));
    }
    sum += y * y;
  }
  return std::sqrt(sum);
}

TEST(Spectral, IteratedAndDenseSolversFindEigenvectors) {
  for (const std::size_t n : {200u, 2500u}) {
    Workers workers(2);
    const SparseGraph graph = fuzzy_of(clouds(n, 6, 5, 3, 2.0f), workers);
    ASSERT_EQ(umap::connected_components(graph).count, 1u);
    umap::SpectralOptions options;
    options.count = 3;
    const umap::Eigenpairs pairs = umap::laplacian_eigenpairs(graph, options, workers);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_GT(pairs.values[c], 1e-6);
      EXPECT_LE(pairs.values[c == 0 ? 0 : c - 1], pairs.values[c]);
      EXPECT_LT(residual(graph, pairs, c), 2e-4) << n << " " << c;
      double length = 0;
      for (std::size_t i = 0; i < n; ++i) {
        length +=
            static_cast<double>(pairs.vectors(i, c)) * static_cast<double>(pairs.vectors(i, c));
      }
      EXPECT_NEAR(length, 1, 1e-4);
    }
  }
}

/// The sine of the angle between column c of found vectors and of the reference.
double sine(const umap::Eigenpairs& found, const std::vector<double>& truth, std::size_t c) {
  double product = 0, own = 0, its = 0;
  for (std::size_t i = 0; i < found.vectors.rows(); ++i) {
    const auto mine = static_cast<double>(found.vectors(i, c));
    product += mine * truth.at(3 * i + c);
    own += mine * mine;
    its += truth[3 * i + c] * truth[3 * i + c];
  }
  return std::sqrt(std::max(0.0, 1 - product * product / (own * its)));
}

TEST(Spectral, VectorsAreScipys) {
  Workers workers(2);
  umap::SpectralOptions options;
  options.count = 3;
  options.tolerance = 1e-6;
  const KnnGraph near = reference_graph();
  const umap::Smoothed s = umap::smooth_distances(near, 11, 1.0f, true, workers);
  const SparseGraph small = umap::fuzzy_union(
      near, umap::membership_strengths(near, 11, s, false, workers), 1.0f, workers);
  // The grid of umap_make.py: beyond the dense solver.
  constexpr std::size_t high = 48, wide = 37;
  std::vector<std::map<std::int32_t, float>> rows(high * wide);
  for (std::size_t i = 0; i < high; ++i) {
    for (std::size_t j = 0; j < wide; ++j) {
      const std::size_t at = i * wide + j;
      for (const auto& [other, inside] :
           {std::pair{at + 1, j + 1 < wide}, std::pair{at + wide, i + 1 < high}}) {
        if (!inside) continue;
        const float weight = static_cast<float>(1 + (at * 37 + other * 11) % 16) / 16;
        rows[at][static_cast<std::int32_t>(other)] = weight;
        rows[other][static_cast<std::int32_t>(at)] = weight;
      }
    }
  }
  SparseGraph grid;
  for (const auto& row : rows) {
    for (const auto& [column, weight] : row) {
      grid.columns.push_back(column);
      grid.weights.push_back(weight);
    }
    grid.offsets.push_back(grid.columns.size());
  }
  for (const auto& [name, graph] : {std::pair<std::string, const SparseGraph*>{"union", &small},
                                    std::pair<std::string, const SparseGraph*>{"grid", &grid}}) {
    const umap::Eigenpairs found = umap::laplacian_eigenpairs(*graph, options, workers);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(found.values[c], reference()["eigenvalues_" + name].at(c), 1e-6) << name << c;
      EXPECT_LT(sine(found, reference()["eigenvectors_" + name], c), 5e-3) << name << c;
    }
  }
}

TEST(Spectral, ARingsEigenvaluesAreKnown) {
  SparseGraph ring;
  constexpr std::size_t n = 400;
  for (std::size_t i = 0; i < n; ++i) {
    std::int32_t a = static_cast<std::int32_t>((i + 1) % n);
    std::int32_t b = static_cast<std::int32_t>((i + n - 1) % n);
    if (a > b) std::swap(a, b);
    ring.columns.insert(ring.columns.end(), {a, b});
    ring.weights.insert(ring.weights.end(), {1.0f, 1.0f});
    ring.offsets.push_back(ring.columns.size());
  }
  Workers workers(2);
  umap::SpectralOptions options;
  const umap::Eigenpairs pairs = umap::laplacian_eigenpairs(ring, options, workers);
  const double first = 1 - std::cos(2 * 3.14159265358979 / n);
  EXPECT_NEAR(pairs.values[0], first, 1e-6);
  EXPECT_NEAR(pairs.values[1], first, 1e-6);
}

TEST(Spectral, ComponentsLieApart) {
  Workers workers(2);
  const std::size_t kinds = 7;
  const Matrix x = clouds(1400, 5, kinds, 4, 1000.0f);
  const SparseGraph graph = fuzzy_of(x, workers);
  const umap::Components components = umap::connected_components(graph);
  ASSERT_EQ(components.count, kinds);
  for (std::size_t i = 0; i < 1400; ++i) {
    ASSERT_EQ(components.labels[i], static_cast<std::int32_t>(i % kinds));
  }
  for (const bool with_data : {true, false}) {
    const auto start = umap::spectral_start(graph, with_data ? x.view() : MatrixView<const float>{},
                                            2, 1, workers);
    ASSERT_TRUE(start);
    std::vector<std::array<double, 2>> centres(kinds, {0, 0});
    for (std::size_t i = 0; i < 1400; ++i) {
      for (std::size_t d = 0; d < 2; ++d) {
        ASSERT_TRUE(std::isfinite((*start)(i, d)));
        centres[i % kinds][d] += static_cast<double>((*start)(i, d)) / 200;
      }
    }
    for (std::size_t a = 0; a < kinds; ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        EXPECT_GT(std::hypot(centres[a][0] - centres[b][0], centres[a][1] - centres[b][1]), 1e-3);
      }
    }
  }
}

TEST(Layout, ForcesAreTheDerivativesOfTheLogarithms) {
  const float a = 1.577f, b = 0.895f;
  std::vector<float> d2, attract(64), repel(64);
  for (int i = 0; i < 64; ++i) d2.push_back(std::pow(10.0f, -4.0f + 0.1f * static_cast<float>(i)));
  umap::force_kernel()(d2.data(), 64, a, b, attract.data(), repel.data());
  const auto curve = [&](double d) {
    return 1 / (1 + static_cast<double>(a) * std::pow(d, 2 * static_cast<double>(b)));
  };
  for (std::size_t i = 0; i < 64; ++i) {
    const double d = std::sqrt(static_cast<double>(d2[i]));
    const double h = d * 1e-5;
    // d/dd log q = coefficient * d
    const double slope = (std::log(curve(d + h)) - std::log(curve(d - h))) / (2 * h);
    EXPECT_NEAR(static_cast<double>(attract[i]) * d, slope, 2e-5 * (1 + std::abs(slope)));
    // umap-learn's repulsion holds 0.001 + d^2 where the derivative has d^2.
    const double away = -(std::log1p(-curve(d + h)) - std::log1p(-curve(d - h))) / (2 * h);
    const double softened = away * d * d / (0.001 + d * d);
    EXPECT_NEAR(std::abs(static_cast<double>(repel[i])) * d, std::abs(softened),
                1e-4 * (1 + std::abs(softened)));
    EXPECT_LT(attract[i], 0);
    EXPECT_GT(repel[i], 0);
  }
  const std::vector<float> odd = {
      0.0f, 1e-38f, 1e30f, std::numeric_limits<float>::max(), 1e-45f, 1, 1, 1, 1, 1, 1, 1, 1,
      1,    1,      1};
  umap::force_kernel()(odd.data(), 16, a, b, attract.data(), repel.data());
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_TRUE(std::isfinite(attract[i]) && std::isfinite(repel[i])) << odd[i];
  }
}

TEST(Layout, StoppedAndRunOnEqualsRunThrough) {
  Workers workers(2);
  const SparseGraph graph = fuzzy_of(clouds(900, 6, 4, 5, 3.0f), workers);
  for (const std::size_t dims : {2u, 3u, 5u}) {
    umap::LayoutOptions options;
    options.n_epochs = 40;
    umap::Layout through(graph, umap::random_start(900, dims, 1), options);
    through.run(40, workers);
    umap::Layout parts(graph, umap::random_start(900, dims, 1), options);
    for (const std::size_t epochs : {1u, 12u, 3u, 100u}) parts.run(epochs, workers);
    EXPECT_EQ(parts.epoch(), 40u);
    EXPECT_EQ(std::memcmp(through.positions().data(), parts.positions().data(),
                          through.positions().size() * sizeof(float)),
              0);
  }
}

TEST(Layout, TheEndsOfAPairTakeOppositeSteps) {
  Workers workers(2);
  const SparseGraph graph = fuzzy_of(clouds(900, 6, 4, 5, 3.0f), workers);
  umap::LayoutOptions options;
  options.n_epochs = 30;
  options.negative_sample_rate = 0;  // nothing but pairs that draw together
  const Matrix start = umap::random_start(900, 2, 1);
  umap::Layout layout(graph, start.clone(), options);
  layout.run(30, workers);
  const auto middle = [](const Matrix& map, std::size_t d) {
    double sum = 0;
    for (std::size_t i = 0; i < map.rows(); ++i) sum += static_cast<double>(map(i, d));
    return sum / static_cast<double>(map.rows());
  };
  double moved = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    moved = std::max(moved, std::abs(static_cast<double>(layout.positions().data()[i]) -
                                     static_cast<double>(start.data()[i])));
  }
  EXPECT_GT(moved, 1.0);
  for (std::size_t d = 0; d < 2; ++d) {
    EXPECT_NEAR(middle(layout.positions(), d), middle(start, d), 1e-4) << d;
  }
}

UmapOptions quick(int threads = 2) {
  UmapOptions o;
  o.n_epochs = 60;
  o.threads = threads;
  return o;
}

bool finite(const Matrix& x) {
  return std::all_of(x.data(), x.data() + x.size(), [](float v) { return std::isfinite(v); });
}

bool same_bytes(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Umap, TheSameBytesForAnyNumberOfThreads) {
  const Matrix x = clouds(1800, 10, 6, 6, 4.0f);
  UmapProjector one(quick(1));
  one.fit(x);
  const Matrix placed = one.transform(x.view().slice(0, 300));
  for (const int threads : {2, 4, 7}) {
    UmapProjector more(quick(threads));
    EXPECT_TRUE(same_bytes(one.embedding(), more.fit(x))) << threads;
    EXPECT_TRUE(same_bytes(placed, more.transform(x.view().slice(0, 300)))) << threads;
  }
  EXPECT_EQ(one.init_used(), "spectral");
  UmapOptions other = quick();
  other.seed = 1;
  EXPECT_FALSE(same_bytes(one.embedding(), UmapProjector(other).fit(x)));
}

TEST(Umap, CloudsStayTogether) {
  const Matrix x = clouds(1000, 10, 5, 7, 6.0f);
  for (const auto init :
       {UmapOptions::Init::spectral, UmapOptions::Init::pca, UmapOptions::Init::random}) {
    UmapOptions o = quick();
    o.init = init;
    o.n_epochs = 200;
    const Matrix y = UmapProjector(o).fit(x).clone();
    KnnOptions knn;
    knn.metric = Metric::euclidean;
    knn.n_neighbors = 10;
    const KnnGraph graph = knn_graph(y, knn);
    std::size_t same = 0;
    for (std::size_t i = 0; i < graph.indices.size(); ++i) {
      same += static_cast<std::size_t>(graph.indices.data()[i]) % 5 == i / 10 % 5;
    }
    EXPECT_GT(static_cast<double>(same) / 1e4, 0.98);
  }
}

TEST(Umap, NewRowsLandByTheirOwnAndDoNotDependOnTheBatch) {
  const Matrix all = clouds(1300, 10, 5, 8, 6.0f);
  const auto train = all.view().slice(0, 1000);
  const auto fresh = all.view().slice(1000, 1300);
  for (const std::size_t dims : {2u, 4u}) {
    UmapOptions o = quick();
    o.n_components = dims;
    UmapProjector projector(o);
    const Matrix& y = projector.fit(train);
    const Matrix placed = projector.transform(fresh);
    ASSERT_TRUE(finite(placed));
    std::size_t right = 0;
    for (std::size_t i = 0; i < 300; ++i) {
      double nearest = 1e30;
      std::size_t at = 0;
      for (std::size_t j = 0; j < 1000; ++j) {
        double d2 = 0;
        for (std::size_t d = 0; d < dims; ++d) {
          const double diff = static_cast<double>(placed(i, d)) - static_cast<double>(y(j, d));
          d2 += diff * diff;
        }
        if (d2 < nearest) {
          nearest = d2;
          at = j;
        }
      }
      right += at % 5 == (i + 1000) % 5;
    }
    EXPECT_GT(right, 290u);
    for (const auto& [begin, end] :
         {std::pair<std::size_t, std::size_t>{0, 1}, {17, 40}, {250, 300}}) {
      const Matrix part = projector.transform(fresh.slice(begin, end));
      EXPECT_EQ(std::memcmp(part.data(), placed.row(begin), part.size() * sizeof(float)), 0);
    }
  }
}

TEST(Umap, SmallAndOddInputs) {
  for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 14u, 15u, 16u, 17u}) {
    for (const auto init :
         {UmapOptions::Init::spectral, UmapOptions::Init::pca, UmapOptions::Init::random}) {
      for (const std::size_t dims : {1u, 2u, 3u, 10u}) {
        UmapOptions o = quick();
        o.init = init;
        o.n_components = dims;
        UmapProjector projector(o);
        const Matrix x = clouds(n, 4, 2, 9, 1.0f);
        const Matrix& y = projector.fit(x);
        ASSERT_EQ(y.rows(), n);
        ASSERT_EQ(y.cols(), dims);
        ASSERT_TRUE(finite(y)) << n << " " << dims;
        ASSERT_TRUE(finite(projector.transform(x))) << n << " " << dims;
      }
    }
  }
  for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
    for (const float value : {0.0f, 1.0f}) {  // all rows equal
      UmapOptions o = quick();
      o.metric = metric;
      UmapProjector projector(o);
      const Matrix x(300, 5, value);
      ASSERT_TRUE(finite(projector.fit(x)));
      ASSERT_TRUE(finite(projector.transform(x.view().slice(0, 3))));
    }
    Matrix x = clouds(400, 5, 3, 10, 2.0f);
    for (std::size_t i = 0; i < 400; ++i) std::copy_n(x.row(i % 20), 5, x.row(i));
    UmapOptions o = quick();
    o.metric = metric;
    ASSERT_TRUE(finite(UmapProjector(o).fit(x)));
  }
}

TEST(Umap, AGivenGraphMayLackEdgesAndHaveMoreColumns) {
  const std::size_t n = 60, k = 16;
  KnnGraph graph{{n, k}, {n, k}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      const bool lonely = i % 10 == 0 || j > i % 7;
      graph.indices(i, j) = lonely ? -1 : static_cast<std::int32_t>((i + j + 1) % n);
      graph.distances(i, j) =
          lonely ? std::numeric_limits<float>::infinity() : static_cast<float>(j + 1);
    }
  }
  UmapProjector projector(quick());
  EXPECT_TRUE(finite(projector.fit({}, graph)));
  EXPECT_THROW(projector.transform(Matrix(1, 3, 0.0f)), std::invalid_argument);
  for (std::size_t i = 0; i < graph.indices.size(); ++i) {  // no edge at all
    graph.indices.data()[i] = -1;
    graph.distances.data()[i] = std::numeric_limits<float>::infinity();
  }
  EXPECT_TRUE(finite(projector.fit({}, graph)));
  graph.indices(3, 0) = 60;
  graph.distances(3, 0) = 1;
  EXPECT_THROW(projector.fit({}, graph), std::invalid_argument);
  graph.indices(3, 0) = 5;
  graph.distances(3, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(projector.fit({}, graph), std::invalid_argument);
}

TEST(Umap, MistakesAreNamed) {
  const auto refused = [](auto change, const std::string& name) {
    UmapOptions o;
    change(o);
    try {
      UmapProjector projector(o);
      ADD_FAILURE() << name;
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused([](UmapOptions& o) { o.n_neighbors = 1; }, "n_neighbors");
  refused([](UmapOptions& o) { o.n_components = 0; }, "n_components");
  refused([](UmapOptions& o) { o.n_components = 65; }, "65");
  refused([](UmapOptions& o) { o.min_dist = 2; }, "min_dist");
  refused([&](UmapOptions& o) { o.min_dist = nan; }, "min_dist");
  refused([](UmapOptions& o) { o.spread = 0; }, "spread");
  refused([](UmapOptions& o) { o.learning_rate = -1; }, "learning_rate");
  refused([](UmapOptions& o) { o.a = 1; }, "b must be");
  refused([](UmapOptions& o) { o.set_op_mix_ratio = 1.5f; }, "1.5");
  refused([](UmapOptions& o) { o.local_connectivity = -1; }, "local_connectivity");
  refused([](UmapOptions& o) { o.repulsion_strength = -1; }, "repulsion_strength");
  refused([](UmapOptions& o) { o.threads = -2; }, "threads");
  UmapProjector projector(quick());
  EXPECT_THROW(projector.fit(Matrix(0, 3)), std::invalid_argument);
  EXPECT_THROW(projector.transform(Matrix(1, 3, 0.0f)), std::invalid_argument);
  Matrix x = clouds(50, 3, 2, 11, 1.0f);
  projector.fit(x);
  EXPECT_THROW(projector.transform(Matrix(1, 4, 0.0f)), std::invalid_argument);
  x(4, 1) = nan;
  EXPECT_THROW(projector.fit(x), std::invalid_argument);
  EXPECT_THROW(projector.transform(x), std::invalid_argument);
}

TEST(Umap, ProgressNamesItsStagesAndCancels) {
  const Matrix x = clouds(1500, 8, 4, 12, 3.0f);
  std::set<std::string> seen;
  UmapOptions o = quick();
  o.progress = [&](const Progress& p) {
    seen.emplace(p.stage);
    return true;
  };
  UmapProjector(o).fit(x);
  EXPECT_EQ(seen, (std::set<std::string>{"neighbors", "spectral", "layout"}));
  for (const std::string stage : {"neighbors", "spectral", "layout"}) {
    o.n_epochs = 100000;  // an hour, were it not cancelled
    o.progress = [&](const Progress& p) { return p.stage != stage; };
    UmapProjector projector(o);
    EXPECT_THROW(projector.fit(x), CancelledError) << stage;
    EXPECT_THROW(projector.transform(x), std::invalid_argument);
  }
}

}  // namespace
}  // namespace knowmap
