#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "embed/units.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/text_hash.hpp"

namespace knowmap {

namespace {

/// Takes out rows that no longer fit: those of changed texts, and those beyond
/// the last text.
std::uint64_t drop_stale(CheckpointStore& store, std::span<const std::uint64_t> hashes) {
  std::uint64_t dropped = 0;
  for (const RowRange range : store.ranges()) {
    const bool beyond = range.end > hashes.size();
    bool stale = beyond;
    if (!beyond) {
      const auto held = store.text_hashes(range);
      stale = !std::equal(held.begin(), held.end(),
                          hashes.begin() + static_cast<std::ptrdiff_t>(range.begin));
    }
    if (stale) {
      store.drop_rows(range);
      dropped += range.end - range.begin;
    }
  }
  return dropped;
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

/// One commit at a time, beside the computing. The destructor waits: what was
/// handed over is durable even where the computing was cut off.
class CommitLane {
 public:
  explicit CommitLane(CheckpointStore& store) : store_(store) {}
  ~CommitLane() {
    if (pending_.valid()) pending_.wait();
  }
  CommitLane(const CommitLane&) = delete;
  CommitLane& operator=(const CommitLane&) = delete;

  void commit(RowRange range, Matrix rows, std::vector<std::uint64_t> hashes) {
    wait();
    pending_ = std::async(std::launch::async,
                          [this, range, rows = std::move(rows), hashes = std::move(hashes)] {
                            store_.commit_rows(range, rows, hashes);
                          });
  }
  /// Until all is durable; throws what the commit threw.
  void wait() {
    if (pending_.valid()) pending_.get();
  }

 private:
  CheckpointStore& store_;
  std::future<void> pending_;
};

}  // namespace

ResumeReport embed_into_store(Embedder& embedder, std::span<const std::string_view> texts,
                              CheckpointStore& store, const ProgressCallback& progress) {
  store.begin_rows(embedder.fingerprint(), embedder.dimension());
  const std::vector<std::uint64_t> hashes = text_hashes(texts);
  ResumeReport report;
  report.rows_dropped = drop_stale(store, hashes);
  report.rows_kept = store.rows_held();

  CommitLane lane(store);
  const ProgressCallback onward = [&](const Progress& p) {
    if (!progress) return true;
    return progress(
        {p.stage, report.rows_kept + report.rows_computed + p.done, texts.size(), p.unit});
  };
  for (const RowRange gap : missing(store.ranges(), texts.size())) {
    const auto part = texts.subspan(gap.begin, gap.end - gap.begin);
    for (const auto& [begin, end] : cut_units(part, embedder.max_seq_length(), kUnitTokens)) {
      Matrix rows(end - begin, embedder.dimension());
      embedder.encode_into(part.subspan(begin, end - begin), rows, onward);
      const RowRange range{gap.begin + begin, gap.begin + end};
      lane.commit(range, std::move(rows),
                  {hashes.begin() + static_cast<std::ptrdiff_t>(range.begin),
                   hashes.begin() + static_cast<std::ptrdiff_t>(range.end)});
      report.rows_computed += end - begin;
      add(report.embed, embedder.report());
    }
  }
  lane.wait();
  store.write_manifest();
  return report;
}

}  // namespace knowmap
