// Compiled once for each instruction set: see knowmap_add_kernels. No header
// with inline functions that other files share.
#include "model/cpu_kernels.hpp"

#include "model/cpu_vec.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

// --- layer norm ----------------------------------------------------------------

// Normalises the row that `vec(j)` (kLanes numbers from j) and `one(j)` give.
// The row is summed from its parts three times rather than kept: they lie in
// the nearest cache, and nothing bounds the width.
template <class T, class VecAt, class OneAt>
inline void normalize_row(VecAt vec, OneAt one, const float* gamma, const float* beta, float eps,
                          size_t dim, T* out) {
  const size_t whole = dim / kLanes * kLanes;
  Vec total{};
  for (size_t j = 0; j < whole; j += kLanes) total += vec(j);
  float mean = sum(total);
  for (size_t j = whole; j < dim; ++j) mean += one(j);
  mean /= (float)dim;
  Vec squares{};
  for (size_t j = 0; j < whole; j += kLanes) {
    const Vec d = vec(j) - mean;
    squares += d * d;
  }
  float variance = sum(squares);
  for (size_t j = whole; j < dim; ++j) variance += (one(j) - mean) * (one(j) - mean);
  variance /= (float)dim;
  const float scale = 1.0f / __builtin_sqrtf(variance + eps);
  for (size_t j = 0; j < whole; j += kLanes) {
    store(out + j, (vec(j) - mean) * scale * load(gamma + j) + load(beta + j));
  }
  for (size_t j = whole; j < dim; ++j) put(out + j, (one(j) - mean) * scale * gamma[j] + beta[j]);
}

template <class T>
void add_layer_norm(const T* x, const T* residual, const float* gamma, const float* beta, float eps,
                    size_t rows, size_t dim, T* out) {
  for (size_t i = 0; i < rows; ++i) {
    const T* a = x + i * dim;
    const T* b = residual + i * dim;
    normalize_row([=](size_t j) { return load(a + j) + load(b + j); },
                  [=](size_t j) { return get(a + j) + get(b + j); }, gamma, beta, eps, dim,
                  out + i * dim);
  }
}

template <class T>
void embed(const int32_t* ids, const int32_t* positions, size_t rows, const float* word,
           const float* position, const float* type, const float* gamma, const float* beta,
           float eps, size_t dim, T* out) {
  for (size_t i = 0; i < rows; ++i) {
    const float* w = word + (size_t)ids[i] * dim;
    const float* p = position + (size_t)positions[i] * dim;
    normalize_row([=](size_t j) { return load(w + j) + load(p + j) + load(type + j); },
                  [=](size_t j) { return w[j] + p[j] + type[j]; }, gamma, beta, eps, dim,
                  out + i * dim);
  }
}

// --- activation ------------------------------------------------------------------

template <class T>
void gelu(T* x, size_t n) {
  const size_t whole = n / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) store(x + i, gelu_roughly(load(x + i)));
  for (size_t i = whole; i < n; ++i) put(x + i, gelu_roughly(splat(get(x + i)))[0]);
}

// --- attention -------------------------------------------------------------------

// Queries at a time: with AVX-512, 8 x 2 sums of the 32 registers.
constexpr int kTile = kLanes == 16 ? 8 : 4;
constexpr int kPair = 2 * kLanes;
// Keys for which scores exist at a time: with kTile queries, 8 KiB of the cache.
constexpr size_t kKeyBlock = 256;
constexpr float kMinusInfinity = -__builtin_inff();

// scratch: keys transposed [head_dim][padded length], values [padded
// length][padded head_dim], queries [kTile][head_dim], scores [kTile][kKeyBlock],
// sums [kTile][padded head_dim].
size_t attention_scratch(size_t length, size_t head_dim) {
  const size_t keys = round_up(length, kPair);
  const size_t wide = round_up(head_dim, kPair);
  return head_dim * keys + keys * wide + kTile * head_dim + kTile * kKeyBlock + kTile * wide;
}

