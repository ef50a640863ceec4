#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "device/allocation_failure.hpp"
#include "embed/batch_planner.hpp"
#include "embed/batch_runner.hpp"
#include "embed/units.hpp"
#include "knowmap/error.hpp"
#include "support/parallel.hpp"

namespace knowmap {
namespace {

using Texts = std::vector<std::size_t>;

std::vector<Texts> planned(const std::vector<std::int64_t>& lengths, std::int64_t budget) {
  std::vector<Texts> out;
  for (const Batch& batch : plan_batches(lengths, budget)) out.push_back(batch.texts);
  return out;
}

TEST(PlanBatches, LongestFirstWithinTheBudget) {
  EXPECT_EQ(planned({3, 9, 5, 1, 5}, 10), (std::vector<Texts>{{1}, {2, 4}, {0, 3}}));
  EXPECT_EQ(planned({3, 50, 4}, 10), (std::vector<Texts>{{1}, {2, 0}}));  // too long: alone
  EXPECT_EQ(planned({2, 2, 2}, 100), (std::vector<Texts>{{0, 1, 2}}));    // ties: their order
  EXPECT_EQ(planned({}, 10), std::vector<Texts>{});
}

TEST(PlanRun, ShrinksTheBatchThenTheWorkers) {
  const MemoryNeeds needs{1'000'000, 100, 100};
  const RunPlan wide = plan_run({0, 100, 100}, 512, 256, 4);
  EXPECT_EQ(wide.batch_tokens, 512);
  EXPECT_EQ(wide.workers, 4);
  EXPECT_EQ(plan_run(needs, 512, 256, 4).batch_tokens, 512);
  EXPECT_EQ(plan_run({210'000, 100, 100}, 512, 256, 4).batch_tokens, 128);
  const RunPlan narrow = plan_run({15'000, 100, 100}, 512, 256, 4);
  EXPECT_EQ(narrow.batch_tokens, 64);
  EXPECT_EQ(narrow.workers, 1);
}

TEST(BytesOf, CountsABatchAWorkerAndOneTextAtLeast) {
  const MemoryNeeds needs{1 << 30, 10, 100};
  const RunPlan plan{512, 256, 2};
  const auto bytes = [&](std::int64_t longest, std::int64_t total) {
    const RunBytes b = bytes_of(plan, needs, {longest, longest, total});
    return std::pair(b.activations, b.chunks);
  };
  EXPECT_EQ(bytes(100, 65536), std::pair(2 * 512 * 10ul, 2 * 256 * 100ul));
  EXPECT_EQ(bytes(4096, 65536), std::pair(2 * 4096 * 10ul, 2 * 256 * 100ul));
  EXPECT_EQ(bytes(40, 40), std::pair(40 * 10ul, 40 * 100ul)) << "one text has one worker";
  EXPECT_EQ(bytes(0, 0), std::pair(0ul, 0ul));
  const RunBytes mixed = bytes_of(plan, needs, sizes_of(std::vector<std::int64_t>{60, 4096, 900}));
  EXPECT_EQ(mixed.activations, (4096 + 900) * 10ul) << "the third comes later";
  const RunBytes many = bytes_of(plan, needs, {4096, 900, 65536});
  EXPECT_EQ(many.activations, (4096 + 900) * 10ul);
}

TEST(SizesOf, KnowsTheTwoLongest) {
  const auto two = [](std::vector<std::int64_t> lengths) {
    const TextSizes sizes = sizes_of(lengths);
    return std::tuple(sizes.longest, sizes.next, sizes.total);
  };
  EXPECT_EQ(two({3, 9, 5}), std::tuple(9, 5, 17));
  EXPECT_EQ(two({9, 9, 1}), std::tuple(9, 9, 19));
  EXPECT_EQ(two({4}), std::tuple(4, 0, 4));
  EXPECT_EQ(two({}), std::tuple(0, 0, 0));
}

TEST(Narrowed, LeavesOutWorkersWhereTextsAreLong) {
  const RunPlan plan{512, 256, 4};
  const auto workers = [&](std::uint64_t available, std::int64_t longest) {
    return narrowed(plan, {available, 10, 0}, {longest, longest, 1 << 20}).workers;
  };
  EXPECT_EQ(workers(1 << 20, 512), 4);
  EXPECT_EQ(workers(400'000, 10'000), 3) << "three quarters of it";
  EXPECT_EQ(workers(399'999, 10'000), 2);
  EXPECT_EQ(workers(1, 10'000), 1) << "back-off does the rest";
  EXPECT_EQ(workers(0, 10'000), 4) << "not known";
}

TEST(CutUnits, DependOnBytesAlone) {
  const std::string text(396, 'x');  // 101 tokens, as they are guessed
  const std::vector<std::string_view> texts(10, text);
  EXPECT_EQ(cut_units(texts, 512, 303), (Units{{0, 3}, {3, 6}, {6, 9}, {9, 10}}));
  EXPECT_EQ(cut_units(texts, 50, 250), (Units{{0, 5}, {5, 10}}));  // no text counts for more
  EXPECT_EQ(cut_units({}, 50, 250), Units{});
}

/// A model whose memory is `capacity` tokens; counts what it computes.
class FakeModel {
 public:
  explicit FakeModel(std::vector<std::int64_t> lengths, std::int64_t capacity)
      : lengths_(std::move(lengths)), capacity_(capacity) {}

  void compute(std::span<const std::size_t> texts, std::int64_t chunk_rows) {
    std::int64_t tokens = 0;
    for (const std::size_t t : texts) tokens += lengths_[t];
    const std::lock_guard lock(mutex_);
    if (tokens + std::min(chunk_rows, tokens) > capacity_) throw_failure();
    largest_ = std::max(largest_, tokens);
    for (const std::size_t t : texts) ASSERT_TRUE(done_.insert(t).second) << "computed twice";
  }
  void throw_failure() {
    switch (failures_++ % 4) {
      case 0:
        throw std::bad_alloc();
      case 1:
        throw std::runtime_error("Invalid buffer size: 64.00 GiB");
      case 2:
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory.");
      default:
        TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1");
    }
  }

  std::size_t done() const { return done_.size(); }
  int failures() const { return failures_; }
  std::int64_t largest() const { return largest_; }
  const std::vector<std::int64_t>& lengths() const { return lengths_; }

 private:
  std::vector<std::int64_t> lengths_;
  std::int64_t capacity_;
  std::mutex mutex_;
  std::set<std::size_t> done_;
  int failures_ = 0;
  std::int64_t largest_ = 0;
};

std::uint64_t run_all(FakeModel& model, std::int64_t budget, int threads) {
  const RunPlan plan{budget, 8, threads};
  BatchRunner runner(
      plan, model.lengths(),
      [&](std::span<const std::size_t> texts, std::int64_t chunk) { model.compute(texts, chunk); },
      [] {});
  const auto batches = plan_batches(model.lengths(), budget);
  Workers workers(threads);
  workers.run(batches.size(), [&](std::size_t i, int) { runner.run(batches[i]); });
  return runner.backoffs();
}

TEST(BatchRunner, EveryTextIsComputedOnceWhateverTheCapacity) {
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < 200; ++i) lengths.push_back(1 + i * 7 % 64);
  for (const std::int64_t capacity : {75, 100, 150, 600, 5000}) {
    for (const int threads : {1, 3}) {
      FakeModel model(lengths, capacity);
      const auto backoffs = run_all(model, 512, threads);
      EXPECT_EQ(model.done(), lengths.size());
      EXPECT_EQ(backoffs, static_cast<std::uint64_t>(model.failures()));
      EXPECT_EQ(backoffs > 0, capacity < 520) << capacity;
    }
  }
}

TEST(BatchRunner, ASmallBudgetIsLearntAndGrownFromAgain) {
  FakeModel model(std::vector<std::int64_t>(2000, 8), 128);
  const auto backoffs = run_all(model, 512, 1);
  EXPECT_EQ(model.done(), 2000u);
  // 2,000 texts in batches of about 15 at the most: without learning each of
  // the 32 planned batches would fail several times.
  EXPECT_LT(backoffs, 30u);
  EXPECT_GT(model.largest(), 64) << "the budget never grew back";
}

TEST(BatchRunner, OneTextIsTriedInEverSmallerChunksThenGivenUp) {
  std::vector<std::int64_t> chunks;
  const std::vector<std::int64_t> lengths{1000};
  BatchRunner runner(
      {512, 256, 1}, lengths,
      [&](std::span<const std::size_t>, std::int64_t chunk) {
        chunks.push_back(chunk);
        throw std::bad_alloc();
      },
      [] {});
  try {
    runner.run({{0}, 1000});
    FAIL();
  } catch (const OutOfMemoryError& error) {
    EXPECT_NE(std::string(error.what()).find("1000 tokens"), std::string::npos);
  }
  EXPECT_EQ(chunks, (std::vector<std::int64_t>{256, 256, 64, 16}));
}

TEST(BatchRunner, OtherErrorsPassThroughAtOnce) {
  const std::vector<std::int64_t> lengths{1, 1};
  int calls = 0;
  BatchRunner runner(
      {512, 256, 1}, lengths,
      [&](std::span<const std::size_t>, std::int64_t) {
        ++calls;
        throw ModelError("broken");
      },
      [] {});
  EXPECT_THROW(runner.run({{0, 1}, 2}), ModelError);
  EXPECT_EQ(calls, 1);
}

TEST(BatchRunner, MemoryIsReleasedOnceTheExceptionIsGone) {
  // A failure that holds memory, as libtorch's do through their backtraces.
  struct Held : std::runtime_error {
    explicit Held(std::shared_ptr<int> p)
        : std::runtime_error("out of memory"), held(std::move(p)) {}
    std::shared_ptr<int> held;
  };
  std::weak_ptr<int> watched;
  bool was_free = false;
  bool failed = false;
  const std::vector<std::int64_t> lengths{4, 4};
  BatchRunner runner(
      {512, 256, 1}, lengths,
      [&](std::span<const std::size_t>, std::int64_t) {
        if (std::exchange(failed, true)) return;
        auto memory = std::make_shared<int>(1);
        watched = memory;
        throw Held(std::move(memory));
      },
      [&] { was_free = watched.expired(); });
  runner.run({{0, 1}, 8});
  EXPECT_TRUE(was_free);
}

TEST(AllocationFailure, KnownMessagesAndNoOthers) {
  const auto found = [](auto error) {
    return allocation_failure(std::make_exception_ptr(error)).has_value();
  };
  EXPECT_TRUE(found(std::bad_alloc()));
  EXPECT_TRUE(found(std::runtime_error("Invalid buffer size: 64.00 GiB")));
  EXPECT_TRUE(found(std::runtime_error("MPS backend out of memory (MPS allocated: 1 GB)")));
  EXPECT_TRUE(found(std::runtime_error("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")));
  EXPECT_TRUE(found(std::runtime_error("not enough memory: you tried to allocate 1 bytes")));
  EXPECT_TRUE(found(std::runtime_error("could not create a primitive")));
  EXPECT_TRUE(found(std::runtime_error("could not execute a primitive")));
  EXPECT_FALSE(found(std::runtime_error("CUDA error: device-side assert triggered")));
  EXPECT_FALSE(found(std::invalid_argument("size")));
  EXPECT_FALSE(found(CancelledError("cancelled")));
}

}  // namespace
}  // namespace knowmap
