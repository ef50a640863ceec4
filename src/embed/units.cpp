#include "embed/units.hpp"

#include <algorithm>

namespace knowmap {

Units cut_units(std::span<const std::string_view> texts, std::size_t max_seq_length,
                std::size_t unit_tokens) {
  Units units;
  std::size_t begin = 0;
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    tokens += std::min(max_seq_length, texts[i].size() / 4 + 2);
    if (tokens >= unit_tokens) {
      units.emplace_back(begin, i + 1);
      begin = i + 1;
      tokens = 0;
    }
  }
  if (begin < texts.size()) units.emplace_back(begin, texts.size());
  return units;
}

}  // namespace knowmap
