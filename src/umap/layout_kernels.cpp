// Compiled once for each instruction set (knowmap_add_kernels). Lanes are
// vertices: each lane walks its own vertex's samples in their order, so a
// vertex's result doesn't depend on which others share its vector.
#if defined(__AVX2__)
// GCC 12's own header trips over its undefined vectors (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "umap/layout_kernels.hpp"

namespace knowmap::umap::KNOWMAP_ISA {

extern const LayoutKernel kLayout;
extern const ForceKernel kForces;

namespace {

using Size = std::size_t;

#if defined(__AVX512F__)

constexpr int kLanes = 16;
using Float = __m512;
using Int = __m512i;
inline Float set(float x) { return _mm512_set1_ps(x); }
inline Int set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
inline Float load(const float* p) { return _mm512_loadu_ps(p); }
inline Int load_int(const void* p) { return _mm512_loadu_si512(p); }
inline void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
inline Float add(Float x, Float y) { return _mm512_add_ps(x, y); }
inline Float sub(Float x, Float y) { return _mm512_sub_ps(x, y); }
inline Float mul(Float x, Float y) { return _mm512_mul_ps(x, y); }
inline Float div(Float x, Float y) { return _mm512_div_ps(x, y); }
inline Float fma(Float x, Float y, Float z) { return _mm512_fmadd_ps(x, y, z); }
inline Float at_most(Float x, Float y) { return _mm512_min_ps(x, y); }
inline Float at_least(Float x, Float y) { return _mm512_max_ps(x, y); }
inline Int add(Int x, Int y) { return _mm512_add_epi32(x, y); }
inline Int sub(Int x, Int y) { return _mm512_sub_epi32(x, y); }
inline Int mul(Int x, Int y) { return _mm512_mullo_epi32(x, y); }
inline Int shift_left(Int x, int by) { return _mm512_slli_epi32(x, static_cast<unsigned>(by)); }
inline Int shift_right(Int x, int by) { return _mm512_srai_epi32(x, static_cast<unsigned>(by)); }
inline Int shift_down(Int x, int by) { return _mm512_srli_epi32(x, static_cast<unsigned>(by)); }
inline Int exclusive_or(Int x, Int y) { return _mm512_xor_si512(x, y); }
inline Int bits(Float x) { return _mm512_castps_si512(x); }
inline Float from_bits(Int x) { return _mm512_castsi512_ps(x); }
inline Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
inline Int round_to_int(Float x) { return _mm512_cvtps_epi32(x); }
inline Float gather(const float* p, Int i) { return _mm512_i32gather_ps(i, p, 4); }
inline Int gather_int(const std::int32_t* p, Int i) { return _mm512_i32gather_epi32(i, p, 4); }
/// x where i < j, else 0.
inline Float where_less(Int i, Int j, Float x) {
  return _mm512_maskz_mov_ps(_mm512_cmplt_epi32_mask(i, j), x);
}
inline Int where_less(Int i, Int j, Int x) {
  return _mm512_maskz_mov_epi32(_mm512_cmplt_epi32_mask(i, j), x);
}
inline Float where_different(Int i, Int j, Float x) {
  return _mm512_maskz_mov_ps(_mm512_cmpneq_epi32_mask(i, j), x);
}
/// The high halves of x * y, unsigned.
inline Int high_product(Int x, Int y) {
  const Int even = _mm512_srli_epi64(_mm512_mul_epu32(x, y), 32);
  const Int odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), y);
  return _mm512_mask_mov_epi32(even, 0xaaaa, odd);
}
inline void gather_pairs(const float* p, Int i, Float& x, Float& y) {
  const __m512 low = _mm512_castpd_ps(
      _mm512_i32gather_pd(_mm512_castsi512_si256(i), reinterpret_cast<const double*>(p), 8));
  const __m512 high = _mm512_castpd_ps(
      _mm512_i32gather_pd(_mm512_extracti64x4_epi64(i, 1), reinterpret_cast<const double*>(p), 8));
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  x = _mm512_permutex2var_ps(low, even, high);
  y = _mm512_permutex2var_ps(low, odd, high);
}

#elif defined(__AVX2__)

