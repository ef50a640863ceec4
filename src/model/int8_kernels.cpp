// Compiled once for each instruction set: see knowmap_add_kernels. No header
// with inline functions that other files share.
#include "model/int8_kernels.hpp"

#include <string.h>

#include "model/tile_shape.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

constexpr size_t kQuad = 4;  // numbers along the sum that one lane multiplies at a time

typedef int8_t ByteVec __attribute__((vector_size(kLanes)));
typedef int16_t ShortVec __attribute__((vector_size(kLanes * 4)));

inline Vec min(Vec a, Vec b) { return a < b ? a : b; }

inline void store_low_bytes(uint8_t* p, IntVec v) {
#if defined(__AVX512F__)
  // (The unmasked form warns of an uninitialised value in GCC 12.)
  _mm_storeu_si128((__m128i*)p, _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#else
  const ByteVec bytes = __builtin_convertvector(v, ByteVec);
  memcpy(p, &bytes, sizeof bytes);
#endif
}

// sum[l] + the products of the four unsigned bytes of a[l] and the four signed
// ones of b[l], exact.
inline IntVec add_products(IntVec sum, UintVec a, IntVec b) {
#if defined(__AVX512VNNI__)
  return (IntVec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
  return (IntVec)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#else
  // Bytes of even and of odd places as 16-bit numbers; one multiplication with
  // bytes as they are would saturate.
  const ShortVec a_even = (ShortVec)(a & 0x00ff00ffu);
  const ShortVec a_odd = (ShortVec)((a >> 8) & 0x00ff00ffu);
  const ShortVec b_even = (ShortVec)b << 8 >> 8;
  const ShortVec b_odd = (ShortVec)b >> 8;
#if defined(__AVX512BW__)
  sum += (IntVec)_mm512_madd_epi16((__m512i)a_even, (__m512i)b_even);
  return sum + (IntVec)_mm512_madd_epi16((__m512i)a_odd, (__m512i)b_odd);
#elif defined(__AVX2__)
  sum += (IntVec)_mm256_madd_epi16((__m256i)a_even, (__m256i)b_even);
  return sum + (IntVec)_mm256_madd_epi16((__m256i)a_odd, (__m256i)b_odd);
#else
  for (int l = 0; l < kLanes; ++l) {
    sum[l] += a_even[2 * l] * b_even[2 * l] + a_even[2 * l + 1] * b_even[2 * l + 1] +
              a_odd[2 * l] * b_odd[2 * l] + a_odd[2 * l + 1] * b_odd[2 * l + 1];
  }
  return sum;
#endif
#endif
}

// --- rows --------------------------------------------------------------------------

// One group of a row, `at(j)` giving its kLanes numbers from j and `one(j)` a single one.
template <class VecAt, class OneAt>
inline void quantize_group(VecAt at, OneAt one, size_t dim, uint8_t* out, float* scale,
                           float* zero) {
  const size_t whole = dim / kLanes * kLanes;
  Vec low_vec{};
  Vec high_vec{};
  for (size_t j = 0; j < whole; j += kLanes) {
    const Vec v = at(j);
    low_vec = min(low_vec, v);
    high_vec = max(high_vec, v);
  }
  float low = -largest(-low_vec);
  float high = largest(high_vec);
  for (size_t j = whole; j < dim; ++j) {
    const float f = one(j);
    low = f < low ? f : low;
    high = f > high ? f : high;
  }
  const float range = high - low;
  *scale = range > 0.0f ? range / 255.0f : 1.0f;
  const float inverse = 1.0f / *scale;
  *zero = __builtin_rintf(-low * inverse);
  // 1.5 * 2^23: adding it leaves the rounded number in the lower bits. The
  // range's ends may round to -1 and 256 at the most.
  const float shift = 12582912.0f + *zero;
  const Vec least = splat(12582912.0f);
  const Vec greatest = splat(12582912.0f + 255.0f);
  for (size_t j = 0; j < whole; j += kLanes) {
    const Vec v = min(max(at(j) * inverse + shift, least), greatest);
    store_low_bytes(out + j, (IntVec)v);
  }
  for (size_t j = whole; j < dim; ++j) {
    const float v = __builtin_rintf(one(j) * inverse) + *zero;
    out[j] = (uint8_t)(v < 0.0f ? 0.0f : (v > 255.0f ? 255.0f : v));
  }
}

// Group g of row i, `x` being its first number; `factors` are the whole row's.
template <class T>
inline void quantize_row_group(const T* x, size_t width, const float* factors, const Int8Rows& q,
                               size_t i, size_t g, size_t groups) {
  const size_t first = g * kInt8Group;
  uint8_t* out = q.q + i * q.stride + first;
  float* scale = q.scale + i * groups + g;
  float* zero = q.zero + i * groups + g;
  if (factors == nullptr) {
    quantize_group([=](size_t j) { return load(x + j); }, [=](size_t j) { return get(x + j); },
                   width, out, scale, zero);
  } else {
    const float* f = factors + first;
    quantize_group([=](size_t j) { return load(x + j) * load(f + j); },
                   [=](size_t j) { return get(x + j) * f[j]; }, width, out, scale, zero);
  }
}

inline void fill_up_row(const Int8Rows& q, size_t i, size_t dim) {
  for (size_t j = dim; j < q.stride; ++j) q.q[i * q.stride + j] = 0;
}

template <class T>
void quantize(const T* x, size_t stride, size_t rows, size_t dim, const float* factors,
              const Int8Rows& q) {
  const size_t groups = int8_groups(dim);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t g = 0; g < groups; ++g) {
      const size_t first = g * kInt8Group;
      const size_t width = dim - first < kInt8Group ? dim - first : kInt8Group;
      quantize_row_group(x + i * stride + first, width, factors, q, i, g, groups);
    }
    fill_up_row(q, i, dim);
  }
}

