#pragma once

// Vectors of floats as wide as the instruction set has them, for files that are
// compiled once for each (knowmap_add_kernels): all of it stays within such a file.

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
// GCC 12's own header trips over its undefined vectors (bug 105593), wherever they end up.
// The generic form of each file is still checked.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "model/cpu_kernels.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

constexpr size_t kCacheLine = 64;  // bytes
constexpr float kLog2E = 1.44269504088896341f;

inline size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t UintVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

inline Vec load(const float* p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline Vec load(const BFloat16* p) {
  HalfVec h;
  memcpy(&h, p, sizeof h);
  return (Vec)(__builtin_convertvector(h, UintVec) << 16);
}
inline void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }
inline void store(BFloat16* p, Vec v) {
  // To the nearest, ties to even.
#if defined(__AVX512BF16__)
  const __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
  UintVec bits = (UintVec)v;
  bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const HalfVec h = __builtin_convertvector(bits, HalfVec);
#endif
  memcpy(p, &h, sizeof h);
}
inline float get(const float* p) { return *p; }
inline float get(const BFloat16* p) {
  const uint32_t bits = (uint32_t)p->bits << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
inline void put(float* p, float f) { *p = f; }
inline void put(BFloat16* p, float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  p->bits = (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline Vec splat(float f) { return f - Vec{}; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec magnitude(Vec x) { return (Vec)((IntVec)x & 0x7fffffff); }

// a * b + c, rounded once where the machine can. The compiler would fuse `a * b + c` too,
// but only where both lie in one block of code as it sees it: of two forms of one loop it may
// fuse one alone. This is for results that must not depend on the form.
inline Vec fused(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
  for (int l = 0; l < kLanes; ++l) c[l] = __builtin_fmaf(a[l], b[l], c[l]);
  return c;
#else
  return a * b + c;
#endif
}

// Four bytes for each lane as they lie: pairs of bfloat16, the lower half first; quads of bytes.
inline UintVec load_words(const void* p) {
  UintVec v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline UintVec splat_word(const void* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return word - UintVec{};
}

// sum + the products of the two bfloat16 of each lane.
inline Vec add_products(Vec sum, UintVec a, UintVec b) {
#if defined(__AVX512BF16__)
  return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  sum = fused((Vec)(a << 16), (Vec)(b << 16), sum);
  return fused((Vec)(a & 0xffff0000u), (Vec)(b & 0xffff0000u), sum);
#endif
}

// Lanes of a and b, numbered on from a's to b's. Clang's own builtin for it takes
// constants only; it makes one of the loop.
inline Vec shuffle(Vec a, Vec b, IntVec from) {
#ifdef __clang__
  Vec out;
  for (int l = 0; l < kLanes; ++l) out[l] = from[l] < kLanes ? a[from[l]] : b[from[l] - kLanes];
  return out;
#else
  return __builtin_shuffle(a, b, from);
#endif
}

// A square of kLanes x kLanes turned over its diagonal: in step s, lanes whose
// bit s is set change places with the row that differs in that bit.
template <int kStep>
inline void transpose_step(Vec (&rows)[kLanes]) {
  if constexpr (kStep < kLanes) {
    IntVec low;
    IntVec high;
    for (int l = 0; l < kLanes; ++l) {
      low[l] = (l & kStep) == 0 ? l : kLanes + l - kStep;
      high[l] = (l & kStep) == 0 ? l + kStep : kLanes + l;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & kStep) != 0) continue;
      const Vec a = rows[i];
      const Vec b = rows[i + kStep];
      rows[i] = shuffle(a, b, low);
      rows[i + kStep] = shuffle(a, b, high);
    }
    transpose_step<2 * kStep>(rows);
  }
}
inline void transpose(Vec (&square)[kLanes]) { transpose_step<1>(square); }

// The other half's lanes beside each lane's own, for folding a vector in
// log2(kLanes) steps, in one order on every call.
template <int kHalf>
inline Vec swap_halves(Vec v) {
  IntVec other;
  for (int l = 0; l < kLanes; ++l) other[l] = l ^ kHalf;
  return shuffle(v, v, other);
}
template <int kHalf = kLanes / 2>
inline float sum(Vec v) {
  if constexpr (kHalf == 0) {
    return v[0];
  } else {
    return sum<kHalf / 2>(v + swap_halves<kHalf>(v));
  }
}
template <int kHalf = kLanes / 2>
inline float largest(Vec v) {
  if constexpr (kHalf == 0) {
    return v[0];
  } else {
    return largest<kHalf / 2>(max(v, swap_halves<kHalf>(v)));
  }
}

#if defined(__AVX512F__)
inline Vec round_to_whole(Vec x) {
  return (Vec)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
}
// p 2^n for whole n where x > least, else 0: denormal numbers, which are slow, don't arise.
inline Vec times_power_above(Vec x, float least, Vec p, Vec n) {
  const __mmask16 keep = _mm512_cmp_ps_mask((__m512)x, (__m512)splat(least), _CMP_GT_OQ);
  return (Vec)_mm512_maskz_scalef_ps(keep, (__m512)p, (__m512)n);
}
#endif

// e^x for x <= 0, to about 2 units in the last place: 2^n times a polynomial on
// [-ln 2 / 2, ln 2 / 2] (Cephes' coefficients). Below -87 it gives 0.
inline Vec exp_negative(Vec x) {
#if defined(__AVX512F__)
  const Vec n = round_to_whole(x * kLog2E);
#else
  const Vec floor_x = splat(-87.0f);
  const IntVec keep = x > floor_x;
  x = max(x, floor_x);
  const Vec shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds
  const Vec shifted = x * kLog2E + shifter;
  const Vec n = shifted - shifter;
#endif
  Vec r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
#if defined(__AVX512F__)
  return times_power_above(x, -87.0f, p, n);
#else
  const IntVec exponent = ((IntVec)shifted - (IntVec)shifter) << 23;
  return (Vec)(((IntVec)p + exponent) & keep);
#endif
}

// x Phi(x), where Phi(x) - 1/2 is x times a polynomial in x^2 on [-4, 4] (least
// squares, weighted towards the greatest error: 4e-6), and constant beyond: off
// by 3e-5 |x| at the most, well under what bfloat16 keeps.
inline Vec gelu_roughly(Vec x) {
  const Vec near = max(-max(-x, splat(-4.0f)), splat(-4.0f));
  const Vec u = near * near;
  Vec p = splat(8.063429934e-11f);
  p = p * u - 7.003475264e-09f;
  p = p * u + 2.716158763e-07f;
  p = p * u - 6.295003478e-06f;
  p = p * u + 9.890811380e-05f;
  p = p * u - 1.133922298e-03f;
  p = p * u + 9.877477427e-03f;
  p = p * u - 6.641059586e-02f;
  p = p * u + 3.989227099e-01f;
  return x * (near * p + 0.5f);
}

// x Phi(x) to the last bits of float32. With q = |x| (1 - Phi(|x|)) it is x - q above
// 0 and -q below; 1 - Phi(z) is e^(-z^2 / 2) times a polynomial in 1 / (1 + z / 4)
// (the form of Hastings 1955; our coefficients: least squares weighted towards the
// greatest error, 1.3e-8, and 1.3e-5 of what is left of it far out).
inline Vec gelu(Vec x) {
  // Beyond 20 nothing is left, and what is endless would meet a 0 there. NaN stays.
  const Vec z = splat(20.0f) < magnitude(x) ? splat(20.0f) : magnitude(x);
  const Vec t = 1.0f / (z * 0.25f + 1.0f);
  Vec p = splat(-9.0271078590e-02f);
  p = p * t + 3.3599245121e-01f;
  p = p * t - 2.5737780002e-01f;
  p = p * t + 2.7268283659e-01f;
  p = p * t + 2.8825835398e-02f;
  p = p * t + 1.1124557102e-01f;
  p = p * t + 9.8902197734e-02f;
  return max(x, Vec{}) - z * t * p * exp_negative(z * z * -0.5f);
}

// Those lanes of `v` whose columns, from `first` on, are among the first `columns`; `p` is
// the place of the first lane.
template <class T>
inline void store_within(T* p, Vec v, size_t first, size_t columns) {
  if (first + kLanes <= columns) {
    store(p, v);
  } else if (first < columns) {
    T all[kLanes];
    store(all, v);
    memcpy(p, all, (columns - first) * sizeof(T));
  }
}

}  // namespace

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
