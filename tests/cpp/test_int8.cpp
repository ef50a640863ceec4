#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "model/int8_kernels.hpp"
#include "model/int8_linear.hpp"
#include "model/tiled_linear.hpp"
#include "support/isa.hpp"

namespace knowmap {
namespace {

struct Named {
  const char* name;
  const Int8Kernels<float>* kernels;
};

/// Every instruction set that this machine has.
std::vector<Named> kernels_here() {
  std::vector<Named> all{{"generic", &generic::kFloatInt8Kernels}};
#if defined(__x86_64__)
  if (best_isa() >= Isa::avx2) all.push_back({"avx2", &avx2::kFloatInt8Kernels});
  if (__builtin_cpu_supports("avxvnni")) all.push_back({"avxvnni", &avxvnni::kFloatInt8Kernels});
  if (best_isa() == Isa::avx512) {
    all.push_back({"avx512", &avx512::kFloatInt8Kernels});
    if (__builtin_cpu_supports("avx512vnni")) {
      all.push_back({"avx512vnni", &avx512vnni::kFloatInt8Kernels});
    }
  }
#endif
  return all;
}

/// Numbers in −1 … 1 that repeat late.
std::vector<float> numbers(std::size_t n, unsigned seed) {
  std::vector<float> out(n);
  unsigned state = seed * 2654435761U + 1;
  for (float& f : out) {
    state = state * 1664525U + 1013904223U;
    f = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
  }
  return out;
}

struct Quantized {
  std::vector<std::uint8_t> q;
  std::vector<float> scale;
  std::vector<float> zero;
  Int8Rows view;
};

Quantized quantize(const Int8Kernels<float>& kernels, const std::vector<float>& x, std::size_t rows,
                   std::size_t dim, const float* factors = nullptr) {
  Quantized out;
  const std::size_t stride = (dim + 3) / 4 * 4;
  out.q.assign(rows * stride, 77);
  out.scale.resize(rows * int8_groups(dim));
  out.zero.resize(rows * int8_groups(dim));
  out.view = {out.q.data(), stride, out.scale.data(), out.zero.data()};
  kernels.quantize(x.data(), dim, rows, dim, factors, out.view);
  return out;
}

TEST(Int8Rows, EveryNumberComesBackWithinHalfAStep) {
  for (const auto& [name, kernels] : kernels_here()) {
    for (const std::size_t dim : {1UL, 3UL, 16UL, 50UL, 384UL, 385UL, 1000UL}) {
      const std::size_t rows = 5;
      std::vector<float> x = numbers(rows * dim, 3);
      for (std::size_t k = 0; k < dim; ++k) x[k] = 0;                              // nothing
      for (std::size_t k = 0; k < dim; ++k) x[dim + k] = 4.5F;                     // one number
      for (std::size_t k = 0; k < dim; ++k) x[2 * dim + k] *= 1e-30F;              // very small
      for (std::size_t k = 0; k < dim; ++k) x[3 * dim + k] = -2 - x[3 * dim + k];  // below 0
      const Quantized q = quantize(*kernels, x, rows, dim);
      const std::size_t groups = int8_groups(dim);
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t k = 0; k < dim; ++k) {
          const std::size_t g = i * groups + k / kInt8Group;
          const float back =
              q.scale[g] * (static_cast<float>(q.q[i * q.view.stride + k]) - q.zero[g]);
          ASSERT_NEAR(back, x[i * dim + k], 0.502F * q.scale[g] + 1e-6F * std::abs(x[i * dim + k]))
              << name << " row " << i << " of " << dim << " number " << k;
        }
        for (std::size_t k = dim; k < q.view.stride; ++k) {
          ASSERT_EQ(q.q[i * q.view.stride + k], 0) << name << ": the rest of a row is 0";
        }
      }
    }
  }
}

