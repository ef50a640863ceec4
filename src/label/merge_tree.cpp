#include "label/merge_tree.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <queue>
#include <utility>

#include "label/kd_tree.hpp"

namespace knowmap::label {

namespace {

/// What the map's spread weighs beside the texts'. With the map alone regions
/// are round but mix subjects; with the texts alone they are ragged.
constexpr double kMapWeight = 0.5;
/// Islands that an island may merge with.
constexpr std::size_t kIslandLinks = 6;

struct UnionFind {
  std::vector<std::int32_t> parent;
  explicit UnionFind(std::size_t n) : parent(n) { std::iota(parent.begin(), parent.end(), 0); }
  std::int32_t find(std::int32_t a) {
    while (parent[a] != a) a = parent[a] = parent[parent[a]];
    return a;
  }
  /// The lower number stands for both.
  bool join(std::int32_t a, std::int32_t b) {
    a = find(a);
    b = find(b);
    if (a == b) return false;
    if (a > b) std::swap(a, b);
    parent[b] = a;
    return true;
  }
};

/// Sums over the rows of each basin: of unit directions, and of places.
struct Sums {
  std::size_t dim = 0;
  std::vector<float> directions;  // (basins, dim) means
  std::vector<double> places;     // (basins, 2) means
  std::vector<double> sizes;
  double direction_spread = 0;  // of all rows about their mean
  double place_spread = 0;
};

Sums sum_basins(const Groups& groups, MatrixView<const float> map,
                MatrixView<const float> embedding, Workers& workers, Monitor& monitor) {
  Sums sums;
  sums.dim = embedding.empty() ? 0 : embedding.cols;
  const std::size_t count = groups.size();
  sums.directions.assign(count * sums.dim, 0.0f);
  sums.places.assign(count * 2, 0.0);
  sums.sizes.assign(count, 0.0);
  std::vector<double> place_squares(count);
  workers.run_ranges(
      count, 16,
      [&](std::size_t begin, std::size_t end, int) {
        std::vector<double> total(sums.dim);
        for (std::size_t g = begin; g < end; ++g) {
          std::fill(total.begin(), total.end(), 0.0);
          double x = 0, y = 0;
          std::size_t seen = 0;
          for (const std::int32_t row : groups.of(g)) {
            if ((++seen & 4095) == 0 && monitor.cancelled()) return;
            x += map(row, 0);
            y += map(row, 1);
            place_squares[g] += static_cast<double>(map(row, 0)) * map(row, 0) +
                                static_cast<double>(map(row, 1)) * map(row, 1);
            const float* direction = embedding.row(row);
            double squared = 0;
            for (std::size_t d = 0; d < sums.dim; ++d) {
              squared += static_cast<double>(direction[d]) * direction[d];
            }
            const double scale = squared > 0 ? 1 / std::sqrt(squared) : 0;
            for (std::size_t d = 0; d < sums.dim; ++d) total[d] += scale * direction[d];
          }
          const auto size = static_cast<double>(groups.of(g).size());
          sums.sizes[g] = size;
          sums.places[2 * g] = x / size;
          sums.places[2 * g + 1] = y / size;
          for (std::size_t d = 0; d < sums.dim; ++d) {
            sums.directions[g * sums.dim + d] = static_cast<float>(total[d] / size);
          }
        }
      },
      &monitor);
  std::vector<double> mean(sums.dim + 2);
  double rows = 0, squares = 0;
  for (std::size_t g = 0; g < count; ++g) {
    rows += sums.sizes[g];
    squares += place_squares[g];
    for (std::size_t d = 0; d < sums.dim; ++d) {
      mean[d] += sums.sizes[g] * sums.directions[g * sums.dim + d];
    }
    for (std::size_t d = 0; d < 2; ++d) {
      mean[sums.dim + d] += sums.sizes[g] * sums.places[2 * g + d];
    }
  }
  double length = 0;
  for (std::size_t d = 0; d < sums.dim; ++d) length += mean[d] / rows * mean[d] / rows;
  sums.direction_spread = std::max(rows * (1 - length), 1e-30);  // of unit vectors
  const double x = mean[sums.dim] / rows;
  const double y = mean[sums.dim + 1] / rows;
  sums.place_spread = std::max(squares - rows * (x * x + y * y), 1e-30);
  return sums;
}

/// Adds borders until every basin can be reached from every other.
void link_islands(std::vector<std::pair<std::int32_t, std::int32_t>>& borders, const Sums& sums,
                  std::size_t count, const Monitor& monitor) {
  const auto squared = [&](std::int32_t a, double x, double y) {
    const double dx = sums.places[2 * a] - x;
    const double dy = sums.places[2 * a + 1] - y;
    return dx * dx + dy * dy;
  };
  UnionFind joined(count);
  for (const auto& [a, b] : borders) joined.join(a, b);
  std::vector<std::int32_t> island(count);
  std::vector<std::int32_t> first;  // a basin of each island
  for (std::size_t g = 0; g < count; ++g) {
    const std::int32_t root = joined.find(static_cast<std::int32_t>(g));
    if (root == static_cast<std::int32_t>(g)) {
      island[g] = static_cast<std::int32_t>(first.size());
      first.push_back(root);
    } else {
      island[g] = island[root];
    }
  }
  if (first.size() == 1) return;
  const Groups basins_of(island, first.size());
  Matrix centers(first.size(), 2);
  for (std::size_t i = 0; i < first.size(); ++i) {
    double x = 0, y = 0, rows = 0;
    for (const std::int32_t g : basins_of.of(i)) {
      x += sums.sizes[g] * sums.places[2 * g];
      y += sums.sizes[g] * sums.places[2 * g + 1];
      rows += sums.sizes[g];
    }
    centers(i, 0) = static_cast<float>(x / rows);
    centers(i, 1) = static_cast<float>(y / rows);
  }
  const auto nearest_basin = [&](std::size_t of_island, double x, double y) {
    std::int32_t best = basins_of.of(of_island)[0];
    for (const std::int32_t g : basins_of.of(of_island)) {
      if (squared(g, x, y) < squared(best, x, y)) best = g;
    }
    return best;
  };
  const auto link = [&](std::size_t i, std::size_t j) {
    std::int32_t a = nearest_basin(i, centers(j, 0), centers(j, 1));
    const std::int32_t b = nearest_basin(j, sums.places[2 * a], sums.places[2 * a + 1]);
    a = nearest_basin(i, sums.places[2 * b], sums.places[2 * b + 1]);
    borders.emplace_back(std::min(a, b), std::max(a, b));
    joined.join(a, b);
  };
  const KdTree tree(centers, &monitor);
  std::vector<KdTree::Neighbor> found(std::min(kIslandLinks, first.size() - 1));
  for (std::size_t i = 0; i < first.size(); ++i) {
    if ((i & 255) == 0) monitor.throw_if_cancelled();
    const std::size_t near =
        tree.nearest(centers(i, 0), centers(i, 1), static_cast<std::int32_t>(i), found);
    for (std::size_t j = 0; j < near; ++j) link(i, found[j].row);
  }
  // Groups of islands far from the others: a chain from left to right.
  std::vector<std::int32_t> order(first.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return centers(a, 0) != centers(b, 0) ? centers(a, 0) < centers(b, 0) : a < b;
  });
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    if (joined.find(first[order[i]]) != joined.find(first[order[i + 1]])) {
      link(order[i], order[i + 1]);
    }
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
}

struct Edge {
  std::size_t turn;  // those of a lower one are merged first
  double cost;
  std::int32_t a, b;
  std::int32_t age_a, age_b;
  bool operator>(const Edge& o) const {
    if (turn != o.turn) return turn > o.turn;
    if (cost != o.cost) return cost > o.cost;
    return a != o.a ? a > o.a : b > o.b;
  }
};
/// What is small goes to its own earlier region, else to any; of what is large, first what
/// the finest earlier level had in one region, and so on upwards.
constexpr std::size_t kSmallToOwn = 0, kSmall = 1, kBig = 2;

/// Regions that grow from basins, pair by pair; of each pair the lower number goes on.
class Growth {
 public:
  Growth(const std::vector<std::pair<std::int32_t, std::int32_t>>& borders, Sums sums,
         std::size_t min_size, EarlierDivision earlier)
      : sums_(std::move(sums)),
        earlier_(std::move(earlier)),
        min_size_(static_cast<double>(min_size)),
        next_to_(sums_.sizes.size()),
        age_(sums_.sizes.size(), 0),
        left_(sums_.sizes.size()) {
    for (const auto& [a, b] : borders) {
      next_to_[a].push_back(b);
      next_to_[b].push_back(a);
    }
    for (auto& list : next_to_) std::sort(list.begin(), list.end());
    for (std::size_t g = 0; g < left_; ++g) count(static_cast<std::int32_t>(g), 1);
    for (const auto& [a, b] : borders) push(a, b);
  }

