#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "embed/units.hpp"
#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/moved_rows.hpp"
#include "pipeline/text_hash.hpp"

namespace knowmap {

namespace {

std::uint64_t count_rows(std::span<const RowRange> ranges) {
  std::uint64_t rows = 0;
  for (const RowRange range : ranges) rows += range.end - range.begin;
  return rows;
}

std::vector<RowRange> missing(const std::vector<RowRange>& held, std::uint64_t n) {
  std::vector<RowRange> gaps;
  std::uint64_t at = 0;
  for (const RowRange range : held) {
    if (range.begin > at) gaps.push_back({at, range.begin});
    at = range.end;
  }
  if (at < n) gaps.push_back({at, n});
  return gaps;
}

void add(EmbedReport& total, const EmbedReport& unit) {
  const EmbedReport before = std::exchange(total, unit);
  total.texts += before.texts;
  total.tokens += before.tokens;
  total.batches += before.batches;
  total.backoffs += before.backoffs;
  total.seconds += before.seconds;
  total.peak_bytes = std::max(total.peak_bytes, before.peak_bytes);
}

/// Rows computed, with the hashes of their texts; `indices` of rows that take the
/// place of others, else a range.
struct Computed {
  RowRange range;
  std::vector<std::uint64_t> indices;
  Matrix rows;
  std::vector<std::uint64_t> hashes;
};

/// Each half of a commit unit is written while the other is computed, so that what a kill
/// can lose, the part being written and the part being computed, is one unit.
constexpr std::size_t kHalfUnitTokens = kUnitTokens / 2;

/// One commit at a time, beside the computing. The destructor waits: what was
/// handed over is durable even where the computing was cut off.
class CommitLane {
 public:
  CommitLane(CheckpointStore& store, const StoreOptions& options)
      : store_(store),
        patience_(options.commit_seconds / 2),
        gathers_(options.commit_rows == 0 && options.commit_seconds > 0),
        alone_(options.commit_rows == 1) {}
  ~CommitLane() {
    try {
      finish();
    } catch (...) {
      // Another failure is on its way already; the next run computes these rows.
    }
  }
  CommitLane(const CommitLane&) = delete;
  CommitLane& operator=(const CommitLane&) = delete;

