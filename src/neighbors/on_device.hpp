#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <functional>

#include "knowmap/knn.hpp"
#include "neighbors/row_reader.hpp"
#include "support/parallel.hpp"

namespace knowmap::neighbors {

/// How all pairs are looked at on a device of libtorch: a tile of queries and data at a time, each
/// one matrix product. Where a tile finds no room, the next one is half as large.
struct DeviceTiles {
  /// Rows of a tile at first; 0 = 4,096 and 32,768, the latter less where there is no such room.
  std::size_t queries = 0;
  std::size_t data = 0;
  /// Called before each tile with its rows, for tests: what it throws counts as the device's.
  std::function<void(std::size_t queries, std::size_t data)> before_tile;
};

/// As `exact_graph` and `exact_query`, by products in float32 on the device; distances are taken on
/// the CPU in double, as everywhere. The same neighbours, but that of more than a few equally
/// near ones others may be found. For metrics that are products in essence (`Scoring`);
/// throws `std::invalid_argument` for others, `OutOfMemoryError` where the smallest tile finds no
/// room.
KnnGraph graph_on_device(const RowReader& data, const KnnOptions& options, c10::Device device,
                         Workers& workers, const DeviceTiles& tiles = {});
KnnGraph query_on_device(const RowReader& data, MatrixView<const float> queries,
                         const KnnOptions& options, c10::Device device, Workers& workers,
                         const DeviceTiles& tiles = {});

}  // namespace knowmap::neighbors
