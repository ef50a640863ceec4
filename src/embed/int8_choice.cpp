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

struct Cosines {
  double mean = 1;
  double lowest = 1;

  bool keep(double wanted) const { return lowest >= wanted && 1 - kTail * (1 - mean) >= wanted; }
};

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

std::string Int8Choice::text() const {
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(),
                "%zu of %zu products in 8 bits (%.0f %% of the work); on the probe texts cosine "
                "%.5f in the mean, %.5f at the lowest",
                int8_products, products, 100 * work_share, mean_cosine, lowest_cosine);
  return line.data();
}

Int8Choice choose_int8(std::span<SwitchableLinear* const> linears,
                       const std::function<Matrix()>& embed, double wanted) {
  const std::size_t n = linears.size();
  const auto set_all = [&](Mode mode) {
    for (SwitchableLinear* linear : linears) linear->set_mode(mode);
  };
  set_all(Mode::watch);
  const Matrix reference = embed();
  for (SwitchableLinear* linear : linears) linear->prepare();

  // The first `kept` of `order` stay in their own format.
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto measure = [&](std::size_t kept) {
    for (std::size_t i = 0; i < n; ++i) {
      linears[order[i]]->set_mode(i < kept ? Mode::own : Mode::int8);
    }
    return cosines(reference, embed());
  };
  std::size_t kept = 0;
  Cosines cost = measure(0);
  if (!cost.keep(wanted)) {
    set_all(Mode::compare);
    embed();
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return linears[a]->error() > linears[b]->error();
    });
    // Keeping none is too few, keeping all is enough.
    std::size_t too_few = 0;
    std::size_t enough = n;
    Cosines cost_of_enough;
    while (enough - too_few > 1) {
      const std::size_t middle = too_few + (enough - too_few) / 2;
      const Cosines here = measure(middle);
      if (here.keep(wanted)) {
        enough = middle;
        cost_of_enough = here;
      } else {
        too_few = middle;
      }
    }
    kept = enough;
    cost = cost_of_enough;
  }

  Int8Choice choice{n - kept, n, 0, cost.mean, cost.lowest, std::string(n, '1')};
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