TEST(Int8Rows, EveryInstructionSetGivesTheSameBytes) {
  const std::size_t rows = 7;
  const std::size_t dim = 777;
  const std::vector<float> x = numbers(rows * dim, 9);
  std::vector<float> factors(dim);
  for (std::size_t k = 0; k < dim; ++k) factors[k] = std::exp2(static_cast<float>(k % 5) - 2);
  const Quantized first = quantize(generic::kFloatInt8Kernels, x, rows, dim, factors.data());
  for (const auto& [name, kernels] : kernels_here()) {
    const Quantized other = quantize(*kernels, x, rows, dim, factors.data());
    // Where a number lies halfway between two steps, a fused multiply-add may
    // take the other one.
    std::size_t different = 0;
    for (std::size_t i = 0; i < first.q.size(); ++i) {
      ASSERT_LE(std::abs(first.q[i] - other.q[i]), 1) << name;
      different += first.q[i] != other.q[i];
    }
    EXPECT_LE(different, first.q.size() / 200) << name;
    EXPECT_EQ(first.scale, other.scale) << name;
    EXPECT_EQ(first.zero, other.zero) << name;
  }
}

TEST(Int8Product, EqualsThePlainSumOfWholeNumbers) {
  for (const auto& [name, kernels] : kernels_here()) {
    for (const auto& [rows, in, out] : std::vector<std::array<std::size_t, 3>>{
             {1, 1, 1}, {2, 7, 3}, {5, 64, 64}, {6, 384, 65}, {13, 385, 100}, {9, 1536, 24}}) {
      const Quantized x = quantize(*kernels, numbers(rows * in, 1), rows, in);
      const std::size_t groups = int8_groups(in);
      const std::size_t channels = kernels->channels(out);
      std::vector<std::int8_t> weight(out * in);
      for (std::size_t i = 0; i < weight.size(); ++i) {
        weight[i] = static_cast<std::int8_t>(static_cast<int>(i * 37 % 255) - 127);
      }
      std::vector<std::int8_t> packed(channels * x.view.stride);
      kernels->pack(weight.data(), out, in, packed.data());
      std::vector<float> scale(groups * channels);
      std::vector<float> col_sum(groups * channels);
      std::vector<float> bias(channels);
      for (std::size_t o = 0; o < out; ++o) {
        bias[o] = 0.25F * static_cast<float>(o % 7);
        for (std::size_t g = 0; g < groups; ++g) {
          float sum = 0;
          for (std::size_t k = g * kInt8Group; k < std::min(in, (g + 1) * kInt8Group); ++k) {
            sum += weight[o * in + k];
          }
          scale[g * channels + o] = 0.001F * static_cast<float>(1 + (o + g) % 3);
          col_sum[g * channels + o] = sum;
        }
      }
      for (const bool gelu : {false, true}) {
        std::vector<float> y(rows * out + 1, -99);
        kernels->product(
            x.view, rows,
            {packed.data(), scale.data(), col_sum.data(), bias.data(), out, in, channels}, gelu,
            y.data());
        EXPECT_EQ(y.back(), -99) << "nothing is written beyond the rows";
        for (std::size_t i = 0; i < rows; ++i) {
          for (std::size_t o = 0; o < out; ++o) {
            double want = bias[o];
            double size = 1;
            for (std::size_t k = 0; k < in; ++k) {
              const std::size_t g = k / kInt8Group;
              const double term = static_cast<double>(x.scale[i * groups + g]) *
                                  (x.q[i * x.view.stride + k] - x.zero[i * groups + g]) *
                                  weight[o * in + k] * scale[g * channels + o];
              want += term;
              // The zero's part is taken off the sum at the end, rounded.
              size += std::abs(term) + std::abs(x.scale[i * groups + g] * x.zero[i * groups + g] *
                                                weight[o * in + k] * scale[g * channels + o]);
            }
            const double before = want;
            if (gelu) want = want * 0.5 * (1 + std::erf(want / std::sqrt(2.0)));
            ASSERT_NEAR(y[i * out + o], want, 1e-6 * size + (gelu ? 4e-5 * std::abs(before) : 0))
                << name << " (" << rows << ", " << in << ") -> " << out;
          }
        }
      }
    }
  }
}

