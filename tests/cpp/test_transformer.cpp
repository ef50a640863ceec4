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

/// Attention written plainly in double precision.
std::vector<double> plain_attention(const std::vector<float>& qkv, int length, int head_dim) {
  const int stride = 3 * head_dim;
  std::vector<double> out(static_cast<std::size_t>(length * head_dim));
  for (int i = 0; i < length; ++i) {
    std::vector<double> weight(static_cast<std::size_t>(length));
    double highest = -1e300;
    for (int j = 0; j < length; ++j) {
      double dot = 0;
      for (int d = 0; d < head_dim; ++d) {
        dot += double(qkv[i * stride + d]) * qkv[j * stride + head_dim + d];
      }
      weight[j] = dot / std::sqrt(double(head_dim));
      highest = std::max(highest, weight[j]);
    }
    double total = 0;
    for (double& w : weight) total += w = std::exp(w - highest);
    for (int j = 0; j < length; ++j) {
      for (int d = 0; d < head_dim; ++d) {
        out[i * head_dim + d] += weight[j] / total * qkv[j * stride + 2 * head_dim + d];
      }
    }
  }
  return out;
}

/// One head whose queries, keys and values lie side by side.
AttentionShape one_head(int length, int head_dim) {
  AttentionShape shape;
  shape.length = static_cast<std::size_t>(length);
  shape.last_query = shape.length;
  shape.head_dim = static_cast<std::size_t>(head_dim);
  shape.stride = 3 * shape.head_dim;
  shape.out_stride = shape.head_dim;
  shape.scale = static_cast<float>(1 / std::sqrt(double(head_dim)));
  return shape;
}

void check_attention(const CpuKernels<float>& kernels, int length, int head_dim) {
  std::vector<float> qkv(static_cast<std::size_t>(length * 3 * head_dim));
  for (std::size_t i = 0; i < qkv.size(); ++i) {
    qkv[i] = static_cast<float>(4 * unit(random_bits(3, RandomStage::sample, i)) - 2);
  }
  const auto size = kernels.attention_scratch(static_cast<std::size_t>(length),
                                              static_cast<std::size_t>(head_dim));
  const at::Tensor scratch = at::full({static_cast<std::int64_t>(size)}, NAN, at::kFloat);
  std::vector<float> out(static_cast<std::size_t>(length * head_dim));
  kernels.attention(qkv.data(), qkv.data() + head_dim, qkv.data() + 2 * head_dim,
                    one_head(length, head_dim), out.data(), scratch.data_ptr<float>());
  const auto expected = plain_attention(qkv, length, head_dim);
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_NEAR(out[i], expected[i], 3e-6) << "length " << length << ", head " << head_dim;
  }
  // Queries may come in parts: the same bytes.
  std::vector<float> parts(out.size(), NAN);
  AttentionShape shape = one_head(length, head_dim);
  for (std::size_t first = 0; first < shape.length; first = shape.last_query) {
    shape.first_query = first;
    shape.last_query = std::min(shape.length, first + 136);
    kernels.attention(qkv.data(), qkv.data() + head_dim, qkv.data() + 2 * head_dim, shape,
                      parts.data(), scratch.data_ptr<float>());
  }
  ASSERT_EQ(std::memcmp(out.data(), parts.data(), out.size() * sizeof(float)), 0)
      << "length " << length << ", head " << head_dim;
}

TEST(Attention, EqualsThePlainFormulaAtEveryLengthAndWidth) {
  for (const int head_dim : {1, 7, 32, 64, 80}) {
    for (const int length : {1, 2, 7, 8, 9, 31, 32, 33, 255, 256, 257, 600}) {
      check_attention(cpu_kernels<float>(), length, head_dim);
      check_attention(generic::kFloatKernels, length, head_dim);
#if defined(__x86_64__)
      if (__builtin_cpu_supports("avx2")) check_attention(avx2::kFloatKernels, length, head_dim);
#endif
    }
  }
}

/// Rounds to bfloat16, to the nearest, ties to even.
BFloat16 rounded(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return {static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
float widened(BFloat16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float out = 0;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

TEST(Attention, InBFloat16StaysWithinItsRounding) {
  for (const int head_dim : {7, 32, 64, 96}) {
    for (const int length : {1, 2, 9, 31, 33, 255, 256, 257, 511, 600}) {
      std::vector<BFloat16> qkv(static_cast<std::size_t>(length * 3 * head_dim));
      std::vector<float> same(qkv.size());
      for (std::size_t i = 0; i < qkv.size(); ++i) {
        qkv[i] = rounded(static_cast<float>(4 * unit(random_bits(5, RandomStage::sample, i)) - 2));
        same[i] = widened(qkv[i]);
      }
      const auto& kernels = cpu_kernels<BFloat16>();
      const auto size = kernels.attention_scratch(static_cast<std::size_t>(length),
                                                  static_cast<std::size_t>(head_dim));
      const at::Tensor scratch = at::full({static_cast<std::int64_t>(size)}, NAN, at::kFloat);
      std::vector<BFloat16> out(static_cast<std::size_t>(length * head_dim));
      kernels.attention(qkv.data(), qkv.data() + head_dim, qkv.data() + 2 * head_dim,
                        one_head(length, head_dim), out.data(), scratch.data_ptr<float>());
      const auto expected = plain_attention(same, length, head_dim);
      for (std::size_t i = 0; i < out.size(); ++i) {
        // Values up to 2, rounded to 8 bits: the result, and each weight.
        ASSERT_NEAR(widened(out[i]), expected[i], 0.012) << length << ", " << head_dim;
      }
    }
  }
}

TEST(Attention, LargeScoresNeitherOverflowNorVanish) {
  const int length = 300;
  std::vector<float> qkv(static_cast<std::size_t>(length * 3), 0.0f);
  for (int i = 0; i < length; ++i) {
    qkv[i * 3] = 1e4f;                         // query
    qkv[i * 3 + 1] = i == 280 ? 1e4f : -1e4f;  // only one key is like it
    qkv[i * 3 + 2] = static_cast<float>(i);    // value
  }
  const auto& kernels = cpu_kernels<float>();
  const at::Tensor scratch =
      at::empty({static_cast<std::int64_t>(kernels.attention_scratch(length, 1))}, at::kFloat);
  std::vector<float> out(length);
  kernels.attention(qkv.data(), qkv.data() + 1, qkv.data() + 2, one_head(length, 1), out.data(),
                    scratch.data_ptr<float>());
  for (const float value : out) EXPECT_FLOAT_EQ(value, 280.0f);
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
