// Compiled once for each instruction set (knowmap_add_kernels).
#if defined(__AVX2__)
// GCC 12's own header trips over its undefined vectors (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "neighbors/kernels.hpp"

namespace knowmap::neighbors::KNOWMAP_ISA {

extern const Kernels kKernels;

namespace {

using Size = std::size_t;

#if defined(__AVX512F__)

// 8 rows by 48 columns: 24 accumulators, 3 vectors of b and a broadcast fill
// the 32 registers; 24 fused steps for 11 loads keep both pipes busy.
void micro(const float* a, const float* b, Size depth, float* c, Size ldc) {
  __m512 s[8][3];
  for (auto& row : s) row[0] = row[1] = row[2] = _mm512_setzero_ps();
  for (Size k = 0; k < depth; ++k) {
    const __m512 b0 = _mm512_loadu_ps(b);
    const __m512 b1 = _mm512_loadu_ps(b + 16);
    const __m512 b2 = _mm512_loadu_ps(b + 32);
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      const __m512 x = _mm512_set1_ps(a[r]);
      s[r][0] = _mm512_fmadd_ps(x, b0, s[r][0]);
      s[r][1] = _mm512_fmadd_ps(x, b1, s[r][1]);
      s[r][2] = _mm512_fmadd_ps(x, b2, s[r][2]);
    }
    a += kPanel;
    b += kPanel;
  }
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    for (int v = 0; v < 3; ++v) _mm512_storeu_ps(c + r * ldc + 16 * v, s[r][v]);
  }
}

void product(const float* a, Size a_panels, const float* b, Size b_panels, Size depth, float* c,
             Size ldc) {
  for (Size i = 0; i < a_panels; ++i) {
    for (Size r = 0; r < kPanel; r += 8) {
      for (Size j = 0; j < b_panels; ++j) {
        micro(a + i * kPanel * depth + r, b + j * kPanel * depth, depth,
              c + (i * kPanel + r) * ldc + j * kPanel, ldc);
      }
    }
  }
}

#elif defined(__AVX2__)

// 4 rows by 24 columns: 12 accumulators, 3 vectors of b and a broadcast.
void micro(const float* a, const float* b, Size depth, float* c, Size ldc) {
  __m256 s[4][3];
  for (auto& row : s) row[0] = row[1] = row[2] = _mm256_setzero_ps();
  for (Size k = 0; k < depth; ++k) {
    const __m256 b0 = _mm256_loadu_ps(b);
    const __m256 b1 = _mm256_loadu_ps(b + 8);
    const __m256 b2 = _mm256_loadu_ps(b + 16);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const __m256 x = _mm256_broadcast_ss(a + r);
      s[r][0] = _mm256_fmadd_ps(x, b0, s[r][0]);
      s[r][1] = _mm256_fmadd_ps(x, b1, s[r][1]);
      s[r][2] = _mm256_fmadd_ps(x, b2, s[r][2]);
    }
    a += kPanel;
    b += kPanel;
  }
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    for (int v = 0; v < 3; ++v) _mm256_storeu_ps(c + r * ldc + 8 * v, s[r][v]);
  }
}

void product(const float* a, Size a_panels, const float* b, Size b_panels, Size depth, float* c,
             Size ldc) {
  for (Size i = 0; i < a_panels; ++i) {
    for (Size r = 0; r < kPanel; r += 4) {
      for (Size j = 0; j < b_panels; ++j) {
        for (Size half = 0; half < kPanel; half += 24) {
          micro(a + i * kPanel * depth + r, b + j * kPanel * depth + half, depth,
                c + (i * kPanel + r) * ldc + j * kPanel + half, ldc);
        }
      }
    }
  }
}

#else

void product(const float* a, Size a_panels, const float* b, Size b_panels, Size depth, float* c,
             Size ldc) {
  for (Size i = 0; i < a_panels; ++i) {
    for (Size r = 0; r < kPanel; r += 4) {
      for (Size j = 0; j < b_panels; ++j) {
        for (Size part = 0; part < kPanel; part += 8) {
          float s[4][8] = {};
          const float* x = a + i * kPanel * depth + r;
          const float* y = b + j * kPanel * depth + part;
          for (Size k = 0; k < depth; ++k, x += kPanel, y += kPanel) {
            for (Size q = 0; q < 4; ++q) {
              for (Size v = 0; v < 8; ++v) s[q][v] += x[q] * y[v];
            }
          }
          for (Size q = 0; q < 4; ++q) {
            for (Size v = 0; v < 8; ++v) {
              c[(i * kPanel + r + q) * ldc + j * kPanel + part + v] = s[q][v];
            }
          }
        }
      }
    }
  }
}

#endif

#if defined(__AVX512F__)

inline Size add_hits(std::uint32_t mask, Size at, Size count, std::uint16_t* hits) {
  while (mask != 0) {
    hits[count++] = static_cast<std::uint16_t>(at + static_cast<Size>(__builtin_ctz(mask)));
    mask &= mask - 1;
  }
  return count;
}