TEST(Int8Product, RowsForTheNextProductAreTheProductsOwnInEightBits) {
  const std::size_t in = 40;
  const std::size_t out = 530;  // two groups
  for (const auto& [name, kernels] : kernels_here()) {
    const std::size_t channels = (out + 95) / 96 * 192;  // enough for any kernels' panels
    std::vector<std::int8_t> weight(out * in);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      weight[i] = static_cast<std::int8_t>(static_cast<int>(i * 37 % 255) - 127);
    }
    std::vector<std::int8_t> packed(channels * in);
    kernels->pack(weight.data(), out, in, packed.data());
    std::vector<float> scale(channels, 0.001F);
    std::vector<float> col_sum(channels);
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t k = 0; k < in; ++k) col_sum[o] += weight[o * in + k];
    }
    const std::vector<float> bias(channels, 0.1F);
    std::vector<float> factors(out);
    for (std::size_t o = 0; o < out; ++o) factors[o] = 0.5F + static_cast<float>(o % 3);
    const Int8Weights weights{packed.data(), scale.data(), col_sum.data(), bias.data(),
                              out,           in,           channels};
    for (const std::size_t rows : {1UL, 7UL, 48UL, 50UL}) {
      const Quantized x = quantize(*kernels, numbers(rows * in, 5), rows, in);
      std::vector<float> y(rows * out);
      kernels->product(x.view, rows, weights, true, y.data());
      const Quantized want = quantize(*kernels, y, rows, out, factors.data());
      Quantized got = want;
      got.view = {got.q.data(), want.view.stride, got.scale.data(), got.zero.data()};
      std::fill(got.q.begin(), got.q.end(), std::uint8_t{77});
      kernels->product_to_rows(x.view, rows, weights, true, factors.data(), got.view);
      EXPECT_EQ(got.q, want.q) << name << ", " << rows << " rows";
      EXPECT_EQ(got.scale, want.scale) << name;
      EXPECT_EQ(got.zero, want.zero) << name;
    }
  }
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).square().sum() / b.square().sum()).sqrt().item<double>();
}

class Int8LinearTest : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }
};

TEST_F(Int8LinearTest, IsCloseToTheProductInFull) {
  const at::Tensor w = at::randn({200, 800});
  const at::Tensor b = at::randn({200});
  const at::Tensor x = at::randn({37, 800});
  const at::Tensor want = at::linear(x, w, b);
  const auto plain = make_int8_linear(w, b, Activation::none, at::kFloat);
  EXPECT_LT(relative_error((*plain)(x), want), 0.012);
  const auto gelu = make_int8_linear(w, b, Activation::gelu, at::kFloat);
  EXPECT_LT(relative_error((*gelu)(x), at::gelu(want)), 0.013);
  const auto rounded = make_int8_linear(w, b, Activation::none, at::kBFloat16);
  EXPECT_LT(relative_error((*rounded)(x.to(at::kBFloat16)).to(at::kFloat), want), 0.014);
}

TEST_F(Int8LinearTest, ARowDoesNotDependOnTheRowsBesideIt) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // Inner rows of more than one group.
    const auto up = make_int8_linear(at::randn({530, 96}), at::randn({530}), Activation::gelu,
                                     dtype, at::rand({96}) + 0.1);
    const auto down = make_int8_linear(at::randn({70, 530}), at::randn({70}), Activation::none,
                                       dtype, at::rand({530}) + 0.1);
    const at::Tensor x = at::randn({61, 96}).to(dtype);
    const at::Tensor all = (*up)(x);
    const at::Tensor through = up->then(x, *down);
    // Tiles of every height, and blocks that are cut short.
    for (std::int64_t n = 1; n <= 61; ++n) {
      const at::Tensor some = x.slice(0, 61 - n, 61);
      EXPECT_TRUE(at::equal((*up)(some), all.slice(0, 61 - n, 61))) << n << " rows";
      EXPECT_TRUE(at::equal(up->then(some, *down), through.slice(0, 61 - n, 61))) << n << " rows";
    }
    EXPECT_EQ((*up)(x.slice(0, 0, 0)).size(0), 0);
    EXPECT_EQ(up->then(x.slice(0, 0, 0), *down).size(0), 0);
  }
}