// scores[i][j] = query i · key j, for kTile queries and kVecs vectors of keys. All
// indices of the tile are compile-time constants: it stays in registers.
template <int kVecs>
inline void score_vecs(const float* queries, const float* keys_t, size_t key_stride,
                       size_t head_dim, float* scores) {
  Vec tile[kTile][kVecs] = {};
  for (size_t d = 0; d < head_dim; ++d) {
    Vec k[kVecs];
    for (int c = 0; c < kVecs; ++c) k[c] = load(keys_t + d * key_stride + c * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      const Vec q = splat(queries[(size_t)i * head_dim + d]);
      for (int c = 0; c < kVecs; ++c) tile[i][c] = fused(q, k[c], tile[i][c]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    for (int c = 0; c < kVecs; ++c) store(scores + (size_t)i * kKeyBlock + c * kLanes, tile[i][c]);
  }
}

// The same for `keys` keys, a multiple of kLanes.
inline void score_tile(const float* queries, const float* keys_t, size_t key_stride, size_t keys,
                       size_t head_dim, float* scores) {
  size_t j = 0;
  for (; j + kPair <= keys; j += kPair) {
    score_vecs<2>(queries, keys_t + j, key_stride, head_dim, scores + j);
  }
  if (j < keys) score_vecs<1>(queries, keys_t + j, key_stride, head_dim, scores + j);
}

// sums[i] += sum over keys of weight[i][key] * value[key].
inline void weigh_tile(const float* weights, const float* values, size_t keys, size_t wide,
                       float* sums) {
  for (size_t d = 0; d < wide; d += kPair) {
    Vec tile[kTile][2];
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      tile[i][0] = load(sums + (size_t)i * wide + d);
      tile[i][1] = load(sums + (size_t)i * wide + d + kLanes);
    }
    for (size_t j = 0; j < keys; ++j) {
      const Vec v0 = load(values + j * wide + d);
      const Vec v1 = load(values + j * wide + d + kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) {
        const Vec w = splat(weights[(size_t)i * kKeyBlock + j]);
        tile[i][0] += w * v0;
        tile[i][1] += w * v1;
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      store(sums + (size_t)i * wide + d, tile[i][0]);
      store(sums + (size_t)i * wide + d + kLanes, tile[i][1]);
    }
  }
}

// Keys [begin, end) that a query sees.
struct KeyRange {
  size_t begin;
  size_t end;
};
inline KeyRange seen_keys(size_t query, const AttentionShape& shape) {
  return {query > shape.before ? query - shape.before : 0,
          shape.after < shape.length - query ? query + shape.after + 1 : shape.length};
}
// The part of it in the `size` keys from `first` on, counted from there.
inline KeyRange within(KeyRange keys, size_t first, size_t size) {
  const size_t begin = keys.begin > first ? keys.begin - first : 0;
  const size_t end = keys.end > first ? keys.end - first : 0;
  return {begin < size ? begin : size, end < size ? end : size};
}

inline void add_bias(const float* bias, float factor, size_t keys, float* scores) {
  for (size_t j = 0; j < keys; j += kLanes) {
    store(scores + j, fused(load(bias + j), splat(factor), load(scores + j)));
  }
}

// Turns scores of one query into weights power(score - max), 0 for keys that it does
// not see, and updates the running maximum and sum; earlier sums are rescaled
// where the maximum rose. `weights` may be the scores.
template <class Power, class T>
inline void soften(float* scores, size_t keys, KeyRange seen, Power power, float* maximum,
                   float* total, float* sums, size_t wide, T* weights) {
  if (seen.begin >= seen.end) {
    memset(weights, 0, keys * sizeof(T));
    return;
  }
  for (size_t j = 0; j < seen.begin; ++j) scores[j] = kMinusInfinity;
  for (size_t j = seen.end; j < keys; ++j) scores[j] = kMinusInfinity;
  Vec high = load(scores);
  for (size_t j = kLanes; j < keys; j += kLanes) high = max(high, load(scores + j));
  const float block_max = largest(high);
  const float new_max = block_max > *maximum ? block_max : *maximum;
  if (new_max != *maximum && *total != 0.0f) {
    const float shrink = power(splat(*maximum - new_max))[0];
    *total *= shrink;
    for (size_t d = 0; d < wide; d += kLanes) store(sums + d, load(sums + d) * shrink);
  }
  *maximum = new_max;
  Vec added{};
  for (size_t j = 0; j < keys; j += kLanes) {
    const Vec e = power(load(scores + j) - new_max);
    store(weights + j, e);
    added += e;
  }
  *total += sum(added);
}

template <class T>
inline void copy_row(const T* from, size_t n, float factor, float* to) {
  const size_t whole = n / kLanes * kLanes;
  for (size_t d = 0; d < whole; d += kLanes) store(to + d, load(from + d) * factor);
  for (size_t d = whole; d < n; ++d) to[d] = get(from + d) * factor;
}

// keys_t[d][j] = key j's number d; columns from `length` to `padded` are 0.
template <class T>
inline void transpose_keys(const T* k, size_t stride, size_t length, size_t head_dim, float* keys_t,
                           size_t padded) {
  const size_t whole_d = head_dim / kLanes * kLanes;
  for (size_t j = 0; j < padded; j += kLanes) {
    const size_t real = j >= length ? 0 : (length - j < kLanes ? length - j : kLanes);
    for (size_t d = 0; d < whole_d; d += kLanes) {
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        square[i] = (size_t)i < real ? load(k + (j + (size_t)i) * stride + d) : Vec{};
      }
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(keys_t + (d + (size_t)i) * padded + j, square[i]);
    }
    for (size_t d = whole_d; d < head_dim; ++d) {
      for (size_t i = 0; i < kLanes; ++i) {
        keys_t[d * padded + j + i] = i < real ? get(k + (j + i) * stride + d) : 0.0f;
      }
    }
  }
}

template <class T>
void attention(const T* q, const T* k, const T* v, const AttentionShape& shape, T* out,
               float* scratch) {
  const size_t length = shape.length;
  const size_t head_dim = shape.head_dim;
  const size_t keys = round_up(length, kPair);
  const size_t wide = round_up(head_dim, kPair);
  float* keys_t = scratch;
  float* values = keys_t + head_dim * keys;
  float* queries = values + keys * wide;
  float* scores = queries + kTile * head_dim;
  float* sums = scores + kTile * kKeyBlock;

  transpose_keys(k, shape.stride, length, head_dim, keys_t, keys);
  for (size_t j = 0; j < length; ++j) {
    copy_row(v + j * shape.stride, head_dim, 1.0f, values + j * wide);
    for (size_t d = head_dim; d < wide; ++d) values[j * wide + d] = 0.0f;
  }
  memset(values + length * wide, 0, (keys - length) * wide * sizeof(float));

  for (size_t h = 0; h < shape.group; ++h) {
    for (size_t first = shape.first_query; first < shape.last_query; first += kTile) {
      const size_t left_queries = shape.last_query - first;
      const size_t real = left_queries < kTile ? left_queries : kTile;
      for (size_t i = 0; i < real; ++i) {
        copy_row(q + (first + i) * shape.stride + h * head_dim, head_dim, shape.scale,
                 queries + i * head_dim);
      }
      memset(queries + real * head_dim, 0, (kTile - real) * head_dim * sizeof(float));
      memset(sums, 0, kTile * wide * sizeof(float));
      float maximum[kTile];
      float total[kTile];
      for (int i = 0; i < kTile; ++i) {
        maximum[i] = kMinusInfinity;
        total[i] = 0.0f;
      }
      const size_t last = seen_keys(first + real - 1, shape).end;
      for (size_t begin = seen_keys(first, shape).begin / kPair * kPair; begin < last;
           begin += kKeyBlock) {
        const size_t left = last - begin;
        const size_t real_keys = left < kKeyBlock ? left : kKeyBlock;
        const size_t block = round_up(real_keys, kLanes);
        score_tile(queries, keys_t + begin, keys, block, head_dim, scores);
        for (size_t i = 0; i < real; ++i) {
          float* row = scores + i * kKeyBlock;
          if (shape.bias != nullptr) {
            add_bias(shape.bias + h * shape.bias_stride + shape.bias_zero + begin - (first + i),
                     1.0f, block, row);
          }
          soften(row, block, within(seen_keys(first + i, shape), begin, block), exp_negative,
                 &maximum[i], &total[i], sums + i * wide, wide, row);
        }
        weigh_tile(scores, values + begin * wide, real_keys, wide, sums);
      }
      for (size_t i = 0; i < real; ++i) {
        const float share = 1.0f / total[i];
        T* row = out + (first + i) * shape.out_stride + h * head_dim;
        const float* sum_row = sums + i * wide;
        const size_t whole = head_dim / kLanes * kLanes;
        for (size_t d = 0; d < whole; d += kLanes) store(row + d, load(sum_row + d) * share);
        for (size_t d = whole; d < head_dim; ++d) put(row + d, sum_row[d] * share);
      }
    }
  }
}

#if defined(__AVX512BF16__)

// The same attention with products of pairs of bfloat16, twice as many at a
// time: numbers that are multiplied stay bfloat16 (weights are rounded to it),
// sums are float32. For head widths that fill vectors; `attention` serves others.

typedef uint32_t Pair;  // two bfloat16: the lower half comes first

// Lanes whose numbers are bfloat16 held as float32.
inline UintVec join(Vec first, Vec second) { return ((UintVec)first >> 16) | (UintVec)second; }

// keys_t[d / 2][j] = key j's numbers d and d + 1.
inline void pair_keys(const BFloat16* k, size_t stride, size_t length, size_t head_dim,
                      Pair* keys_t, size_t padded) {
  for (size_t j = 0; j < padded; j += kLanes) {
    const size_t real = j >= length ? 0 : (length - j < kLanes ? length - j : kLanes);
    for (size_t d = 0; d < head_dim; d += kLanes) {
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        square[i] = (size_t)i < real ? load(k + (j + (size_t)i) * stride + d) : Vec{};
      }
      transpose(square);
#pragma GCC unroll 8
      for (int i = 0; i < kLanes; i += 2) {
        const UintVec pairs = join(square[i], square[i + 1]);
        memcpy(keys_t + (d + (size_t)i) / 2 * padded + j, &pairs, sizeof pairs);
      }
    }
  }
}

