#include "knowmap/embedder.hpp"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

#include "embed/batch_planner.hpp"
#include "embed/batch_runner.hpp"
#include "embed/device.hpp"
#include "embed/units.hpp"
#include "knowmap/error.hpp"
#include "model/backend.hpp"
#include "model/model_files.hpp"
#include "model/sentence_head.hpp"
#include "model/transformer.hpp"
#include "support/mapped_file.hpp"
#include "support/memory.hpp"
#include "support/parallel.hpp"

namespace knowmap {

namespace {

// On a CPU a worker's batch need only fill the multiplication's blocks; on a
// device it must keep thousands of lanes busy.
constexpr std::int64_t kCpuBatchTokens = 512;
constexpr std::int64_t kDeviceBatchTokens = 16384;
constexpr std::int64_t kCpuChunkRows = 256;
constexpr std::int64_t kDeviceChunkRows = 16384;

std::unique_ptr<Backend> make_backend(c10::Device device, Precision precision) {
  const auto type = scalar_type(precision);
  return device.is_cpu() ? make_cpu_backend(type) : make_generic_backend(device, type);
}

std::string file_hash(const std::filesystem::path& file) {
  return content_hash(MappedFile(file).bytes());
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

/// Pooling and what follows it, as a fingerprint tells it.
std::string modules_text(const SentenceModules& modules) {
  constexpr const char* kNames[] = {"cls",           "max",           "mean",
                                    "mean_sqrt_len", "weighted_mean", "last_token"};
  std::string text;
  for (const PoolingMode mode : modules.pooling) {
    text += (text.empty() ? "" : "+") + std::string(kNames[static_cast<int>(mode)]);
  }
  if (!modules.include_prompt) text += " without prompt";
  for (const SentenceModule& module : modules.after) {
    std::visit(Overloaded{
                   [&](const NormalizeModule&) { text += ", normalize"; },
                   [&](const DenseModule& m) { text += ", dense " + file_hash(m.weights); },
                   [&](const LayerNormModule& m) { text += ", norm " + file_hash(m.weights); },
               },
               module);
  }
  return text;
}

std::size_t choose_length(const ModelFiles& files, std::size_t wanted, std::size_t special) {
  const auto positions = static_cast<std::size_t>(files.config.max_positions);
  const std::size_t by_files = files.modules.max_seq_length;
  const std::size_t fallback = by_files == 0 ? positions : std::min(by_files, positions);
  if (wanted == 0) return fallback;
  if (wanted > positions) {
    throw std::invalid_argument("max_seq_length " + std::to_string(wanted) + " exceeds the " +
                                std::to_string(positions) +
                                " positions that the model was trained with");
  }
  if (wanted <= special) {
    throw std::invalid_argument("max_seq_length " + std::to_string(wanted) +
                                " leaves no room beside the " + std::to_string(special) +
                                " special tokens");
  }
  return wanted;
}

}  // namespace

Precision precision_from_name(std::string_view name) {
  if (name == "auto") return Precision::automatic;
  if (name == "float32") return Precision::float32;
  if (name == "bfloat16") return Precision::bfloat16;
  throw std::invalid_argument("precision '" + std::string(name) +
                              "' is not known; take auto, float32 or bfloat16");
}

std::string_view precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::float32:
      return "float32";
    case Precision::bfloat16:
      return "bfloat16";
    default:
      return "auto";
  }
}

struct Embedder::Impl {
  ModelFiles files;
  EmbedderOptions options;
  std::optional<Tokenizer> tokenizer;
  c10::Device device = c10::kCPU;
  std::string device_name;
  Precision precision = Precision::float32;
  std::size_t max_length = 0;
  std::unique_ptr<Transformer> model;
  std::optional<SentenceHead> head;
  std::optional<Workers> workers;
  Fingerprint fingerprint;
  EmbedReport report;

  std::size_t dimension() const { return head->dimension(); }

