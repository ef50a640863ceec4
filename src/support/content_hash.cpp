#include <algorithm>
#include <bit>
#include <cstring>

#include "knowmap/fingerprint.hpp"
#include "support/hash128.hpp"

namespace knowmap {
namespace {

// The first 64 bits behind the point of the square roots of 2, 3, 5, ..., 19;
// the multipliers are those of 23 and 29, made odd: nothing is chosen.
constexpr std::array<std::uint64_t, 8> kStart = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr std::uint64_t kWordFactor = 0xcbbb9d5dc1059ed9;
constexpr std::uint64_t kLaneFactor = 0x629a292a367cd507;

std::uint64_t load_little_endian(const unsigned char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

std::uint64_t mix_word(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kWordFactor, 31) * kLaneFactor;
}

// Lets every bit of the input reach every bit of the output.
std::uint64_t avalanche(std::uint64_t x) {
  x = (x ^ (x >> 32)) * kWordFactor;
  x = (x ^ (x >> 29)) * kLaneFactor;
  return x ^ (x >> 32);
}

}  // namespace

Hasher::Hasher() : lanes_(kStart) {}

void Hasher::mix_stripe(std::array<std::uint64_t, kLanes>& lanes, const unsigned char* stripe) {
  for (std::size_t i = 0; i < kLanes; ++i) {
    lanes[i] = mix_word(lanes[i], load_little_endian(stripe + i * sizeof(std::uint64_t)));
  }
}

void Hasher::update(const void* data, std::size_t bytes) {
  const auto* in = static_cast<const unsigned char*>(data);
  const std::size_t held = length_ % kStripe;
  length_ += bytes;
  if (held != 0) {
    const std::size_t taken = std::min(bytes, kStripe - held);
    std::copy_n(in, taken, pending_.begin() + static_cast<std::ptrdiff_t>(held));
    in += taken;
    bytes -= taken;
    if (held + taken < kStripe) return;
    mix_stripe(lanes_, pending_.data());
  }
  auto lanes = lanes_;  // in registers while the loop runs
  for (; bytes >= kStripe; bytes -= kStripe, in += kStripe) mix_stripe(lanes, in);
  lanes_ = lanes;
  std::copy_n(in, bytes, pending_.begin());
}

Hash128 Hasher::finish() const {
  auto lanes = lanes_;
  const std::size_t held = length_ % kStripe;
  if (held != 0) {  // the length, mixed in below, tells padding from content
    auto last = pending_;
    std::fill(last.begin() + static_cast<std::ptrdiff_t>(held), last.end(), 0);
    mix_stripe(lanes, last.data());
  }
  Hash128 result{length_ ^ kStart[0], ~length_ * kLaneFactor};
  for (std::size_t i = 0; i < kLanes; ++i) {
    result.low = avalanche(mix_word(result.low, lanes[i]));
    result.high = avalanche(mix_word(result.high, lanes[kLanes - 1 - i] ^ kStart[i]));
  }
  return result;
}

Hash128 hash_bytes(std::string_view bytes) {
  Hasher hasher;
  hasher.update(bytes);
  return hasher.finish();
}

std::string hex(const Hash128& hash) {
  std::string text;
  for (const std::uint64_t word : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
  }
  return text;
}

std::string content_hash(std::string_view bytes) { return hex(hash_bytes(bytes)); }

std::string content_hash(const Fingerprint& fingerprint) {
  // Lengths stand before the texts, so that no two fingerprints run together.
  std::string joined;
  for (const auto& [name, value] : fingerprint) {
    joined += std::to_string(name.size()) + ':' + name;
    joined += std::to_string(value.size()) + ':' + value;
  }
  return content_hash(joined);
}

}  // namespace knowmap
