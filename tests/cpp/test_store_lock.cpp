#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "store/lock_file.hpp"
#include "store_fixture.hpp"

namespace knowmap {
namespace {

// --- who may write ------------------------------------------------------------------

// Runs `body` in a child process and gives its exit status.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = body();
    } catch (const CheckpointError&) {
      result = 1;
    } catch (...) {
    }
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(Store, ASecondWriterIsToldWhoTheFirstIs) {
  CheckpointStore store(folder_);
  EXPECT_SAYS(CheckpointStore{folder_}, "in this process");
  const std::string owner = "process " + std::to_string(::getpid()) + " on ";
  EXPECT_EQ(in_child([&] {
              try {
                CheckpointStore second(folder_, Mode::fresh);
              } catch (const CheckpointError& error) {
                const std::string what = error.what();
                return what.find(owner) != what.npos && what.find(" since 20") != what.npos ? 7 : 8;
              }
              return 0;
            }),
            7);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  EXPECT_TRUE(holds(CheckpointStore(folder_, Mode::read), {0, 3}));
}

TEST_F(Store, TheLockGoesWithItsOwner) {
  { CheckpointStore store(folder_); }
  { CheckpointStore again(folder_); }
  EXPECT_EQ(in_child([&] {
              CheckpointStore store(folder_);
              store.begin_rows(kMadeBy, 4);
              commit(store, {0, 3});
              ::raise(SIGKILL);
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_NE(read_file(folder_ / ".lock"), "");  // it was left behind
  CheckpointStore store(folder_);
  EXPECT_TRUE(holds(store, {0, 3}));
}

TEST_F(Store, AForkHoldsNoLockAndMayNotWrite) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  EXPECT_EQ(in_child([&] {
              commit(store, {0, 3});
              return 0;
            }),
            1);
  EXPECT_EQ(in_child([&] {
              CheckpointStore moved = std::move(store);  // destroyed in the child
              return 0;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              CheckpointStore second(folder_);
              return 0;
            }),
            1);
  commit(store, {0, 3});
}

TEST_F(Store, AnOrphanedForkKeepsNobodyOut) {
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  EXPECT_EQ(in_child([&] {
              CheckpointStore store(folder_);
              if (::fork() == 0) {  // lives on after its parent was killed
                char byte;
                ::close(pipes[1]);
                while (::read(pipes[0], &byte, 1) > 0) {
                }
                ::_exit(0);
              }
              ::raise(SIGKILL);
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_NO_THROW(CheckpointStore{folder_});
  ::close(pipes[1]);
  ::close(pipes[0]);
}

TEST_F(Store, ALockThatWasTakenAwayStopsItsOwner) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  fs::remove(folder_ / ".lock");
  EXPECT_SAYS(commit(store, {3, 6}), "lock");
  CheckpointStore second(folder_);
  EXPECT_SAYS(commit(store, {3, 6}), "lock");
  second.begin_rows(kMadeBy, 4);
  commit(second, {3, 6});
}

TEST_F(Store, LocksOfOtherMachinesCountWhileTheyAreFresh) {
  { CheckpointStore store(folder_); }
  const fs::path lock = folder_ / ".lock";
  const std::string elsewhere =
      R"({"process":1,"host":"elsewhere.example","boot":"x","since":"2026-01-01 00:00:00 UTC"})";
  write_file(lock, elsewhere);
  EXPECT_SAYS(CheckpointStore{folder_}, "elsewhere.example since 2026-01-01");
  EXPECT_SAYS(CheckpointStore{folder_}, "delete ");
  fs::last_write_time(lock, fs::file_time_type::clock::now() - std::chrono::minutes(11));
  EXPECT_NO_THROW(CheckpointStore{folder_});
  for (const char* garbage : {"", "{", "[]", "{\"process\":\"x\"}", "{\"process\":-4}", "\xff"}) {
    write_file(lock, garbage);
    EXPECT_NO_THROW(CheckpointStore{folder_}) << garbage;
  }
  fs::remove(lock);
  fs::create_symlink(base_ / "target", lock);
  EXPECT_THROW(CheckpointStore{folder_}, CheckpointError);
  EXPECT_FALSE(fs::exists(base_ / "target"));
}

// Names of hosts are given twice: only one that also agrees on its machine's id is this one.
TEST_F(Store, AHostOfTheSameNameIsAnotherMachineUnlessItsIdIsTheSame) {
  { CheckpointStore store(folder_); }
  const fs::path lock = folder_ / ".lock";
  nlohmann::json owner;
  {
    CheckpointStore store(folder_);
    owner = nlohmann::json::parse(read_file(lock));
  }
  const auto opens = [&] {
    write_file(lock, owner.dump());
    try {
      CheckpointStore store(folder_);
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  owner["process"] = 1;  // lives on every machine
  owner["process_started"] = "";
  EXPECT_EQ(opens(), "");  // this very kernel would hold its lock
  owner["boot"] = "another";
  if (owner["machine"] != "") {
    EXPECT_EQ(opens(), "");  // before a restart
  }
  owner["machine"] = "another";
  EXPECT_NE(opens().find("process 1 on " + owner["host"].get<std::string>()), std::string::npos);
  owner.erase("machine");
  EXPECT_NE(opens(), "");
}

TEST_F(Store, TheMessageOfALockTellsTheWayOut) {
  { CheckpointStore store(folder_); }
  write_file(folder_ / ".lock", R"({"process":7,"host":"elsewhere.example","since":"then"})");
  for (const char* part :
       {"process 7 on elsewhere.example since then", "wait for it to end or stop",
        "name another store", "reading needs no lock", "/.lock", "10 minutes"}) {
    EXPECT_SAYS(CheckpointStore{folder_}, part);
  }
}

// A disk without locks, on which a machine that slept finds its store in other hands.
TEST_F(Store, AnOwnerThatWasReplacedStopsAtItsNextCommit) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  write_file(folder_ / ".lock", R"({"process":7,"host":"elsewhere.example","since":"then"})");
  EXPECT_SAYS(commit(store, {3, 6}), "taken by another process");
  EXPECT_SAYS(store.put_stage("umap", {}, {}), "run again");
  EXPECT_TRUE(holds(store, {0, 3}));
}

TEST_F(Store, AnOwnerShowsThatItLivesHoweverLongACommitTakes) {
  fs::create_directory(folder_);
  const store::Directory folder(folder_);
  const store::LockFile lock(folder, std::chrono::milliseconds(5));
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(folder_ / ".lock", long_ago);
  for (int tries = 0; tries < 1000; ++tries) {
    if (fs::last_write_time(folder_ / ".lock") > long_ago + std::chrono::minutes(50)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  FAIL() << "no sign of life";
}

TEST_F(Store, ReadersSeeWholeShardsWhileAWriterWrites) {
  { CheckpointStore store(folder_); }
  std::atomic<bool> done = false;
  std::atomic<int> opened = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const CheckpointStore store(folder_, Mode::read);
        EXPECT_TRUE(holds(store, {0, store.rows_held()}));
        const auto stage = store.get_stage("umap");
        EXPECT_TRUE(!stage || equal(*stage, a_result()));
        ++opened;
      }
    });
  }
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  for (std::uint64_t i = 0; i < 60 || opened < 9; i += 3) {
    commit(store, {i, i + 3});
    store.put_stage("umap", {{"step", std::to_string(i)}}, a_result());
  }
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_TRUE(store.verify().damaged.empty());
}

TEST_F(Store, OneStoreServesManyThreads) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 30});
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 10; ++i) {
        commit(store, {t * 30 + i * 3, t * 30 + i * 3 + 3});
        EXPECT_TRUE(holds(store, {i, 30}));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(holds(store, {0, 120}));
}

// --- disks that fail ------------------------------------------------------------------

TEST_F(Store, AFileSizeLimitIsAClearErrorAndLeavesNothing) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer lets no thread start in a forked child";
#endif
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 100);
  commit(store, {0, 3}, 100);
  EXPECT_EQ(in_child([&] {
              CheckpointStore other(base_ / "other");
              other.begin_rows(kMadeBy, 100);
              commit(other, {0, 3}, 100);
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{50000, 50000};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              const std::string message = message_of([&] { commit(other, {3, 303}, 100); });
              if (message.find("file size limit") == message.npos) return 3;
              if (!holds(other, {0, 3}, 100) || !other.verify().leftovers.empty()) return 4;
              commit(other, {3, 6}, 100);  // goes on where it fits
              return holds(other, {0, 6}, 100) ? 0 : 5;
            }),
            0);
}

}  // namespace
}  // namespace knowmap
