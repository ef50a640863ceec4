#include "knowmap/embedder.hpp"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include "device/device.hpp"
#include "embed/batch_planner.hpp"
#include "embed/batch_runner.hpp"
#include "embed/int8_choice.hpp"
#include "embed/precision.hpp"
#include "embed/probe_texts.hpp"
#include "embed/run_planner.hpp"
#include "embed/streamed_run.hpp"
#include "embed/units.hpp"
#include "knowmap/error.hpp"
#include "model/backend.hpp"
#include "model/model_files.hpp"
#include "model/sentence_head.hpp"
#include "model/transformer.hpp"
#include "support/mapped_file.hpp"
#include "support/memory.hpp"
#include "support/one_ahead.hpp"
#include "support/parallel.hpp"
#include "support/team.hpp"

namespace knowmap {

namespace {

// Lowest cosines to float32 that 8-bit products may cost.
constexpr double kAutomaticCosine = 0.999;
constexpr double kInt8Cosine = 0.995;

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
  if (name == "float16") return Precision::float16;
  if (name == "int8") return Precision::int8;
  throw std::invalid_argument("precision '" + std::string(name) +
                              "' is not known; take auto, float32, bfloat16, float16 or int8");
}

std::string_view precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::float32:
      return "float32";
    case Precision::bfloat16:
      return "bfloat16";
    case Precision::float16:
      return "float16";
    case Precision::int8:
      return "int8";
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
  std::string precision_reason;
  std::string int8_products;  // which, where some are
  std::size_t max_length = 0;
  std::optional<RunPlan> fixed_plan;  // while the precision is chosen
  std::unique_ptr<Transformer> model;
  std::optional<SentenceHead> head;
  std::optional<Workers> workers;
  Fingerprint fingerprint;
  EmbedReport report;
  std::uint64_t held_at_start = 0;      // of the run in hand
  std::optional<LastingBytes> lasting;  // of it too

  EncodeOptions encode;
  std::string prompt;
  std::size_t prompt_tokens = 0;  // that take no part in pooling
  /// Special tokens before and after each text, which a static table leaves out.
  std::size_t special_before = 0;
  std::size_t special_after = 0;

  std::size_t dimension() const {
    return encode.truncate_dim != 0 ? encode.truncate_dim : head->dimension();
  }

  RunPlanner planner() const { return RunPlanner(device, options, *model, workers->size()); }

  /// Takes the hidden states of some of a unit's texts.
  using Sink = std::function<void(const at::Tensor& hidden, const PackedTokens& packed,
                                  std::span<const std::size_t> texts)>;

  /// Loads the model, with products in 8 bits where these keep embeddings near to
  /// float32's, and says why.
  void load_with_int8() {
    const bool automatic = options.precision == Precision::automatic;
    const double wanted = automatic ? kAutomaticCosine : kInt8Cosine;
    ChannelSizes sizes(model->products());
    model = Transformer::load(files, make_watching_cpu_backend(sizes), false);
    const Matrix reference = embed_probe();  // layer by layer: few are held at a time
    std::vector<SwitchableLinear*> linears;
    model = Transformer::load(
        files, make_switchable_cpu_backend(scalar_type(precision), linears, sizes), false);
    model->read_layers();
    if (linears.empty()) return;
    double speed = 0;
    workers->run(1, [&](std::size_t, int) {
      const c10::InferenceMode no_gradients;
      speed = int8_speed(linears);
    });
    const Int8Choice choice = choose_int8(
        linears, [this] { return embed_probe(); }, reference, wanted, speed);
    const std::string own(precision_name(precision));
    precision_reason = choice.text() + "; the rest in " + own;
    if (choice.int8_products > 0) {
      int8_products = choice.int8_products == choice.products
                          ? "all " + std::to_string(choice.products)
                          : choice.mask;
    } else if (automatic && precision != Precision::float32 && !choice.own.keep(wanted)) {
      precision_reason += ", which is too far from float32";
      precision = Precision::float32;
      model = Transformer::load(files, make_backend(device, precision), true);
    }
  }

  /// The probe texts' embeddings, batches being the same whatever the machine.
  Matrix embed_probe() {
    fixed_plan = RunPlan{kCpuBatchTokens, kCpuChunkRows, workers->size()};
    Matrix rows(probe_texts().size(), dimension());
    run(probe_texts(), {}, planner().lasting(0), into(rows));
    fixed_plan.reset();
    report = {};
    return rows;
  }

