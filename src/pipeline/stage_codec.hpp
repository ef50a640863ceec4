#pragma once

#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/knn.hpp"
#include "knowmap/labeler.hpp"
#include "knowmap/matrix.hpp"

namespace knowmap {

// Stage results as the store keeps them, and back. `decode_*` throws
// `CheckpointError` where arrays are missing, of another type, or do not fit
// together: a file may come from somebody else.

StageResult encode_graph(const KnnGraph& graph);
KnnGraph decode_graph(const StageResult& result);

StageResult encode_coordinates(const Matrix& coordinates);
Matrix decode_coordinates(const StageResult& result);

StageResult encode_labels(const LabelPrediction& labels);
LabelPrediction decode_labels(const StageResult& result);

StageResult encode_regions(const std::vector<RegionLevel>& levels);
std::vector<RegionLevel> decode_regions(const StageResult& result);

}  // namespace knowmap
