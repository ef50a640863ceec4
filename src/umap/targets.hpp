#pragma once

#include <cstdint>
#include <span>

#include "support/parallel.hpp"
#include "umap/fuzzy_graph.hpp"

namespace knowmap::umap {

/// Weakens the edges between different classes, and those to a row whose class
/// is not known (-1), then makes every row's strongest edge certain again:
/// umap-learn's intersection with categorical targets.
SparseGraph intersect_classes(SparseGraph graph, std::span<const std::int32_t> classes,
                              float target_weight, Workers& workers);

/// The same with the fuzzy graph of continuous targets, whose strengths are
/// `strengths` of `neighbours` (directed, as membership_strengths gives them).
SparseGraph intersect_targets(const SparseGraph& graph, const KnnGraph& neighbours,
                              const Matrix& strengths, float target_weight, Workers& workers);

}  // namespace knowmap::umap