Size scan_row(const float* v, const float* bias, float threshold, Size n, std::uint16_t* hits) {
  Size count = 0;
  const __m512 limit = _mm512_set1_ps(threshold);
  for (Size j = 0; j < n; j += 16) {
    const auto live = static_cast<__mmask16>(n - j >= 16 ? 0xffff : (1u << (n - j)) - 1);
    const __m512 x =
        _mm512_add_ps(_mm512_maskz_loadu_ps(live, v + j), _mm512_maskz_loadu_ps(live, bias + j));
    const __mmask16 mask = _mm512_mask_cmp_ps_mask(live, x, limit, _CMP_GE_OQ);
    if (mask != 0) count = add_hits(mask, j, count, hits);
  }
  return count;
}

Size scan_column(const float* v, float bias, const float* thresholds, Size n, std::uint16_t* hits) {
  Size count = 0;
  const __m512 plus = _mm512_set1_ps(bias);
  for (Size j = 0; j < n; j += 16) {
    const auto live = static_cast<__mmask16>(n - j >= 16 ? 0xffff : (1u << (n - j)) - 1);
    const __m512 x = _mm512_add_ps(_mm512_maskz_loadu_ps(live, v + j), plus);
    const __mmask16 mask =
        _mm512_mask_cmp_ps_mask(live, x, _mm512_maskz_loadu_ps(live, thresholds + j), _CMP_GE_OQ);
    if (mask != 0) count = add_hits(mask, j, count, hits);
  }
  return count;
}

#else

Size scan_row(const float* v, const float* bias, float threshold, Size n, std::uint16_t* hits) {
  Size count = 0;
  Size j = 0;
  for (; j + 16 <= n; j += 16) {
    int any = 0;  // a branch for sixteen: hits are rare
    for (Size l = 0; l < 16; ++l) any |= v[j + l] + bias[j + l] >= threshold;
    if (any == 0) continue;
    for (Size l = 0; l < 16; ++l) {
      if (v[j + l] + bias[j + l] >= threshold) hits[count++] = static_cast<std::uint16_t>(j + l);
    }
  }
  for (; j < n; ++j) {
    if (v[j] + bias[j] >= threshold) hits[count++] = static_cast<std::uint16_t>(j);
  }
  return count;
}

Size scan_column(const float* v, float bias, const float* thresholds, Size n, std::uint16_t* hits) {
  Size count = 0;
  Size j = 0;
  for (; j + 16 <= n; j += 16) {
    int any = 0;
    for (Size l = 0; l < 16; ++l) any |= v[j + l] + bias >= thresholds[j + l];
    if (any == 0) continue;
    for (Size l = 0; l < 16; ++l) {
      if (v[j + l] + bias >= thresholds[j + l]) hits[count++] = static_cast<std::uint16_t>(j + l);
    }
  }
  for (; j < n; ++j) {
    if (v[j] + bias >= thresholds[j]) hits[count++] = static_cast<std::uint16_t>(j);
  }
  return count;
}

#endif

#if defined(__AVX512F__)

