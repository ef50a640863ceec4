#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "model/backend.hpp"
#include "model/cpu_kernels.hpp"
#include "model/int8_linear.hpp"
#include "model/packed_linear.hpp"
#include "model/positions.hpp"
#include "model/row_kernels.hpp"
#include "model/tiled_linear.hpp"
#include "support/isa.hpp"

namespace knowmap {

namespace {

constexpr std::int64_t kGatheredRows = 256;

template <class T>
constexpr at::ScalarType kDtype = at::kFloat;
template <>
constexpr at::ScalarType kDtype<BFloat16> = at::kBFloat16;

/// Some queries of one head of one text.
struct AttentionPart {
  std::int64_t row;  // of the text's first token
  std::int64_t length;
  std::int64_t head;
  std::int64_t first_query;
  std::int64_t last_query;
};

/// What a batch's attention falls into: so many queries at a time that laying the
/// head's keys out anew for each part costs little.
class AttentionParts {
 public:
  AttentionParts(const PackedTokens& tokens, std::int64_t heads) : tokens_(tokens), heads_(heads) {
    for (std::int64_t t = 0; t < tokens.texts(); ++t) {
      const std::int64_t length = tokens.offsets[t + 1] - tokens.offsets[t];
      const std::int64_t blocks = (length + kQueries - 1) / kQueries;
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + heads * blocks);
      scores_ += length * length;
    }
  }

  std::size_t size() const { return static_cast<std::size_t>(ends_.empty() ? 0 : ends_.back()); }

  AttentionPart operator[](std::size_t i) const {
    const auto number = static_cast<std::int64_t>(i);
    const auto found = std::upper_bound(ends_.begin(), ends_.end(), number);
    const auto t = static_cast<std::size_t>(found - ends_.begin());
    const std::int64_t within = number - (t == 0 ? 0 : ends_[t - 1]);
    const std::int64_t length = tokens_.offsets[t + 1] - tokens_.offsets[t];
    const std::int64_t first = within / heads_ * kQueries;
    return {tokens_.offsets[t] - tokens_.offsets.front(), length, within % heads_, first,
            std::min(length, first + kQueries)};
  }

  /// Parts that a thread takes at a time where `helpers` help, `width` numbers
  /// being multiplied for a score: several times for each thread, yet so much
  /// work that passing it on costs little.
  std::size_t grain(int helpers, std::int64_t width) const {
    if (helpers == 0 || scores_ == 0) return size();
    const double work = 4.0 * static_cast<double>(scores_ * heads_ * width);
    const auto most = static_cast<std::size_t>(work / kLeastWork);
    return size() / std::clamp<std::size_t>(kTurns * static_cast<std::size_t>(helpers + 1), 1,
                                            std::max<std::size_t>(most, 1));
  }

 private:
  static constexpr std::int64_t kQueries = 512;
  static constexpr std::size_t kTurns = 3;
  static constexpr double kLeastWork = 1e6;  // operations: some 20 microseconds

  const PackedTokens& tokens_;
  std::int64_t heads_;
  std::vector<std::int64_t> ends_;  // of each text's parts
  std::int64_t scores_ = 0;         // of one head
};

template <class T>
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(bool half_weights = false,
                      std::vector<SwitchableLinear*>* switchable = nullptr,
                      const ChannelSizes* sizes = nullptr, ChannelSizes* watched = nullptr)
      : half_weights_(half_weights), switchable_(switchable), sizes_(sizes), watched_(watched) {}

  at::Device device() const override { return at::kCPU; }
  at::ScalarType dtype() const override { return kDtype<T>; }
  at::ScalarType weight_dtype() const override { return half_weights_ ? at::kHalf : dtype(); }
  std::uint64_t kernel_bytes() const override { return packs() ? kPackedKernelBytes : 0; }
  std::int64_t row_multiple() const override { return packs() ? kPackedRowMultiple : 1; }

  // Tables and norms stay float32, where they are: mostly in the mapped file.
  at::Tensor keep(const at::Tensor& weight) const override {
    return weight.to(at::kFloat).contiguous();
  }

  at::Tensor keep_table(const at::Tensor& weight) const override { return weight; }

  std::unique_ptr<Linear> linear(const at::Tensor& weight, const at::Tensor& bias,
                                 Activation activation, std::size_t number) const override {
    auto own = own_linear(weight, bias, activation);
    if (watched_ != nullptr) return make_watched_linear(std::move(own), watched_->at(number));
    if (switchable_ == nullptr) return own;
    auto both = make_switchable_linear(
        std::move(own), make_int8_linear(weight, bias, activation, dtype(), sizes_->at(number)),
        weight.size(0), weight.size(1), dtype());
    switchable_->push_back(both.get());
    return both;
  }

