// Compiled once for each instruction set: see knowmap_add_kernels. No header
// with inline functions that other files share.
#include "model/tile_kernels.hpp"

#include "model/tile_shape.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

// Rows that go through with a panel, and steps of their sums: with AVX-512 what is
// read of the panel (192 KiB of float32) and of the rows stays in the second-level
// cache while it is used again.
constexpr size_t kBlockRows = 48;
constexpr size_t kBlockSteps = 768;

// --- one step of a sum: a number, of bfloat16 two ------------------------------------

template <class W>
constexpr size_t kStep = 1;
template <>
constexpr size_t kStep<BFloat16> = 2;
template <class W>
constexpr size_t kStepBytes = kStep<W>* kPanel * sizeof(W);  // of a panel

inline Vec load_weights(const float* p) { return load(p); }
inline Vec load_weights(const Float16* p) {
#if defined(__AVX512F__)
  __m256i halves;
  memcpy(&halves, p, sizeof halves);
  return (Vec)_mm512_cvtph_ps(halves);
#elif defined(__AVX2__)
  __m128i halves;
  memcpy(&halves, p, sizeof halves);
  return (Vec)_mm256_cvtph_ps(halves);
#else
  HalfVec halves;
  memcpy(&halves, p, sizeof halves);
  // The exponent's bias changes by a multiplication, which serves denormal numbers
  // too; infinities and what is no number keep an exponent of all ones.
  const UintVec bits = __builtin_convertvector(halves, UintVec);
  const UintVec size = (bits & 0x7fffu) << 13;
  const Vec finite = (Vec)size * 0x1p112f;
  const UintVec endless = size | 0x7f800000u;
  const UintVec value = size >= 0x0f800000u ? endless : (UintVec)finite;
  return (Vec)(value | (bits & 0x8000u) << 16);
#endif
}
inline UintVec load_weights(const BFloat16* p) { return load_words(p); }

inline Vec splat_step(const float* p) { return splat(*p); }
inline UintVec splat_step(const BFloat16* p) { return splat_word(p); }

inline Vec add_step(Vec sum, Vec a, Vec b) { return fused(a, b, sum); }
inline Vec add_step(Vec sum, UintVec a, UintVec b) { return add_products(sum, a, b); }

// --- weights -------------------------------------------------------------------------

// A step's numbers as lanes of 32 bits, and back.
inline Vec load_lanes(const float* p) { return load(p); }
inline Vec load_lanes(const BFloat16* p) { return (Vec)load_weights(p); }
inline Vec load_lanes(const Float16* p) {
  HalfVec halves;
  memcpy(&halves, p, sizeof halves);
  return (Vec) __builtin_convertvector(halves, UintVec);
}
inline void store_lanes(float* p, Vec v) { store(p, v); }
inline void store_lanes(BFloat16* p, Vec v) { memcpy(p, &v, sizeof v); }
inline void store_lanes(Float16* p, Vec v) {
  const HalfVec halves = __builtin_convertvector((UintVec)v, HalfVec);
  memcpy(p, &halves, sizeof halves);
}

// [panel][step][column of the panel][number of the step]
template <class W>
void pack(const W* weight, size_t out, size_t in, W* packed) {
  const size_t steps = in / kStep<W>;
  const size_t whole = steps / kLanes * kLanes;
  for (size_t first = 0; first < out; first += kPanel, packed += kPanel * in) {
    for (size_t c = 0; c < kPanel; c += kLanes) {
      const size_t column = first + c;
      const size_t real = column >= out ? 0 : (out - column < kLanes ? out - column : kLanes);
      const W* rows = weight + column * in;
      for (size_t step = 0; step < whole; step += kLanes) {
        Vec square[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          square[i] =
              (size_t)i < real ? load_lanes(rows + (size_t)i * in + step * kStep<W>) : Vec{};
        }
        transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          store_lanes(packed + ((step + (size_t)i) * kPanel + c) * kStep<W>, square[i]);
        }
      }
      for (size_t step = whole; step < steps; ++step) {
        for (size_t i = 0; i < kLanes; ++i) {
          for (size_t k = 0; k < kStep<W>; ++k) {
            packed[(step * kPanel + c + i) * kStep<W> + k] =
                i < real ? rows[i * in + step * kStep<W> + k] : W{};
          }
        }
      }
    }
  }
}

// --- product -------------------------------------------------------------------------

