#include "umap/layout.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
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

/// Up to this many vertices, passes are so short that what lies between them
/// counts: threads go from pass to pass together.
constexpr std::size_t kShort = 50000;
/// Up to this many the calling thread runs them: waking others would take longer.
constexpr std::size_t kAlone = 2048;
/// Up to this many, the large shape of the map hangs on few vertices, and the finer
/// steps cost little. Tried on 1,797 rows, where they gain, and on 10,033, where they
/// preserve more neighbours and less of the large distances (docs/benchmarks.md).
constexpr std::size_t kFew = 4096;
/// Groups of pairs. More make it more like one edge at a time, and cost a round
/// of all vertices each; with many vertices few of a vertex's neighbours move at
/// a time anyway.
std::size_t groups_for(std::size_t n) { return n <= kFew ? 32 : n <= kShort ? 8 : 4; }

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

bool is_sampled(std::uint32_t rate, std::uint32_t epoch) {
  return ((rate * epoch) & 0x7fffffffu) < rate;
}

float learning_rate_at(float initial, std::size_t epoch, std::size_t n_epochs) {
  // umap-learn lowers the rate after an epoch by that epoch's number.
  const double gone = epoch == 0 ? 0 : static_cast<double>(epoch - 1);
  return static_cast<float>(static_cast<double>(initial) *
                            (1 - gone / static_cast<double>(n_epochs)));
}

Layout::Layout(const SparseGraph& graph, Matrix start, const LayoutOptions& options,
               DensityTerm* density)
    : options_(options),
      groups_(groups_for(graph.rows())),
      offsets_(graph.rows() * groups_ + 1),
      tails_(graph.size()),
      heads_(graph.size()),
      rates_(graph.size()),
      density_(density),
      graph_(density != nullptr ? &graph : nullptr),
      weights_(density != nullptr ? graph.size() : 0),
      ranges_((graph.rows() + kLayoutGrain - 1) / kLayoutGrain),
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
      heads_[at] = static_cast<std::uint8_t>(v % kLayoutGrain);
      rates_[at] = rates[e];
      if (density != nullptr) weights_[at] = graph.weights[e];
    }
  }
}

void Layout::add_density(const LayoutStep& step, std::size_t begin, std::size_t end) const {
  for (std::size_t v = begin; v < end; ++v) {
    const float* own = step.positions + v * step.dims;
    for (std::size_t e = step.offsets[v]; e < step.offsets[v + 1]; ++e) {
      if (!is_sampled(rates_[e], step.epoch)) continue;
      const auto w = static_cast<std::size_t>(tails_[e]);
      const float* other = step.positions + w * step.dims;
      float d2 = 0;
      for (std::size_t d = 0; d < step.dims; ++d) d2 += (own[d] - other[d]) * (own[d] - other[d]);
      const float pull = density_->coefficient(v, w, weights_[e], d2);
      for (std::size_t d = 0; d < step.dims; ++d) {
        step.next[v * step.dims + d] +=
            step.alpha * std::clamp(pull * (own[d] - other[d]), -4.0f, 4.0f);
      }
    }
  }
}

LayoutStep Layout::step_of(std::size_t pass, const float* from, float* to) const {
  LayoutStep step{};
  step.positions = from;
  step.next = to;
  step.others = from;
  step.dims = positions_.cols();
  step.n_others = static_cast<std::uint32_t>(positions_.rows());
  step.offsets = offsets_.data() + pass % groups_ * positions_.rows();
  step.tails = tails_.data();
  step.heads = heads_.data();
  step.rates = rates_.data();
  step.epoch = static_cast<std::uint32_t>(epoch_);
  const std::uint32_t negatives = options_.negative_sample_rate;
  step.negatives = pass < groups_ ? (negatives + 1) / 2 : negatives / 2;
  step.key = random_bits(options_.seed, RandomStage::negative, epoch_, pass);
  step.same = true;
  step.opposed = positions_.rows() <= kFew;
  step.a = options_.a;
  step.b = options_.b;
  step.gamma = options_.repulsion_strength;
  step.alpha = learning_rate_at(options_.learning_rate, epoch_, options_.n_epochs);
  return step;
}

void Layout::run_range(const LayoutStep& step, std::size_t pass, std::size_t range) {
  const std::size_t begin = range * kLayoutGrain;
  const std::size_t end = std::min(positions_.rows(), begin + kLayoutGrain);
  LayoutScratch& scratch = scratch_[pass % groups_ * ranges_ + range];
  scratch.listed = pass >= groups_;
  layout_kernel()(step, begin, end, scratch);
  if (with_density_) add_density(step, begin, end);
}

void Layout::run_epoch(Workers& workers, Monitor* monitor) {
  for (std::size_t pass = 0; pass < 2 * groups_; ++pass) {
    const LayoutStep step = step_of(pass, positions_.data(), next_.data());
    if (positions_.rows() <= kAlone) {
      for (std::size_t range = 0; range < ranges_; ++range) run_range(step, pass, range);
    } else {
      workers.run(
          ranges_, [&](std::size_t range, int) { run_range(step, pass, range); }, monitor);
    }
    std::swap(positions_, next_);
  }
}

void Layout::run_epoch_together(Workers& workers) {
  // Every worker takes one item and stays with it to the epoch's end; between
  // two passes they wait for one another. An even number of passes ends where
  // it began. Nothing in here throws.
  const auto team = static_cast<std::size_t>(workers.size());
  std::barrier<> passed(static_cast<std::ptrdiff_t>(team));
  std::vector<std::atomic<std::size_t>> next(2 * groups_);
  float* places[2] = {positions_.data(), next_.data()};
  workers.run(team, [&](std::size_t, int) {
    for (std::size_t pass = 0; pass < 2 * groups_; ++pass) {
      const LayoutStep step = step_of(pass, places[pass % 2], places[1 - pass % 2]);
      for (std::size_t range;
           (range = next[pass].fetch_add(1, std::memory_order_relaxed)) < ranges_;) {
        run_range(step, pass, range);
      }
      passed.arrive_and_wait();
    }
  });
}

void Layout::make_scratch() {
  if (!scratch_.empty()) return;
  const std::size_t n = positions_.rows();
  // Room for the edges of each range of each group, and 16 more: kernels write
  // whole vectors.
  scratch_.resize(groups_ * ranges_);
  scratch_tails_.resize(tails_.size() + 16 * scratch_.size());
  std::size_t at = 0;
  for (std::size_t list = 0; list < scratch_.size(); ++list) {
    const std::size_t* offsets = offsets_.data() + list / ranges_ * n;
    const std::size_t begin = list % ranges_ * kLayoutGrain;
    scratch_[list].tails = scratch_tails_.data() + at;
    at += offsets[std::min(n, begin + kLayoutGrain)] - offsets[begin] + 16;
  }
}

void Layout::run(std::size_t epochs, Workers& workers, Monitor* monitor) {
  make_scratch();
  const std::size_t n = positions_.rows();
  const bool together = n > kAlone && n <= kShort && workers.size() > 1;
  for (const std::size_t last = std::min(options_.n_epochs, epoch_ + epochs); epoch_ < last;
       ++epoch_) {
    const auto all = static_cast<double>(options_.n_epochs);
    with_density_ = density_ != nullptr && static_cast<double>(epoch_ + 1) >
                                               all * (1 - static_cast<double>(options_.dens_frac));
    if (with_density_) density_->prepare(*graph_, positions_, workers);
    // In the first epoch nothing is sampled: no period has gone yet.
    if (epoch_ > 0) {
      if (together) {
        run_epoch_together(workers);
      } else {
        run_epoch(workers, monitor);
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