  /// Writes each text's embedding to its row.
  std::function<Sink(std::size_t)> into(MatrixView<float> out) {
    return [this, out](std::size_t begin) -> Sink {
      return [this, begin, out](const at::Tensor& hidden, const PackedTokens& packed,
                                std::span<const std::size_t> positions) {
        std::vector<float*> rows;
        for (const std::size_t text : positions) rows.push_back(out.row(begin + text));
        head->apply(hidden, packed, static_cast<std::int64_t>(prompt_tokens), dimension(), rows);
        if (!encode.normalize) return;
        for (float* row : rows) normalize({row, dimension()});
      };
    };
  }

  void encode_unit(const TokenBatch& tokens, const RunPlan& wide_plan, const Sink& sink,
                   Monitor& monitor) {
    const std::vector<std::int64_t> lengths = lengths_of(tokens);
    check_ids(tokens.ids);
    lasting->meet(tokens.ids);
    const EmbedPlan foreseen = planner().foresee(wide_plan, sizes_of(lengths), *lasting);
    const std::uint64_t added = foreseen.peak - foreseen.held;
    report.planned_peak_bytes = std::max(report.planned_peak_bytes, held_at_start + added);
    RunPlan plan = wide_plan;
    plan.workers = foreseen.workers;
    const std::vector<Batch> batches = plan_batches(lengths, plan.batch_tokens);
    if (!model->resident()) {
      const auto most = static_cast<std::int64_t>(foreseen.super_batch_tokens);
      return stream_unit(tokens, batches, plan, most, sink, monitor);
    }
    // Threads without a batch help the others: where texts are few, at a unit's
    // end, where memory allows for fewer batches at a time than there are threads.
    Team team;
    const int threads = device.is_cpu() ? workers->size() : 1;
    RunPlan shared = plan;
    shared.chunk_rows = std::max<std::int64_t>(1, plan.chunk_rows * plan.workers / threads);
    const auto compute = [&](std::span<const std::size_t> texts, std::int64_t chunk_rows) {
      const c10::InferenceMode no_gradients;
      const PackedBatch packed = pack(tokens, texts);
      // What is tried again in smaller chunks must take as little memory as it can.
      Team* const helpers = chunk_rows < shared.chunk_rows ? nullptr : &team;
      const at::Tensor hidden = model->forward(
          packed.view(), chunk_rows, [&monitor] { return monitor.cancelled(); }, helpers);
      sink(hidden, packed.view(), texts);
      monitor.add(texts.size());
    };
    BatchRunner runner(shared, lengths, compute, [this] { release_cache(device); });
    std::atomic<std::size_t> next{0};
    std::atomic<int> lanes{0};
    const auto run_batches = [&] {
      const Team::Busy busy(team);
      if (lanes++ >= plan.workers) return;
      try {
        for (std::size_t i; (i = next++) < batches.size() && !monitor.cancelled();) {
          runner.run(batches[i]);
        }
      } catch (...) {
        next = batches.size();
        throw;
      }
    };
    workers->run(
        static_cast<std::size_t>(threads),
        [&](std::size_t, int) {
          run_batches();
          const c10::InferenceMode no_gradients;
          team.help();
        },
        &monitor);
    report.batches += runner.batches();
    report.backoffs += runner.backoffs();
    report.batch_tokens_final = static_cast<std::uint64_t>(runner.batch_tokens());
  }

