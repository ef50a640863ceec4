#pragma once

#include <cstddef>
#include <cstdint>

namespace knowmap {

/// A bfloat16 as its 16 bits: the upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
};

/// One text's attention: which keys a query sees, and what is added to scores.
struct AttentionShape {
  std::size_t length = 0;
  /// Queries [first_query, last_query) are computed; `first_query` is a multiple of 8.
  std::size_t first_query = 0;
  std::size_t last_query = 0;
  std::size_t head_dim = 0;
  /// Query heads, side by side, that share one head of keys and values.
  std::size_t group = 1;
  std::size_t stride = 0;  ///< numbers from a token's queries (keys, values) to the next's
  std::size_t out_stride = 0;
  float scale = 1.0f;
  /// Query i sees keys i - before ... i + after.
  std::size_t before = SIZE_MAX / 4;
  std::size_t after = SIZE_MAX / 4;
  /// Where not null: bias[h * bias_stride + bias_zero + j - i] is added to the
  /// score of query i of the group's head h and key j. It may be read (not used)
  /// up to `bias_slack` numbers beyond the greatest distance.
  const float* bias = nullptr;
  std::size_t bias_stride = 0;
  std::size_t bias_zero = 0;
  static constexpr std::size_t bias_slack = 32;
};

/// Rows of a transformer computed where libtorch has no fast way on a CPU:
/// token rows laid end to end, no padding, float32 arithmetic whatever the
/// rows' own format. One set for each instruction set; no function allocates,
/// and a row's result never depends on the rows beside it.
template <class T>
struct CpuKernels {
  /// out[i] = layer_norm(word[ids[i]] + position[positions[i]] + type), `dim` wide.
  void (*embed)(const std::int32_t* ids, const std::int32_t* positions, std::size_t rows,
                const float* word, const float* position, const float* type, const float* gamma,
                const float* beta, float eps, std::size_t dim, T* out);

  /// out[i] = layer_norm(x[i] + residual[i]); `out` may be `x` or `residual`.
  void (*add_layer_norm)(const T* x, const T* residual, const float* gamma, const float* beta,
                         float eps, std::size_t rows, std::size_t dim, T* out);

  /// Softmax attention of one text over itself, for one head of keys and values
  /// (`k`, `v`) and its group of query heads (`q`). Scores exist for a few queries
  /// at a time (online softmax; Milakov and Gimelshein 2018, Dao 2022). `out` may
  /// be `q`. `scratch` holds `attention_scratch(length, head_dim)` floats, 64-byte
  /// aligned.
  void (*attention)(const T* q, const T* k, const T* v, const AttentionShape& shape, T* out,
                    float* scratch);
  std::size_t (*attention_scratch)(std::size_t length, std::size_t head_dim);

  /// x[i] = x[i] Phi(x[i]), within 3e-5 |x| of it: for rows that keep 8 bits.
  void (*gelu)(T* x, std::size_t n);
};

/// The kernels for this machine.
template <class T>
const CpuKernels<T>& cpu_kernels();

// One definition for each instruction set (knowmap_add_kernels).
#define KNOWMAP_DECLARE_KERNELS(isa)                  \
  namespace isa {                                     \
  extern const CpuKernels<float> kFloatKernels;       \
  extern const CpuKernels<BFloat16> kBFloat16Kernels; \
  }
KNOWMAP_DECLARE_KERNELS(generic)
KNOWMAP_DECLARE_KERNELS(avx2)
KNOWMAP_DECLARE_KERNELS(avx512)
KNOWMAP_DECLARE_KERNELS(avx512bf16)
#undef KNOWMAP_DECLARE_KERNELS

}  // namespace knowmap
