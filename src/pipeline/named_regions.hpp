#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/labeler.hpp"
#include "pipeline/earlier_map.hpp"

namespace knowmap {

inline constexpr const char* kRegionsStage = "regions";
inline constexpr const char* kRegionNamesStage = "region_names";
inline constexpr const char* kGridStage = "grid";

/// Regions that the store holds of an earlier state of the collection, named as
/// a reader saw them.
struct EarlierRegions {
  std::vector<RegionLevel> levels;
  /// The number that each of their rows has now, -1 = gone.
  std::vector<std::int64_t> rows;
  /// Those of the names that the namer gave.
  std::vector<std::string> by_namer;
  std::string hash;  ///< of what they were made from, for `kGoesOnFrom`
};

/// Nothing where the store holds none, of another format, or none to go on from
/// (`rows_to_go_on_from`).
/// `namer_key`: names that a namer of this key gave count; regions that had another's have none.
EarlierRegions earlier_regions(const CheckpointStore& store, std::string_view format,
                               std::span<const std::uint64_t> text_hashes,
                               const std::string& namer_key);

/// Regions and, where `earlier` was named by a namer, the names that may have stayed from it; and
/// those again, where they are of the same namer. A run that is cut off while the namer is asked
/// leaves them to the next.
StageResult with_stayed(StageResult regions, const EarlierRegions& earlier,
                        const std::string& namer_key);
std::vector<std::string> stayed_names(const StageResult& regions, const std::string& namer_key);

/// A grid's cells, their numbers and parents too, as the store keeps them.
StageResult encode_grid(const RegionLevel& grid);
/// Throws `CheckpointError` where the parts do not fit.
RegionLevel decode_grid(const StageResult& result);

/// A namer, as `MapOptions` has it.
struct RegionNaming {
  const Namer& namer;
  const std::string& key;
  const WarningCallback& warn;
};

/// Gives regions the names that a namer chose: those in the store where they are
/// of these regions and this namer, else the answers of the namer, which are put
/// there. Regions whose name is one of `stayed`, given by the same namer, keep it
/// without being asked about. What the namer failed at, and what a cut run did
/// not come to, is asked in the next. Answers whether all were in the store.
bool name_by_namer(std::vector<RegionLevel>& levels, const Fingerprint& regions_key,
                   const RegionNaming& naming, std::span<const std::string> stayed,
                   std::span<const std::string_view> texts,
                   std::span<const std::string_view> titles, CheckpointStore& store);

}  // namespace knowmap