constexpr int kLanes = 8;
using Float = __m256;
using Int = __m256i;
inline Float set(float x) { return _mm256_set1_ps(x); }
inline Int set_int(std::int32_t x) { return _mm256_set1_epi32(x); }
inline Float load(const float* p) { return _mm256_loadu_ps(p); }
inline Int load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
inline Float add(Float x, Float y) { return _mm256_add_ps(x, y); }
inline Float sub(Float x, Float y) { return _mm256_sub_ps(x, y); }
inline Float mul(Float x, Float y) { return _mm256_mul_ps(x, y); }
inline Float div(Float x, Float y) { return _mm256_div_ps(x, y); }
inline Float fma(Float x, Float y, Float z) { return _mm256_fmadd_ps(x, y, z); }
inline Float at_most(Float x, Float y) { return _mm256_min_ps(x, y); }
inline Float at_least(Float x, Float y) { return _mm256_max_ps(x, y); }
inline Int add(Int x, Int y) { return _mm256_add_epi32(x, y); }
inline Int sub(Int x, Int y) { return _mm256_sub_epi32(x, y); }
inline Int mul(Int x, Int y) { return _mm256_mullo_epi32(x, y); }
inline Int shift_left(Int x, int by) { return _mm256_slli_epi32(x, by); }
inline Int shift_right(Int x, int by) { return _mm256_srai_epi32(x, by); }
inline Int shift_down(Int x, int by) { return _mm256_srli_epi32(x, by); }
inline Int exclusive_or(Int x, Int y) { return _mm256_xor_si256(x, y); }
inline Int bits(Float x) { return _mm256_castps_si256(x); }
inline Float from_bits(Int x) { return _mm256_castsi256_ps(x); }
inline Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
inline Int round_to_int(Float x) { return _mm256_cvtps_epi32(x); }
inline Float gather(const float* p, Int i) { return _mm256_i32gather_ps(p, i, 4); }
inline Int gather_int(const std::int32_t* p, Int i) { return _mm256_i32gather_epi32(p, i, 4); }
inline Float where_less(Int i, Int j, Float x) {
  return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(j, i)), x);
}
inline Int where_less(Int i, Int j, Int x) { return _mm256_and_si256(_mm256_cmpgt_epi32(j, i), x); }
inline Float where_different(Int i, Int j, Float x) {
  return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(i, j)), x);
}
inline Int high_product(Int x, Int y) {
  const Int even = _mm256_srli_epi64(_mm256_mul_epu32(x, y), 32);
  const Int odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), y);
  return _mm256_blend_epi32(even, odd, 0xaa);
}
inline void gather_pairs(const float* p, Int i, Float& x, Float& y) {
  const Int twice = _mm256_slli_epi32(i, 1);
  x = _mm256_i32gather_ps(p, twice, 4);
  y = _mm256_i32gather_ps(p + 1, twice, 4);
}

#else