  at::Tensor embed(const PackedTokens& tokens, const EmbeddingTables& tables) const override {
    const std::int64_t dim = tables.word.size(1);
    const std::int64_t n = tokens.tokens();
    at::Tensor out = at::empty({n, dim}, dtype());
    const std::int32_t* ids = tokens.ids.data() + tokens.offsets.front();
    // The kernel reads float32 words where they lie; others are gathered first, so few
    // at a time that they take no memory worth a plan.
    const bool in_place = tables.norm && tables.word.scalar_type() == at::kFloat;
    const std::int64_t step = in_place ? n : kGatheredRows;
    const at::Tensor nothing = at::zeros({dim}, at::kFloat);
    const bool placed = tables.position.defined();
    std::vector<std::int32_t> positions;  // for the kernel, which norms
    if (tables.norm)
      positions = placed ? table_positions(tokens, tables) : std::vector<std::int32_t>(n, 0);
    std::vector<std::int32_t> in_order(static_cast<std::size_t>(in_place ? 0 : step));
    std::iota(in_order.begin(), in_order.end(), 0);
    for (std::int64_t begin = 0; begin < n; begin += step) {
      const std::int64_t count = std::min(step, n - begin);
      at::Tensor word = tables.word;
      if (!in_place) word = gather(word, ids + begin, count).to(at::kFloat);
      if (!tables.norm) {
        if (tables.scale != 1.0) word.mul_(tables.scale);
        out.narrow(0, begin, count).copy_(word);
        continue;
      }
      kernels_.embed(
          in_place ? ids : in_order.data(), positions.data() + begin,
          static_cast<std::size_t>(count), floats(word), floats(placed ? tables.position : nothing),
          floats(tables.type.defined() ? tables.type : nothing), floats(tables.norm.gamma),
          floats(tables.norm.beta.defined() ? tables.norm.beta : nothing),
          static_cast<float>(tables.norm.eps), static_cast<std::size_t>(dim),
          rows(out) + begin * dim);
    }
    return out;
  }

  void turn_heads(at::Tensor& qkv, const PackedTokens& tokens, std::int64_t first,
                  const HeadOptions& options) const override {
    const std::vector<std::int32_t> positions = positions_in_texts(tokens, first, qkv.size(0));
    const auto part = [&](std::int64_t head, std::int64_t heads, const NormWeights& norm) {
      row_kernels_.turn(rows(qkv) + head * options.head_dim, static_cast<std::size_t>(qkv.size(1)),
                        positions.size(), static_cast<std::size_t>(heads),
                        static_cast<std::size_t>(options.head_dim),
                        norm ? floats(norm.gamma) : nullptr, static_cast<float>(norm.eps),
                        positions.data(),
                        options.rotary.defined() ? floats(options.rotary) : nullptr);
    };
    part(0, options.heads, options.query_norm);
    part(options.heads, options.kv_heads, options.key_norm);
  }

  void attention(const at::Tensor& qkv, const PackedTokens& tokens, const AttentionOptions& options,
                 Team* team, at::Tensor& out) const override {
    const std::int64_t head_dim = options.head_dim;
    const std::int64_t group = options.heads / options.kv_heads;
    const std::int64_t width = options.heads * head_dim;
    AttentionShape shape;
    shape.head_dim = static_cast<std::size_t>(head_dim);
    shape.group = static_cast<std::size_t>(group);
    shape.stride = static_cast<std::size_t>(qkv.size(1));
    shape.out_stride = static_cast<std::size_t>(out.stride(0));
    shape.scale = static_cast<float>(options.scale);
    shape.before = static_cast<std::size_t>(options.sight.before);
    shape.after = static_cast<std::size_t>(options.sight.after);
    if (options.bias.defined()) {
      shape.bias_stride = static_cast<std::size_t>(options.bias.size(1));
      shape.bias_zero = static_cast<std::size_t>(options.bias_zero);
    }
    const AttentionParts parts(tokens, options.kv_heads);
    const std::size_t grain = parts.grain(team == nullptr ? 0 : team->idle(), group * head_dim);
    run_ranges(team, parts.size(), grain, [&](std::size_t begin, std::size_t end) {
      at::Tensor scratch;
      AttentionShape own = shape;
      for (std::size_t i = begin; i < end; ++i) {
        const AttentionPart part = parts[i];
        const std::int64_t h = part.head;
        own.length = static_cast<std::size_t>(part.length);
        own.first_query = static_cast<std::size_t>(part.first_query);
        own.last_query = static_cast<std::size_t>(part.last_query);
        if (options.bias.defined()) {
          own.bias = floats(options.bias) + h * group * options.bias.size(1);
        }
        const auto needed =
            static_cast<std::int64_t>(kernels_.attention_scratch(own.length, own.head_dim));
        if (!scratch.defined() || scratch.numel() < needed)
          scratch = at::empty({needed}, at::kFloat);
        const T* row = rows(qkv) + part.row * qkv.size(1);
        kernels_.attention(row + h * group * head_dim, row + width + h * head_dim,
                           row + width + (options.kv_heads + h) * head_dim, own,
                           rows(out) + part.row * out.stride(0) + h * group * head_dim,
                           scratch.data_ptr<float>());
      }
    });
  }

