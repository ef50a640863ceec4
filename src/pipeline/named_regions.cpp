#include "pipeline/named_regions.hpp"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>
#include <variant>

#include "knowmap/error.hpp"
#include "pipeline/stage_codec.hpp"

namespace knowmap {

namespace {

constexpr const char* kNames = "names";
constexpr const char* kStayed = "names_of_namer";
constexpr const char* kNamer = "namer";
constexpr const char* kCells = "cells";
constexpr const char* kParents = "regions_of_cells";

template <class T>
const std::vector<T>* values(const StageResult& result, const char* name) {
  const auto found = result.find(name);
  return found == result.end() ? nullptr : std::get_if<std::vector<T>>(&found->second.values);
}

Fingerprint names_key(const Fingerprint& regions_key, const std::string& namer, bool all_asked) {
  return {{kRegionsStage, content_hash(regions_key)},
          {"namer", namer},
          {"format", "2"},
          {"asked", all_asked ? "all" : "some"}};
}

/// False where the names are not those of these regions.
bool set_names(std::vector<RegionLevel>& levels, const std::optional<StageResult>& held) {
  const auto* names = held ? values<std::string>(*held, kNames) : nullptr;
  std::size_t regions = 0;
  for (const RegionLevel& level : levels) regions += level.regions.size();
  if (names == nullptr || names->size() != regions) return false;
  auto name = names->begin();
  for (RegionLevel& level : levels) {
    for (Region& region : level.regions) region.name = *name++;
  }
  return true;
}

StageResult encode_names(const std::vector<RegionLevel>& levels) {
  std::vector<std::string> names;
  for (const RegionLevel& level : levels) {
    for (const Region& region : level.regions) names.push_back(region.name);
  }
  StageResult result;
  result[kNames].shape = {names.size()};
  result[kNames].values = std::move(names);
  return result;
}

/// Takes away the names that stayed from a namer's.
void forget_names(std::vector<RegionLevel>& levels, const StageResult& result) {
  const auto* names = values<std::string>(result, kStayed);
  if (names == nullptr) return;
  const std::unordered_set<std::string_view> of_namer(names->begin(), names->end());
  for (RegionLevel& level : levels) {
    for (Region& region : level.regions) {
      if (of_namer.contains(region.name)) region.name.clear();
    }
  }
}

}  // namespace

StageResult with_stayed(StageResult regions, const EarlierRegions& earlier,
                        const std::string& namer_key) {
  if (earlier.by_namer.empty()) return regions;
  regions[kStayed].shape = {earlier.by_namer.size()};
  regions[kStayed].values = earlier.by_namer;
  regions[kNamer].shape = {1};
  regions[kNamer].values = std::vector<std::string>{namer_key};
  return regions;
}

std::vector<std::string> stayed_names(const StageResult& regions, const std::string& namer_key) {
  const auto* namer = values<std::string>(regions, kNamer);
  const auto* names = values<std::string>(regions, kStayed);
  if (namer == nullptr || names == nullptr || *namer != std::vector{namer_key}) return {};
  return *names;
}

EarlierRegions earlier_regions(const CheckpointStore& store, std::string_view format,
                               std::span<const std::uint64_t> text_hashes,
                               const std::string& namer_key) {
  const auto stages = store.stages();
  const auto before = stages.find(kRegionsStage);
  if (before == stages.end()) return {};
  const auto of_format = before->second.find("format");
  if (of_format == before->second.end() || of_format->second != format) return {};
  const auto held = store.get_stage(kRegionsStage);
  const auto hashes = held ? texts_of(*held) : std::span<const std::int64_t>{};
  auto rows = rows_to_go_on_from(before->second, hashes, text_hashes);
  if (!rows) return {};
  EarlierRegions earlier{decode_regions(*held), *std::move(rows), {}, content_hash(before->second)};
  for (const RegionLevel& level : earlier.levels) {
    if (level.assignment.size() != hashes.size()) return {};
  }
  earlier.by_namer = stayed_names(*held, namer_key);
  if (earlier.by_namer.empty()) forget_names(earlier.levels, *held);
  const std::vector<RegionLevel> built_in = earlier.levels;
  for (const bool all_asked : {true, false}) {
    const Fingerprint key = names_key(before->second, namer_key, all_asked);
    if (set_names(earlier.levels, store.get_stage(kRegionNamesStage, key))) break;
  }
  for (std::size_t l = 0; l < built_in.size(); ++l) {
    for (std::size_t r = 0; r < built_in[l].regions.size(); ++r) {
      const std::string& name = earlier.levels[l].regions[r].name;
      if (name != built_in[l].regions[r].name) earlier.by_namer.push_back(name);
    }
  }
  return earlier;
}

StageResult encode_grid(const RegionLevel& grid) {
  RegionLevel cells = grid;
  std::vector<std::int32_t> numbers;
  std::vector<std::int32_t> parents;
  for (Region& cell : cells.regions) {
    numbers.push_back(cell.cell);
    parents.push_back(cell.parent);
    cell.parent = -1;  // it is in no level of this result
  }
  StageResult result = encode_regions({cells});
  for (auto [name, list] : {std::pair(kCells, &numbers), std::pair(kParents, &parents)}) {
    result[name].shape = {list->size()};
    result[name].values = std::move(*list);
  }
  return result;
}

RegionLevel decode_grid(const StageResult& result) {
  std::vector<RegionLevel> levels = decode_regions(result);
  const auto* numbers = values<std::int32_t>(result, kCells);
  const auto* parents = values<std::int32_t>(result, kParents);
  if (levels.size() != 1 || numbers == nullptr || parents == nullptr ||
      numbers->size() != levels[0].regions.size() || parents->size() != numbers->size()) {
    throw CheckpointError("the grid kept in the store does not fit together; build it again");
  }
  for (std::size_t c = 0; c < numbers->size(); ++c) {
    levels[0].regions[c].cell = (*numbers)[c];
    levels[0].regions[c].parent = (*parents)[c];
  }
  return std::move(levels[0]);
}

bool name_by_namer(std::vector<RegionLevel>& levels, const Fingerprint& regions_key,
                   const RegionNaming& naming, std::span<const std::string> stayed,
                   std::span<const std::string_view> texts,
                   std::span<const std::string_view> titles, CheckpointStore& store) {
  const Fingerprint whole = names_key(regions_key, naming.key, true);
  if (set_names(levels, store.get_stage(kRegionNamesStage, whole))) return true;
  const Fingerprint some = names_key(regions_key, naming.key, false);
  std::vector<RegionLevel> answered = levels;
  const bool held = set_names(answered, store.get_stage(kRegionNamesStage, some));
  if (!naming.namer) {
    if (held) {
      levels = std::move(answered);
    } else if (naming.warn) {
      naming.warn("the regions are new and there is no namer to ask, so they have built-in names");
    }
    return held;
  }
  // What stands already: names that stayed, and answers to an earlier run.
  std::unordered_set<std::string> settled(stayed.begin(), stayed.end());
  if (held) {
    for (std::size_t l = 0; l < levels.size(); ++l) {
      for (std::size_t r = 0; r < levels[l].regions.size(); ++r) {
        const std::string& name = answered[l].regions[r].name;
        if (name != levels[l].regions[r].name) settled.insert(name);
      }
    }
    levels = std::move(answered);
  }
  bool failed = false;
  const Namer ask = [&](const NamingRequest& request) {
    if (settled.contains(std::string(request.name))) return std::string();
    try {
      return naming.namer(request);
    } catch (...) {
      failed = true;
      throw;
    }
  };
  try {
    rename_regions(levels, texts, titles, ask, naming.warn);
  } catch (...) {
    store.put_stage(kRegionNamesStage, some, encode_names(levels));
    throw;
  }
  store.put_stage(kRegionNamesStage, failed ? some : whole, encode_names(levels));
  return false;
}

}  // namespace knowmap
