#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "knowmap/error.hpp"
#include "model/cpu_kernels.hpp"
#include "model/sentence_head.hpp"
#include "model/transformer.hpp"
#include "tiny_model.hpp"

namespace knowmap {
namespace {

using testing::TemporaryFolder;
using testing::TinyBert;

const StopSign kGoOn = [] { return false; };

/// Texts of several lengths, one longer than a block of keys would be.
struct Texts {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};

  explicit Texts(std::initializer_list<int> lengths) {
    for (const int length : lengths) {
      for (int i = 0; i < length; ++i) ids.push_back((i * 7 + length) % 9);
      offsets.push_back(static_cast<std::int64_t>(ids.size()));
    }
  }
  PackedTokens packed() const { return {ids, offsets}; }
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class Backends : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyBert().write(folder_.path());
    files_ = ModelFiles::read(folder_.path());
  }
  std::unique_ptr<Transformer> load(std::unique_ptr<Backend> backend) const {
    return Transformer::load(files_, std::move(backend));
  }
  TemporaryFolder folder_;
  ModelFiles files_;
};

TEST_F(Backends, OursEqualsLibtorchsInFloat32) {
  const Texts texts{5, 64, 1, 5, 33};
  const auto ours = load(make_cpu_backend(at::kFloat));
  const auto torchs = load(make_generic_backend(at::kCPU, at::kFloat));
  EXPECT_LT(largest_difference(ours->forward(texts.packed(), 256, kGoOn),
                               torchs->forward(texts.packed(), 256, kGoOn)),
            2e-5);
}

TEST_F(Backends, BFloat16StaysNearFloat32) {
  const Texts texts{5, 64, 17};
  const auto exact = load(make_cpu_backend(at::kFloat))->forward(texts.packed(), 256, kGoOn);
  for (const bool ours : {true, false}) {
    auto backend =
        ours ? make_cpu_backend(at::kBFloat16) : make_generic_backend(at::kCPU, at::kBFloat16);
    const auto rough = load(std::move(backend))->forward(texts.packed(), 256, kGoOn);
    EXPECT_LT(largest_difference(exact, rough), 0.15);
    EXPECT_GT(largest_difference(exact, rough), 0.0) << "bfloat16 was not used";
  }
}

TEST_F(Backends, ATextsBytesDoNotDependOnItsBatchNorOnChunks) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto model = load(make_cpu_backend(type));
    const Texts together{64, 33, 5, 5};
    const at::Tensor all = model->forward(together.packed(), 256, kGoOn);
    EXPECT_TRUE(at::equal(all, model->forward(together.packed(), 16, kGoOn)));
    for (std::size_t t = 0; t + 1 < together.offsets.size(); ++t) {
      const std::vector<std::int64_t> one{0, together.offsets[t + 1] - together.offsets[t]};
      const PackedTokens alone{std::span(together.ids)
                                   .subspan(static_cast<std::size_t>(together.offsets[t]),
                                            static_cast<std::size_t>(one[1])),
                               one};
      const at::Tensor part = model->forward(alone, 256, kGoOn);
      EXPECT_TRUE(at::equal(part, all.slice(0, together.offsets[t], together.offsets[t + 1])));
    }
  }
}

TEST_F(Backends, ATeamMakesTheSameBytes) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto model = load(make_cpu_backend(type));
    const Texts texts{64, 33, 5, 5};
    const at::Tensor alone = model->forward(texts.packed(), 256, kGoOn);
    for (const int helpers : {1, 2, 6}) {
      Team team;
      std::vector<std::thread> threads;
      {
        const Team::Busy busy(team);
        for (int i = 0; i < helpers; ++i) threads.emplace_back([&team] { team.help(); });
        while (team.idle() < helpers) std::this_thread::yield();
        EXPECT_TRUE(at::equal(alone, model->forward(texts.packed(), 256, kGoOn, &team)));
        EXPECT_THROW(model->forward(
                         texts.packed(), 256, [] { return true; }, &team),
                     CancelledError);
      }
      for (std::thread& thread : threads) thread.join();
    }
  }
}

