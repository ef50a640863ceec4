#pragma once

// How products are cut into tiles, for files that are compiled once for each instruction
// set (knowmap_add_kernels): all of it stays within such a file.

#include "model/cpu_vec.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

// A tile is at most kTileRows rows by kTileVecs vectors of columns, its sums in
// registers: 24 of 32 with AVX-512, 12 of 16 with AVX2, 4 elsewhere.
#if defined(__AVX512F__)
constexpr int kTileRows = 6;
constexpr int kTileVecs = 4;
#elif defined(__AVX2__)
constexpr int kTileRows = 4;
constexpr int kTileVecs = 3;
#else
constexpr int kTileRows = 2;
constexpr int kTileVecs = 2;
#endif
constexpr size_t kPanel = (size_t)kTileVecs * kLanes;  // columns, laid out together

// Output channels with those that fill up the last panel.
size_t channels(size_t out) { return round_up(out, kPanel); }

// A tile's number of rows, known to the compiler.
template <int kRows>
struct Height {
  static constexpr int rows = kRows;
};

template <int kMost, class Tile>
inline void with_height(size_t rows, const Tile& tile) {
  if constexpr (kMost == 1) {
    tile(Height<1>());
  } else if (rows == kMost) {
    tile(Height<kMost>());
  } else {
    with_height<kMost - 1>(rows, tile);
  }
}

// Calls tile(height, first row, number) for tiles as even as can be: a small one costs
// nearly as much as a large one.
template <class Tile>
inline void in_tiles(size_t rows, const Tile& tile) {
  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (size_t t = 0; t < tiles; ++t) {
    const size_t first = t * rows / tiles;
    with_height<kTileRows>((t + 1) * rows / tiles - first,
                           [&](auto height) { tile(height, first, t); });
  }
}

// Weights that come after a block of a panel: while the first tiles go through the block,
// each of their steps sends for a cache line of them.
struct Ahead {
  const char* next;
  size_t bytes;      // of it, 0 at the end
  const char* here;  // what is there already, for the tiles that have nothing to send for

  const char* of(size_t tile, size_t steps) const {
    const size_t begin = tile * steps * kCacheLine;
    return begin < bytes ? next + begin : here;
  }
};

}  // namespace

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