  /// `seconds`: how long it took to compute.
  void add(Computed part, double seconds) {
    const bool goes_on = part.indices.empty() && gathered_ && gathered_->indices.empty() &&
                         gathered_->range.end == part.range.begin;
    if (gathered_ && !goes_on) flush();
    if (gathered_) {
      append(*gathered_, std::move(part));
    } else {
      gathered_ = std::move(part);
    }
    const auto waited = std::chrono::duration<double>(Clock::now() - last_).count();
    // Not where another part like this one would make it more than half a unit. A disk
    // slower than the engine gets larger commits before it holds the engine up.
    const bool due = waited + seconds > patience_ && idle();
    if (!gathers_ || due || gathered_->rows.size() >= kMostNumbers) flush();
    if (alone_) wait();
  }
  /// Until all is durable; throws what a commit threw.
  void finish() {
    flush();
    wait();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostNumbers = std::size_t{16} << 20;  // 64 MiB

  static void append(Computed& to, Computed part) {
    Matrix rows(to.rows.rows() + part.rows.rows(), to.rows.cols());
    std::copy_n(to.rows.data(), to.rows.size(), rows.data());
    std::copy_n(part.rows.data(), part.rows.size(), rows.data() + to.rows.size());
    to.rows = std::move(rows);
    to.range.end = part.range.end;
    to.hashes.insert(to.hashes.end(), part.hashes.begin(), part.hashes.end());
  }
  void flush() {
    wait();
    if (!gathered_) return;
    last_ = Clock::now();
    pending_ = std::async(std::launch::async,
                          [this, part = std::move(*std::exchange(gathered_, std::nullopt))] {
                            if (part.indices.empty()) {
                              store_.commit_rows(part.range, part.rows, part.hashes);
                            } else {
                              store_.update_rows(part.indices, part.rows, part.hashes);
                            }
                          });
  }
  bool idle() const {
    return !pending_.valid() ||
           pending_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  void wait() {
    if (pending_.valid()) pending_.get();
  }

  CheckpointStore& store_;
  double patience_;
  bool gathers_;
  bool alone_;  // a unit of one row has no halves
  Clock::time_point last_ = Clock::now();
  std::optional<Computed> gathered_;
  std::future<void> pending_;
};

// Which products are in 8 bits is measured, not asked for by name: so the store's list of
// differences alone would leave a user without the option to change.
void begin_rows(CheckpointStore& store, const Embedder& embedder, RowStorage storage) {
  try {
    store.begin_rows(embedder.fingerprint(), embedder.dimension(), storage);
  } catch (const CheckpointError& error) {
    const std::string what = error.what();
    if (what.find("\n  int8 products: ") == what.npos) throw;
    throw CheckpointError(
        what +
        "\n(precision \"auto\" takes 8 bits for the products that bear it by measurement, a 1 for "
        "each; \"int8\" for as many as it can; other precisions for none: give the precision of "
        "the "
        "run that made the rows)");
  }
}

/// One call of `embed_into_store`.
class EmbedRun {
 public:
  EmbedRun(Embedder& embedder, std::span<const std::string_view> texts, CheckpointStore& store,
           const StoreOptions& options)
      : embedder_(embedder), texts_(texts), store_(store), options_(options) {
    begin_rows(store, embedder, options.storage);
    report_.text_hashes = text_hashes(texts);
  }

  ResumeReport run() {
    MovedRows moving(store_, report_.text_hashes);
    const std::uint64_t held = store_.rows_held();
    const std::uint64_t others = count_rows(moving.beyond()) + moving.changed().size();
    // A row that is wanted in two places is copied twice, and counts once at most.
    report_.rows_dropped = others - std::min(others, moving.count());
    report_.rows_kept = held - report_.rows_dropped;
    if (!options_.replace_rows) require_meant();
    if (options_.before_rows) options_.before_rows();
    const std::uint64_t moved = moving.move(store_, [this] { report_progress(); });
    report_.rows_dropped = others - std::min(others, moved);
    report_.rows_kept = held - report_.rows_dropped;
    for (const RowRange range : moving.beyond()) store_.drop_rows(range);
    CommitLane lane(store_, options_);
    recompute(moving.changed(), lane);
    for (const RowRange gap : missing(store_.ranges(), texts_.size())) fill(gap, lane);
    lane.finish();
    store_.write_manifest();
    return std::move(report_);
  }

 private:
  void report_progress() const {
    if (!options_.progress) return;
    if (!options_.progress({"embed", 0, texts_.size(), "texts"})) {
      throw CancelledError("stopped while rows were moved; what was committed is kept");
    }
  }

  // A wrong file, or a part of the right one, is easily given, and hours of work would go.
  void require_meant() const {
    const std::uint64_t lost = report_.rows_dropped, kept = report_.rows_kept;
    if (lost < StoreOptions::kRowsWorthAsking || lost <= kept) return;
    throw CheckpointError(
        "the store " + store_.folder().string() + " holds " + std::to_string(lost + kept) +
        " rows, and " + std::to_string(lost) +
        " of them are of texts that are not, or not there, " + "among the " +
        std::to_string(texts_.size()) +
        " given: nothing was removed. Give the texts that the store was made of, name another "
        "store, or, where those rows are to be replaced, say so (--replace, replace=True)");
  }

  void recompute(std::span<const std::uint64_t> changed, CommitLane& lane) {
    std::vector<std::string_view> texts;
    for (const std::uint64_t row : changed) texts.push_back(texts_[row]);
    compute(texts, lane, [&](Computed& part, std::size_t begin, std::size_t end) {
      part.indices.assign(changed.begin() + static_cast<std::ptrdiff_t>(begin),
                          changed.begin() + static_cast<std::ptrdiff_t>(end));
      for (const std::uint64_t row : part.indices) part.hashes.push_back(report_.text_hashes[row]);
    });
  }

  void fill(RowRange gap, CommitLane& lane) {
    const auto texts = texts_.subspan(gap.begin, gap.end - gap.begin);
    compute(texts, lane, [&](Computed& part, std::size_t begin, std::size_t end) {
      part.range = {gap.begin + begin, gap.begin + end};
      const auto hashes = report_.text_hashes.begin();
      part.hashes.assign(hashes + static_cast<std::ptrdiff_t>(part.range.begin),
                         hashes + static_cast<std::ptrdiff_t>(part.range.end));
    });
  }

  /// What is computed at once, half a commit unit: by tokens, and by rows where that is asked for.
  Units units(std::span<const std::string_view> texts) const {
    Units by_tokens = cut_units(texts, embedder_.max_seq_length(), kHalfUnitTokens);
    if (options_.commit_rows == 0) return by_tokens;
    const std::uint64_t half = std::max<std::uint64_t>(1, options_.commit_rows / 2);
    Units by_rows;
    for (const auto& [begin, end] : by_tokens) {
      for (std::size_t at = begin; at < end; at += half) {
        by_rows.emplace_back(at, std::min<std::size_t>(end, at + half));
      }
    }
    return by_rows;
  }

  /// Computes part by part; `name(part, begin, end)` says which rows those of the texts
  /// [begin, end) are, before `lane` gets them.
  template <class Name>
  void compute(std::span<const std::string_view> texts, CommitLane& lane, const Name& name) {
    const Units parts = units(texts);
    const auto take = [&](std::size_t i, Matrix rows) {
      const auto [begin, end] = parts[i];
      Computed part;
      part.rows = std::move(rows);
      name(part, begin, end);
      report_.rows_computed += end - begin;
      add(report_.embed, embedder_.report());
      lane.add(std::move(part), embedder_.report().seconds);
    };
    embedder_.encode_runs(texts, parts, take, [&](const Progress& p) {
      if (!options_.progress) return true;
      const std::uint64_t done = report_.rows_kept + report_.rows_computed + p.done;
      return options_.progress({p.stage, done, texts_.size(), p.unit});
    });
  }

  Embedder& embedder_;
  std::span<const std::string_view> texts_;
  CheckpointStore& store_;
  const StoreOptions& options_;
  ResumeReport report_;
};

}  // namespace

ResumeReport embed_into_store(Embedder& embedder, std::span<const std::string_view> texts,
                              CheckpointStore& store, const StoreOptions& options) {
  return EmbedRun(embedder, texts, store, options).run();
}

}  // namespace knowmap