  std::size_t left() const { return left_; }
  bool any_small() const { return small_ > 0; }
  std::size_t new_regions() const { return new_regions_; }
  double new_rows() const { return new_rows_; }
  double earlier_rows() const { return earlier_rows_; }

  /// The next pair of those that are small or not new, unless its turn comes after `last`.
  std::optional<Edge> known(std::size_t last) {
    const Edge* top = top_of(known_);
    return top != nullptr && top->turn <= last ? std::optional(*top) : std::nullopt;
  }
  /// The next pair of large ones, one or both of them new.
  std::optional<Edge> fresh() {
    const Edge* top = top_of(fresh_);
    return top != nullptr ? std::optional(*top) : std::nullopt;
  }

  void merge(std::int32_t a, std::int32_t b) {
    count(a, -1);
    count(b, -1);
    if (!earlier_.empty() && sums_.sizes[b] > sums_.sizes[a]) earlier_.take(a, b);
    const double size = sums_.sizes[a] + sums_.sizes[b];
    const auto share_a = sums_.sizes[a] / size;
    const auto share_b = sums_.sizes[b] / size;
    for (std::size_t d = 0; d < sums_.dim; ++d) {
      float& mean = sums_.directions[a * sums_.dim + d];
      mean = static_cast<float>(share_a * mean + share_b * sums_.directions[b * sums_.dim + d]);
    }
    for (std::size_t d = 0; d < 2; ++d) {
      sums_.places[2 * a + d] =
          share_a * sums_.places[2 * a + d] + share_b * sums_.places[2 * b + d];
    }
    sums_.sizes[a] = size;
    count(a, 1);
    ++age_[a];
    age_[b] = -1;  // no edge has this age: b is gone
    --left_;
    around_.clear();
    std::set_union(next_to_[a].begin(), next_to_[a].end(), next_to_[b].begin(), next_to_[b].end(),
                   std::back_inserter(around_));
    std::erase_if(around_, [&](std::int32_t g) { return g == a || g == b; });
    for (const std::int32_t g : next_to_[b]) {
      if (g == a) continue;
      auto& list = next_to_[g];
      list.erase(std::lower_bound(list.begin(), list.end(), b));
      const auto place = std::lower_bound(list.begin(), list.end(), a);
      if (place == list.end() || *place != a) list.insert(place, a);
    }
    std::vector<std::int32_t>().swap(next_to_[b]);
    next_to_[a] = around_;
    for (const std::int32_t g : around_) push(a, g);
  }

