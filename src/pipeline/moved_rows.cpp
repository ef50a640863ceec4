#include "pipeline/moved_rows.hpp"

#include <algorithm>
#include <unordered_map>

namespace knowmap {
namespace {

// Of new rows, as many as make a commit of about 64 MiB.
constexpr std::uint64_t kNumbersAtOnce = std::uint64_t{16} << 20;

}  // namespace

MovedRows::MovedRows(const CheckpointStore& store, std::span<const std::uint64_t> wanted)
    : wanted_(wanted) {
  const std::uint64_t n = wanted.size();
  std::unordered_map<std::uint64_t, std::uint64_t> sources;
  std::vector<bool> taken(n, false);  // has a row, the right one or one in the way
  for (const RowRange range : store.ranges()) {
    const auto hashes = store.text_hashes(range);
    held_.resize(range.end);
    std::ranges::copy(hashes, held_.begin() + static_cast<std::ptrdiff_t>(range.begin));
    const bool stays = range.end <= n;
    (stays ? ranges_ : beyond_).push_back(range);
    for (std::uint64_t row = range.begin; row < range.end; ++row) {
      const bool right = row < n && held_[row] == wanted[row];
      if (row < n && (right || !stays)) taken[row] = true;
      if (!right || !stays) sources.emplace(held_[row], row);
      if (!right && stays) changed_.push_back(row);
    }
  }
  if (sources.empty() || store.storage() == RowStorage::int8) return;
  for (std::uint64_t row = 0; row < n; ++row) {
    if (taken[row]) continue;
    const auto source = sources.find(wanted[row]);
    if (source != sources.end()) targets_.push_back({row, source->second});
  }
}

// Whether the source still holds what the target wants.
bool MovedRows::stands(const Target& target) const {
  return held_[target.source] == wanted_[target.row];
}

Matrix MovedRows::gather(const CheckpointStore& store, std::span<const Target> targets) const {
  Matrix rows(targets.size(), store.dimension());
  for (std::size_t i = 0; i < targets.size();) {
    std::size_t end = i + 1;
    while (end < targets.size() && targets[end].source == targets[end - 1].source + 1) ++end;
    const std::uint64_t source = targets[i].source;
    store.read_rows({source, source + (end - i)}, rows.view().slice(i, end));
    i = end;
  }
  return rows;
}

std::vector<std::uint64_t> MovedRows::hashes_of(std::span<const Target> targets) const {
  std::vector<std::uint64_t> hashes;
  for (const Target& target : targets) hashes.push_back(wanted_[target.row]);
  return hashes;
}

std::uint64_t MovedRows::move(CheckpointStore& store, const std::function<void()>& go_on) {
  if (targets_.empty()) return 0;
  std::uint64_t moved = 0;
  const auto in = [&](RowRange range) {
    const auto by_row = [](const Target& target) { return target.row; };
    const auto first = std::ranges::lower_bound(targets_, range.begin, {}, by_row);
    const auto last = std::ranges::lower_bound(targets_, range.end, {}, by_row);
    return std::span(first, last);
  };

  // New places first: filling them overwrites nothing.
  const std::uint64_t at_once =
      std::max<std::uint64_t>(1, kNumbersAtOnce / std::max<std::uint64_t>(1, store.dimension()));
  std::uint64_t at = 0;
  const auto fill = [&](RowRange gap) {
    const auto targets = in(gap);
    for (std::size_t i = 0; i < targets.size();) {
      std::size_t end = i + 1;
      while (end < targets.size() && end - i < at_once &&
             targets[end].row == targets[end - 1].row + 1) {
        ++end;
      }
      go_on();
      const auto part = targets.subspan(i, end - i);
      store.commit_rows({part.front().row, part.back().row + 1}, gather(store, part),
                        hashes_of(part));
      moved += part.size();
      i = end;
    }
  };
  for (const RowRange range : ranges_) {
    if (at < range.begin) fill({at, range.begin});
    at = range.end;
  }
  fill({at, beyond_.empty() ? wanted_.size()
                            : std::min<std::uint64_t>(beyond_.front().begin, wanted_.size())});

  // Then the others, shard by shard, from the end that most rows move to: so what is
  // overwritten has been copied already.
  const auto down = std::ranges::count_if(
      targets_, [](const Target& target) { return target.source < target.row; });
  const bool backwards = static_cast<std::size_t>(down) * 2 > targets_.size();
  if (backwards) std::ranges::reverse(ranges_);
  for (const RowRange range : ranges_) {
    std::vector<Target> part;
    std::ranges::copy_if(in(range), std::back_inserter(part),
                         [&](const Target& target) { return stands(target); });
    if (part.empty()) continue;
    go_on();
    std::vector<std::uint64_t> rows;
    for (const Target& target : part) rows.push_back(target.row);
    store.update_rows(rows, gather(store, part), hashes_of(part));
    for (const Target& target : part) held_[target.row] = wanted_[target.row];
    moved += part.size();
  }
  std::erase_if(changed_, [&](std::uint64_t row) { return held_[row] == wanted_[row]; });
  return moved;
}

}  // namespace knowmap
