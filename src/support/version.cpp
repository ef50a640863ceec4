#include "knowmap/version.hpp"

namespace knowmap {

const char* version() noexcept { return KNOWMAP_VERSION; }

}  // namespace knowmap
