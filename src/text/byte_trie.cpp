#include "text/byte_trie.hpp"

#include <algorithm>
#include <deque>
#include <string>

namespace knowmap::text {

/// Lays sibling sets out in blocks of 256 nodes. Only the newest few blocks are
/// searched for room, so that building stays linear whatever the keys are.
class ByteTrie::Builder {
 public:
  Builder(std::vector<Node>& nodes,
          const std::vector<std::pair<std::string_view, std::int32_t>>& keys)
      : nodes_(nodes), keys_(keys) {
    add_block();
    nodes_[kRoot].parent = kNobody;
    open_.front().free -= 1;
  }

  void run() {
    std::vector<Task> tasks{{kRoot, 0, keys_.size(), 0}};
    while (!tasks.empty()) {
      const Task task = tasks.back();
      tasks.pop_back();
      expand(task, tasks);
    }
  }

 private:
  static constexpr std::uint32_t kBlock = 256;
  static constexpr std::size_t kOpenBlocks = 4;
  static constexpr int kMaxFailures = 4;

  /// Keys [begin, end) share `depth` bytes, which lead to `node`.
  struct Task {
    std::uint32_t node;
    std::size_t begin;
    std::size_t end;
    std::size_t depth;
  };
  struct Block {
    std::uint32_t start;
    std::uint32_t free = kBlock;
    int failures = 0;
  };

  void expand(Task task, std::vector<Task>& tasks) {
    std::size_t i = task.begin;
    if (i < task.end && keys_[i].first.size() == task.depth) {
      nodes_[task.node].value = keys_[i].second;
      while (i < task.end && keys_[i].first.size() == task.depth) ++i;
    }
    if (i == task.end) return;
    labels_.clear();
    const std::size_t first_child = tasks.size();
    while (i < task.end) {
      const auto label = static_cast<std::uint8_t>(keys_[i].first[task.depth]);
      const std::size_t begin = i;
      while (i < task.end && static_cast<std::uint8_t>(keys_[i].first[task.depth]) == label) ++i;
      labels_.push_back(label);
      tasks.push_back({0, begin, i, task.depth + 1});
    }
    const std::uint32_t base = place();
    nodes_[task.node].base = base;
    for (std::size_t k = 0; k < labels_.size(); ++k) {
      nodes_[base ^ labels_[k]].parent = task.node;
      tasks[first_child + k].node = base ^ labels_[k];
    }
  }

  /// Finds a base under which all of `labels_` are free.
  std::uint32_t place() {
    for (auto block = open_.rbegin(); block != open_.rend(); ++block) {
      if (block->free < labels_.size()) continue;
      for (std::uint32_t slot = 0; slot < kBlock; ++slot) {
        const std::uint32_t base = (block->start + slot) ^ labels_[0];
        if (!fits(base)) continue;
        block->free -= static_cast<std::uint32_t>(labels_.size());
        return base;
      }
      ++block->failures;
    }
    std::erase_if(open_, [](const Block& b) { return b.free == 0 || b.failures > kMaxFailures; });
    add_block();
    open_.back().free -= static_cast<std::uint32_t>(labels_.size());
    return open_.back().start;
  }

  bool fits(std::uint32_t base) const {
    return std::all_of(labels_.begin(), labels_.end(),
                       [&](std::uint8_t label) { return nodes_[base ^ label].parent == kFree; });
  }

  void add_block() {
    open_.push_back({static_cast<std::uint32_t>(nodes_.size())});
    nodes_.resize(nodes_.size() + kBlock);
    if (open_.size() > kOpenBlocks) open_.pop_front();
  }

  std::vector<Node>& nodes_;
  const std::vector<std::pair<std::string_view, std::int32_t>>& keys_;
  std::deque<Block> open_;
  std::vector<std::uint8_t> labels_;
};

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Builder(nodes_, keys).run();
  nodes_.shrink_to_fit();
}

std::int32_t ByteTrie::find(std::string_view key) const {
  std::uint32_t node = kRoot;
  for (char byte : key) {
    const std::uint32_t child = nodes_[node].base ^ static_cast<std::uint8_t>(byte);
    if (nodes_[child].parent != node) return -1;
    node = child;
  }
  return nodes_[node].value;
}

}  // namespace knowmap::text
