#pragma once

#include <map>
#include <string>
#include <string_view>

#include "knowmap/version.hpp"

namespace knowmap {

/// What decides the bytes of a result, as names and values ("model" → hash of
/// its weights, "precision" → "bfloat16", ...), so that a resume that does not
/// fit can say by name what differs.
using Fingerprint = std::map<std::string, std::string>;

/// 128-bit hash as 32 hex digits; the same on every machine. Not for secrets.
KNOWMAP_EXPORT std::string content_hash(std::string_view bytes);
KNOWMAP_EXPORT std::string content_hash(const Fingerprint& fingerprint);

}  // namespace knowmap
