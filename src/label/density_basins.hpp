#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "knowmap/matrix.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// The map cut at its valleys: rows that climb to the same peak of density.
struct Basins {
  /// Basin of each row.
  std::vector<std::int32_t> of_row;
  std::size_t count = 0;
  /// Pairs (a < b) of basins that have rows next to one another, sorted.
  std::vector<std::pair<std::int32_t, std::int32_t>> borders;
};

/// Density is estimated from the distances to the nearest rows and smoothed
/// over them; each row climbs to its densest neighbour, as in mode seeking on a
/// neighbour graph (Koontz, Narendra and Fukunaga 1976; Chazal et al. 2013,
/// "Persistence-based clustering in Riemannian manifolds"). `map` is (n, 2) and
/// finite. The number of threads does not matter.
Basins density_basins(MatrixView<const float> map, Workers& workers, Monitor& monitor);

}  // namespace knowmap::label