constexpr int kLanes = 8;
struct Float {
  float v[kLanes];
};
struct Int {
  std::int32_t v[kLanes];
};
template <class T, class Make>
inline T each(const Make& make) {
  T r;
  for (int l = 0; l < kLanes; ++l) r.v[l] = make(l);
  return r;
}
inline std::int32_t wrap(std::uint32_t x) { return static_cast<std::int32_t>(x); }
inline std::uint32_t raw(std::int32_t x) { return static_cast<std::uint32_t>(x); }
inline Float set(float x) {
  return each<Float>([&](int) { return x; });
}
inline Int set_int(std::int32_t x) {
  return each<Int>([&](int) { return x; });
}
inline Float load(const float* p) {
  return each<Float>([&](int l) { return p[l]; });
}
inline Int load_int(const void* p) {
  Int r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
inline void store(float* p, const Float& x) { __builtin_memcpy(p, &x, sizeof x); }
inline Float add(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] + y.v[l]; });
}
inline Float sub(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] - y.v[l]; });
}
inline Float mul(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] * y.v[l]; });
}
inline Float div(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] / y.v[l]; });
}
inline Float fma(const Float& x, const Float& y, const Float& z) {
  return each<Float>([&](int l) { return x.v[l] * y.v[l] + z.v[l]; });
}
inline Float at_most(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] < y.v[l] ? x.v[l] : y.v[l]; });
}
inline Float at_least(const Float& x, const Float& y) {
  return each<Float>([&](int l) { return x.v[l] > y.v[l] ? x.v[l] : y.v[l]; });
}
inline Int add(const Int& x, const Int& y) {
  return each<Int>([&](int l) { return wrap(raw(x.v[l]) + raw(y.v[l])); });
}
inline Int sub(const Int& x, const Int& y) {
  return each<Int>([&](int l) { return wrap(raw(x.v[l]) - raw(y.v[l])); });
}
inline Int mul(const Int& x, const Int& y) {
  return each<Int>([&](int l) { return wrap(raw(x.v[l]) * raw(y.v[l])); });
}
inline Int shift_left(const Int& x, int by) {
  return each<Int>([&](int l) { return wrap(raw(x.v[l]) << by); });
}
inline Int shift_right(const Int& x, int by) {
  return each<Int>([&](int l) { return x.v[l] >> by; });
}
inline Int shift_down(const Int& x, int by) {
  return each<Int>([&](int l) { return wrap(raw(x.v[l]) >> by); });
}
inline Int exclusive_or(const Int& x, const Int& y) {
  return each<Int>([&](int l) { return x.v[l] ^ y.v[l]; });
}
inline Int bits(const Float& x) { return load_int(&x); }
inline Float from_bits(const Int& x) {
  Float r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
inline Float to_float(const Int& x) {
  return each<Float>([&](int l) { return static_cast<float>(x.v[l]); });
}
inline Int round_to_int(const Float& x) {
  return each<Int>(
      [&](int l) { return static_cast<std::int32_t>(x.v[l] + (x.v[l] < 0 ? -0.5f : 0.5f)); });
}
inline Float gather(const float* p, const Int& i) {
  return each<Float>([&](int l) { return p[i.v[l]]; });
}
inline Int gather_int(const std::int32_t* p, const Int& i) {
  return each<Int>([&](int l) { return p[i.v[l]]; });
}
inline Float where_less(const Int& i, const Int& j, const Float& x) {
  return each<Float>([&](int l) { return i.v[l] < j.v[l] ? x.v[l] : 0.0f; });
}
inline Int where_less(const Int& i, const Int& j, const Int& x) {
  return each<Int>([&](int l) { return i.v[l] < j.v[l] ? x.v[l] : 0; });
}
inline Float where_different(const Int& i, const Int& j, const Float& x) {
  return each<Float>([&](int l) { return i.v[l] != j.v[l] ? x.v[l] : 0.0f; });
}
inline Int high_product(const Int& x, const Int& y) {
  return each<Int>([&](int l) {
    return wrap(static_cast<std::uint32_t>(
        static_cast<std::uint64_t>(raw(x.v[l])) * static_cast<std::uint64_t>(raw(y.v[l])) >> 32));
  });
}
inline void gather_pairs(const float* p, const Int& i, Float& x, Float& y) {
  for (int l = 0; l < kLanes; ++l) {
    x.v[l] = p[2 * static_cast<Size>(i.v[l])];
    y.v[l] = p[2 * static_cast<Size>(i.v[l]) + 1];
  }
}

#endif

/// log2 of positive normal numbers, to 1e-7. Polynomial of degree 7 for the
/// mantissa in [sqrt(1/2), sqrt(2)), fitted at Chebyshev nodes.
inline Float log2(Float x) {
  const Int shifted = sub(bits(x), set_int(0x3f3504f3));
  const Int exponent = shift_right(shifted, 23);
  const Float r = sub(from_bits(sub(bits(x), shift_left(exponent, 23))), set(1.0f));
  Float p = fma(set(-0.146203534f), r, set(0.234209851f));
  p = fma(p, r, set(-0.248821806f));
  p = fma(p, r, set(0.287075611f));
  p = fma(p, r, set(-0.360241986f));
  p = fma(p, r, set(0.480924039f));
  p = fma(p, r, set(-0.721352759f));
  p = fma(p, r, set(1.44269496f));
  return fma(p, r, to_float(exponent));
}

/// 2^x for x within [-126, 126], to 1e-7 of it.
inline Float exp2(Float x) {
  x = at_most(at_least(x, set(-126.0f)), set(126.0f));
  const Int whole = round_to_int(x);
  const Float f = sub(x, to_float(whole));
  Float p = fma(set(0.00134004322f), f, set(0.0096760371f));
  p = fma(p, f, set(0.0555032721f));
  p = fma(p, f, set(0.240221074f));
  p = fma(p, f, set(0.693147207f));
  p = fma(p, f, set(1.00000008f));
  return from_bits(add(bits(p), shift_left(whole, 23)));
}

/// Squared distances below this count as this: the force's direction is then
/// 0 or nearly so, and no power overflows.
constexpr float kLeast = 1e-20f;
constexpr float kMost = 1e18f;

/// -2ab d^(2b-2) / (1 + a d^2b)
inline Float attraction(Float d2, Float a, Float b, Float minus_2ab) {
  d2 = at_most(at_least(d2, set(kLeast)), set(kMost));
  const Float power = exp2(mul(b, log2(d2)));
  return div(mul(minus_2ab, power), mul(d2, fma(a, power, set(1.0f))));
}

/// 2 gamma b / ((0.001 + d^2) (1 + a d^2b))
inline Float repulsion(Float d2, Float a, Float b, Float gamma_2b) {
  d2 = at_most(at_least(d2, set(kLeast)), set(kMost));
  const Float power = exp2(mul(b, log2(d2)));
  return div(gamma_2b, mul(add(d2, set(0.001f)), fma(a, power, set(1.0f))));
}

inline Float clipped(Float x) { return at_most(at_least(x, set(-4.0f)), set(4.0f)); }

/// A bijection that mixes well (the finaliser of MurmurHash3).
inline Int mixed(Int x) {
  x = mul(exclusive_or(x, shift_down(x, 16)), set_int(static_cast<std::int32_t>(0x85ebca6bu)));
  x = mul(exclusive_or(x, shift_down(x, 13)), set_int(static_cast<std::int32_t>(0xc2b2ae35u)));
  return exclusive_or(x, shift_down(x, 16));
}

/// Writes the tails of the edges in [begin, end) that this epoch samples, and
/// counts them for each head; answers how many.
std::uint32_t sampled(const LayoutStep& step, Size begin, Size end, std::int32_t* out,
                      std::uint32_t* counts) {
  constexpr std::uint32_t kPart = 0x7fffffff;
  std::uint32_t count = 0;
  Size e = begin;
#if defined(__AVX512F__)
  for (; e < end; e += 16) {
    const auto live = static_cast<__mmask16>(end - e >= 16 ? 0xffff : (1u << (end - e)) - 1);
    const __m512i rate = _mm512_maskz_loadu_epi32(live, step.rates + e);
    const __m512i phase =
        _mm512_and_si512(_mm512_mullo_epi32(rate, _mm512_set1_epi32(static_cast<int>(step.epoch))),
                         _mm512_set1_epi32(static_cast<int>(kPart)));
    const __mmask16 hit = _mm512_mask_cmplt_epu32_mask(live, phase, rate);
    _mm512_storeu_si512(out + count, _mm512_maskz_compress_epi32(
                                         hit, _mm512_maskz_loadu_epi32(live, step.tails + e)));
    count += static_cast<std::uint32_t>(__builtin_popcount(hit));
    for (unsigned left = hit; left != 0; left &= left - 1) {
      ++counts[step.heads[e + static_cast<Size>(__builtin_ctz(left))]];
    }
  }
#else
  for (; e < end; ++e) {
    const bool hit = ((step.rates[e] * step.epoch) & kPart) < step.rates[e];
    out[count] = step.tails[e];
    count += hit;
    counts[step.heads[e]] += hit;
  }
#endif
  return count;
}

/// Positions of the vertices `i`, one vector a dimension.
template <int kDims>
inline void fetch(const float* positions, Int i, int dims, Float* x) {
  if constexpr (kDims == 2) {
    gather_pairs(positions, i, x[0], x[1]);
  } else {
    const Int at = mul(i, set_int(dims));
    for (int d = 0; d < dims; ++d) x[d] = gather(positions + d, at);
  }
}

constexpr int kMostDims = 64;

/// Counts of samples from here on share a bin.
constexpr std::uint32_t kBins = 64;

/// More samples of a vertex in one pass than this are met one after the other.
constexpr std::int32_t kFrozen = 8;

/// Walks the samples of kUnits vectors of vertices, whose chains of operations
/// overlap. kDims 0: as many as `step` says.
template <int kDims, int kUnits>
void walk(const LayoutStep& step, const LayoutScratch& scratch, Size begin, Size slot, Size live) {
  const int dims = kDims > 0 ? kDims : static_cast<int>(step.dims);
  constexpr int kRoom = kDims > 0 ? kDims : kMostDims;
  alignas(64) std::int32_t lane[kLanes];
  for (int l = 0; l < kLanes; ++l) lane[l] = l;
  // Vertices come in the order of their counts, but for those in the last bin.
  auto most = static_cast<std::int32_t>(scratch.counts[scratch.order[slot + live - 1]]);
  if (most >= static_cast<std::int32_t>(kBins) - 1) {
    for (Size l = 0; l < live; ++l) {
      const auto count = static_cast<std::int32_t>(scratch.counts[scratch.order[slot + l]]);
      if (count > most) most = count;
    }
  }
  const Int n_others = set_int(static_cast<std::int32_t>(step.n_others));
  const Int factor = set_int(1664525);
  const Int increment = set_int(1013904223);
  const Float a = set(step.a);
  const Float b = set(step.b);
  const Float minus_2ab = set(-2.0f * step.a * step.b);
  const Float gamma_2b = set(2.0f * step.gamma * step.b);

  Int self[kUnits];
  Int first[kUnits];
  Int count[kUnits];
  Int state[kUnits];
  Float home[kUnits][kRoom];
  Float own[kUnits][kRoom];
  Float other[kUnits][kRoom];
  Float moved[kUnits][kRoom];
  for (int u = 0; u < kUnits; ++u) {
    const Int at = add(load_int(lane), set_int(u * kLanes));
    // Lanes without a vertex repeat the range's first, and move nothing.
    const Int local = where_less(at, set_int(static_cast<std::int32_t>(live)),
                                 load_int(scratch.order + slot + static_cast<Size>(u * kLanes)));
    self[u] = add(local, set_int(static_cast<std::int32_t>(begin)));
    first[u] = gather_int(reinterpret_cast<const std::int32_t*>(scratch.begins), local);
    count[u] = where_less(at, set_int(static_cast<std::int32_t>(live)),
                          gather_int(reinterpret_cast<const std::int32_t*>(scratch.counts), local));
    const Int item =
        step.vertex_keys != nullptr
            ? gather_int(reinterpret_cast<const std::int32_t*>(step.vertex_keys), self[u])
            : self[u];
    const auto low = static_cast<std::int32_t>(static_cast<std::uint32_t>(step.key));
    const auto high = static_cast<std::int32_t>(static_cast<std::uint32_t>(step.key >> 32));
    state[u] = mixed(exclusive_or(mixed(add(item, set_int(low))), set_int(high)));
    fetch<kDims>(step.positions, self[u], dims, own[u]);
    for (int d = 0; d < dims; ++d) home[u][d] = own[u][d];
  }
  // Both ends of a pair meet it in the same pass, and where both reckon from where
  // they stood when it began, they are drawn by equal and opposite steps: the pair's
  // middle stays. From where earlier samples have moved one end to, it would not, and
  // the map loses its large shape. A vertex with many samples in the pass would leap
  // over its neighbours, all of which draw it at once: its follow on one another.
  const bool all_frozen = step.opposed && most <= kFrozen;
  const bool some_frozen = step.opposed && most > kFrozen;
  const Int many = set_int(kFrozen);
  const Int too_many = set_int(kFrozen + 1);
  for (std::int32_t t = 0; t < most; ++t) {
    const Int now = set_int(t);
    Float alpha[kUnits];
    for (int u = 0; u < kUnits; ++u) {
      alpha[u] = where_less(now, count[u], set(step.alpha));
      const Int tail = gather_int(scratch.tails, where_less(now, count[u], add(first[u], now)));
      fetch<kDims>(step.others, where_less(now, count[u], tail), dims, other[u]);
    }
    for (int u = 0; u < kUnits; ++u) {
      Float d2 = set(0.0f);
      for (int d = 0; d < dims; ++d) {
        Float from = all_frozen ? home[u][d] : own[u][d];
        if (some_frozen) {
          from = add(where_less(count[u], too_many, home[u][d]),
                     where_less(many, count[u], own[u][d]));
        }
        moved[u][d] = sub(from, other[u][d]);
        d2 = fma(moved[u][d], moved[u][d], d2);
      }
      const Float pull = attraction(d2, a, b, minus_2ab);
      for (int d = 0; d < dims; ++d) {
        own[u][d] = fma(alpha[u], clipped(mul(pull, moved[u][d])), own[u][d]);
        moved[u][d] = set(0.0f);
      }
    }
    // The negatives of one sample are all met from the same place, so that
    // their long chains of operations overlap.
    for (std::uint32_t draw = 0; draw < step.negatives; ++draw) {
      for (int u = 0; u < kUnits; ++u) {
        state[u] = add(mul(state[u], factor), increment);
        const Int negative = high_product(state[u], n_others);
        fetch<kDims>(step.others, negative, dims, other[u]);
        Float d2 = set(0.0f);
        for (int d = 0; d < dims; ++d) {
          other[u][d] = sub(own[u][d], other[u][d]);
          d2 = fma(other[u][d], other[u][d], d2);
        }
        Float force = repulsion(d2, a, b, gamma_2b);
        if (step.same) force = where_different(negative, self[u], force);
        for (int d = 0; d < dims; ++d) {
          moved[u][d] = add(moved[u][d], clipped(mul(force, other[u][d])));
        }
      }
    }
    for (int u = 0; u < kUnits; ++u) {
      for (int d = 0; d < dims; ++d) own[u][d] = fma(alpha[u], moved[u][d], own[u][d]);
    }
  }
  float out[kLanes];
  for (int u = 0; u < kUnits; ++u) {
    const Size passed = static_cast<Size>(u * kLanes);
    for (int d = 0; d < dims; ++d) {
      store(out, own[u][d]);
      for (Size l = 0; l < static_cast<Size>(kLanes) && passed + l < live; ++l) {
        const Size v = begin + scratch.order[slot + passed + l];
        step.next[v * static_cast<Size>(dims) + static_cast<Size>(d)] = out[l];
      }
    }
  }
}

/// Lists the samples of the vertices [begin, end), and orders these by how many.
void list_samples(const LayoutStep& step, Size begin, Size end, LayoutScratch& scratch) {
  const Size n = end - begin;
  for (Size v = 0; v < n; ++v) scratch.counts[v] = 0;
  sampled(step, step.offsets[begin], step.offsets[end], scratch.tails, scratch.counts);
  // Vertices with equal numbers of samples share a vector: none waits.
  std::uint32_t bins[kBins + 1] = {};
  const auto bin = [](std::uint32_t count) { return count < kBins ? count : kBins - 1; };
  std::uint32_t written = 0;
  for (Size v = 0; v < n; ++v) {
    scratch.begins[v] = written;
    written += scratch.counts[v];
    ++bins[bin(scratch.counts[v]) + 1];
  }
  scratch.idle = bins[1];
  for (std::uint32_t c = 0; c < kBins; ++c) bins[c + 1] += bins[c];
  for (Size v = 0; v < n; ++v) {
    scratch.order[bins[bin(scratch.counts[v])]++] = static_cast<std::uint32_t>(v);
  }
}

void layout(const LayoutStep& step, Size begin, Size end, LayoutScratch& scratch) {
  if (!scratch.listed) list_samples(step, begin, end, scratch);
  const Size n = end - begin;
  // Who has no sample stays; the others are written over.
  __builtin_memcpy(step.next + begin * step.dims, step.positions + begin * step.dims,
                   n * step.dims * sizeof(float));
  for (Size slot = scratch.idle; slot < n;) {
    const Size left = n - slot;
    const bool paired = step.dims == 2 || step.dims == 3;
    const Size units = paired && left > static_cast<Size>(kLanes) ? 2 : 1;
    const Size most = units * static_cast<Size>(kLanes);
    const Size live = left < most ? left : most;
    if (step.dims == 2) {
      units == 2 ? walk<2, 2>(step, scratch, begin, slot, live)
                 : walk<2, 1>(step, scratch, begin, slot, live);
    } else if (step.dims == 3) {
      units == 2 ? walk<3, 2>(step, scratch, begin, slot, live)
                 : walk<3, 1>(step, scratch, begin, slot, live);
    } else {
      walk<0, 1>(step, scratch, begin, slot, live);
    }
    slot += live;
  }
}

void forces(const float* d2, Size n, float a, float b, float* attract, float* repel) {
  for (Size i = 0; i < n; i += static_cast<Size>(kLanes)) {
    store(attract + i, attraction(load(d2 + i), set(a), set(b), set(-2.0f * a * b)));
    store(repel + i, repulsion(load(d2 + i), set(a), set(b), set(2.0f * b)));
  }
}

}  // namespace

const LayoutKernel kLayout = layout;
const ForceKernel kForces = forces;

}  // namespace knowmap::umap::KNOWMAP_ISA
