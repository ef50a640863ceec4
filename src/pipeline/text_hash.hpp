#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace knowmap {

/// 64 bits for each text, by which a resumed run knows it again.
std::vector<std::uint64_t> text_hashes(std::span<const std::string_view> texts);

}  // namespace knowmap
