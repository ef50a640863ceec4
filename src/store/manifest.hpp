#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "store/system.hpp"

namespace knowmap::store {

inline constexpr const char* kManifestName = "store.json";
inline constexpr const char* kRowsFolder = "rows";
inline constexpr const char* kStagesFolder = "stages";

/// What the manifest tells people and tools. Nothing is decided by it but
/// whether a folder is a store, and of a version that is known.
struct Manifest {
  std::uint64_t dimension = 0;
  Fingerprint fingerprint;
  std::vector<RowRange> ranges;
  std::map<std::string, Fingerprint> stages;
};
void write_manifest_file(const Directory& folder, const Manifest& manifest);

/// Whether the manifest is there and is not what was written.
bool manifest_is_damaged(const Directory& folder);

/// Whether a name within a store's folder is one that the store itself gives.
bool is_own_name(const std::string& name);

/// Whether a folder is a store or may become one: it has a manifest that says
/// so, or a shard whose header is sound, or holds nothing but what a store makes.
/// Throws where it isn't, or where it is from a newer knowmap, by a manifest whose
/// checksum is right. `purpose` ends the message ("nothing was ...").
void require_store(const Directory& folder, const std::string& purpose);

/// Removes a store's own files, by their names, and nothing else; the manifest
/// last, so that a removal that was cut off can be done again.
void remove_store_files(const Directory& folder);

/// Names of files that were in the making when a run was cut off.
std::vector<std::string> leftovers(const Directory& folder);

}  // namespace knowmap::store
