#pragma once

#include <cstdint>

namespace knowmap {

/// What a random number is for. Part of its key, so that two stages with one
/// seed never share a sequence.
enum class RandomStage : std::uint64_t {
  partition = 1,  ///< neighbours: leaders of the random partitions
  descent,        ///< neighbours: NN-descent's samples
  initial,        ///< UMAP: the start of the layout
  spectral,       ///< UMAP: the eigensolver's first block
  negative,       ///< UMAP: negative samples
  transform,      ///< UMAP: negative samples for new rows
  regions,        ///< labels: starts of the clustering
  sample,         ///< rows drawn to measure on
};

/// A bijection that mixes well (the finaliser of SplitMix64, Steele, Lea and
/// Flood 2014).
constexpr std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// 64 random bits for a key. There is no state: the number depends on its key
/// alone, never on which thread asks or when.
constexpr std::uint64_t random_bits(std::uint64_t seed, RandomStage stage, std::uint64_t item,
                                    std::uint64_t step = 0) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  std::uint64_t key = mix(seed + kGolden * static_cast<std::uint64_t>(stage));
  key = mix(key ^ (item + kGolden));
  return mix(key ^ (step * kGolden + 1));
}

/// Maps 64 random bits to [0, bound) without division (Lemire 2019).
constexpr std::uint32_t bounded(std::uint64_t bits, std::uint32_t bound) {
  return static_cast<std::uint32_t>(((bits >> 32) * bound) >> 32);
}

/// Maps 64 random bits to [0, 1).
constexpr double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace knowmap
