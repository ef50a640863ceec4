#pragma once

#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "knowmap/umap.hpp"
#include "neighbors/search.hpp"
#include "support/parallel.hpp"
#include "umap/make_map.hpp"

namespace knowmap {

/// A projector's state.
struct UmapProjector::Impl {
  UmapOptions options;
  float a = 0;
  float b = 0;
  bool fitted = false;
  bool supervised = false;
  Matrix data;                   ///< the rows, where they are ours
  MatrixView<const float> rows;  ///< the rows, whosever they are
  std::size_t n_features = 0;
  std::string rows_hash;
  Matrix placed;   ///< the map as the layout left it
  Matrix leveled;  ///< and after levelling, where that was asked for
  std::vector<Matrix> snapshots;
  Matrix radii;
  umap::SparseGraph graph;
  std::string init_used;
  double recall = std::numeric_limits<double>::quiet_NaN();
  /// What `transform` needs of the rows, made at the first; const members may be
  /// called from several threads.
  mutable std::mutex searched_lock;
  mutable std::shared_ptr<const neighbors::Searched> searched;
  Matrix weights;  ///< (n, 1) sample weights, where they were given
  std::string note;

  UmapOptions with_curve() const;
  void keep(const neighbors::RowReader& given, bool own);
  void take(umap::MapResult&& made, const std::vector<std::size_t>* which, Workers& workers);
  KnnOptions search(std::size_t rows) const;
  KnnGraph neighbours(MatrixView<const float> of) const;
  void require_rows(const char* what) const;
  void require_columns(MatrixView<const float> given) const;
  KnnGraph neighbours_of_new(MatrixView<const float> given) const;
  Matrix place(MatrixView<const float> given, const KnnGraph& near) const;
};

}  // namespace knowmap
