#include "umap/curve.hpp"

#include <cmath>

namespace knowmap::umap {

namespace {

constexpr int kPoints = 300;

struct Sums {
  double error = 0;
  double aa = 0, ab = 0, bb = 0;  // the normal equations' matrix
  double ga = 0, gb = 0;          // and right-hand side
};

Sums sums_at(double a, double b, double min_dist, double spread) {
  Sums s;
  for (int i = 0; i < kPoints; ++i) {
    const double x = 3 * spread * i / (kPoints - 1);
    const double y = x < min_dist ? 1 : std::exp(-(x - min_dist) / spread);
    const double power = x > 0 ? std::pow(x, 2 * b) : 0;
    const double f = 1 / (1 + a * power);
    const double rest = y - f;
    const double da = -f * f * power;
    const double db = x > 0 ? -f * f * a * power * 2 * std::log(x) : 0;
    s.error += rest * rest;
    s.aa += da * da;
    s.ab += da * db;
    s.bb += db * db;
    s.ga += da * rest;
    s.gb += db * rest;
  }
  return s;
}

}  // namespace

Curve fit_curve(double min_dist, double spread) {
  // Levenberg-Marquardt in log a, log b: both stay positive, whatever the scale.
  double u = 0;
  double v = 0;
  double damping = 1e-3;
  Sums at = sums_at(1, 1, min_dist, spread);
  for (int step = 0; step < 200; ++step) {
    const double a = std::exp(u);
    const double b = std::exp(v);
    const double aa = at.aa * a * a * (1 + damping);
    const double bb = at.bb * b * b * (1 + damping);
    const double ab = at.ab * a * b;
    const double det = aa * bb - ab * ab;
    if (!(std::abs(det) > 0)) break;
    const double du = (at.ga * a * bb - at.gb * b * ab) / det;
    const double dv = (at.gb * b * aa - at.ga * a * ab) / det;
    const Sums there = sums_at(std::exp(u + du), std::exp(v + dv), min_dist, spread);
    if (there.error <= at.error) {
      u += du;
      v += dv;
      at = there;
      damping = damping * 0.3;
      if (std::abs(du) + std::abs(dv) < 1e-12) break;
    } else {
      damping = damping * 10 + 1e-12;
      if (damping > 1e12) break;
    }
  }
  return {std::exp(u), std::exp(v)};
}

}  // namespace knowmap::umap
