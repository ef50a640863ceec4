#pragma once

/// The version of the headers, as numbers for the preprocessor and as text. The
/// build checks that it is the version of the package (pyproject.toml).
#define KNOWMAP_VERSION_MAJOR 0
#define KNOWMAP_VERSION_MINOR 1
#define KNOWMAP_VERSION_PATCH 0
#define KNOWMAP_VERSION "0.1.0"

/// Marks what the shared library shows to its users; all else is hidden.
#if defined(_WIN32)
#define KNOWMAP_EXPORT
#else
#define KNOWMAP_EXPORT __attribute__((visibility("default")))
#endif

namespace knowmap {

/// The version of the library that was linked, e.g. "0.1.0".
KNOWMAP_EXPORT const char* version() noexcept;

}  // namespace knowmap