  /// Each text's tokens, as the model takes them.
  std::vector<std::int64_t> lengths_of(const TokenBatch& tokens) const {
    std::vector<std::int64_t> lengths(tokens.texts());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      lengths[i] = static_cast<std::int64_t>(ids_of(tokens, i).size());
      if (lengths[i] == 0 && !files.is_static) {
        throw TokenizerError("a text has no tokens at all, not even special ones");
      }
    }
    return lengths;
  }

  /// As many batches at a time as their hidden states have room for, `most` tokens.
  void stream_unit(const TokenBatch& tokens, const std::vector<Batch>& batches, const RunPlan& plan,
                   std::int64_t most, const Sink& sink, Monitor& monitor) {
    for (std::size_t begin = 0; begin < batches.size();) {
      std::vector<PackedBatch> packed;
      std::int64_t total = 0;
      std::size_t end = begin;
      while (end < batches.size() && (end == begin || total + batches[end].tokens <= most)) {
        total += batches[end].tokens;
        packed.push_back(pack(tokens, batches[end].texts));
        ++end;
      }
      const std::size_t count = end - begin;
      report.backoffs += run_layer_by_layer(
          *model, packed, plan, *workers, monitor, [&](std::size_t i, const at::Tensor& hidden) {
            sink(hidden, packed[i].view(), batches[begin + i].texts);
            monitor.add(batches[begin + i].texts.size());
          });
      report.batches += count;
      begin = end;
    }
  }

  /// A text's ids as the model takes them.
  std::span<const std::int32_t> ids_of(const TokenBatch& tokens, std::size_t text) const {
    const auto ids = tokens.text(text);
    const std::size_t special = special_before + special_after;
    return ids.size() < special ? ids.first(0) : ids.subspan(special_before, ids.size() - special);
  }

  PackedBatch pack(const TokenBatch& tokens, std::span<const std::size_t> texts) const {
    PackedBatch packed;
    for (const std::size_t text : texts) {
      const auto ids = ids_of(tokens, text);
      packed.ids.insert(packed.ids.end(), ids.begin(), ids.end());
      packed.offsets.push_back(static_cast<std::int64_t>(packed.ids.size()));
    }
    return packed;
  }

  /// Some units' tokens, in order.
  using Tokens = OneAhead<TokenBatch>;
  Tokens tokens_of(std::span<const std::string_view> texts, const Units& units) const {
    return {units.size(), [this, texts, &units](std::size_t i) {
              return tokenize(texts.subspan(units[i].first, units[i].second - units[i].first));
            }};
  }

  Units units_of(std::span<const std::string_view> texts) const {
    return cut_units(texts, max_length, kUnitTokens);
  }

  void run(std::span<const std::string_view> texts, const ProgressCallback& progress,
           const LastingBytes& lasting_bytes,
           const std::function<Sink(std::size_t begin)>& sink_of) {
    const Units units = units_of(texts);
    Tokens tokens = tokens_of(texts, units);
    run({0, texts.size()}, units, tokens, progress, lasting_bytes, sink_of);
  }

  /// Computes the units of a run of texts; `sink_of(begin)` takes what belongs to the run's
  /// texts from `begin` on.
  void run(const Unit& texts, std::span<const Unit> units, Tokens& tokens_of_units,
           const ProgressCallback& progress, const LastingBytes& lasting_bytes,
           const std::function<Sink(std::size_t begin)>& sink_of) {
    const auto start = std::chrono::steady_clock::now();
    reset_peak_memory();
    lasting = lasting_bytes;
    const RunPlan run_plan = fixed_plan ? *fixed_plan : planner().plan(*lasting);
    report = {};
    report.texts = texts.second - texts.first;
    report.batch_tokens_planned = static_cast<std::uint64_t>(run_plan.batch_tokens);
    report.batch_tokens_final = report.batch_tokens_planned;
    report.device = device_name;
    report.precision = precision_name(precision);
    if (precision == Precision::float16 && device.is_cpu()) report.precision += " weights, float32";
    report.precision_reason = precision_reason;
    report.streamed = !model->resident();
    held_at_start = planner().held();
    Monitor monitor(progress, "embed", report.texts, "texts");
    for (const auto& [begin, end] : units) {
      const TokenBatch tokens = tokens_of_units.take();
      report.tokens += tokens.tokens();
      encode_unit(tokens, run_plan, sink_of(begin - texts.first), monitor);
      report.peak_bytes = std::max(report.peak_bytes, peak_memory());
    }
    monitor.finish();
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  TokenBatch tokenize(std::span<const std::string_view> texts) const {
    const std::size_t length = max_length + special_before + special_after;
    if (prompt.empty()) return tokenizer->encode_batch(texts, length, options.threads);
    // Texts are copied behind their prompt, so many at a time that it takes no memory to
    // speak of, however long they are.
    constexpr std::size_t kCopied = std::size_t{4} << 20;
    TokenBatch all;
    all.offsets = {0};
    for (std::size_t next = 0; next < texts.size();) {
      std::vector<std::string> prompted;
      for (std::size_t bytes = 0; next < texts.size() && bytes < kCopied; ++next) {
        prompted.push_back(prompt + std::string(texts[next]));
        bytes += prompted.back().size();
      }
      const std::vector<std::string_view> views(prompted.begin(), prompted.end());
      const TokenBatch some = tokenizer->encode_batch(views, length, options.threads);
      for (std::size_t i = 1; i < some.offsets.size(); ++i) {
        all.offsets.push_back(some.offsets[i] + static_cast<std::int64_t>(all.ids.size()));
      }
      all.ids.insert(all.ids.end(), some.ids.begin(), some.ids.end());
    }
    return all;
  }

  /// Sets apart the special tokens around a text.
  void find_special_tokens() {
    const auto empty = tokenizer->encode("");
    const auto full = tokenizer->encode("a");
    const auto differ = std::mismatch(empty.begin(), empty.end(), full.begin(), full.end());
    special_before = static_cast<std::size_t>(differ.first - empty.begin());
    special_after = empty.size() - special_before;
  }

  void set_encode(const EncodeOptions& wanted) {
    const auto& prompts = files.modules.prompts;
    const std::string& name =
        wanted.prompt_name.empty() ? files.modules.default_prompt_name : wanted.prompt_name;
    std::string text;
    if (wanted.prompt) {
      text = *wanted.prompt;
    } else if (!name.empty()) {
      const auto found = prompts.find(name);
      if (found == prompts.end()) {
        std::string known;
        for (const auto& [key, value] : prompts) known += (known.empty() ? "'" : ", '") + key + "'";
        throw std::invalid_argument("prompt_name '" + name + "' is not known; this model has " +
                                    (known.empty() ? "no prompts" : known));
      }
      text = found->second;
    }
    const std::size_t truncate =
        wanted.truncate_dim != 0 ? wanted.truncate_dim : files.modules.truncate_dim;
    if (truncate > head->dimension()) {
      throw std::invalid_argument("truncate_dim " + std::to_string(truncate) + " exceeds the " +
                                  std::to_string(head->dimension()) + " numbers of a vector");
    }
    encode = wanted;
    encode.truncate_dim = truncate == head->dimension() ? 0 : truncate;
    prompt = text;
    prompt_tokens = 0;
    if (!prompt.empty() && !files.modules.include_prompt) {
      const auto alone = tokenizer->encode(prompt);
      const auto empty = tokenizer->encode("");
      const bool closed = empty.size() > 1 && !alone.empty() && alone.back() == empty.back();
      prompt_tokens = alone.size() - (closed ? 1 : 0);
    }
    fingerprint.erase("prompt");
    fingerprint.erase("truncate_dim");
    fingerprint.erase("normalize");
    if (!prompt.empty()) fingerprint["prompt"] = prompt;
    if (encode.truncate_dim != 0) fingerprint["truncate_dim"] = std::to_string(truncate);
    if (encode.normalize) fingerprint["normalize"] = "true";
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
  s.precision = own_precision(options.precision, s.device);
  s.files = ModelFiles::read(folder);
  s.tokenizer.emplace(Tokenizer::load(s.files.tokenizer));
  s.max_length = choose_length(s.files, options.max_seq_length, s.tokenizer->special_tokens());
  const c10::InferenceMode no_gradients;
  s.head.emplace(s.files.modules, s.files.config.hidden_size);
  s.workers.emplace(options.threads);
  // What lies outside the layers comes first; then it is known whether they fit.
  s.model = Transformer::load(s.files, make_backend(s.device, s.precision), false);
  if (s.files.is_static) s.find_special_tokens();
  s.set_encode({});
  s.precision_reason = options.precision == Precision::automatic
                           ? "the fastest here without products in 8 bits"
                           : "asked for";
  if (!s.planner().holds_layers()) {
    if (options.precision == Precision::int8) {
      throw std::invalid_argument(
          "precision 'int8' needs the whole model in memory, and its layers do not fit; take "
          "bfloat16 or auto, or raise memory_limit");
    }
  } else if (try_int8(options.precision, s.device, s.model->weight_bytes())) {
    s.load_with_int8();
  } else {
    s.model->read_layers();
  }
  release_cache(s.device);
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
  if (!s.int8_products.empty()) {
    s.fingerprint["precision"] = "int8 beside " + s.fingerprint["precision"];
    s.fingerprint["int8 products"] = s.int8_products;
    s.precision = Precision::int8;
  }
  s.set_encode({});
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
  s.run(texts, progress, s.planner().lasting(out), s.into(out));
}

void Embedder::encode_runs(std::span<const std::string_view> texts,
                           std::span<const std::pair<std::size_t, std::size_t>> runs,
                           const std::function<void(std::size_t i, Matrix rows)>& take,
                           const ProgressCallback& progress) {
  Impl& s = *impl_;
  Units all;
  std::vector<std::size_t> ends;  // of each run's units
  for (const auto& [begin, end] : runs) {
    if (begin > end || end > texts.size()) {
      throw std::invalid_argument("encode_runs got a run [" + std::to_string(begin) + ", " +
                                  std::to_string(end) + ") of " + std::to_string(texts.size()) +
                                  " texts");
    }
    for (const Unit& unit : s.units_of(texts.subspan(begin, end - begin))) {
      all.emplace_back(begin + unit.first, begin + unit.second);
    }
    ends.push_back(all.size());
  }
  Impl::Tokens tokens = s.tokens_of(texts, all);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::size_t first = i == 0 ? 0 : ends[i - 1];
    Matrix rows(runs[i].second - runs[i].first, s.dimension());
    s.run(runs[i], std::span(all).subspan(first, ends[i] - first), tokens, progress,
          s.planner().lasting(rows), s.into(rows));
    take(i, std::move(rows));
  }
}