 private:
  using Queue = std::priority_queue<Edge, std::vector<Edge>, std::greater<>>;

  bool is_small(std::int32_t a) const { return sums_.sizes[a] < min_size_; }
  bool is_new(std::int32_t a) const { return !earlier_.empty() && earlier_.is_new(a); }

  void count(std::int32_t a, int by) {
    small_ += is_small(a) ? by : 0;
    new_regions_ += is_new(a) ? by : 0;
    (is_new(a) ? new_rows_ : earlier_rows_) += by * sums_.sizes[a];
  }

  const Edge* top_of(Queue& queue) const {
    while (!queue.empty()) {
      const Edge& top = queue.top();
      if (age_[top.a] == top.age_a && age_[top.b] == top.age_b) return &top;
      queue.pop();  // one was merged since
    }
    return nullptr;
  }

  void push(std::int32_t a, std::int32_t b) {
    if (a > b) std::swap(a, b);
    const double ward = sums_.sizes[a] * sums_.sizes[b] / (sums_.sizes[a] + sums_.sizes[b]);
    const float* at_a = sums_.directions.data() + a * sums_.dim;
    const float* at_b = sums_.directions.data() + b * sums_.dim;
    float apart = 0;
    for (std::size_t d = 0; d < sums_.dim; ++d) {
      apart += (at_a[d] - at_b[d]) * (at_a[d] - at_b[d]);
    }
    const double dx = sums_.places[2 * a] - sums_.places[2 * b];
    const double dy = sums_.places[2 * a + 1] - sums_.places[2 * b + 1];
    const double cost = ward * (static_cast<double>(apart) / sums_.direction_spread +
                                kMapWeight * (dx * dx + dy * dy) / sums_.place_spread);
    const bool small = is_small(a) || is_small(b);
    const bool fresh = is_new(a) || is_new(b);
    const std::size_t levels = earlier_.levels;
    const std::size_t parted = earlier_.empty() || fresh ? levels : levels - earlier_.common(a, b);
    const bool own = !earlier_.empty() && parted == 0;
    const std::size_t turn = !small ? kBig + parted : own ? kSmallToOwn : kSmall;
    (fresh && !small ? fresh_ : known_).push({turn, cost, a, b, age_[a], age_[b]});
  }