void mirror(const float* from, float* to, Size ld) {
  for (Size i = 0; i < kPanel; i += 16) {
    for (Size j = 0; j < kPanel; j += 16) {
      __m512 x[16], y[16];
      for (Size r = 0; r < 16; ++r) x[r] = _mm512_loadu_ps(from + (i + r) * ld + j);
      for (Size r = 0; r < 16; r += 2) {
        y[r] = _mm512_unpacklo_ps(x[r], x[r + 1]);
        y[r + 1] = _mm512_unpackhi_ps(x[r], x[r + 1]);
      }
      // Now x[4q + c] gets column c of every four, of rows 4q to 4q + 3.
      for (Size r = 0; r < 16; r += 4) {
        for (Size h = 0; h < 2; ++h) {
          const __m512d a = _mm512_castps_pd(y[r + h]);
          const __m512d b = _mm512_castps_pd(y[r + 2 + h]);
          x[r + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
          x[r + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
      }
      for (Size c = 0; c < 4; ++c) {
        const __m512 a = _mm512_shuffle_f32x4(x[c], x[4 + c], 0x88);
        const __m512 b = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0x88);
        const __m512 d = _mm512_shuffle_f32x4(x[c], x[4 + c], 0xdd);
        const __m512 e = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0xdd);
        _mm512_storeu_ps(to + (j + c) * ld + i, _mm512_shuffle_f32x4(a, b, 0x88));
        _mm512_storeu_ps(to + (j + 4 + c) * ld + i, _mm512_shuffle_f32x4(d, e, 0x88));
        _mm512_storeu_ps(to + (j + 8 + c) * ld + i, _mm512_shuffle_f32x4(a, b, 0xdd));
        _mm512_storeu_ps(to + (j + 12 + c) * ld + i, _mm512_shuffle_f32x4(d, e, 0xdd));
      }
    }
  }
}

#else

void mirror(const float* from, float* to, Size ld) {
  for (Size i = 0; i < kPanel; i += 8) {
    for (Size c = 0; c < kPanel; ++c) {
      for (Size r = 0; r < 8; ++r) to[c * ld + i + r] = from[(i + r) * ld + c];
    }
  }
}

#endif

// Unsigned numbers in the order of falling scores, then rising indices.
inline std::uint64_t key_of(float score, std::int32_t index) {
  score += 0.0f;  // minus zero ties with zero
  std::uint32_t bits;
  __builtin_memcpy(&bits, &score, sizeof bits);
  bits ^= (bits >> 31) != 0 ? 0u : 0x7fffffffu;
  return static_cast<std::uint64_t>(bits) << 32 | static_cast<std::uint32_t>(index);
}

inline float threshold_of(std::uint64_t key) {
  if (key == kNoKey) return -__builtin_inff();
  auto bits = static_cast<std::uint32_t>(key >> 32);
  bits ^= (bits >> 31) != 0 ? 0u : 0x7fffffffu;
  float score;
  __builtin_memcpy(&score, &bits, sizeof score);
  return score;
}

// With the list k[0] < k[1] < …, putting in x makes each entry
// min(k[l], max(x, k[l - 1])): no branch depends on where x belongs.
#if defined(__AVX512F__)

template <int kVectors>
void offer_to(std::uint64_t* keys, const float* scores, const float* bias,
              const std::int32_t* indices, Size n) {
  __m512i k[kVectors];
  for (int v = 0; v < kVectors; ++v) k[v] = _mm512_loadu_si512(keys + 8 * v);
  std::uint64_t last = keys[8 * kVectors - 1];
  float threshold = threshold_of(last);
  for (Size j = 0; j < n; j += 16) {
    const auto live = static_cast<__mmask16>(n - j >= 16 ? 0xffff : (1u << (n - j)) - 1);
    const __m512 x = _mm512_add_ps(_mm512_maskz_loadu_ps(live, scores + j),
                                   _mm512_maskz_loadu_ps(live, bias + j));
    std::uint32_t mask = _mm512_mask_cmp_ps_mask(live, x, _mm512_set1_ps(threshold), _CMP_GE_OQ);
    if (mask == 0) continue;
    do {
      const Size at = j + static_cast<Size>(__builtin_ctz(mask));
      mask &= mask - 1;
      const std::uint64_t key = key_of(scores[at] + bias[at], indices[at]);
      const __m512i all = _mm512_set1_epi64(static_cast<long long>(key));
      unsigned there = 0;
      for (int v = 0; v < kVectors; ++v) there |= _mm512_cmpeq_epi64_mask(k[v], all);
      if (there != 0) continue;
      for (int v = kVectors - 1; v >= 0; --v) {
        const __m512i before = v > 0 ? k[v - 1] : _mm512_setzero_si512();
        k[v] = _mm512_min_epu64(k[v], _mm512_max_epu64(all, _mm512_alignr_epi64(k[v], before, 7)));
      }
    } while (mask != 0);
    last = static_cast<std::uint64_t>(
        _mm_extract_epi64(_mm512_extracti32x4_epi32(k[kVectors - 1], 3), 1));
    threshold = threshold_of(last);
  }
  for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(keys + 8 * v, k[v]);
}

#endif

void offer(std::uint64_t* keys, Size capacity, const float* scores, const float* bias,
           const std::int32_t* indices, Size n) {
#if defined(__AVX512F__)
  if (capacity == 16) return offer_to<2>(keys, scores, bias, indices, n);
  if (capacity == 24) return offer_to<3>(keys, scores, bias, indices, n);
  if (capacity == 32) return offer_to<4>(keys, scores, bias, indices, n);
#endif
  float threshold = threshold_of(keys[capacity - 1]);
  for (Size j = 0; j < n; ++j) {
    const float score = scores[j] + bias[j];
    if (!(score >= threshold)) continue;
    const std::uint64_t key = key_of(score, indices[j]);
    Size at = capacity;
    while (at > 0 && keys[at - 1] > key) --at;
    if (at == capacity || (at > 0 && keys[at - 1] == key)) continue;
    for (Size l = capacity - 1; l > at; --l) keys[l] = keys[l - 1];
    keys[at] = key;
    threshold = threshold_of(keys[capacity - 1]);
  }
}

double dot(const float* a, const float* b, Size n) {
  double s[8] = {};
  Size k = 0;
  for (; k + 8 <= n; k += 8) {
    for (Size l = 0; l < 8; ++l) {
      s[l] += static_cast<double>(a[k + l]) * static_cast<double>(b[k + l]);
    }
  }
  for (Size l = 0; k < n; ++k, ++l) s[l] += static_cast<double>(a[k]) * static_cast<double>(b[k]);
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

double squared_distance(const float* a, const float* b, Size n) {
  double s[8] = {};
  Size k = 0;
  for (; k + 8 <= n; k += 8) {
    for (Size l = 0; l < 8; ++l) {
      const double x = static_cast<double>(a[k + l]) - static_cast<double>(b[k + l]);
      s[l] += x * x;
    }
  }
  for (Size l = 0; k < n; ++k, ++l) {
    const double x = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    s[l] += x * x;
  }
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

}  // namespace

const Kernels kKernels = {product, scan_row, scan_column, mirror, offer, dot, squared_distance};

}  // namespace knowmap::neighbors::KNOWMAP_ISA
