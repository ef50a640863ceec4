#include "pipeline/text_hash.hpp"

#include "support/hash128.hpp"

namespace knowmap {

std::vector<std::uint64_t> text_hashes(std::span<const std::string_view> texts) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(texts.size());
  for (const std::string_view text : texts) {
    hashes.push_back(hash_bytes(text).high);
  }
  return hashes;
}

}  // namespace knowmap
