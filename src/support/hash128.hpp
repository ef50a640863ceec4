#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace knowmap {

/// The 128 bits that tell whether bytes are still what they were.
struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

/// A fast hash for finding damage and for naming content, fed piece by piece;
/// how the bytes are cut into pieces doesn't matter.
///
/// Eight lanes each take one 64-bit word of every 64-byte stripe, by an update
/// that is one-to-one both in the lane and in the word: a change within one word
/// always changes its lane, and nothing that follows in that lane can undo it.
/// Not for secrets: whoever wants to can make two texts with one hash.
class Hasher {
 public:
  Hasher();
  void update(const void* data, std::size_t bytes);
  void update(std::string_view bytes) { update(bytes.data(), bytes.size()); }
  Hash128 finish() const;

 private:
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kStripe = kLanes * sizeof(std::uint64_t);
  static void mix_stripe(std::array<std::uint64_t, kLanes>& lanes, const unsigned char* stripe);

  std::array<std::uint64_t, kLanes> lanes_;
  std::array<unsigned char, kStripe> pending_{};
  std::uint64_t length_ = 0;
};

Hash128 hash_bytes(std::string_view bytes);
std::string hex(const Hash128& hash);

}  // namespace knowmap
