#include "umap/layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "support/isa.hpp"
#include "support/random.hpp"

namespace knowmap::umap {

namespace generic {
extern const LayoutKernel kLayout;
extern const ForceKernel kForces;
}  // namespace generic
#if defined(KNOWMAP_X86)
namespace avx2 {
extern const LayoutKernel kLayout;
extern const ForceKernel kForces;
}  // namespace avx2
namespace avx512 {
extern const LayoutKernel kLayout;
extern const ForceKernel kForces;
}  // namespace avx512
#endif

LayoutKernel layout_kernel() {
#if defined(KNOWMAP_X86)
  if (best_isa() == Isa::avx512) return avx512::kLayout;
  if (best_isa() == Isa::avx2) return avx2::kLayout;
#endif
  return generic::kLayout;
}

ForceKernel force_kernel() {
#if defined(KNOWMAP_X86)
  if (best_isa() == Isa::avx512) return avx512::kForces;
  if (best_isa() == Isa::avx2) return avx2::kForces;
#endif
  return generic::kForces;
}

namespace {

/// Vertices that move from the same frozen positions: an n-th of all, so that
/// most moves are answered within an epoch, but enough to keep threads busy.
constexpr std::size_t kBlocks = 8;
/// Below this many vertices a block is run by the calling thread: waking others
/// would take longer.
constexpr std::size_t kAlone = 512;

}  // namespace

std::vector<std::uint32_t> sample_rates(std::span<const float> weights, float largest) {
  std::vector<std::uint32_t> rates(weights.size());
  for (std::size_t e = 0; e < weights.size(); ++e) {
    const double share = static_cast<double>(weights[e]) / static_cast<double>(largest);
    rates[e] = static_cast<std::uint32_t>(std::lround(std::min(1.0, share) * 0x1p31));
  }
  return rates;
}

float learning_rate_at(float initial, std::size_t epoch, std::size_t n_epochs) {
  // umap-learn lowers the rate after an epoch by that epoch's number.
  const double gone = epoch == 0 ? 0 : static_cast<double>(epoch - 1);
  return static_cast<float>(static_cast<double>(initial) *
                            (1 - gone / static_cast<double>(n_epochs)));
}

Layout::Layout(const SparseGraph& graph, Matrix start, const LayoutOptions& options)
    : graph_(graph),
      options_(options),
      positions_(std::move(start)),
      next_(positions_.rows(), positions_.cols()) {
  float largest = 0;
  for (const float w : graph.weights) largest = std::max(largest, w);
  rates_ = sample_rates(graph.weights, largest);
  for (std::size_t v = 0; v < graph.rows(); v += kLayoutGrain) {
    const std::size_t end = std::min(graph.rows(), v + kLayoutGrain);
    widest_ = std::max(widest_, graph.offsets[end] - graph.offsets[v]);
  }
}

void Layout::run_block(LayoutStep& step, std::size_t begin, std::size_t end, Workers& workers,
                       Monitor* monitor) {
  const LayoutKernel kernel = layout_kernel();
  const auto move = [&](std::size_t first, std::size_t last, int worker) {
    LayoutScratch scratch;
    auto& tails = scratch_[static_cast<std::size_t>(worker)];
    tails.resize(2 * widest_ + 16);
    scratch.tails = tails.data();
    kernel(step, begin + first, begin + last, scratch);
  };
  const std::size_t n = end - begin;
  if (n <= kAlone) {
    for (std::size_t first = 0; first < n; first += kLayoutGrain) {
      move(first, std::min(n, first + kLayoutGrain), 0);
    }
  } else {
    workers.run_ranges(n, kLayoutGrain, move, monitor);
  }
  std::memcpy(positions_.row(begin), next_.row(begin), n * positions_.cols() * sizeof(float));
}

void Layout::run(std::size_t epochs, Workers& workers, Monitor* monitor) {
  const std::size_t n = positions_.rows();
  scratch_.resize(static_cast<std::size_t>(workers.size()));
  LayoutStep step{};
  step.positions = positions_.data();
  step.next = next_.data();
  step.others = positions_.data();
  step.dims = positions_.cols();
  step.n_others = static_cast<std::uint32_t>(n);
  step.offsets = graph_.offsets.data();
  step.tails = graph_.columns.data();
  step.rates = rates_.data();
  step.attractions = 2;
  step.negatives = options_.negative_sample_rate;
  step.same = true;
  step.a = options_.a;
  step.b = options_.b;
  step.gamma = options_.repulsion_strength;
  static const std::size_t blocks_n = std::getenv("KB") ? std::atoi(std::getenv("KB")) : kBlocks;
  const std::size_t blocks = std::min(blocks_n, std::max<std::size_t>(n, 1));
  for (const std::size_t last = std::min(options_.n_epochs, epoch_ + epochs); epoch_ < last;
       ++epoch_) {
    step.epoch = static_cast<std::uint32_t>(epoch_);
    step.key = random_bits(options_.seed, RandomStage::negative, epoch_);
    step.alpha = learning_rate_at(options_.learning_rate, epoch_, options_.n_epochs);
    if (epoch_ > 0) {  // nothing is sampled before one period has gone
      for (std::size_t b = 0; b < blocks; ++b) {
        run_block(step, n * b / blocks, n * (b + 1) / blocks, workers, monitor);
      }
    }
    if (monitor != nullptr) {
      monitor->add(1);
      monitor->poll();
      monitor->throw_if_cancelled();
    }
  }
}

}  // namespace knowmap::umap