  RunPlan plan() const {
    const bool cpu = device.is_cpu();
    std::uint64_t available = free_memory(device);
    if (options.memory_limit != 0) {
      // The limit is for all of it: what the process holds already counts.
      const std::uint64_t held = cpu ? resident_memory() : model->weight_bytes();
      const std::uint64_t left =
          options.memory_limit > held ? options.memory_limit - held : std::uint64_t{1};
      available = available == 0 ? left : std::min(available, left);
    }
    const std::int64_t wanted = options.batch_tokens != 0
                                    ? static_cast<std::int64_t>(options.batch_tokens)
                                    : (cpu ? kCpuBatchTokens : kDeviceBatchTokens);
    return plan_run({available, model->bytes_per_token(), model->bytes_per_chunk_row()}, wanted,
                    cpu ? kCpuChunkRows : kDeviceChunkRows, cpu ? workers->size() : 1);
  }

  void encode_unit(const TokenBatch& tokens, const RunPlan& plan, MatrixView<float> out,
                   Monitor& monitor) {
    std::vector<std::int64_t> lengths(tokens.texts());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      lengths[i] = tokens.offsets[i + 1] - tokens.offsets[i];
      if (lengths[i] == 0) {
        throw TokenizerError("a text has no tokens at all, not even special ones");
      }
    }
    const std::vector<Batch> batches = plan_batches(lengths, plan.batch_tokens);
    const auto compute = [&](std::span<const std::size_t> texts, std::int64_t chunk_rows) {
      compute_texts(tokens, texts, chunk_rows, out, monitor);
    };
    BatchRunner runner(plan, lengths, compute, [this] { release_cache(device); });
    // Fewer workers than threads only where memory is short.
    const std::size_t lanes = static_cast<std::size_t>(plan.workers);
    if (lanes >= static_cast<std::size_t>(workers->size())) {
      workers->run(
          batches.size(), [&](std::size_t i, int) { runner.run(batches[i]); }, &monitor);
    } else {
      std::atomic<std::size_t> next{0};
      workers->run(
          lanes,
          [&](std::size_t, int) {
            for (std::size_t i; (i = next.fetch_add(1)) < batches.size();) runner.run(batches[i]);
          },
          &monitor);
    }
    report.batches += runner.batches();
    report.backoffs += runner.backoffs();
    report.batch_tokens_final = static_cast<std::uint64_t>(runner.batch_tokens());
  }

  void compute_texts(const TokenBatch& tokens, std::span<const std::size_t> texts,
                     std::int64_t chunk_rows, MatrixView<float> out, Monitor& monitor) const {
    const c10::InferenceMode no_gradients;
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> offsets{0};
    std::vector<float*> rows;
    for (const std::size_t text : texts) {
      const auto part = tokens.text(text);
      ids.insert(ids.end(), part.begin(), part.end());
      offsets.push_back(static_cast<std::int64_t>(ids.size()));
      rows.push_back(out.row(text));
    }
    check_ids(ids);
    const PackedTokens packed{ids, offsets};
    const at::Tensor hidden =
        model->forward(packed, chunk_rows, [&monitor] { return monitor.cancelled(); });
    head->apply(hidden, packed, 0, dimension(), rows);
    monitor.add(texts.size());
  }

  /// A tokenizer.json of another model may give ids that the table lacks.
  void check_ids(std::span<const std::int32_t> ids) const {
    const auto size = files.config.vocabulary_size;
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= size) {
        throw ModelError("token id " + std::to_string(id) + " lies outside the model's " +
                         std::to_string(size) + " rows: tokenizer.json and model.safetensors in " +
                         files.folder.string() + " do not belong together");
      }
    }
  }
};

Embedder::Embedder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Embedder::Embedder(Embedder&&) noexcept = default;
Embedder& Embedder::operator=(Embedder&&) noexcept = default;
Embedder::~Embedder() = default;

