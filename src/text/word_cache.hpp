#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace knowmap::text {

/// Keeps the ids of words that one thread has met: most of a text is words that
/// come again. It grows to a bound and then starts anew.
class WordCache {
 public:
  /// Longer words are not worth keeping.
  static constexpr std::size_t kLongestWord = 64;

  /// Appends the ids of `word`, if they are known.
  bool find(std::string_view word, std::vector<std::int32_t>& ids) const {
    for (std::size_t i = hash(word) & mask();; i = (i + 1) & mask()) {
      const Entry& entry = entries_[i];
      if (entry.length == 0) return false;
      if (entry.length == word.size() &&
          std::memcmp(bytes_.data() + entry.word, word.data(), word.size()) == 0) {
        const auto first = ids_.begin() + entry.ids;
        ids.insert(ids.end(), first, first + entry.count);
        return true;
      }
    }
  }

  /// Keeps a word, not empty and not longer than `kLongestWord`, that is not
  /// known yet.
  void insert(std::string_view word, std::span<const std::int32_t> ids) {
    if (used_ * 2 >= entries_.size()) grow();
    place({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(ids_.size()),
           static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(ids.size())},
          word);
    bytes_ += word;
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    ++used_;
  }

 private:
  static constexpr std::size_t kFirstEntries = 256;
  static constexpr std::size_t kMostEntries = std::size_t{1} << 17;

  struct Entry {
    std::uint32_t word = 0;
    std::uint32_t ids = 0;
    std::uint16_t length = 0;  // 0: free
    std::uint16_t count = 0;
  };

  static std::size_t hash(std::string_view word) { return std::hash<std::string_view>{}(word); }
  std::size_t mask() const { return entries_.size() - 1; }

  void place(const Entry& entry, std::string_view word) {
    std::size_t i = hash(word) & mask();
    while (entries_[i].length != 0) i = (i + 1) & mask();
    entries_[i] = entry;
  }

  void grow() {
    if (entries_.size() == kMostEntries) {
      *this = WordCache();
      return;
    }
    const std::vector<Entry> old = std::move(entries_);
    entries_.assign(old.size() * 2, Entry{});
    for (const Entry& entry : old) {
      if (entry.length != 0)
        place(entry, std::string_view(bytes_).substr(entry.word, entry.length));
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kFirstEntries);
  std::size_t used_ = 0;
  std::string bytes_;
  std::vector<std::int32_t> ids_;
};

}  // namespace knowmap::text
