#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "knowmap/matrix.hpp"
#include "model/backend.hpp"

namespace knowmap {

/// Which of a model's products compute in 8 bits, and what that costs.
struct Int8Choice {
  std::size_t int8_products = 0;
  std::size_t products = 0;
  double work_share = 0;   ///< of the multiplications, done in 8 bits
  double mean_cosine = 1;  ///< to the embeddings in the model's own format
  double lowest_cosine = 1;
  std::string mask;  ///< one '0' or '1' a product, in the model's order

  /// "24 of 24 products in 8 bits; …", for a report.
  std::string text() const;
};

/// Sets each linear to 8 bits or to its own format, so that embeddings keep the
/// cosine `wanted` to those without 8 bits: as few products as possible stay,
/// those with the largest error first. All linears are settled afterwards.
/// `embed` gives the embeddings of some texts by the model that the linears
/// belong to, one a row; it is called a few times.
Int8Choice choose_int8(std::span<SwitchableLinear* const> linears,
                       const std::function<Matrix()>& embed, double wanted);

}  // namespace knowmap
