#pragma once

namespace knowmap::umap {

/// The curve 1 / (1 + a d^2b) that comes nearest to exp(-(d - min_dist) / spread)
/// beyond min_dist and 1 before it, by least squares over 300 points up to
/// 3 * spread, as umap-learn's `find_ab_params` takes them.
struct Curve {
  double a;
  double b;
};

Curve fit_curve(double min_dist, double spread);

}  // namespace knowmap::umap
