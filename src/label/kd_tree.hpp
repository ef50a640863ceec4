#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "knowmap/matrix.hpp"
#include "support/parallel.hpp"

namespace knowmap::label {

/// A k-d tree over points of the plane (Bentley 1975), for the nearest
/// neighbours on a map: exact, O(log n) a query, whatever the map's scale.
class KdTree {
 public:
  /// Keeps a copy of `points` (n, 2). Throws `CancelledError` if `monitor` says so.
  explicit KdTree(MatrixView<const float> points, const Monitor* monitor = nullptr);

  struct Neighbor {
    float squared;
    std::int32_t row;
  };
  /// The nearest rows to (x, y) but `self`, nearest first; as many as `found`
  /// holds. Returns how many there are. Which of equally far rows at the last
  /// place are found depends on the points alone.
  std::size_t nearest(float x, float y, std::int32_t self, std::span<Neighbor> found) const;

 private:
  struct Node {
    std::int32_t begin, end;   // in rows_
    std::int32_t left, right;  // -1 in a leaf
    float low[2], high[2];     // the box of its points
  };
  std::int32_t build(std::int32_t begin, std::int32_t end, MatrixView<const float> points,
                     const Monitor* monitor);
  float squared_to_box(const Node& node, float x, float y) const;

  std::vector<Node> nodes_;
  std::vector<std::int32_t> rows_;
  std::vector<float> xy_;  // in the order of rows_
};

}  // namespace knowmap::label