Embedder Embedder::load(const std::filesystem::path& folder, const EmbedderOptions& options) {
  auto impl = std::make_unique<Impl>();
  Impl& s = *impl;
  s.options = options;
  s.device = resolve_device(options.device);
  s.device_name = s.device.str();
  s.precision = resolve_precision(options.precision, s.device);
  s.files = ModelFiles::read(folder);
  s.tokenizer.emplace(Tokenizer::load(s.files.tokenizer));
  s.max_length = choose_length(s.files, options.max_seq_length, s.tokenizer->special_tokens());
  const c10::InferenceMode no_gradients;
  s.head.emplace(s.files.modules, s.files.config.hidden_size);
  s.model = Transformer::load(s.files, make_backend(s.device, s.precision));
  s.workers.emplace(options.threads);
  keep_activation_memory(s.device);
  s.fingerprint = {
      {"engine", version()},
      {"model.safetensors", weights_hash(Weights(s.files.weights).files())},
      {"tokenizer.json", file_hash(s.files.tokenizer)},
      {"modules", modules_text(s.files.modules)},
      {"max_seq_length", std::to_string(s.max_length)},
      {"precision", std::string(precision_name(s.precision))},
      {"device", c10::DeviceTypeName(s.device.type(), true)},
  };
  if (!s.files.is_static) s.fingerprint["config.json"] = file_hash(folder / "config.json");
  return Embedder(std::move(impl));
}

Matrix Embedder::encode(std::span<const std::string_view> texts, const ProgressCallback& progress) {
  Matrix out(texts.size(), dimension());
  encode_into(texts, out, progress);
  return out;
}

void Embedder::encode_into(std::span<const std::string_view> texts, MatrixView<float> out,
                           const ProgressCallback& progress) {
  Impl& s = *impl_;
  if (out.rows != texts.size() || out.cols != dimension()) {
    throw std::invalid_argument("encode_into wants rows (" + std::to_string(texts.size()) + ", " +
                                std::to_string(dimension()) + "), got (" +
                                std::to_string(out.rows) + ", " + std::to_string(out.cols) + ")");
  }
  const auto start = std::chrono::steady_clock::now();
  const RunPlan plan = s.plan();
  s.report = {};
  s.report.texts = texts.size();
  s.report.batch_tokens_planned = static_cast<std::uint64_t>(plan.batch_tokens);
  s.report.batch_tokens_final = s.report.batch_tokens_planned;
  s.report.device = s.device_name;
  s.report.precision = precision_name(s.precision);

  const ProgressCallback watch = [&](const Progress& p) {
    s.report.peak_bytes = std::max(s.report.peak_bytes, resident_memory());
    return !progress || progress(p);
  };
  Monitor monitor(watch, "embed", texts.size(), "texts");
  for (const auto& [begin, end] : cut_units(texts, s.max_length, kUnitTokens)) {
    const TokenBatch tokens = s.tokenizer->encode_batch(texts.subspan(begin, end - begin),
                                                        s.max_length, s.options.threads);
    s.report.tokens += tokens.tokens();
    s.encode_unit(tokens, plan, out.slice(begin, end), monitor);
  }
  monitor.finish();
  s.report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<std::vector<std::int32_t>> Embedder::tokenize(
    std::span<const std::string_view> texts) const {
  const TokenBatch batch =
      impl_->tokenizer->encode_batch(texts, impl_->max_length, impl_->options.threads);
  std::vector<std::vector<std::int32_t>> result(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    result[i].assign(batch.text(i).begin(), batch.text(i).end());
  }
  return result;
}

const Tokenizer& Embedder::tokenizer() const { return *impl_->tokenizer; }
std::size_t Embedder::dimension() const { return impl_->dimension(); }
std::size_t Embedder::max_seq_length() const { return impl_->max_length; }
const std::string& Embedder::device() const { return impl_->device_name; }
Precision Embedder::precision() const { return impl_->precision; }
const EmbedReport& Embedder::report() const { return impl_->report; }
const Fingerprint& Embedder::fingerprint() const { return impl_->fingerprint; }

}  // namespace knowmap
