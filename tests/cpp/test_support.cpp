#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <latch>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "knowmap/error.hpp"
#include "support/memory.hpp"
#include "support/one_ahead.hpp"
#include "support/parallel.hpp"
#include "support/random.hpp"
#include "support/team.hpp"

namespace knowmap {
namespace {

TEST(Workers, EveryItemIsDoneOnceWhateverTheThreads) {
  for (int threads : {1, 2, 5}) {
    Workers workers(threads);
    for (std::size_t n : {0u, 1u, 7u, 1000u}) {
      std::vector<std::atomic<int>> seen(n);
      workers.run(n, [&](std::size_t i, int w) {
        ASSERT_LT(w, threads);
        ++seen[i];
      });
      EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](const auto& s) { return s == 1; }));
    }
  }
}

TEST(Workers, RangesAreCutByGrainAlone) {
  Workers workers(3);
  std::vector<std::pair<std::size_t, std::size_t>> cuts(4);
  workers.run_ranges(10, 3, [&](std::size_t b, std::size_t e, int) { cuts[b / 3] = {b, e}; });
  EXPECT_EQ(cuts,
            (std::vector<std::pair<std::size_t, std::size_t>>{{0, 3}, {3, 6}, {6, 9}, {9, 10}}));
}

TEST(Workers, TheFirstExceptionReachesTheCallerAndThePoolLivesOn) {
  Workers workers(2);
  EXPECT_THROW(workers.run(100,
                           [](std::size_t i, int) {
                             if (i == 3) throw std::runtime_error("three");
                           }),
               std::runtime_error);
  std::atomic<int> count = 0;
  workers.run(10, [&](std::size_t, int) { ++count; });
  EXPECT_EQ(count, 10);
}

TEST(Workers, CancelIsAnsweredWithinATenthOfASecond) {
  Workers workers(2);
  const ProgressCallback stop = [](const Progress&) { return false; };
  Monitor monitor(stop, "test", 1000, "steps");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(workers.run(
                   1000,
                   [&](std::size_t, int) {
                     for (int i = 0; i < 50 && !monitor.cancelled(); ++i) {
                       std::this_thread::sleep_for(std::chrono::milliseconds(1));
                     }
                   },
                   &monitor),
               CancelledError);
  // Generous, since the machine may be busy: without cancelling it takes 25 s.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Workers, NegativeThreadsAreRefused) { EXPECT_THROW(Workers(-1), std::invalid_argument); }

TEST(OneAhead, MakesTheNextItemWhileTheTakerIsBusy) {
  std::vector<std::thread::id> makers(3);
  std::latch second_made(1);
  OneAhead<int> items(3, [&](std::size_t i) {
    makers[i] = std::this_thread::get_id();
    if (i == 1) second_made.count_down();
    return static_cast<int>(i) * 10;
  });
  EXPECT_EQ(items.take(), 0);
  second_made.wait();  // before it is taken
  EXPECT_EQ(items.take(), 10);
  EXPECT_EQ(items.take(), 20);
  EXPECT_EQ(makers[0], std::this_thread::get_id());
  EXPECT_NE(makers[1], makers[0]);
}

TEST(OneAhead, AFailureComesWithTheItemThatFailed) {
  OneAhead<int> items(3, [](std::size_t i) {
    if (i == 1) throw std::runtime_error("second");
    return static_cast<int>(i);
  });
  EXPECT_EQ(items.take(), 0);
  EXPECT_THROW(items.take(), std::runtime_error);
}

TEST(OneAhead, WhatHadNoRoomBesideTheTakerIsMadeWhenItIsTaken) {
  const std::thread::id taker = std::this_thread::get_id();
  OneAhead<int> items(3, [&](std::size_t i) {
    if (std::this_thread::get_id() != taker) {
      if (i == 1) throw std::bad_alloc();
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
    return static_cast<int>(i);
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(items.take(), i);
}

TEST(OneAhead, WaitsForWhatNobodyTakes) {
  std::atomic<bool> made{false};
  {
    OneAhead<int> items(2, [&](std::size_t i) {
      if (i == 1) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        made = true;
      }
      return 0;
    });
    items.take();
  }
  EXPECT_TRUE(made);
}

/// `threads` threads of which the first `busy` do `own` and then help. None helps
/// before those are busy: `help` would return at once.
void run_team(Team& team, int threads, int busy, const std::function<void()>& own) {
  std::latch all_are_busy(busy);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      if (t < busy) {
        const Team::Busy mine(team);
        all_are_busy.count_down();
        own();
      }
      all_are_busy.wait();
      team.help();
    });
  }
  for (std::thread& thread : all) thread.join();
}

