#include "umap/layout.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

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

/// Groups of pairs. More make it more like one edge at a time, and cost a round
/// of all vertices each; with many vertices few of a vertex's neighbours move at
/// a time anyway.
std::size_t groups_for(std::size_t n) { return n <= 50000 ? 8 : 4; }
/// Up to this many vertices a pass is run by the calling thread: waking others
/// would take longer.
constexpr std::size_t kAlone = 512;

/// The group of a pair, the same from both its ends.
std::size_t group_of(std::size_t a, std::size_t b, std::size_t groups) {
  const std::uint64_t pair = static_cast<std::uint64_t>(std::min(a, b)) << 32 | std::max(a, b);
  return mix(pair + 0x9e3779b97f4a7c15ULL) % groups;
}

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
    : options_(options),
      groups_(groups_for(graph.rows())),
      offsets_(graph.rows() * groups_ + 1),
      tails_(graph.size()),
      rates_(graph.size()),
      positions_(std::move(start)),
      next_(positions_.rows(), positions_.cols()) {
  const std::size_t n = graph.rows();
  float largest = 0;
  for (const float w : graph.weights) largest = std::max(largest, w);
  const std::vector<std::uint32_t> rates = sample_rates(graph.weights, largest);
  // A group's edges lie together, so that a pass reads no others.
  std::vector<std::uint8_t> groups(graph.size());
  for (std::size_t v = 0; v < n; ++v) {
    for (std::size_t e = graph.offsets[v]; e < graph.offsets[v + 1]; ++e) {
      const std::size_t g = group_of(v, static_cast<std::size_t>(graph.columns[e]), groups_);
      groups[e] = static_cast<std::uint8_t>(g);
      ++offsets_[g * n + v + 1];
    }
  }
  for (std::size_t at = 0; at + 1 < offsets_.size(); ++at) offsets_[at + 1] += offsets_[at];
  std::vector<std::size_t> next(offsets_.begin(), offsets_.end() - 1);
  for (std::size_t v = 0; v < n; ++v) {
    for (std::size_t e = graph.offsets[v]; e < graph.offsets[v + 1]; ++e) {
      const std::size_t at = next[groups[e] * n + v]++;
      tails_[at] = graph.columns[e];
      rates_[at] = rates[e];
    }
  }
  for (std::size_t v = 0; v < graph.rows(); v += kLayoutGrain) {
    const std::size_t end = std::min(graph.rows(), v + kLayoutGrain);
    widest_ = std::max(widest_, graph.offsets[end] - graph.offsets[v]);
  }
}

void Layout::run_pass(const LayoutStep& step, Workers& workers, Monitor* monitor) {
  const LayoutKernel kernel = layout_kernel();
  const auto move = [&](std::size_t begin, std::size_t end, int worker) {
    LayoutScratch scratch;
    auto& tails = scratch_[static_cast<std::size_t>(worker)];
    tails.resize(widest_ + 16);
    scratch.tails = tails.data();
    kernel(step, begin, end, scratch);
  };
  const std::size_t n = positions_.rows();
  if (n <= kAlone) {
    for (std::size_t begin = 0; begin < n; begin += kLayoutGrain) {
      move(begin, std::min(n, begin + kLayoutGrain), 0);
    }
  } else {
    workers.run_ranges(n, kLayoutGrain, move, monitor);
  }
}

void Layout::run(std::size_t epochs, Workers& workers, Monitor* monitor) {
  scratch_.resize(static_cast<std::size_t>(workers.size()));
  LayoutStep step{};
  step.dims = positions_.cols();
  step.n_others = static_cast<std::uint32_t>(positions_.rows());
  step.tails = tails_.data();
  step.rates = rates_.data();
  step.same = true;
  step.a = options_.a;
  step.b = options_.b;
  step.gamma = options_.repulsion_strength;
  const std::uint32_t negatives = options_.negative_sample_rate;
  for (const std::size_t last = std::min(options_.n_epochs, epoch_ + epochs); epoch_ < last;
       ++epoch_) {
    step.epoch = static_cast<std::uint32_t>(epoch_);
    step.alpha = learning_rate_at(options_.learning_rate, epoch_, options_.n_epochs);
    // In the first epoch nothing is sampled: no period has gone yet.
    for (std::size_t pass = 0; epoch_ > 0 && pass < 2 * groups_; ++pass) {
      step.positions = positions_.data();
      step.others = positions_.data();
      step.next = next_.data();
      step.offsets = offsets_.data() + pass % groups_ * positions_.rows();
      step.negatives = pass < groups_ ? (negatives + 1) / 2 : negatives / 2;
      step.key = random_bits(options_.seed, RandomStage::negative, epoch_, pass);
      run_pass(step, workers, monitor);
      std::swap(positions_, next_);
    }
    if (monitor != nullptr) {
      monitor->add(1);
      monitor->poll();
      monitor->throw_if_cancelled();
    }
  }
}

}  // namespace knowmap::umap