  Sums sums_;
  EarlierDivision earlier_;
  double min_size_;
  std::vector<std::vector<std::int32_t>> next_to_;
  std::vector<std::int32_t> age_, around_;
  Queue known_, fresh_;
  std::size_t left_;
  std::size_t small_ = 0, new_regions_ = 0;
  double new_rows_ = 0, earlier_rows_ = 0;
};

}  // namespace

Groups::Groups(std::span<const std::int32_t> group_of_row, std::size_t n_groups)
    : offsets(n_groups + 1, 0) {
  for (const std::int32_t g : group_of_row) {
    if (g >= 0) ++offsets[static_cast<std::size_t>(g) + 1];
  }
  for (std::size_t g = 0; g < n_groups; ++g) offsets[g + 1] += offsets[g];
  rows.resize(static_cast<std::size_t>(offsets[n_groups]));
  std::vector<std::int64_t> next(offsets.begin(), offsets.end() - 1);
  for (std::size_t i = 0; i < group_of_row.size(); ++i) {
    if (group_of_row[i] >= 0) {
      rows[static_cast<std::size_t>(next[group_of_row[i]]++)] = static_cast<std::int32_t>(i);
    }
  }
}

MergeTree::MergeTree(const Basins& basins, MatrixView<const float> map,
                     MatrixView<const float> embedding, std::size_t min_size,
                     EarlierDivision earlier, Workers& workers, Monitor& monitor)
    : n_basins_(basins.count), whole_(earlier.levels) {
  if (n_basins_ == 0) return;
  Sums sums = sum_basins(Groups(basins.of_row, n_basins_), map, embedding, workers, monitor);
  auto borders = basins.borders;
  const auto grow = [&](std::size_t, int) {
    link_islands(borders, sums, n_basins_, monitor);
    Growth growth(borders, std::move(sums), min_size, std::move(earlier));
    most_ = growth.any_small() ? 1 : n_basins_;
    // Level by level from the finest: its earlier regions are made whole, then new ones merged
    // until they are about as large as those.
    std::size_t level = whole_.size();
    while (growth.left() > 1 || level > 0) {
      std::optional<Edge> next = growth.known(kBig + whole_.size() - level);
      if (level > 0 && !next) {
        const auto known = static_cast<double>(growth.left() - growth.new_regions());
        const double due =
            std::round(known * growth.new_rows() / std::max(growth.earlier_rows(), 1.0));
        if (static_cast<double>(growth.new_regions()) > due) next = growth.fresh();
        if (!next) {
          whole_[--level] = growth.left();
          continue;
        }
      } else if (level == 0) {
        const std::optional<Edge> fresh = growth.fresh();
        if (fresh && (!next || *next > *fresh)) next = fresh;
        if (!next) break;
      }
      if ((growth.left() & 63) == 0) monitor.throw_if_cancelled();
      growth.merge(next->a, next->b);
      merges_.emplace_back(next->a, next->b);
      if (!growth.any_small() && most_ == 1) most_ = growth.left();
    }
  };
  workers.run(1, grow, &monitor);
}

std::vector<std::int32_t> MergeTree::cut(std::size_t count) const {
  std::vector<std::int32_t> region(n_basins_, -1);
  if (n_basins_ == 0) return region;
  count = std::clamp<std::size_t>(count, 1, most_);
  UnionFind joined(n_basins_);
  for (std::size_t i = 0; i + count < n_basins_; ++i) {
    joined.join(merges_[i].first, merges_[i].second);
  }
  std::int32_t next = 0;
  for (std::size_t g = 0; g < n_basins_; ++g) {
    const std::int32_t root = joined.find(static_cast<std::int32_t>(g));
    region[g] = root == static_cast<std::int32_t>(g) ? next++ : region[root];
  }
  return region;
}

}  // namespace knowmap::label