// A tile's part of a panel: `steps` from `first_step` on. Their sums are added to `sums`,
// and at the end to `y`.
template <class T, class W>
struct TilePart {
  const T* x;  // the rows from their first number on
  size_t x_stride;
  const W* panel;  // from its first step on
  size_t first_step;
  size_t steps;
  const char* ahead;  // a cache line of it is sent for at each step
  float* sums;        // (rows, kPanel)
  bool last;
  const float* bias;  // of the panel's columns
  size_t columns;     // of them, up to kPanel
  bool gelu;
  T* y;  // from the panel's first column on
  size_t y_stride;
};

inline Vec activate(float*, Vec v) { return gelu(v); }
inline Vec activate(BFloat16*, Vec v) { return gelu_roughly(v); }

template <int kRows, class T, class W>
inline void tile(const TilePart<T, W>& part) {
  const T* rows[kRows];
  Vec sums[kRows][kTileVecs];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    rows[i] = part.x + (size_t)i * part.x_stride + part.first_step * kStep<W>;
#pragma GCC unroll 4
    for (int c = 0; c < kTileVecs; ++c) sums[i][c] = Vec{};
  }
  const W* panel = part.panel + part.first_step * kPanel * kStep<W>;
  for (size_t step = 0; step < part.steps; ++step) {
    __builtin_prefetch(part.ahead + step * kCacheLine, 0, 2);
    decltype(load_weights(panel)) b[kTileVecs];
#pragma GCC unroll 4
    for (int c = 0; c < kTileVecs; ++c) {
      b[c] = load_weights(panel + (step * kPanel + (size_t)(c * kLanes)) * kStep<W>);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const auto a = splat_step(rows[i] + step * kStep<W>);
#pragma GCC unroll 4
      for (int c = 0; c < kTileVecs; ++c) sums[i][c] = add_step(sums[i][c], a, b[c]);
    }
  }
  if (part.first_step > 0) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileVecs; ++c) {
        sums[i][c] += load(part.sums + (size_t)i * kPanel + c * kLanes);
      }
    }
  }
  if (!part.last) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileVecs; ++c) {
        store(part.sums + (size_t)i * kPanel + c * kLanes, sums[i][c]);
      }
    }
    return;
  }
#pragma GCC unroll 4
  for (int c = 0; c < kTileVecs; ++c) {
    const Vec bias = load(part.bias + c * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      T* y = part.y + (size_t)i * part.y_stride + c * kLanes;
      Vec v = sums[i][c] + bias;
      if (part.gelu) v = activate(y, v);
      store_within(y, v, c * kLanes, part.columns);
    }
  }
}

template <class T, class W>
void product(const T* x, size_t x_stride, size_t rows, const TileWeights<W>& w, bool gelu, T* y,
             size_t y_stride) {
  const size_t steps = w.in / kStep<W>;
  const W* const end = w.packed + channels(w.out) * w.in;
  alignas(64) float sums[kBlockRows * kPanel];
  for (size_t begin = 0; begin < rows; begin += kBlockRows) {
    const size_t count = rows - begin < kBlockRows ? rows - begin : kBlockRows;
    for (size_t column = 0; column < w.out; column += kPanel) {
      for (size_t step = 0; step < steps; step += kBlockSteps) {
        TilePart<T, W> part;
        part.x_stride = x_stride;
        part.panel = w.packed + column * w.in;
        part.first_step = step;
        part.last = steps - step <= kBlockSteps;
        part.steps = part.last ? steps - step : kBlockSteps;
        part.bias = w.bias + column;
        part.columns = w.out - column;
        part.gelu = gelu;
        part.y_stride = y_stride;
        const char* const here = (const char*)(part.panel + step * kPanel * kStep<W>);
        const char* const next = here + part.steps * kStepBytes<W>;
        const size_t left = (size_t)((const char*)end - next);
        const size_t most = kBlockSteps * kStepBytes<W>;
        const Ahead ahead{next, left < most ? left : most, here};
        in_tiles(count, [&](auto height, size_t first, size_t t) {
          part.ahead = ahead.of(t, part.steps);
          part.x = x + (begin + first) * x_stride;
          part.sums = sums + first * kPanel;
          part.y = y + (begin + first) * y_stride + column;
          tile<height.rows>(part);
        });
      }
    }
  }
}

}  // namespace

extern const TileKernels<float, float> kFloatTileKernels;
extern const TileKernels<float, Float16> kHalfTileKernels;
extern const TileKernels<BFloat16, BFloat16> kBFloat16TileKernels;
const TileKernels<float, float> kFloatTileKernels = {channels, pack<float>, product<float, float>};
const TileKernels<float, Float16> kHalfTileKernels = {channels, pack<Float16>,
                                                      product<float, Float16>};
const TileKernels<BFloat16, BFloat16> kBFloat16TileKernels = {channels, pack<BFloat16>,
                                                              product<BFloat16, BFloat16>};

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