std::vector<Matrix> Embedder::encode_tokens(std::span<const std::string_view> texts,
                                            const ProgressCallback& progress) {
  Impl& s = *impl_;
  std::vector<Matrix> result(texts.size());
  const LastingBytes lasting = s.planner().lasting(
      0, static_cast<std::uint64_t>(s.files.config.hidden_size) * sizeof(float));
  s.run(texts, progress, lasting, [&](std::size_t begin) -> Impl::Sink {
    return [&result, begin](const at::Tensor& hidden, const PackedTokens& packed,
                            std::span<const std::size_t> positions) {
      const at::Tensor rows = hidden.to(at::kCPU, at::kFloat).contiguous();
      const auto width = static_cast<std::size_t>(rows.size(1));
      for (std::size_t i = 0; i < positions.size(); ++i) {
        const auto first = static_cast<std::size_t>(packed.offsets[i]);
        const auto count = static_cast<std::size_t>(packed.offsets[i + 1]) - first;
        Matrix& tokens = result[begin + positions[i]];
        tokens = Matrix(count, width);
        std::copy_n(rows.const_data_ptr<float>() + first * width, count * width,
                    MatrixView<float>(tokens).data);
      }
    };
  });
  return result;
}

void Embedder::set_encode_options(const EncodeOptions& options) { impl_->set_encode(options); }