  void norm(const at::Tensor& x, const NormWeights& norm, at::Tensor& out) const override {
    row_kernels_.norm(
        rows(x), floats(norm.gamma), norm.beta.defined() ? floats(norm.beta) : nullptr,
        static_cast<float>(norm.eps), norm.kind == NormKind::rms_norm,
        static_cast<std::size_t>(x.size(0)), static_cast<std::size_t>(x.size(1)), rows(out));
  }

  void add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const NormWeights& norm,
                      at::Tensor& out) const override {
    kernels_.add_layer_norm(rows(x), rows(residual), floats(norm.gamma), floats(norm.beta),
                            static_cast<float>(norm.eps), static_cast<std::size_t>(x.size(0)),
                            static_cast<std::size_t>(x.size(1)), rows(out));
  }

  void add(at::Tensor& x, const at::Tensor& y) const override {
    row_kernels_.add(rows(x), rows(y), static_cast<std::size_t>(x.numel()));
  }

  void activate(at::Tensor& x, Activation activation) const override {
    row_kernels_.activate(rows(x), activation, static_cast<std::size_t>(x.numel()));
  }

  at::Tensor gate(const at::Tensor& x, Activation activation) const override {
    at::Tensor out = at::empty({x.size(0), x.size(1) / 2}, dtype());
    row_kernels_.gate(rows(x), activation, static_cast<std::size_t>(out.size(0)),
                      static_cast<std::size_t>(out.size(1)), rows(out));
    return out;
  }

 private:
  std::unique_ptr<Linear> own_linear(const at::Tensor& weight, const at::Tensor& bias,
                                     Activation activation) const {
    if (takes_tiles(weight.size(1))) {
      return make_tiled_linear(weight.to(weight_dtype()), bias, activation);
    }
    return make_packed_linear(weight.to(dtype()), bias.to(dtype()), activation);
  }

  bool takes_tiles(std::int64_t in) const { return half_weights_ || tiles_are_fast(dtype(), in); }
  /// Whether most products are oneDNN's: models' widths are even.
  bool packs() const { return !takes_tiles(2); }

  static at::Tensor gather(const at::Tensor& table, const std::int32_t* ids, std::int64_t n) {
    const at::Tensor index = at::from_blob(const_cast<std::int32_t*>(ids), {n}, at::kInt);
    return at::embedding(table, index);
  }

  static const float* floats(const at::Tensor& t) { return t.const_data_ptr<float>(); }
  static T* rows(const at::Tensor& t) { return static_cast<T*>(t.data_ptr()); }

  const CpuKernels<T>& kernels_ = cpu_kernels<T>();
  const RowKernels<T>& row_kernels_ = row_kernels<T>();
  bool half_weights_;
  std::vector<SwitchableLinear*>* switchable_;
  const ChannelSizes* sizes_;
  ChannelSizes* watched_;
};

std::unique_ptr<Backend> make(at::ScalarType dtype, std::vector<SwitchableLinear*>* switchable,
                              const ChannelSizes* sizes) {
  if (dtype == at::kBFloat16) {
    return std::make_unique<CpuBackend<BFloat16>>(false, switchable, sizes);
  }
  return std::make_unique<CpuBackend<float>>(dtype == at::kHalf, switchable, sizes);
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(at::ScalarType dtype) {
  return make(dtype, nullptr, nullptr);
}

std::unique_ptr<Backend> make_watching_cpu_backend(ChannelSizes& sizes) {
  return std::make_unique<CpuBackend<float>>(false, nullptr, nullptr, &sizes);
}

std::unique_ptr<Backend> make_switchable_cpu_backend(at::ScalarType dtype,
                                                     std::vector<SwitchableLinear*>& linears,
                                                     const ChannelSizes& sizes) {
  return make(dtype, &linears, &sizes);
}

bool bfloat16_is_fast() {
#if defined(__x86_64__)
  // By what the processor is, not by a clock: a model loaded again must give the same bytes.
  return best_isa() == Isa::avx512 && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace knowmap
