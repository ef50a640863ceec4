// Our own products in float32, float16 and bfloat16, on every instruction set of this machine.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "model/tile_kernels.hpp"
#include "model/tiled_linear.hpp"
#include "support/isa.hpp"

namespace knowmap {
namespace {

template <class T, class W>
struct Named {
  const char* name;
  const TileKernels<T, W>* kernels;
};

/// The kernels `member` of every instruction set that this machine has.
#if defined(__x86_64__)
#define KNOWMAP_TILE_KERNELS_HERE(T, W, member)                              \
  std::vector<Named<T, W>> all{{"generic", &generic::member}};               \
  if (best_isa() >= Isa::avx2) all.push_back({"avx2", &avx2::member});       \
  if (best_isa() >= Isa::avx512) all.push_back({"avx512", &avx512::member}); \
  if (best_isa() >= Isa::avx512 && __builtin_cpu_supports("avx512bf16")) {   \
    all.push_back({"avx512bf16", &avx512bf16::member});                      \
  }                                                                          \
  return all
#else
#define KNOWMAP_TILE_KERNELS_HERE(T, W, member) \
  return std::vector<Named<T, W>> {             \
    { "generic", &generic::member }             \
  }
#endif

template <class T, class W>
std::vector<Named<T, W>> kernels_here();
template <>
std::vector<Named<float, float>> kernels_here() {
  KNOWMAP_TILE_KERNELS_HERE(float, float, kFloatTileKernels);
}
template <>
std::vector<Named<float, Float16>> kernels_here() {
  KNOWMAP_TILE_KERNELS_HERE(float, Float16, kHalfTileKernels);
}
template <>
std::vector<Named<BFloat16, BFloat16>> kernels_here() {
  KNOWMAP_TILE_KERNELS_HERE(BFloat16, BFloat16, kBFloat16TileKernels);
}

template <class T>
constexpr at::ScalarType kType = at::kFloat;
template <>
constexpr at::ScalarType kType<Float16> = at::kHalf;
template <>
constexpr at::ScalarType kType<BFloat16> = at::kBFloat16;

struct Size {
  std::int64_t rows;
  std::int64_t in;
  std::int64_t out;
};

/// Rows that fill tiles and blocks and that don't, sums of one block and of several, panels
/// that are full and that aren't.
const std::vector<Size> kSizes = {{1, 2, 1},    {2, 6, 3},     {5, 64, 64},    {7, 384, 65},
                                  {48, 30, 24}, {49, 50, 130}, {13, 1604, 72}, {3, 3100, 17}};

/// The product of `x`, given and taken with rows that are wider than what they hold.
template <class T, class W>
at::Tensor multiply(const TileKernels<T, W>& kernels, const at::Tensor& x, const at::Tensor& weight,
                    const at::Tensor& bias, bool gelu) {
  const std::int64_t out = weight.size(0);
  const std::int64_t channels = static_cast<std::int64_t>(kernels.channels(std::size_t(out)));
  at::Tensor packed = at::full({channels * weight.size(1)}, 99, weight.options());
  kernels.pack(static_cast<const W*>(weight.const_data_ptr()), std::size_t(out),
               std::size_t(weight.size(1)), static_cast<W*>(packed.data_ptr()));
  at::Tensor padded = at::zeros({channels}, at::kFloat);
  padded.narrow(0, 0, out).copy_(bias);
  at::Tensor wide = at::full({x.size(0), x.size(1) + 5}, 77, x.options());
  wide.narrow(1, 0, x.size(1)).copy_(x);
  at::Tensor y = at::full({x.size(0) + 1, out + 3}, -55, x.options());
  kernels.product(static_cast<const T*>(wide.const_data_ptr()), std::size_t(wide.size(1)),
                  std::size_t(x.size(0)),
                  {static_cast<const W*>(packed.const_data_ptr()), padded.const_data_ptr<float>(),
                   std::size_t(out), std::size_t(weight.size(1))},
                  gelu, static_cast<T*>(y.data_ptr()), std::size_t(y.size(1)));
  EXPECT_TRUE((y.narrow(1, out, 3) == -55).all().item<bool>()) << "beyond the columns";
  EXPECT_TRUE((y.narrow(0, x.size(0), 1) == -55).all().item<bool>()) << "beyond the rows";
  return y.narrow(0, 0, x.size(0)).narrow(1, 0, out).clone();
}

/// Within what rounding in float32 allows, and in the format of the rows where that is less.
void expect_near(const at::Tensor& got, const at::Tensor& x, const at::Tensor& weight,
                 const at::Tensor& bias, bool gelu, const std::string& where) {
  const at::Tensor a = x.to(at::kDouble);
  const at::Tensor b = weight.to(at::kDouble);
  at::Tensor want = at::linear(a, b, bias.to(at::kDouble));
  at::Tensor allowed = 5e-7 * at::linear(a.abs(), b.abs(), bias.abs().to(at::kDouble)) + 1e-7;
  if (gelu) want = at::gelu(want);
  if (x.scalar_type() == at::kBFloat16) {
    allowed += want.abs() / 256 + (gelu ? 4e-5 : 0) * at::linear(a, b, bias.to(at::kDouble)).abs();
  }
  const at::Tensor off = (got.to(at::kDouble) - want).abs() - allowed;
  const auto worst = off.view({-1}).argmax();
  EXPECT_LE(off.max().item<double>(), 0) << where << ": " << got.reshape({-1})[worst].item<double>()
                                         << ", not " << want.view({-1})[worst].item<double>();
}

template <class T, class W>
void equals_the_sum_in_full() {
  for (const auto& [name, kernels] : kernels_here<T, W>()) {
    for (const auto& [rows, in, out] : kSizes) {
      const at::Tensor x = at::randn({rows, in}).to(kType<T>);
      const at::Tensor weight = at::randn({out, in}).to(kType<W>);
      const at::Tensor bias = at::randn({out});
      for (const bool gelu : {false, true}) {
        const at::Tensor y = multiply(*kernels, x, weight, bias, gelu);
        expect_near(y, x, weight, bias, gelu,
                    std::string(name) + " (" + std::to_string(rows) + ", " + std::to_string(in) +
                        ") -> " + std::to_string(out));
        for (std::int64_t i = 0; i < rows; i += 3) {
          ASSERT_TRUE(at::equal(multiply(*kernels, x.narrow(0, i, 1), weight, bias, gelu),
                                y.narrow(0, i, 1)))
              << name << ": row " << i << " of " << rows << " depends on the others";
        }
      }
    }
  }
}

TEST(TileKernels, EqualTheSumInFullAndARowNeedsNoOther) {
  at::manual_seed(3);
  equals_the_sum_in_full<float, float>();
  equals_the_sum_in_full<float, Float16>();
  equals_the_sum_in_full<BFloat16, BFloat16>();
}

TEST(TileKernels, FusedMultiplyAddsGiveTheSameSumsOnEveryVectorWidth) {
  const auto all = kernels_here<float, float>();
  if (all.size() < 3) GTEST_SKIP() << "one width here";
  at::manual_seed(4);
  const at::Tensor x = at::randn({29, 1000});
  const at::Tensor weight = at::randn({100, 1000});
  const at::Tensor bias = at::randn({100});
  EXPECT_TRUE(at::equal(multiply(*all[1].kernels, x, weight, bias, false),
                        multiply(*all[2].kernels, x, weight, bias, false)));
}

TEST(TileKernels, EveryFloat16IsReadAsItIs) {
  at::Tensor weight = at::empty({65536, 1}, at::kHalf);
  auto* bits = static_cast<std::uint16_t*>(weight.data_ptr());
  for (std::uint32_t i = 0; i < 65536; ++i) bits[i] = static_cast<std::uint16_t>(i);
  const at::Tensor want = weight.to(at::kFloat).view({65536});
  for (const auto& [name, kernels] : kernels_here<float, Float16>()) {
    const at::Tensor got = multiply(*kernels, at::ones({1, 1}), weight, at::zeros({65536}), false);
    const float* a = got.const_data_ptr<float>();
    const float* b = want.const_data_ptr<float>();
    for (int i = 0; i < 65536; ++i) {
      ASSERT_TRUE(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))
          << name << ": " << i << " gives " << a[i] << ", not " << b[i];
    }
  }
}

TEST(TileKernels, GeluIsExactToTheLastBitsOfFloat32) {
  const std::int64_t n = 200001;
  const at::Tensor x = at::linspace(-12, 12, n).view({n, 1});
  const at::Tensor want = at::gelu(x.to(at::kDouble));
  for (const auto& [name, kernels] : kernels_here<float, float>()) {
    const at::Tensor got = multiply(*kernels, x, at::ones({1, 1}), at::zeros({1}), true);
    const at::Tensor off = (got.to(at::kDouble) - want).abs();
    EXPECT_LE((off / (1e-3 + x.abs())).max().item<double>(), 2.5e-7) << name;
    EXPECT_LE((off / want.abs().clamp_min(1e-8)).max().item<double>(), 3e-5) << name;
  }
}

TEST(TiledLinear, MultipliesRowsOfAnyNumberAndAnyStride) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({70, 40});
  const at::Tensor bias = at::randn({70});
  const at::Tensor x = at::randn({33, 90});
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::ScalarType row_type = type == at::kHalf ? at::kFloat : type;
    const auto linear = make_tiled_linear(weight.to(type), bias, Activation::none);
    const at::Tensor part = x.to(row_type).narrow(1, 10, 40);
    const at::Tensor y = (*linear)(part);
    ASSERT_EQ(y.scalar_type(), row_type);
    expect_near(y, part, weight.to(type), bias, false, "rows of a wider tensor");
    EXPECT_TRUE(at::equal((*linear)(part.contiguous()), y));
    EXPECT_EQ((*linear)(part.narrow(0, 0, 0)).sizes(), (at::IntArrayRef{0, 70}));
  }
}

TEST(TiledLinear, ServesWhereItIsFast) {
  EXPECT_FALSE(tiles_are_fast(at::kBFloat16, 383)) << "pairs";
}

}  // namespace
}  // namespace knowmap