// values[j / 2][d] = number d of the values of keys j and j + 1.
inline void pair_values(const BFloat16* v, size_t stride, size_t length, size_t head_dim,
                        Pair* values, size_t padded) {
  for (size_t j = 0; j < padded; j += 2) {
    for (size_t d = 0; d < head_dim; d += kLanes) {
      const Vec first = j < length ? load(v + j * stride + d) : Vec{};
      const Vec second = j + 1 < length ? load(v + (j + 1) * stride + d) : Vec{};
      const UintVec pairs = join(first, second);
      memcpy(values + j / 2 * head_dim + d, &pairs, sizeof pairs);
    }
  }
}

template <int kVecs>
inline void score_pair_vecs(const BFloat16* const* queries, const Pair* keys_t, size_t key_stride,
                            size_t head_dim, float scale, float* scores) {
  Vec tile[kTile][kVecs] = {};
  for (size_t d = 0; d < head_dim; d += 2) {
    UintVec k[kVecs];
    for (int c = 0; c < kVecs; ++c) k[c] = load_words(keys_t + d / 2 * key_stride + c * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      const UintVec q = splat_word(queries[i] + d);
      for (int c = 0; c < kVecs; ++c) tile[i][c] = add_products(tile[i][c], k[c], q);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    for (int c = 0; c < kVecs; ++c) {
      store(scores + (size_t)i * kKeyBlock + c * kLanes, tile[i][c] * scale);
    }
  }
}

inline void score_pairs(const BFloat16* const* queries, const Pair* keys_t, size_t key_stride,
                        size_t keys, size_t head_dim, float scale, float* scores) {
  size_t j = 0;
  for (; j + kPair <= keys; j += kPair) {
    score_pair_vecs<2>(queries, keys_t + j, key_stride, head_dim, scale, scores + j);
  }
  if (j < keys) score_pair_vecs<1>(queries, keys_t + j, key_stride, head_dim, scale, scores + j);
}

// 2^x for x <= 0, off by 3e-6 of it, 0 below -126: a polynomial on [-1/2, 1/2] (least squares
// weighted towards the greatest error). What is rounded to bfloat16 keeps no more.
inline Vec exp2_roughly(Vec x) {
  const Vec n = round_to_whole(x);
  const Vec r = x - n;
  Vec p = splat(9.570101734e-03f);
  p = fused(p, r, splat(5.591786060e-02f));
  p = fused(p, r, splat(2.402474483e-01f));
  p = fused(p, r, splat(6.931218147e-01f));
  p = fused(p, r, splat(9.999992614e-01f));
  return times_power_above(x, -126.0f, p, n);
}

inline void weigh_pairs(const BFloat16* weights, const Pair* values, size_t keys, size_t head_dim,
                        float* sums) {
  for (size_t d = 0; d < head_dim; d += kPair) {
    Vec tile[kTile][2];
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      tile[i][0] = load(sums + (size_t)i * head_dim + d);
      tile[i][1] = load(sums + (size_t)i * head_dim + d + kLanes);
    }
    for (size_t j = 0; j < keys; j += 2) {
      const UintVec v0 = load_words(values + j / 2 * head_dim + d);
      const UintVec v1 = load_words(values + j / 2 * head_dim + d + kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) {
        const UintVec w = splat_word(weights + (size_t)i * kKeyBlock + j);
        tile[i][0] = add_products(tile[i][0], v0, w);
        tile[i][1] = add_products(tile[i][1], v1, w);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      store(sums + (size_t)i * head_dim + d, tile[i][0]);
      store(sums + (size_t)i * head_dim + d + kLanes, tile[i][1]);
    }
  }
}

void attention_by_pairs(const BFloat16* q, const BFloat16* k, const BFloat16* v,
                        const AttentionShape& shape, BFloat16* out, float* scratch) {
  const size_t length = shape.length;
  const size_t head_dim = shape.head_dim;
  if (head_dim % kPair != 0) return attention(q, k, v, shape, out, scratch);
  // Pairs take half of the room that `attention_scratch` counts for float32.
  const size_t keys = round_up(length, kPair);
  Pair* keys_t = (Pair*)scratch;
  Pair* values = keys_t + head_dim / 2 * keys;
  float* scores = (float*)(values + keys / 2 * head_dim);
  float* sums = scores + kTile * kKeyBlock;
  // Zeroed: rows without a query take part, and their sums go nowhere.
  alignas(64) BFloat16 weights[kTile * kKeyBlock] = {};

  pair_keys(k, shape.stride, length, head_dim, keys_t, keys);
  pair_values(v, shape.stride, length, head_dim, values, keys);
  for (size_t h = 0; h < shape.group; ++h) {
    for (size_t first = shape.first_query; first < shape.last_query; first += kTile) {
      const size_t left_queries = shape.last_query - first;
      const size_t real = left_queries < kTile ? left_queries : kTile;
      const BFloat16* queries[kTile];
      float maximum[kTile];
      float total[kTile];
      for (size_t i = 0; i < kTile; ++i) {
        queries[i] = q + (first + (i < real ? i : 0)) * shape.stride + h * head_dim;
        maximum[i] = kMinusInfinity;
        total[i] = 0.0f;
      }
      memset(sums, 0, kTile * head_dim * sizeof(float));
      const size_t last = seen_keys(first + real - 1, shape).end;
      for (size_t begin = seen_keys(first, shape).begin / kPair * kPair; begin < last;
           begin += kKeyBlock) {
        const size_t left = last - begin;
        const size_t real_keys = left < kKeyBlock ? left : kKeyBlock;
        const size_t block = round_up(real_keys, kLanes);
        score_pairs(queries, keys_t + begin, keys, block, head_dim, shape.scale * kLog2E, scores);
        for (size_t i = 0; i < real; ++i) {
          float* row = scores + i * kKeyBlock;
          if (shape.bias != nullptr) {
            add_bias(shape.bias + h * shape.bias_stride + shape.bias_zero + begin - (first + i),
                     kLog2E, block, row);
          }
          // Scores are in units of log 2.
          soften(row, block, within(seen_keys(first + i, shape), begin, block), exp2_roughly,
                 &maximum[i], &total[i], sums + i * head_dim, head_dim, weights + i * kKeyBlock);
        }
        weigh_pairs(weights, values + begin / 2 * head_dim, round_up(real_keys, 2), head_dim, sums);
      }
      for (size_t i = 0; i < real; ++i) {
        const float share = 1.0f / total[i];
        BFloat16* row = out + (first + i) * shape.out_stride + h * head_dim;
        for (size_t d = 0; d < head_dim; d += kLanes) {
          store(row + d, load(sums + i * head_dim + d) * share);
        }
      }
    }
  }
}

#endif

}  // namespace

#if defined(__AVX512BF16__)
constexpr auto* kBFloat16Attention = attention_by_pairs;
#else
constexpr auto* kBFloat16Attention = attention<BFloat16>;
#endif

extern const CpuKernels<float> kFloatKernels;
extern const CpuKernels<BFloat16> kBFloat16Kernels;
const CpuKernels<float> kFloatKernels = {embed<float>, add_layer_norm<float>, attention<float>,
                                         attention_scratch, gelu<float>};
const CpuKernels<BFloat16> kBFloat16Kernels = {embed<BFloat16>, add_layer_norm<BFloat16>,
                                               kBFloat16Attention, attention_scratch,
                                               gelu<BFloat16>};

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
