#include "neighbors/sample.hpp"

#include <algorithm>
#include <numeric>

#include "neighbors/search.hpp"
#include "support/random.hpp"

namespace knowmap::neighbors {

namespace {
/// With 15 neighbours a row, recall's standard error is about .003 at .97.
constexpr std::size_t kRows = 256;
}  // namespace

Sample::Sample(const RowReader& data, const KnnOptions& options, Workers& workers) {
  RowSet all(data.rows);
  std::iota(all.begin(), all.end(), 0);
  rows = draw(all, std::min(kRows, all.size()),
              random_bits(options.seed, RandomStage::sample, data.rows));
  Matrix queries(rows.size(), data.cols);
  std::vector<float> room;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    std::copy_n(data.row(static_cast<std::size_t>(rows[s]), room), data.cols, queries.row(s));
  }
  KnnOptions asked = options;
  asked.n_neighbors = options.n_neighbors + 1;  // one more: the row itself
  asked.progress = nullptr;  // its steps are none of the caller's count, and it is soon done
  const KnnGraph found = exact_query(data, queries, asked, workers);
  farthest.resize(rows.size());
  for (std::size_t s = 0; s < rows.size(); ++s) {
    std::size_t others = 0;
    for (std::size_t r = 0; r < asked.n_neighbors && others < options.n_neighbors; ++r) {
      if (found.indices(s, r) == rows[s]) continue;
      farthest[s] = found.distances(s, r);
      ++others;
    }
  }
}

std::size_t Sample::hits(std::size_t s, std::span<const float> distances) const {
  return static_cast<std::size_t>(
      std::count_if(distances.begin(), distances.end(), [&](float d) { return d <= farthest[s]; }));
}

}  // namespace knowmap::neighbors
