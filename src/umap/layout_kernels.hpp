#pragma once

#include <cstddef>
#include <cstdint>

namespace knowmap::umap {

/// A part of an epoch of the layout, as the kernels see it. A plain record: kernels are
/// compiled for several instruction sets and share no inline code.
struct LayoutStep {
  /// (n, dims) positions of the vertices that move, not changed by the step...
  const float* positions;
  /// ...which writes here.
  float* next;
  /// (n_others, dims) positions of the vertices that attract and repel.
  const float* others;
  std::size_t dims;
  std::uint32_t n_others;
  /// The edges at work: those of v are at [offsets[v], offsets[v + 1]).
  const std::size_t* offsets;
  const std::int32_t* tails;
  /// Their heads, counted from the first vertex of the call's range.
  const std::uint8_t* heads;
  /// Samples an epoch, in 2^-31.
  const std::uint32_t* rates;
  /// An edge is sampled when epoch * rate passes a whole number.
  std::uint32_t epoch;
  /// Random others that each sample pushes away.
  std::uint32_t negatives;
  /// Keys of the random negatives: of this part, and of each vertex (null: its number).
  std::uint64_t key;
  const std::uint32_t* vertex_keys;
  /// Whether `others` are the vertices themselves: none repels itself.
  bool same;
  /// Whether a vertex with few samples is drawn to all their tails from where it stood
  /// when the pass began: the two ends of a pair then take opposite steps.
  bool opposed;
  float a;
  float b;
  float gamma;
  float alpha;
};

/// Vertices in a call at most, so that scratch space is small.
inline constexpr std::size_t kLayoutGrain = 256;
static_assert(kLayoutGrain <= 256, "heads are bytes");

/// Lists of the edges sampled in this part. `tails` holds the range's edges and 16 more.
/// They are made in a group's first pass of an epoch; where they are kept for
/// its second, `listed` is set in between.
struct LayoutScratch {
  std::int32_t* tails;
  bool listed;
  std::uint32_t idle;  ///< vertices without a sample, first in `order`
  std::uint32_t begins[kLayoutGrain];
  std::uint32_t counts[kLayoutGrain];
  std::uint32_t order[kLayoutGrain + 32];
};

/// Moves the vertices [begin, end). Each depends on `positions`, `others` and its
/// own edges alone.
using LayoutKernel = void (*)(const LayoutStep& step, std::size_t begin, std::size_t end,
                              LayoutScratch& scratch);
LayoutKernel layout_kernel();

/// The forces' coefficients at squared distances `d2`, for tests: attraction and
/// repulsion (gamma 1) without clipping or learning rate. `n` is a multiple of 16.
using ForceKernel = void (*)(const float* d2, std::size_t n, float a, float b, float* attract,
                             float* repel);
ForceKernel force_kernel();

}  // namespace knowmap::umap