const std::map<std::string, std::string>& Embedder::prompts() const {
  return impl_->files.modules.prompts;
}

EmbedPlan Embedder::plan() const {
  const RunPlanner planner = impl_->planner();
  const auto longest = static_cast<std::int64_t>(impl_->max_length);
  const TextSizes sizes{longest, longest, std::max<std::int64_t>(longest, kUnitTokens)};
  LastingBytes lasting = planner.lasting(0);
  lasting.meet_any(static_cast<std::uint64_t>(sizes.total));
  return planner.foresee(planner.plan(lasting), sizes, lasting);
}

EmbedPlan Embedder::plan(std::span<const std::string_view> texts) const {
  const Impl& s = *impl_;
  const RunPlanner planner = s.planner();
  LastingBytes lasting = planner.lasting(texts.size() * dimension() * sizeof(float));
  const RunPlan run = planner.plan(lasting);
  EmbedPlan highest = planner.foresee(run, {}, lasting);
  for (const auto& [begin, end] : s.units_of(texts)) {
    const TokenBatch tokens = s.tokenize(texts.subspan(begin, end - begin));
    s.check_ids(tokens.ids);
    lasting.meet(tokens.ids);
    const EmbedPlan unit = planner.foresee(run, sizes_of(s.lengths_of(tokens)), lasting);
    if (unit.peak >= highest.peak) highest = unit;
  }
  return highest;
}

std::vector<std::vector<std::int32_t>> Embedder::tokenize(
    std::span<const std::string_view> texts) const {
  const TokenBatch batch = impl_->tokenize(texts);
  std::vector<std::vector<std::int32_t>> result(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto ids = impl_->ids_of(batch, i);
    result[i].assign(ids.begin(), ids.end());
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
