#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "support/hash128.hpp"

namespace knowmap::store {

/// What the writer and the reader of a shard's user block agree on; shard.hpp
/// describes it.
inline constexpr std::array<char, 8> kMagic = {'K', 'N', 'O', 'W', 'M', 'A', 'P', '\x1a'};
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kLeastBlockBytes = 512;
inline constexpr std::uint64_t kMostBlockBytes = std::uint64_t{16} << 20;

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t format = kFormatVersion;
  std::uint32_t block_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t contents_bytes = 0;
  Hash128 body_hash;
  Hash128 block_hash;
};
inline constexpr std::size_t kHeaderBytes = 64;
static_assert(sizeof(Header) == kHeaderBytes);

/// Of the whole block but for the place where the result stands.
inline Hash128 hash_block(std::string_view block) {
  Hasher hasher;
  hasher.update(block.substr(0, offsetof(Header, block_hash)));
  hasher.update(block.substr(kHeaderBytes));
  return hasher.finish();
}

}  // namespace knowmap::store
