#include "label/kd_tree.hpp"

#include <algorithm>
#include <numeric>

namespace knowmap::label {

namespace {
constexpr std::int32_t kLeaf = 12;
}

KdTree::KdTree(MatrixView<const float> points, const Monitor* monitor)
    : rows_(points.rows), xy_(2 * points.rows) {
  std::iota(rows_.begin(), rows_.end(), 0);
  if (points.rows == 0) return;
  nodes_.reserve(2 * points.rows / kLeaf * 2 + 1);
  build(0, static_cast<std::int32_t>(points.rows), points, monitor);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    xy_[2 * i] = points(rows_[i], 0);
    xy_[2 * i + 1] = points(rows_[i], 1);
  }
}

std::int32_t KdTree::build(std::int32_t begin, std::int32_t end, MatrixView<const float> points,
                           const Monitor* monitor) {
  if (monitor) monitor->throw_if_cancelled();
  const auto number = static_cast<std::int32_t>(nodes_.size());
  nodes_.push_back({begin, end, -1, -1, {0, 0}, {0, 0}});
  float low[2], high[2];
  for (std::size_t axis = 0; axis < 2; ++axis) low[axis] = high[axis] = points(rows_[begin], axis);
  for (std::int32_t i = begin; i < end; ++i) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], points(rows_[i], axis));
      high[axis] = std::max(high[axis], points(rows_[i], axis));
    }
  }
  std::copy_n(low, 2, nodes_[number].low);
  std::copy_n(high, 2, nodes_[number].high);
  if (end - begin <= kLeaf) {
    std::sort(rows_.begin() + begin, rows_.begin() + end);
    return number;
  }
  const std::size_t axis = high[1] - low[1] > high[0] - low[0] ? 1 : 0;
  const std::int32_t middle = begin + (end - begin) / 2;
  // Rows break ties, so that the halves are the same whatever the library's
  // selection does; points that are all the same still halve.
  std::nth_element(rows_.begin() + begin, rows_.begin() + middle, rows_.begin() + end,
                   [&](std::int32_t a, std::int32_t b) {
                     const float at_a = points(a, axis);
                     const float at_b = points(b, axis);
                     return at_a != at_b ? at_a < at_b : a < b;
                   });
  const std::int32_t left = build(begin, middle, points, monitor);
  const std::int32_t right = build(middle, end, points, monitor);
  nodes_[number].left = left;
  nodes_[number].right = right;
  return number;
}

float KdTree::squared_to_box(const Node& node, float x, float y) const {
  const float dx = std::max({node.low[0] - x, x - node.high[0], 0.0f});
  const float dy = std::max({node.low[1] - y, y - node.high[1], 0.0f});
  return dx * dx + dy * dy;
}

std::size_t KdTree::nearest(float x, float y, std::int32_t self, std::span<Neighbor> found) const {
  std::size_t count = 0;
  if (nodes_.empty() || found.empty()) return 0;
  const auto before = [](const Neighbor& a, const Neighbor& b) {
    return a.squared != b.squared ? a.squared < b.squared : a.row < b.row;
  };
  std::int32_t stack[128];  // depth is at most log2 of 2^31 rows, two a level
  int top = 0;
  stack[top++] = 0;
  while (top > 0) {
    const Node& node = nodes_[stack[--top]];
    if (count == found.size() && squared_to_box(node, x, y) >= found[count - 1].squared) continue;
    if (node.left < 0) {
      for (std::int32_t i = node.begin; i < node.end; ++i) {
        if (rows_[i] == self) continue;
        const float dx = xy_[2 * i] - x;
        const float dy = xy_[2 * i + 1] - y;
        const Neighbor candidate{dx * dx + dy * dy, rows_[i]};
        if (count == found.size()) {
          if (!before(candidate, found[count - 1])) continue;
        } else {
          ++count;
        }
        std::size_t place = count - 1;
        for (; place > 0 && before(candidate, found[place - 1]); --place) {
          found[place] = found[place - 1];
        }
        found[place] = candidate;
      }
      continue;
    }
    const bool left_first =
        squared_to_box(nodes_[node.left], x, y) <= squared_to_box(nodes_[node.right], x, y);
    stack[top++] = left_first ? node.right : node.left;
    stack[top++] = left_first ? node.left : node.right;
  }
  return count;
}

}  // namespace knowmap::label
