// Compiled once for each instruction set (knowmap_add_kernels). Integers all
// along: the results are the same on each.
#if defined(__AVX2__)
// GCC 12's own header trips over its undefined vectors (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "neighbors/small_kernels.hpp"

namespace knowmap::neighbors::KNOWMAP_ISA {

extern const SmallKernels kSmallKernels;

namespace {

using Size = std::size_t;
using Byte = std::uint8_t;

constexpr Size kGroup = 4 * kPanel;  // bytes of a panel's rows for four columns

#if defined(__AVX2__)

#if defined(__AVX512F__)

using Int = __m512i;
inline Int zero() { return _mm512_setzero_si512(); }
inline Int load(const void* p) { return _mm512_loadu_si512(p); }
inline Int broadcast(std::int32_t x) { return _mm512_set1_epi32(x); }
inline Int subtract(Int x, Int y) { return _mm512_sub_epi32(x, y); }
inline void store_scaled(float* p, Int v, float scale) {
  _mm512_storeu_ps(p, _mm512_mul_ps(_mm512_cvtepi32_ps(v), _mm512_set1_ps(scale)));
}
inline Int step(Int sum, Int a, Int b) {
#if defined(__AVX512VNNI__)
  return _mm512_dpbusd_epi32(sum, a, b);
#else
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
#endif
}
// The sums of four vectors' lanes.
inline __m128i sums(Int a, Int b, Int c, Int d) {
  const Int ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const Int cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const Int all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}
constexpr Size kLanes = 16;
constexpr Size kRows = 8;
constexpr Size kPairRows = 4;

#else

using Int = __m256i;
inline Int zero() { return _mm256_setzero_si256(); }
inline Int load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline Int broadcast(std::int32_t x) { return _mm256_set1_epi32(x); }
inline Int subtract(Int x, Int y) { return _mm256_sub_epi32(x, y); }
inline void store_scaled(float* p, Int v, float scale) {
  _mm256_storeu_ps(p, _mm256_mul_ps(_mm256_cvtepi32_ps(v), _mm256_set1_ps(scale)));
}
inline Int step(Int sum, Int a, Int b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
inline __m128i sums(Int a, Int b, Int c, Int d) {
  const Int ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  const Int cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  const Int all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}
constexpr Size kLanes = 8;
constexpr Size kRows = 3;
constexpr Size kPairRows = 2;

#endif

// The rows of a tile are gone through by recursion: GCC keeps an array of sums in
// memory where a loop over it is unrolled late.
template <Size q = 0>
[[gnu::always_inline]] inline void clear(Int (&s)[kRows][3]) {
  s[q][0] = s[q][1] = s[q][2] = zero();
  if constexpr (q + 1 < kRows) clear<q + 1>(s);
}

template <Size q = 0>
[[gnu::always_inline]] inline void add_group(Int (&s)[kRows][3], const Byte* x, Int y0, Int y1,
                                             Int y2) {
  std::int32_t four;
  __builtin_memcpy(&four, x + 4 * q, 4);
  const Int u = broadcast(four);
  s[q][0] = step(s[q][0], y0, u);
  s[q][1] = step(s[q][1], y1, u);
  s[q][2] = step(s[q][2], y2, u);
  if constexpr (q + 1 < kRows) add_group<q + 1>(s, x, y0, y1, y2);
}

template <Size q = 0>
[[gnu::always_inline]] inline void store_rows(const Int (&s)[kRows][3], const std::int32_t* mine,
                                              const std::int32_t* other, float scale, float* to,
                                              Size ld) {
  const Int own = broadcast(mine[q]);
  store_scaled(to, subtract(subtract(s[q][0], own), load(other)), scale);
  store_scaled(to + kLanes, subtract(subtract(s[q][1], own), load(other + kLanes)), scale);
  store_scaled(to + 2 * kLanes, subtract(subtract(s[q][2], own), load(other + 2 * kLanes)), scale);
  if constexpr (q + 1 < kRows) store_rows<q + 1>(s, mine, other, scale, to + ld, ld);
}

void product(const Byte* a, const Byte* b, Size b_panels, Size groups, float scale, float* scores,
             Size ld) {
  const auto* mine = reinterpret_cast<const std::int32_t*>(a + kGroup * groups);
  for (Size j = 0; j < b_panels; ++j, b += small_panel_bytes(groups)) {
    const auto* other = reinterpret_cast<const std::int32_t*>(b + kGroup * groups);
    for (Size part = 0; part < kPanel; part += 3 * kLanes) {
      for (Size r = 0; r < kPanel; r += kRows) {
        Int s[kRows][3];
        clear(s);
        const Byte* x = a + 4 * r;
        const Byte* y = b + 4 * part;
        for (Size k = 0; k < groups; ++k, x += kGroup, y += kGroup) {
          add_group(s, x, load(y), load(y + 4 * kLanes), load(y + 8 * kLanes));
        }
        store_rows(s, mine + r, other + part, scale, scores + r * ld + j * kPanel + part, ld);
      }
    }
  }
}

template <Size q = 0>
[[gnu::always_inline]] inline void clear_pairs(Int (&s)[kPairRows][4]) {
  s[q][0] = s[q][1] = s[q][2] = s[q][3] = zero();
  if constexpr (q + 1 < kPairRows) clear_pairs<q + 1>(s);
}

template <Size q = 0>
[[gnu::always_inline]] inline void add_pairs(Int (&s)[kPairRows][4], const Byte* const* x, Size k,
                                             Int y0, Int y1, Int y2, Int y3) {
  const Int u = load(x[q] + k);
  s[q][0] = step(s[q][0], u, y0);
  s[q][1] = step(s[q][1], u, y1);
  s[q][2] = step(s[q][2], u, y2);
  s[q][3] = step(s[q][3], u, y3);
  if constexpr (q + 1 < kPairRows) add_pairs<q + 1>(s, x, k, y0, y1, y2, y3);
}

template <Size q = 0>
[[gnu::always_inline]] inline void store_pairs(const Int (&s)[kPairRows][4], Size rows,
                                               std::int32_t* to, Size ld) {
  if (q >= rows) return;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), sums(s[q][0], s[q][1], s[q][2], s[q][3]));
  if constexpr (q + 1 < kPairRows) store_pairs<q + 1>(s, rows, to + ld, ld);
}

void pairs(const Byte* const* rows, Size count, Size stride, std::int32_t* products, Size ld) {
  const Byte* x[kPairRows];
  const Byte* y[4];
  for (Size i = 0; i < count; i += kPairRows) {
    for (Size q = 0; q < kPairRows; ++q) x[q] = rows[i + q < count ? i + q : count - 1];
    for (Size j = i / 4 * 4; j < count; j += 4) {
      for (Size q = 0; q < 4; ++q) y[q] = rows[j + q < count ? j + q : count - 1];
      Int s[kPairRows][4];
      clear_pairs(s);
      for (Size k = 0; k < stride; k += sizeof(Int)) {
        add_pairs(s, x, k, load(y[0] + k), load(y[1] + k), load(y[2] + k), load(y[3] + k));
      }
      store_pairs(s, count - i, products + i * ld + j, ld);
    }
  }
}

#else

void product(const Byte* a, const Byte* b, Size b_panels, Size groups, float scale, float* scores,
             Size ld) {
  const auto* a_correction = reinterpret_cast<const std::int32_t*>(a + kGroup * groups);
  for (Size j = 0; j < b_panels; ++j, b += small_panel_bytes(groups)) {
    const auto* b_correction = reinterpret_cast<const std::int32_t*>(b + kGroup * groups);
    for (Size r = 0; r < kPanel; ++r) {
      std::int32_t s[kPanel] = {};
      const Byte* x = a + 4 * r;
      const Byte* y = b;
      for (Size k = 0; k < groups; ++k, x += kGroup, y += kGroup) {
        for (Size v = 0; v < kPanel; ++v) {
          for (Size q = 0; q < 4; ++q) s[v] += x[q] * y[4 * v + q];
        }
      }
      float* out = scores + r * ld + j * kPanel;
      for (Size v = 0; v < kPanel; ++v) {
        out[v] = static_cast<float>(s[v] - a_correction[r] - b_correction[v]) * scale;
      }
    }
  }
}

void pairs(const Byte* const* rows, Size count, Size stride, std::int32_t* products, Size ld) {
  for (Size i = 0; i < count; ++i) {
    for (Size j = i; j < count; ++j) {
      std::int32_t sum = 0;
      for (Size k = 0; k < stride; ++k) sum += rows[i][k] * rows[j][k];
      products[i * ld + j] = sum;
    }
  }
}

#endif

std::int32_t quantize(const float* row, Size dims, float by, Byte* out) {
  // Adding and taking off 1.5 · 2^23 rounds to the nearest integer, ties to even.
  constexpr float kRound = 12582912.0f;
  std::int32_t sum = 0;
  for (Size k = 0; k < dims; ++k) {
    float x = row[k] * by;
    x = x > kSmallMost ? kSmallMost : x;
    x = x < -kSmallMost ? -kSmallMost : x;
    const auto byte = static_cast<std::int32_t>((x + kRound) - kRound) + kSmallZero;
    out[k] = static_cast<Byte>(byte);
    sum += byte;
  }
  for (Size k = dims; k < small_stride(dims); ++k) out[k] = 0;
  return sum;
}

}  // namespace

const SmallKernels kSmallKernels = {product, pairs, quantize};

}  // namespace knowmap::neighbors::KNOWMAP_ISA
