// Attention's kernels beside the formula, on the instruction sets of this machine.

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "model/cpu_kernels.hpp"
#include "support/isa.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

/// Attention written plainly in double precision.
std::vector<double> plain_attention(const std::vector<float>& qkv, int length, int head_dim,
                                    const AttentionShape& shape) {
  const int stride = 3 * head_dim;
  std::vector<double> out(static_cast<std::size_t>(length * head_dim));
  for (int i = 0; i < length; ++i) {
    std::vector<double> weight(static_cast<std::size_t>(length));
    double highest = -1e300;
    const auto seen = [&](int j) {
      return j + static_cast<std::int64_t>(shape.before) >= i &&
             j <= i + static_cast<std::int64_t>(shape.after);
    };
    for (int j = 0; j < length; ++j) {
      double dot = 0;
      for (int d = 0; d < head_dim; ++d) {
        dot += double(qkv[i * stride + d]) * qkv[j * stride + head_dim + d];
      }
      weight[j] = dot / std::sqrt(double(head_dim));
      if (shape.bias != nullptr) weight[j] += shape.bias[shape.bias_zero + j - i];
      if (!seen(j)) weight[j] = -INFINITY;
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

/// What a query sees, and what is added to its scores.
struct Case {
  bool biased = false;
  std::size_t before = SIZE_MAX / 4;
  std::size_t after = SIZE_MAX / 4;
};
// All; causal; a window; with a bias each.
const std::vector<Case> kCases = {
    {}, {true}, {false, SIZE_MAX / 4, 0}, {true, 40, 3}, {false, 0, 0}};

/// `bias` is made for the shape that points to it.
AttentionShape shape_of(const Case& seen, int length, int head_dim, std::vector<float>& bias) {
  AttentionShape shape = one_head(length, head_dim);
  shape.before = seen.before;
  shape.after = seen.after;
  if (seen.biased) {
    bias.resize(static_cast<std::size_t>(2 * length - 1) + AttentionShape::bias_slack, 1e9f);
    for (int d = 0; d < 2 * length - 1; ++d) {
      bias[d] = static_cast<float>(3 * unit(random_bits(9, RandomStage::sample, d)) - 2);
    }
    shape.bias = bias.data();
    shape.bias_zero = static_cast<std::size_t>(length - 1);
  }
  return shape;
}

void check_attention(const CpuKernels<float>& kernels, int length, int head_dim, const Case& seen) {
  std::vector<float> bias;
  AttentionShape shape = shape_of(seen, length, head_dim, bias);
  std::vector<float> qkv(static_cast<std::size_t>(length * 3 * head_dim));
  for (std::size_t i = 0; i < qkv.size(); ++i) {
    qkv[i] = static_cast<float>(4 * unit(random_bits(3, RandomStage::sample, i)) - 2);
  }
  const auto size = kernels.attention_scratch(static_cast<std::size_t>(length),
                                              static_cast<std::size_t>(head_dim));
  const at::Tensor scratch = at::full({static_cast<std::int64_t>(size)}, NAN, at::kFloat);
  std::vector<float> out(static_cast<std::size_t>(length * head_dim));
  kernels.attention(qkv.data(), qkv.data() + head_dim, qkv.data() + 2 * head_dim, shape, out.data(),
                    scratch.data_ptr<float>());
  const auto expected = plain_attention(qkv, length, head_dim, shape);
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_NEAR(out[i], expected[i], 3e-6) << "length " << length << ", head " << head_dim;
  }
  // Queries may come in parts: the same bytes.
  std::vector<float> parts(out.size(), NAN);
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
      for (const Case& seen : kCases) {
        check_attention(cpu_kernels<float>(), length, head_dim, seen);
        check_attention(generic::kFloatKernels, length, head_dim, seen);
#if defined(__x86_64__)
        if (best_isa() >= Isa::avx2) check_attention(avx2::kFloatKernels, length, head_dim, seen);
#endif
      }
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

void check_bfloat16(const CpuKernels<BFloat16>& kernels, int length, int head_dim,
                    const Case& seen) {
  std::vector<BFloat16> qkv(static_cast<std::size_t>(length * 3 * head_dim));
  std::vector<float> same(qkv.size());
  for (std::size_t i = 0; i < qkv.size(); ++i) {
    qkv[i] = rounded(static_cast<float>(4 * unit(random_bits(5, RandomStage::sample, i)) - 2));
    same[i] = widened(qkv[i]);
  }
  std::vector<float> bias;
  const AttentionShape shape = shape_of(seen, length, head_dim, bias);
  const auto size = kernels.attention_scratch(static_cast<std::size_t>(length),
                                              static_cast<std::size_t>(head_dim));
  const at::Tensor scratch = at::full({static_cast<std::int64_t>(size)}, NAN, at::kFloat);
  std::vector<BFloat16> out(static_cast<std::size_t>(length * head_dim));
  kernels.attention(qkv.data(), qkv.data() + head_dim, qkv.data() + 2 * head_dim, shape, out.data(),
                    scratch.data_ptr<float>());
  const auto expected = plain_attention(same, length, head_dim, shape);
  for (std::size_t i = 0; i < out.size(); ++i) {
    // Values up to 2, rounded to 8 bits: the result, and each weight.
    ASSERT_NEAR(widened(out[i]), expected[i], 0.012) << length << ", " << head_dim;
  }
}

TEST(Attention, InBFloat16StaysWithinItsRounding) {
  for (const int head_dim : {7, 32, 64, 96}) {
    for (const int length : {1, 2, 9, 15, 17, 31, 33, 255, 256, 257, 511, 600}) {
      for (const Case& seen : kCases) {
        check_bfloat16(cpu_kernels<BFloat16>(), length, head_dim, seen);
        check_bfloat16(generic::kBFloat16Kernels, length, head_dim, seen);
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

}  // namespace
}  // namespace knowmap
