#pragma once

#include <filesystem>

#include "knowmap/matrix.hpp"
#include "store/shard.hpp"

namespace knowmap {

/// Where a file that the user named is written beside.
std::filesystem::path folder_of(const std::filesystem::path& file);

/// The float32 matrix "data" of a saved index or labeler. Throws `CheckpointError`.
Matrix read_rows(store::Shard& shard);

}  // namespace knowmap
