#include "umap/serial_layout.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "support/random.hpp"

namespace knowmap::umap {

namespace {

using State = std::array<std::int64_t, 3>;

/// L'Ecuyer's combined Tausworthe generator (1996) as umap-learn keeps it: in
/// 64-bit registers, whose upper bits still count in the first draws.
std::int32_t draw(State& state) {
  constexpr std::int64_t kLow = 0xffffffff;
  const auto left = [](std::int64_t x, int by) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) << by) & kLow;
  };
  constexpr std::array<std::int64_t, 3> kMask = {4294967294, 4294967288, 4294967280};
  constexpr std::array<int, 3> kFirst = {12, 4, 17};
  constexpr std::array<int, 3> kSecond = {13, 2, 3};
  constexpr std::array<int, 3> kThird = {19, 25, 11};
  std::int64_t all = 0;
  for (std::size_t r = 0; r < 3; ++r) {
    state[r] = left(state[r] & kMask[r], kFirst[r]) ^
               ((left(state[r], kSecond[r]) ^ state[r]) >> kThird[r]);
    all ^= state[r];
  }
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(all));
}

double clipped(double x) { return std::clamp(x, -4.0, 4.0); }

}  // namespace

State serial_state(std::uint64_t seed) {
  State state;
  for (std::size_t r = 0; r < 3; ++r) {
    state[r] = static_cast<std::int32_t>(
        static_cast<std::uint32_t>(random_bits(seed, RandomStage::negative, r) >> 32));
  }
  return state;
}

SerialLayout::SerialLayout(const SparseGraph& graph, Matrix start, const LayoutOptions& options,
                           const State& state)
    : graph_(graph),
      options_(options),
      positions_(std::move(start)),
      period_(epochs_per_sample(graph.weights, options.n_epochs)),
      next_sample_(period_),
      next_negative_(period_),
      states_(graph.rows(), state) {
  for (double& next : next_negative_) next /= options.negative_sample_rate;
  for (std::size_t v = 0; v < graph.rows(); ++v) {
    const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(positions_(v, 0)));
    for (std::int64_t& s : states_[v]) {
      s = static_cast<std::int64_t>(static_cast<std::uint64_t>(s) + bits);
    }
  }
}

void SerialLayout::run(std::size_t epochs, Monitor* monitor) {
  const std::size_t dims = positions_.cols();
  const auto n_vertices = static_cast<std::int64_t>(positions_.rows());
  const auto a = static_cast<double>(options_.a);
  const auto b = static_cast<double>(options_.b);
  const auto gamma = static_cast<double>(options_.repulsion_strength);
  const auto rate = static_cast<double>(options_.negative_sample_rate);
  const auto squared_distance = [&](const float* x, const float* y) {
    float sum = 0;
    for (std::size_t d = 0; d < dims; ++d) sum += (x[d] - y[d]) * (x[d] - y[d]);
    return static_cast<double>(sum);
  };
  for (const std::size_t last = std::min(options_.n_epochs, epoch_ + epochs); epoch_ < last;
       ++epoch_) {
    const auto now = static_cast<double>(epoch_);
    const auto alpha =
        static_cast<double>(learning_rate_at(options_.learning_rate, epoch_, options_.n_epochs));
    for (std::size_t v = 0; v < graph_.rows(); ++v) {
      float* current = positions_.row(v);
      for (std::size_t e = graph_.offsets[v]; e < graph_.offsets[v + 1]; ++e) {
        if (!(next_sample_[e] <= now)) continue;
        float* other = positions_.row(static_cast<std::size_t>(graph_.columns[e]));
        const double d2 = squared_distance(current, other);
        const double pull =
            d2 > 0 ? -2 * a * b * std::pow(d2, b - 1) / (a * std::pow(d2, b) + 1) : 0.0;
        for (std::size_t d = 0; d < dims; ++d) {
          const double step =
              clipped(pull * (static_cast<double>(current[d]) - static_cast<double>(other[d]))) *
              alpha;
          current[d] = static_cast<float>(static_cast<double>(current[d]) + step);
          other[d] = static_cast<float>(static_cast<double>(other[d]) - step);
        }
        next_sample_[e] += period_[e];
        const double negative_period = period_[e] / rate;
        const auto negatives = static_cast<int>((now - next_negative_[e]) / negative_period);
        for (int draws = 0; draws < negatives; ++draws) {
          std::int64_t k = draw(states_[v]) % n_vertices;
          if (k < 0) k += n_vertices;  // Python's remainder
          const float* far = positions_.row(static_cast<std::size_t>(k));
          const double away2 = squared_distance(current, far);
          if (!(away2 > 0)) continue;
          const double push = 2 * gamma * b / ((0.001 + away2) * (a * std::pow(away2, b) + 1));
          for (std::size_t d = 0; d < dims; ++d) {
            const double step =
                clipped(push * (static_cast<double>(current[d]) - static_cast<double>(far[d])));
            current[d] = static_cast<float>(static_cast<double>(current[d]) + step * alpha);
          }
        }
        // Rounded once, as umap-learn's compiler has it: whether one more fits may hang on it.
        next_negative_[e] = std::fma(negatives, negative_period, next_negative_[e]);
      }
      if (monitor != nullptr && v % 256 == 0) {
        monitor->poll();
        monitor->throw_if_cancelled();
      }
    }
    if (monitor != nullptr) monitor->add(1);
  }
}

}  // namespace knowmap::umap