// --- weights -----------------------------------------------------------------------

// [panel][quad][column of the panel][number of the quad]
void pack(const int8_t* weight, size_t out, size_t in, int8_t* packed) {
  const size_t quads = round_up(in, kQuad) / kQuad;
  for (size_t first = 0; first < out; first += kPanel) {
    for (size_t quad = 0; quad < quads; ++quad) {
      for (size_t c = 0; c < kPanel; ++c) {
        for (size_t k = 0; k < kQuad; ++k) {
          const size_t column = first + c;
          const size_t number = quad * kQuad + k;
          *packed++ = column < out && number < in ? weight[column * in + number] : (int8_t)0;
        }
      }
    }
  }
}

// --- product -----------------------------------------------------------------------

// sums[i][c] = the products of kRows rows with a panel over `quads` quads, for each of which
// a cache line of `ahead` is sent for.
template <int kRows>
inline void multiply(const uint8_t* const* rows, const int8_t* panel, size_t quads,
                     const char* ahead, IntVec (&sums)[kRows][kTileVecs]) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int c = 0; c < kTileVecs; ++c) sums[i][c] = IntVec{};
  }
  for (size_t quad = 0; quad < quads; ++quad) {
    __builtin_prefetch(ahead + quad * kCacheLine, 0, 2);
    IntVec b[kTileVecs];
#pragma GCC unroll 4
    for (int c = 0; c < kTileVecs; ++c) {
      memcpy(&b[c], panel + (quad * kPanel + (size_t)(c * kLanes)) * kQuad, sizeof b[c]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const UintVec a = splat_word(rows[i] + quad * kQuad);
#pragma GCC unroll 4
      for (int c = 0; c < kTileVecs; ++c) sums[i][c] = add_products(sums[i][c], a, b[c]);
    }
  }
}