TEST_F(Backends, AStopSignStopsBetweenLayers) {
  const auto model = load(make_cpu_backend(at::kFloat));
  const Texts texts{5};
  EXPECT_THROW(model->forward(texts.packed(), 256, [] { return true; }), CancelledError);
}

TEST_F(Backends, AMissingOrMisshapenTensorIsNamed) {
  TinyBert more;
  more.layers = 3;
  testing::write_file(folder_ / "config.json", more.config());
  files_ = ModelFiles::read(folder_.path());
  try {
    load(make_cpu_backend(at::kFloat));
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("encoder.layer.2"), std::string::npos);
  }
  TinyBert wider;
  wider.intermediate = 40;
  testing::write_file(folder_ / "config.json", wider.config());
  files_ = ModelFiles::read(folder_.path());
  EXPECT_THROW(load(make_cpu_backend(at::kFloat)), ModelError);
}

template <class Kernels>
void check_gelu(const Kernels& kernels) {
  std::vector<float> x;
  for (float v = -9.0f; v < 9.0f; v += 0.0137f) x.push_back(v);
  std::vector<float> y(x);
  kernels.gelu(y.data(), y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
    ASSERT_NEAR(y[i], exact, 3.3e-5 * std::abs(x[i]) + 1e-6) << x[i];
  }
}

TEST(Gelu, IsWithinWhatItPromises) {
  check_gelu(cpu_kernels<float>());
  check_gelu(generic::kFloatKernels);
}

TEST(Pooling, ModesAreWhatTheirNamesSay) {
  const at::Tensor hidden =
      at::tensor({1.0f, 8.0f, 2.0f, 6.0f, 6.0f, -2.0f, 5.0f, 5.0f}).view({4, 2});
  const std::vector<std::int32_t> ids{1, 1, 1, 1};
  const std::vector<std::int64_t> offsets{0, 3, 4};
  const PackedTokens tokens{ids, offsets};
  using M = PoolingMode;
  const std::vector<M> modes{M::cls,           M::max,           M::mean,
                             M::mean_sqrt_len, M::weighted_mean, M::last_token};
  std::vector<float> a(12), b(12);
  const std::vector<float*> rows{a.data(), b.data()};
  pool(hidden, tokens, modes, 0, rows);
  const float root = std::sqrt(3.0f);
  const std::vector<float> expected{
      1, 8, 6, 8, 3, 4, 9 / root, 12 / root, (1 + 4 + 18) / 6.0f, (8 + 12 - 6) / 6.0f, 6, -2};
  for (std::size_t i = 0; i < 12; ++i) EXPECT_NEAR(a[i], expected[i], 1e-6) << i;
  EXPECT_EQ(b, (std::vector<float>(12, 5.0f)));

  // Without the first token, as a prompt's; the second text is nothing else.
  pool(hidden, tokens, modes, 1, rows);
  const float root2 = std::sqrt(2.0f);
  const std::vector<float> later{
      1, 8, 6, 6, 4, 2, 8 / root2, 4 / root2, (4 + 18) / 5.0f, (12 - 6) / 5.0f, 6, -2};
  for (std::size_t i = 0; i < 12; ++i) EXPECT_NEAR(a[i], later[i], 1e-6) << i;
  EXPECT_EQ(b, (std::vector<float>{5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5}));

  SentenceModules modules;
  modules.after.emplace_back(NormalizeModule{});
  const SentenceHead head(modules, 2);
  ASSERT_EQ(head.dimension(), 2U);
  head.apply(hidden, tokens, 0, 2, rows);
  EXPECT_NEAR(a[0], 0.6f, 1e-6);
  EXPECT_NEAR(a[1], 0.8f, 1e-6);
}

}  // namespace
}  // namespace knowmap
