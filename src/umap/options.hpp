#pragma once

#include "knowmap/umap.hpp"

namespace knowmap::umap {

/// Throws `std::invalid_argument` naming the option, its value and its range.
void check_options(const UmapOptions& options);

}  // namespace knowmap::umap