TEST(Team, EveryRangeIsDoneOnceBeforeTheCallReturns) {
  for (const int busy : {1, 2, 4}) {
    Team team;
    run_team(team, 4, busy, [&] {
      for (int round = 0; round < 300; ++round) {
        std::vector<int> seen(101, 0);
        team.run_ranges(seen.size(), 7, [&](std::size_t begin, std::size_t end) {
          EXPECT_LE(end, begin + 7);
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        });
        EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int s) { return s == 1; }));
      }
    });
    EXPECT_EQ(team.idle(), 0);
  }
}

TEST(Team, IdleThreadsHelp) {
  Team team;
  std::atomic<int> inside{0};
  run_team(team, 3, 1, [&] {
    while (team.idle() < 2) std::this_thread::yield();
    // No range ends before all three have begun: three threads must be at it.
    team.run_ranges(3, 1, [&](std::size_t, std::size_t) {
      ++inside;
      while (inside < 3) std::this_thread::yield();
    });
  });
  EXPECT_EQ(inside, 3);
}

TEST(Team, AnExceptionReachesTheThreadThatOfferedTheRanges) {
  Team team;
  std::atomic<int> caught{0};
  run_team(team, 4, 2, [&] {
    for (int round = 0; round < 100; ++round) {
      const auto fail = [&](std::size_t begin, std::size_t) {
        if (begin == 20) throw std::runtime_error("range 20");
      };
      try {
        team.run_ranges(40, 1, fail);
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "range 20");
        ++caught;
      }
    }
  });
  EXPECT_EQ(caught, 200);
}

TEST(Team, HelpEndsAtOnceWhereNobodyIsBusy) {
  Team team;
  team.help();
  team.run_ranges(3, 1, [](std::size_t, std::size_t) {});
  run_ranges(nullptr, 3, 1, [](std::size_t begin, std::size_t end) { EXPECT_EQ(end, begin + 1); });
}

TEST(Memory, PagesCountOnceTheyAreTouched) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t bytes = 10000 * page;
  void* const begin =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(begin, MAP_FAILED);
  ::madvise(begin, bytes, MADV_NOHUGEPAGE);
  EXPECT_EQ(resident_memory(begin, bytes), 0U);
  for (const std::size_t i : {0, 1, 8191, 8192, 9999}) static_cast<char*>(begin)[i * page] = 1;
  EXPECT_EQ(resident_memory(begin, bytes), 5 * page);
  EXPECT_EQ(resident_memory(static_cast<char*>(begin) + 10, 8), 8U);
  EXPECT_EQ(resident_memory(begin, 0), 0U);
  ::munmap(begin, bytes);
}

TEST(Random, BitsDependOnEveryPartOfTheKey) {
  const auto base = random_bits(1, RandomStage::negative, 2, 3);
  EXPECT_EQ(base, random_bits(1, RandomStage::negative, 2, 3));
  EXPECT_NE(base, random_bits(2, RandomStage::negative, 2, 3));
  EXPECT_NE(base, random_bits(1, RandomStage::initial, 2, 3));
  EXPECT_NE(base, random_bits(1, RandomStage::negative, 3, 3));
  EXPECT_NE(base, random_bits(1, RandomStage::negative, 2, 4));
}

TEST(Random, BoundedIsEven) {
  std::vector<int> counts(10);
  for (std::uint64_t i = 0; i < 100000; ++i) {
    ++counts[bounded(random_bits(7, RandomStage::sample, i), 10)];
  }
  for (int c : counts) EXPECT_NEAR(c, 10000, 500);
}

}  // namespace
}  // namespace knowmap
