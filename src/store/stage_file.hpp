#pragma once

#include <string>
#include <string_view>

#include "knowmap/checkpoint_store.hpp"
#include "store/shard.hpp"

namespace knowmap::store {

/// Fingerprints as JSON objects of texts, and back; throws a `CheckpointError`
/// where it isn't one.
nlohmann::json to_json(const Fingerprint& fingerprint);
Fingerprint fingerprint_of(const Shard& shard);

/// Letters, digits, `_` and `-`, at most 64: fit for a file's name and for
/// HDF5. Throws `std::invalid_argument`.
void check_name(std::string_view what, std::string_view name);

/// `<stage>-<hash of made_from>.h5`
std::string stage_file_name(std::string_view stage, const Fingerprint& made_from);
/// The stage that a file's name tells of; empty where it is no stage's file.
std::string stage_of_file(std::string_view file_name);

/// A stage's result as a shard. Texts become two arrays, `<name>/bytes` and
/// `<name>/offsets`, so that they too are read without HDF5.
void write_stage(const Directory& folder, std::string_view stage, const Fingerprint& made_from,
                 const StageResult& result);
StageResult read_stage(Shard& shard);

/// Checks that a shard holds just that stage.
Shard open_stage(const Directory& folder, const std::string& file_name);

}  // namespace knowmap::store
