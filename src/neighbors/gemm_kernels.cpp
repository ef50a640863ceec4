// Compiled once for each instruction set (knowmap_add_kernels).
#if defined(__AVX2__)
// GCC 12's own header trips over its undefined vectors (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
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

#if defined(__AVX2__)

// Numbers of at most 63 keep the sums of two products within 16 bits, where
// vpmaddubsw would saturate otherwise. a is shifted by 64 to be unsigned, as
// the instruction wants it; 64 times the sum of b is what that adds too much.
#if defined(__AVX512F__)
using Int = __m512i;
inline Int zero_int() { return _mm512_setzero_si512(); }
inline Int load_int(const void* p) { return _mm512_loadu_si512(p); }
inline void store_int(std::int32_t* p, Int v) { _mm512_storeu_si512(p, v); }
inline Int shifted(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_add_epi8(_mm512_set1_epi32(four), _mm512_set1_epi8(64));
}
inline Int subtract(Int x, Int y) { return _mm512_sub_epi32(x, y); }
inline Int step(Int sum, Int a, Int b) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
}
inline Int all_64() { return _mm512_set1_epi8(64); }
constexpr Size kLanes = 16;
constexpr int kRows = 8;
#else
using Int = __m256i;
inline Int zero_int() { return _mm256_setzero_si256(); }
inline Int load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_int(std::int32_t* p, Int v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
inline Int shifted(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm256_add_epi8(_mm256_set1_epi32(four), _mm256_set1_epi8(64));
}
inline Int subtract(Int x, Int y) { return _mm256_sub_epi32(x, y); }
inline Int step(Int sum, Int a, Int b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
inline Int all_64() { return _mm256_set1_epi8(64); }
constexpr Size kLanes = 8;
constexpr int kRows = 3;
#endif

void product_int(const std::int8_t* a, Size a_panels, const std::int8_t* b, Size b_panels,
                 Size groups, std::int32_t* c, Size ldc) {
  const Size stride = 4 * kPanel;
  for (Size j = 0; j < b_panels; ++j) {
    for (Size part = 0; part < kPanel; part += 3 * kLanes) {
      const std::int8_t* b0 = b + j * stride * groups + 4 * part;
      Int over[3] = {zero_int(), zero_int(), zero_int()};
      for (Size k = 0; k < groups; ++k) {
        for (Size v = 0; v < 3; ++v) {
          over[v] = step(over[v], all_64(), load_int(b0 + k * stride + 4 * kLanes * v));
        }
      }
      for (Size i = 0; i < a_panels; ++i) {
        for (Size r = 0; r < kPanel; r += kRows) {
          Int s[kRows][3];
          for (auto& row : s) row[0] = row[1] = row[2] = zero_int();
          const std::int8_t* x = a + i * stride * groups + 4 * r;
          const std::int8_t* y = b0;
          for (Size k = 0; k < groups; ++k, x += stride, y += stride) {
            const Int y0 = load_int(y);
            const Int y1 = load_int(y + 4 * kLanes);
            const Int y2 = load_int(y + 8 * kLanes);
#pragma GCC unroll 8
            for (int q = 0; q < kRows; ++q) {
              const Int u = shifted(x + 4 * q);
              s[q][0] = step(s[q][0], u, y0);
              s[q][1] = step(s[q][1], u, y1);
              s[q][2] = step(s[q][2], u, y2);
            }
          }
          for (int q = 0; q < kRows; ++q) {
            for (Size v = 0; v < 3; ++v) {
              store_int(c + (i * kPanel + r + q) * ldc + j * kPanel + part + v * kLanes,
                        subtract(s[q][v], over[v]));
            }
          }
        }
      }
    }
  }
}

#else

void product_int(const std::int8_t* a, Size a_panels, const std::int8_t* b, Size b_panels,
                 Size groups, std::int32_t* c, Size ldc) {
  const Size stride = 4 * kPanel;
  for (Size i = 0; i < a_panels; ++i) {
    for (Size j = 0; j < b_panels; ++j) {
      for (Size r = 0; r < kPanel; ++r) {
        std::int32_t s[kPanel] = {};
        const std::int8_t* x = a + i * stride * groups + 4 * r;
        const std::int8_t* y = b + j * stride * groups;
        for (Size k = 0; k < groups; ++k, x += stride, y += stride) {
          for (Size v = 0; v < kPanel; ++v) {
            for (Size q = 0; q < 4; ++q) s[v] += x[q] * y[4 * v + q];
          }
        }
        for (Size v = 0; v < kPanel; ++v) c[(i * kPanel + r) * ldc + j * kPanel + v] = s[v];
      }
    }
  }
}

#endif

#if defined(__AVX512F__)

__attribute__((target("avx512vnni"))) void product_vnni(const std::int8_t* a, Size a_panels,
                                                        const std::int8_t* b, Size b_panels,
                                                        Size groups, std::int32_t* c, Size ldc) {
  const Size stride = 4 * kPanel;
  const __m512i by_64 = _mm512_set1_epi8(64);
  for (Size j = 0; j < b_panels; ++j) {
    const std::int8_t* b0 = b + j * stride * groups;
    __m512i over[3] = {zero_int(), zero_int(), zero_int()};
    for (Size k = 0; k < groups; ++k) {
      for (Size v = 0; v < 3; ++v) {
        over[v] = _mm512_dpbusd_epi32(over[v], by_64, load_int(b0 + k * stride + 64 * v));
      }
    }
    for (Size i = 0; i < a_panels; ++i) {
      for (Size r = 0; r < kPanel; r += 8) {
        __m512i s[8][3];
        for (auto& row : s) {
          for (Size v = 0; v < 3; ++v) row[v] = _mm512_sub_epi32(zero_int(), over[v]);
        }
        const std::int8_t* x = a + i * stride * groups + 4 * r;
        const std::int8_t* y = b0;
        for (Size k = 0; k < groups; ++k, x += stride, y += stride) {
          const __m512i y0 = load_int(y);
          const __m512i y1 = load_int(y + 64);
          const __m512i y2 = load_int(y + 128);
#pragma GCC unroll 8
          for (int q = 0; q < 8; ++q) {
            std::int32_t four;
            __builtin_memcpy(&four, x + 4 * q, 4);
            const __m512i u = _mm512_add_epi8(_mm512_set1_epi32(four), by_64);
            s[q][0] = _mm512_dpbusd_epi32(s[q][0], u, y0);
            s[q][1] = _mm512_dpbusd_epi32(s[q][1], u, y1);
            s[q][2] = _mm512_dpbusd_epi32(s[q][2], u, y2);
          }
        }
        for (int q = 0; q < 8; ++q) {
          for (Size v = 0; v < 3; ++v) {
            store_int(c + (i * kPanel + r + q) * ldc + j * kPanel + v * 16, s[q][v]);
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

void to_float(const std::int32_t* c, float scale, Size n, float* v) {
  for (Size j = 0; j < n; ++j) v[j] = static_cast<float>(c[j]) * scale;
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

const Kernels kKernels = {product,  product_int, scan_row,        scan_column,
                          to_float, dot,         squared_distance};
#if defined(__AVX512F__)
extern const Kernels kKernelsVnni;
const Kernels kKernelsVnni = {product,  product_vnni, scan_row,        scan_column,
                              to_float, dot,          squared_distance};
#endif

}  // namespace knowmap::neighbors::KNOWMAP_ISA
