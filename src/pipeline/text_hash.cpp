#include "pipeline/text_hash.hpp"

#include <string>

#include "knowmap/fingerprint.hpp"

namespace knowmap {

std::vector<std::uint64_t> text_hashes(std::span<const std::string_view> texts) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(texts.size());
  for (const std::string_view text : texts) {
    hashes.push_back(std::stoull(content_hash(text).substr(0, 16), nullptr, 16));
  }
  return hashes;
}

}  // namespace knowmap