TEST_F(Int8LinearTest, InnerRowsThatGoTo8BitsAtOnceAreNearThoseThatAreLaidOut) {
  const at::Tensor sizes = at::rand({530}) + 0.1;
  const at::Tensor weight = at::randn({70, 530});
  const at::Tensor up_weight = at::randn({530, 96});
  const auto up = make_int8_linear(up_weight, at::zeros({530}), Activation::gelu, at::kFloat);
  const auto down = make_int8_linear(weight, at::zeros({70}), Activation::none, at::kFloat, sizes);
  const at::Tensor x = at::randn({50, 96});
  EXPECT_LT(relative_error(up->then(x, *down), (*down)((*up)(x))), 1e-5);
  // What is not in 8 bits takes the rows as they are laid out.
  const auto packed = make_tiled_linear(weight, at::zeros({70}), Activation::none);
  EXPECT_TRUE(at::equal(up->then(x, *packed), (*packed)((*up)(x))));
}

TEST_F(Int8LinearTest, WatchedChannelsKeepOneLargeChannelFromSpoilingTheOthers) {
  const at::Tensor w = at::randn({64, 256});
  const at::Tensor b = at::zeros({64});
  at::Tensor x = at::randn({50, 256});
  x.select(1, 17).mul_(60);
  w.select(1, 17).div_(60);
  const at::Tensor want = at::linear(x, w, b);
  const auto plain = make_int8_linear(w, b, Activation::none, at::kFloat);

  at::Tensor sizes;
  auto watched = make_watched_linear(make_int8_linear(w, b, Activation::none, at::kFloat), sizes);
  (*watched)(x.slice(0, 0, 20));
  (*watched)(x.slice(0, 20, 50));
  EXPECT_TRUE(at::equal(sizes, std::get<0>(x.abs().max(0))));

  using Mode = SwitchableLinear::Mode;
  const auto error_of = [&](std::int64_t rows_at_a_time) {
    const auto two = make_switchable_linear(
        make_int8_linear(w, b, Activation::none, at::kFloat),
        make_int8_linear(w, b, Activation::none, at::kFloat, sizes), 64, 256, at::kFloat);
    two->set_mode(Mode::compare);
    for (std::int64_t i = 0; i < 50; i += rows_at_a_time) {
      (*two)(x.slice(0, i, std::min<std::int64_t>(50, i + rows_at_a_time)));
    }
    return two->error();
  };
  EXPECT_GT(error_of(50), 0);
  EXPECT_EQ(error_of(50), error_of(7)) << "however rows are cut";

  auto switchable = make_switchable_linear(
      make_int8_linear(w, b, Activation::none, at::kFloat),
      make_int8_linear(w, b, Activation::none, at::kFloat, sizes), 64, 256, at::kFloat);
  EXPECT_GT(switchable->seconds(Mode::int8), 0);
  EXPECT_EQ(switchable->work(), 64 * 256);
  switchable->set_mode(Mode::int8);
  switchable->settle();
  EXPECT_LT(relative_error((*switchable)(x), want), 0.25 * relative_error((*plain)(x), want));
}

TEST_F(Int8LinearTest, TakesWeightsThatAreAllZero) {
  const auto linear =
      make_int8_linear(at::zeros({3, 5}), at::ones({3}), Activation::none, at::kFloat);
  EXPECT_TRUE(at::equal((*linear)(at::randn({4, 5})), at::ones({4, 3})));
}

}  // namespace
}  // namespace knowmap
