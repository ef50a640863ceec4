#include "embed/batch_planner.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace knowmap {

std::vector<Batch> plan_batches(std::span<const std::int64_t> lengths, std::int64_t budget) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  std::vector<Batch> batches;
  for (const std::size_t text : order) {
    if (batches.empty() || batches.back().tokens + lengths[text] > budget) batches.emplace_back();
    batches.back().texts.push_back(text);
    batches.back().tokens += lengths[text];
  }
  return batches;
}

namespace {
constexpr std::int64_t kLeastTokens = 64;
}

TextSizes sizes_of(std::span<const std::int64_t> lengths) {
  TextSizes sizes;
  for (const std::int64_t length : lengths) {
    sizes.next = std::max(sizes.next, std::min(length, sizes.longest));
    sizes.longest = std::max(sizes.longest, length);
    sizes.total += length;
  }
  return sizes;
}

RunBytes bytes_of(const RunPlan& plan, const MemoryNeeds& needs, const TextSizes& sizes) {
  if (sizes.total == 0) return {};
  // The longest texts go first, each worker with a batch of its own.
  const std::int64_t first = std::min(std::max(plan.batch_tokens, sizes.longest), sizes.total);
  const std::int64_t others = std::max(plan.batch_tokens, sizes.next);
  const std::int64_t rest = sizes.total - first;
  const std::int64_t batches = 1 + (rest + others - 1) / others;
  const std::int64_t workers = std::min<std::int64_t>(plan.workers, batches);
  const std::int64_t tokens = first + std::min((workers - 1) * others, rest);
  return {static_cast<std::uint64_t>(tokens) * needs.bytes_per_token,
          static_cast<std::uint64_t>(workers * std::min(plan.chunk_rows, first)) *
              needs.bytes_per_chunk_row};
}

RunPlan narrowed(RunPlan plan, const MemoryNeeds& needs, const TextSizes& sizes) {
  const auto fits = [&] {
    const RunBytes bytes = bytes_of(plan, needs, sizes);
    return bytes.activations + bytes.chunks <= needs.available / 4 * 3;
  };
  while (needs.available != 0 && plan.workers > 1 && !fits()) --plan.workers;
  return plan;
}

RunPlan plan_run(const MemoryNeeds& needs, std::int64_t wanted_batch_tokens,
                 std::int64_t wanted_chunk_rows, int wanted_workers) {
  RunPlan plan{wanted_batch_tokens, wanted_chunk_rows, wanted_workers};
  if (needs.available == 0) return plan;
  const auto need = [&] {
    return static_cast<std::uint64_t>(plan.workers) *
           (static_cast<std::uint64_t>(plan.batch_tokens) * needs.bytes_per_token +
            static_cast<std::uint64_t>(std::min(plan.chunk_rows, plan.batch_tokens)) *
                needs.bytes_per_chunk_row);
  };
  while (need() > needs.available / 2) {
    if (plan.batch_tokens > kLeastTokens) {
      plan.batch_tokens = std::max(kLeastTokens, plan.batch_tokens / 2);
    } else if (plan.workers > 1) {
      plan.workers = (plan.workers + 1) / 2;
      plan.batch_tokens = wanted_batch_tokens;
    } else {
      break;  // the least there is: back-off does the rest
    }
  }
  plan.chunk_rows = std::min(plan.chunk_rows, std::max(plan.batch_tokens, kLeastTokens));
  return plan;
}

}  // namespace knowmap
