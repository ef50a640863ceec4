#include "store/manifest.hpp"

#include <algorithm>

#include "knowmap/version.hpp"
#include "store/atomic_file.hpp"
#include "store/lock_file.hpp"
#include "store/row_shards.hpp"
#include "store/stage_file.hpp"
#include "support/json.hpp"

namespace knowmap::store {
namespace {

constexpr const char* kFormat = "knowmap-store";
constexpr int kVersion = 1;
constexpr std::uintmax_t kMostManifestBytes = 64u << 20;

nlohmann::json as_json(const std::vector<RowRange>& ranges) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& range : ranges) {
    if (!list.empty() && list.back()[1] == range.begin) {
      list.back()[1] = range.end;  // people want to see gaps, not shards
    } else {
      list.push_back({range.begin, range.end});
    }
  }
  return list;
}

// The manifest, where it is there and can be read; else null.
nlohmann::json read_manifest(const Directory& folder) {
  if (!folder.contains(kManifestName)) return nullptr;
  const FileDescriptor file = folder.open_file(kManifestName);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 ||
      static_cast<std::uintmax_t>(info.st_size) > kMostManifestBytes) {
    return nullptr;
  }
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  try {
    read_exactly(file.get(), text.data(), text.size(), 0, folder.path() / kManifestName);
    return parse_json<CheckpointError>(text, kManifestName);
  } catch (const CheckpointError&) {
    return nullptr;  // damaged: it can be rebuilt, the listing decides
  }
}

constexpr const char* kChecksum = "checksum";

// Of all else that the manifest says, however it is set: a later version keeps to it.
std::string checksum_of(nlohmann::json manifest) {
  manifest.erase(kChecksum);
  return content_hash(manifest.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

bool is_manifest(const nlohmann::json& said) {
  return said.is_object() && said.value("format", nlohmann::json()) == kFormat;
}

bool is_sound(const nlohmann::json& said) {
  return is_manifest(said) && said.value(kChecksum, nlohmann::json()) == checksum_of(said);
}

// Whether a folder holds a shard whose header is sound: that no other program makes.
bool has_shard(const Directory& root) {
  for (const char* name : {kRowsFolder, kStagesFolder}) {
    try {
      const Directory folder(root, name, /*create=*/false);
      if (!folder) continue;
      for (const auto& entry : folder.list()) {
        if (!range_of_file(entry) && stage_of_file(entry).empty()) continue;
        try {
          const Shard shard(folder, entry, Shard::File::reopen);
          return true;
        } catch (const NewerShardError&) {
          return true;
        } catch (const CheckpointError&) {
        }
      }
    } catch (const CheckpointError&) {  // no folder, or one that can't be read
    }
  }
  return false;
}

void remove_matching(const Directory& parent, const char* name, bool (*is_own)(std::string_view)) {
  if (!parent.contains(name)) return;
  const Directory folder(parent, name, /*create=*/false);
  for (const auto& entry : folder.list()) {
    if (is_own(entry) || is_temporary(entry)) folder.remove(entry);
  }
  folder.sync();
}

}  // namespace

bool is_own_name(const std::string& name) {
  return name == kManifestName || name == kRowsFolder || name == kStagesFolder ||
         name == kLockName || is_temporary(name);
}

bool manifest_is_damaged(const Directory& folder) {
  if (!folder.contains(kManifestName)) return false;
  try {
    return !is_sound(read_manifest(folder));
  } catch (const CheckpointError&) {
    return true;  // it can't even be opened
  }
}

void write_manifest_file(const Directory& folder, const Manifest& manifest) {
  std::uint64_t rows = 0;
  for (const auto& range : manifest.ranges) rows += range.end - range.begin;
  nlohmann::json stages = nlohmann::json::object();
  for (const auto& [stage, made_from] : manifest.stages) stages[stage] = to_json(made_from);
  nlohmann::json json = {{"format", kFormat},
                         {"version", kVersion},
                         {"knowmap", KNOWMAP_VERSION},
                         {"rows",
                          {{"count", rows},
                           {"dimension", manifest.dimension},
                           {"fingerprint", to_json(manifest.fingerprint)},
                           {"ranges", as_json(manifest.ranges)}}},
                         {"stages", stages}};
  json[kChecksum] = checksum_of(json);
  const std::string text =
      json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  write_durably(folder, kManifestName, text, IfThere::replace);
}

void require_store(const Directory& folder, const std::string& purpose) {
  const nlohmann::json manifest = read_manifest(folder);
  if (is_manifest(manifest)) {
    const auto version = manifest.find("version");
    if (version != manifest.end() && *version == kVersion) return;
    // A damaged version is no later one; without a checksum it is to be believed.
    if (manifest.contains(kChecksum) && !is_sound(manifest)) return;
    throw CheckpointError("the store " + folder.path().string() + " is of version " +
                          (version == manifest.end() ? "unknown" : version->dump()) +
                          ", this knowmap knows version " + std::to_string(kVersion) +
                          ": use the knowmap that made it");
  }
  const auto names = folder.list();
  const auto foreign = std::find_if_not(names.begin(), names.end(), is_own_name);
  if (foreign == names.end() || has_shard(folder)) return;
  throw CheckpointError(folder.path().string() + " is not a store of knowmap: it holds \"" +
                        *foreign + "\" and no " + kManifestName + "; " + purpose);
}

void remove_store_files(const Directory& folder) {
  remove_matching(folder, kStagesFolder,
                  [](std::string_view name) { return !stage_of_file(name).empty(); });
  remove_matching(folder, kRowsFolder,
                  [](std::string_view name) { return range_of_file(name).has_value(); });
  for (const auto& name : leftovers(folder)) folder.remove(name);
  // The manifest stays until the new one takes its place: without it, a folder
  // that also holds a map would count as somebody else's after a kill here.
  folder.sync();
}

std::vector<std::string> leftovers(const Directory& folder) {
  auto names = folder.list();
  std::erase_if(names, [](const std::string& name) { return !is_temporary(name); });
  return names;
}

}  // namespace knowmap::store
