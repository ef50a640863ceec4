#pragma once

#include <nlohmann/json_fwd.hpp>

#include "knowmap/umap.hpp"

namespace knowmap::umap {

/// Throws `std::invalid_argument` naming the option, its value and its range.
void check_options(const UmapOptions& options);

/// What decides a fitted map's later answers, by name. What belongs to one run
/// (threads, progress, snapshots, what is kept) is left out.
nlohmann::json options_to_json(const UmapOptions& options);
/// Throws nlohmann's exceptions on what is missing or of the wrong type.
UmapOptions options_from_json(const nlohmann::json& json);

}  // namespace knowmap::umap
