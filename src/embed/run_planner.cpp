#include "embed/run_planner.hpp"

#include <algorithm>

#include "device/device.hpp"
#include "embed/precision.hpp"
#include "embed/units.hpp"
#include "support/memory.hpp"

namespace knowmap {

namespace {

// A device's batch must keep thousands of lanes busy.
constexpr std::int64_t kDeviceBatchTokens = 16384;
constexpr std::int64_t kDeviceChunkRows = 16384;
// Where a layer's weights are far larger than the caches, each reading of them
// must serve more rows.
constexpr std::int64_t kWideHidden = 2048;
constexpr std::int64_t kWideBatchTokens = 1024;
constexpr std::int64_t kWideChunkRows = 512;

// What a fault in a mapped file brings in on Linux, pages around the wanted one included.
constexpr std::uint64_t kFaultBytes = std::uint64_t{64} << 10;

}  // namespace

LastingBytes::LastingBytes(const at::Tensor* table, std::uint64_t results,
                           std::uint64_t results_per_token)
    : results_(results), results_per_token_(results_per_token) {
  if (table == nullptr || table->numel() == 0) return;
  table_ = reinterpret_cast<std::uintptr_t>(table->const_data_ptr());
  table_bytes_ = table->nbytes();
  row_bytes_ = table_bytes_ / static_cast<std::uint64_t>(table->size(0));
  met_.resize((table_ + table_bytes_) / kFaultBytes - table_ / kFaultBytes + 1);
}

std::uint64_t LastingBytes::missing(std::uintptr_t begin, std::uintptr_t end) const {
  const std::uintptr_t from = std::max(begin, table_);
  const std::uint64_t bytes = std::min(end, table_ + table_bytes_) - from;
  return bytes - resident_memory(reinterpret_cast<const void*>(from), bytes);
}

void LastingBytes::meet(std::span<const std::int32_t> ids) {
  tokens_ += ids.size();
  if (table_bytes_ == 0) return;
  for (const std::int32_t id : ids) {
    const std::uintptr_t row = table_ + static_cast<std::uint64_t>(id) * row_bytes_;
    const std::uintptr_t last = (row + row_bytes_ - 1) / kFaultBytes;
    for (std::uintptr_t block = row / kFaultBytes; block <= last; ++block) {
      const auto place = static_cast<std::size_t>(block - table_ / kFaultBytes);
      if (met_[place]) continue;
      met_[place] = true;
      // Asked of these blocks alone: to ask of the whole table takes as long as a short text.
      coming_ += missing(block * kFaultBytes, (block + 1) * kFaultBytes);
    }
  }
}

void LastingBytes::meet_any(std::uint64_t tokens) {
  tokens_ += tokens;
  unknown_ += tokens;
}

std::uint64_t LastingBytes::bytes() const {
  const std::uint64_t known = results_ + tokens_ * results_per_token_ + coming_;
  if (unknown_ == 0 || table_bytes_ == 0) return known;
  return known + std::min(missing(table_, table_ + table_bytes_), unknown_ * kFaultBytes);
}

std::uint64_t RunPlanner::room() const {
  std::uint64_t available = free_memory(device_);
  if (options_.memory_limit != 0) {
    // The limit is for all of it: what the process holds already counts.
    const std::uint64_t held = this->held();
    const std::uint64_t left =
        options_.memory_limit > held ? options_.memory_limit - held : std::uint64_t{1};
    available = available == 0 ? left : std::min(available, left);
  }
  return available;
}

bool RunPlanner::holds_layers() const {
  if (options_.residency != Residency::automatic) {
    return options_.residency == Residency::resident;
  }
  const std::uint64_t layers = static_cast<std::uint64_t>(model_.layers()) * model_.layer_bytes();
  const std::uint64_t available = room();
  return available == 0 || layers <= available / 3 * 2;
}

std::uint64_t RunPlanner::held() const {
  return device_.is_cpu() ? resident_memory() : model_.weight_bytes();
}

LastingBytes RunPlanner::lasting(std::uint64_t results, std::uint64_t results_per_token) const {
  if (!device_.is_cpu()) return {nullptr, 0, 0};
  return {&model_.word_table(), results, results_per_token};
}

LastingBytes RunPlanner::lasting(MatrixView<float> results) const {
  const std::uint64_t bytes = results.rows * results.cols * sizeof(float);
  return lasting(bytes - resident_memory(results.data, bytes));
}

RunPlan RunPlanner::plan(const LastingBytes& lasting) const {
  const bool cpu = device_.is_cpu();
  const bool wide = cpu && model_.architecture().hidden_size >= kWideHidden;
  const std::int64_t usual = cpu ? (wide ? kWideBatchTokens : kCpuBatchTokens) : kDeviceBatchTokens;
  const std::int64_t wanted =
      options_.batch_tokens != 0 ? static_cast<std::int64_t>(options_.batch_tokens) : usual;
  std::uint64_t free = room();
  if (free != 0) free -= std::min(free - 1, lasting.results());
  return plan_run(needs(free), wanted,
                  cpu ? (wide ? kWideChunkRows : kCpuChunkRows) : kDeviceChunkRows,
                  cpu ? threads_ : 1);
}

MemoryNeeds RunPlanner::needs(std::uint64_t free) const {
  MemoryNeeds needs{free, model_.bytes_per_token(), model_.bytes_per_chunk_row()};
  if (model_.resident()) return needs;
  // Two layers come, and what making one ready takes.
  const std::uint64_t layers = 3 * model_.layer_bytes();
  if (needs.available != 0) {
    needs.available = needs.available > layers ? needs.available - layers : std::uint64_t{1};
  }
  needs.bytes_per_token += hidden_bytes();  // as they were before the layer
  return needs;
}

std::int64_t RunPlanner::super_batch_tokens(const RunPlan& plan, const MemoryNeeds& needs,
                                            const RunBytes& busy, std::int64_t longest) const {
  if (needs.available == 0) return kUnitTokens;
  const std::uint64_t batches = busy.activations + busy.chunks;
  const std::uint64_t left = needs.available > batches ? needs.available - batches : 0;
  return std::max(std::max(plan.batch_tokens, longest),
                  static_cast<std::int64_t>(left / 2 / hidden_bytes()));
}

std::uint64_t RunPlanner::hidden_bytes() const {
  return static_cast<std::uint64_t>(model_.architecture().hidden_size) *
         at::elementSize(model_.backend().dtype());
}

EmbedPlan RunPlanner::foresee(const RunPlan& wide_plan, const TextSizes& sizes,
                              const LastingBytes& lasting) const {
  const std::uint64_t free = room();
  const MemoryNeeds needs = this->needs(free);
  const RunPlan run = narrowed(wide_plan, needs, sizes);
  const RunBytes bytes = bytes_of(run, needs, sizes);
  EmbedPlan plan;
  plan.available = free;
  plan.layer = model_.layer_bytes();
  plan.streamed = !model_.resident();
  const auto layers = static_cast<std::uint64_t>(model_.layers());
  plan.weights = model_.weight_bytes();
  if (plan.streamed) plan.weights -= (layers - std::min<std::uint64_t>(2, layers)) * plan.layer;
  plan.batch_tokens = static_cast<std::uint64_t>(run.batch_tokens);
  plan.chunk_rows = static_cast<std::uint64_t>(run.chunk_rows);
  plan.workers = run.workers;
  plan.activations = bytes.activations;
  // A head's keys and values are laid out anew for each thread.
  plan.workspace = bytes.chunks + static_cast<std::uint64_t>(run.workers * sizes.longest * 2 *
                                                             model_.architecture().head_dim * 4);
  if (sizes.total > 0) plan.workspace += model_.kernel_bytes();
  plan.lasting = lasting.bytes();
  plan.held = held();
  plan.peak = plan.held + plan.activations + plan.workspace + plan.lasting;
  if (plan.streamed) {
    const std::int64_t super_batch = super_batch_tokens(run, needs, bytes, sizes.longest);
    plan.super_batch_tokens = static_cast<std::uint64_t>(super_batch);
    const std::uint64_t hidden =
        static_cast<std::uint64_t>(std::min(super_batch, sizes.total)) * hidden_bytes();
    plan.activations += hidden;
    plan.workspace += plan.layer;  // what making one ready takes
    plan.peak += hidden + 3 * plan.layer;
  }
  return plan;
}

}  // namespace knowmap
