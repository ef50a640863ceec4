#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "knowmap/matrix.hpp"
#include "model/backend.hpp"

namespace knowmap {

/// How near some embeddings are to float32's.
struct Cosines {
  double mean = 1;
  double lowest = 1;

  /// Whether other texts' lowest will be `wanted` too.
  bool keep(double wanted) const;
};

/// Which of a model's products compute in 8 bits, and what that costs.
struct Int8Choice {
  std::size_t int8_products = 0;
  std::size_t products = 0;
  double work_share = 0;  ///< of the multiplications, done in 8 bits
  double speed = 0;       ///< of the 8-bit products, the own format's being 1
  Cosines chosen;         ///< as chosen, to float32
  Cosines own;            ///< all in the model's own format, to float32
  std::string mask;       ///< one '0' or '1' a product, in the model's order

  /// "24 of 24 products in 8 bits; …", for a report.
  std::string text() const;
};

/// Sets each linear to 8 bits or to its own format, so that embeddings keep the
/// cosine `wanted` to `reference`, float32's: as few products as possible stay,
/// those with the largest error first. `speed`, as `int8_speed` gives it, is only
/// told: bytes must not depend on a clock. All linears are settled afterwards.
/// `embed` gives the embeddings of some texts by the model
/// that the linears belong to, one a row; it is called a few times.
Int8Choice choose_int8(std::span<SwitchableLinear* const> linears,
                       const std::function<Matrix()>& embed, const Matrix& reference, double wanted,
                       double speed);

/// How many times as fast the 8-bit form of the first layers' products is, on the
/// calling thread.
double int8_speed(std::span<SwitchableLinear* const> linears);

}  // namespace knowmap
