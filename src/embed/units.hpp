#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace knowmap {

/// A contiguous run [begin, end) of texts.
using Unit = std::pair<std::size_t, std::size_t>;
using Units = std::vector<Unit>;

/// Cuts texts into contiguous runs [begin, end) of about `unit_tokens` tokens:
/// what is tokenised, planned and committed together. The cut depends on the
/// texts' bytes alone (a token is taken as four of them), so that a resumed run,
/// and another machine, meet the same units without tokenising first.
Units cut_units(std::span<const std::string_view> texts, std::size_t max_seq_length,
                std::size_t unit_tokens);

/// Tokens a unit: some seconds of work on a CPU, the most that a kill can lose.
inline constexpr std::size_t kUnitTokens = 65536;

}  // namespace knowmap