// A tile of the product: its rows of x from `first_row` on, its columns from `column` on;
// `y` is the place of its first number.
template <int kRows, class T>
inline void tile(const Int8Rows& x, size_t first_row, const Int8Weights& w, size_t column,
                 const char* ahead, bool gelu, T* y, size_t y_stride) {
  const size_t quads = round_up(w.in, kQuad) / kQuad;
  const size_t groups = int8_groups(w.in);
  const int8_t* panel = w.packed + column * quads * kQuad;
  alignas(64) float so_far[kRows][kPanel];
  for (size_t g = 0; g < groups; ++g) {
    const uint8_t* rows[kRows];
    for (int i = 0; i < kRows; ++i) {
      rows[i] = x.q + (first_row + (size_t)i) * x.stride + g * kInt8Group;
    }
    constexpr size_t kGroupQuads = kInt8Group / kQuad;
    const size_t left = quads - g * kGroupQuads;
    IntVec sums[kRows][kTileVecs];
    multiply<kRows>(rows, panel + g * kGroupQuads * kPanel * kQuad,
                    left < kGroupQuads ? left : kGroupQuads, ahead + g * kGroupQuads * kCacheLine,
                    sums);
    const float* scale = w.scale + g * w.channels + column;
    const float* col_sum = w.col_sum + g * w.channels + column;
#pragma GCC unroll 4
    for (int c = 0; c < kTileVecs; ++c) {
      const Vec scales = load(scale + c * kLanes);
      const Vec col_sums = load(col_sum + c * kLanes);
      const Vec bias = load(w.bias + column + c * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const size_t row = first_row + (size_t)i;
        // Whole numbers below 2^24: exact, however multiplications and additions are fused.
        Vec v = __builtin_convertvector(sums[i][c], Vec) - x.zero[row * groups + g] * col_sums;
        v = fused(v * scales, splat(x.scale[row * groups + g]),
                  g == 0 ? bias : load(&so_far[i][c * kLanes]));
        if (g + 1 < groups) {
          store(&so_far[i][c * kLanes], v);
        } else {
          if (gelu) v = gelu_roughly(v);
          store_within(y + (size_t)i * y_stride + c * kLanes, v, (size_t)(c * kLanes),
                       w.out - column);
        }
      }
    }
  }
}

// A panel's columns of some rows.
template <class T>
inline void panel_of(const Int8Rows& x, size_t first_row, size_t rows, const Int8Weights& w,
                     size_t column, bool gelu, T* y, size_t y_stride) {
  const size_t quads = round_up(w.in, kQuad) / kQuad;
  const size_t bytes = kPanel * quads * kQuad;
  const char* const here = (const char*)w.packed + column * quads * kQuad;
  const Ahead ahead{here + bytes, column + kPanel < w.out ? bytes : 0, here};
  in_tiles(rows, [&](auto height, size_t first, size_t t) {
    tile<height.rows>(x, first_row + first, w, column, ahead.of(t, quads), gelu,
                      y + first * y_stride, y_stride);
  });
}

template <class T>
void product(const Int8Rows& x, size_t rows, const Int8Weights& w, bool gelu, T* y) {
  for (size_t column = 0; column < w.out; column += kPanel) {
    panel_of(x, 0, rows, w, column, gelu, y + column, w.out);
  }
}

// Rows whose results are brought to 8 bits while they lie in the cache.
constexpr size_t kFusedRows = 48;
static_assert(kInt8Group % kPanel == 0);

void product_to_rows(const Int8Rows& x, size_t rows, const Int8Weights& w, bool gelu,
                     const float* factors, const Int8Rows& y) {
  const size_t groups = int8_groups(w.out);
  alignas(64) float group[kFusedRows * kInt8Group];
  for (size_t begin = 0; begin < rows; begin += kFusedRows) {
    const size_t count = rows - begin < kFusedRows ? rows - begin : kFusedRows;
    for (size_t g = 0; g < groups; ++g) {
      const size_t first = g * kInt8Group;
      const size_t width = w.out - first < kInt8Group ? w.out - first : kInt8Group;
      for (size_t c = 0; c < width; c += kPanel) {
        panel_of(x, begin, count, w, first + c, gelu, group + c, kInt8Group);
      }
      for (size_t i = 0; i < count; ++i) {
        quantize_row_group(group + i * kInt8Group, width, factors, y, begin + i, g, groups);
      }
    }
    for (size_t i = begin; i < begin + count; ++i) fill_up_row(y, i, w.out);
  }
}

}  // namespace

extern const Int8Kernels<float> kFloatInt8Kernels;
extern const Int8Kernels<BFloat16> kBFloat16Int8Kernels;
const Int8Kernels<float> kFloatInt8Kernels = {quantize<float>, channels, pack, product<float>,
                                              product_to_rows};
const Int8Kernels<BFloat16> kBFloat16Int8Kernels = {quantize<BFloat16>, channels, pack,
                                                    product<BFloat16>, product_to_rows};

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
