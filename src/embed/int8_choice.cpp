#include "embed/int8_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <vector>

namespace knowmap {

namespace {

using Mode = SwitchableLinear::Mode;

// Over hundreds of articles the lowest cosine lay up to this many times as far
// from 1 as the mean did.
constexpr double kTail = 2.0;

Cosines cosines(const Matrix& a, const Matrix& b) {
  Cosines result;
  double total = 0;
  for (std::size_t i = 0; i < a.rows(); ++i) {
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t j = 0; j < a.cols(); ++j) {
      const double x = a.row(i)[j];
      const double y = b.row(i)[j];
      dot += x * y;
      aa += x * x;
      bb += y * y;
    }
    const double cosine = aa > 0 && bb > 0 ? dot / std::sqrt(aa * bb) : (aa == bb ? 1.0 : 0.0);
    total += cosine;
    result.lowest = std::min(result.lowest, cosine);
  }
  if (a.rows() > 0) result.mean = total / static_cast<double>(a.rows());
  return result;
}

}  // namespace

bool Cosines::keep(double wanted) const {
  return lowest >= wanted && 1 - kTail * (1 - mean) >= wanted;
}

std::string Int8Choice::text() const {
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(),
                "%zu of %zu products in 8 bits (%.0f %% of the work; %.1f times as fast as the "
                "others); on the probe texts cosine to float32 %.5f in the mean, %.5f at the "
                "lowest, without 8 bits %.5f",
                int8_products, products, 100 * work_share, speed, chosen.mean, chosen.lowest,
                own.lowest);
  return line.data();
}

double int8_speed(std::span<SwitchableLinear* const> linears) {
  // A layer's products; the others have the same sizes.
  constexpr std::size_t kEnough = 4;
  double own = 0;
  double int8 = 0;
  for (const SwitchableLinear* linear : linears.first(std::min(kEnough, linears.size()))) {
    own += linear->seconds(Mode::own);
    int8 += linear->seconds(Mode::int8);
  }
  return int8 > 0 ? own / int8 : 0;
}

Int8Choice choose_int8(std::span<SwitchableLinear* const> linears,
                       const std::function<Matrix()>& embed, const Matrix& reference, double wanted,
                       double speed) {
  const std::size_t n = linears.size();
  const auto set_all = [&](Mode mode) {
    for (SwitchableLinear* linear : linears) linear->set_mode(mode);
  };
  // The first `kept` of `order` stay in their own format.
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto measure = [&](std::size_t kept) {
    for (std::size_t i = 0; i < n; ++i) {
      linears[order[i]]->set_mode(i < kept ? Mode::own : Mode::int8);
    }
    return cosines(reference, embed());
  };
  const auto measure_own = [&] {
    set_all(Mode::compare);
    return cosines(reference, embed());
  };
  Int8Choice choice;
  choice.products = n;
  choice.speed = speed;
  std::size_t kept = n;
  choice.own = measure_own();
  choice.chosen = choice.own;
  const Cosines all = measure(0);
  if (all.keep(wanted)) {
    kept = 0;
    choice.chosen = all;
  } else {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return linears[a]->error() > linears[b]->error();
    });
    // Keeping none is too few; keeping all is as near as it can be.
    std::size_t too_few = 0;
    while (kept - too_few > 1) {
      const std::size_t middle = too_few + (kept - too_few) / 2;
      const Cosines here = measure(middle);
      if (here.keep(wanted)) {
        kept = middle;
        choice.chosen = here;
      } else {
        too_few = middle;
      }
    }
  }

  choice.int8_products = n - kept;
  choice.mask = std::string(n, '1');
  for (std::size_t i = 0; i < kept; ++i) choice.mask[order[i]] = '0';
  double work = 0;
  double int8_work = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const bool int8 = choice.mask[i] == '1';
    linears[i]->set_mode(int8 ? Mode::int8 : Mode::own);
    linears[i]->settle();
    work += static_cast<double>(linears[i]->work());
    if (int8) int8_work += static_cast<double>(linears[i]->work());
  }
  choice.work_share = work > 0 ? int8_work / work : 0;
  return choice;
}

}  // namespace knowmap
