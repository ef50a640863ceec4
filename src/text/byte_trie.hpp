#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace knowmap::text {

/// An immutable map from byte strings to numbers ≥ 0 that finds the longest key
/// that a text starts with, in one pass. A double array (Aoe 1989): the child of
/// node n by byte b is at base[n] ^ b if its parent is n, so a step costs a read.
class ByteTrie {
 public:
  struct Match {
    std::int32_t value = -1;  // -1: no key
    std::size_t length = 0;
  };

  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>>()) {}
  /// Of equal keys the first one counts.
  explicit ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys);

  /// The longest key, not empty, that `text` starts with.
  Match longest(std::string_view text) const {
    Match best;
    std::uint32_t node = kRoot;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::uint32_t child = nodes_[node].base ^ static_cast<std::uint8_t>(text[i]);
      if (nodes_[child].parent != node) break;
      node = child;
      if (nodes_[node].value >= 0) best = {nodes_[node].value, i + 1};
    }
    return best;
  }

  /// Calls f(value, length) for each key, not empty, that `text` starts with,
  /// the shortest first.
  template <typename F>
  void for_each_prefix(std::string_view text, F f) const {
    std::uint32_t node = kRoot;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::uint32_t child = nodes_[node].base ^ static_cast<std::uint8_t>(text[i]);
      if (nodes_[child].parent != node) return;
      node = child;
      if (nodes_[node].value >= 0) f(nodes_[node].value, i + 1);
    }
  }

  /// The value of a key, or -1.
  std::int32_t find(std::string_view key) const;

 private:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kFree = 0xFFFFFFFF;
  static constexpr std::uint32_t kNobody = 0xFFFFFFFE;  // the root's parent
  struct Node {
    std::uint32_t base = 0;
    std::uint32_t parent = kFree;
    std::int32_t value = -1;
  };
  class Builder;
  std::vector<Node> nodes_;
};

}  // namespace knowmap::text
