#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace knowmap {

/// Threads of which those that have run out of work of their own help the others:
/// the second way of running in parallel, for when there are fewer items than
/// threads. A thread with work of its own holds a `Busy` while it has some, and
/// offers what can be divided to `run_ranges`; after it, it calls `help`. A range
/// may run on any of them, so its result must not depend on where it was cut.
class Team {
 public:
  /// While a thread holds one, others wait in `help` for what it has to offer.
  class Busy {
   public:
    explicit Busy(Team& team);
    ~Busy();
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    Team& team_;
  };

  using Task = std::function<void(std::size_t begin, std::size_t end)>;

  /// Threads that wait for something to help with, at this moment.
  int idle() const noexcept { return idle_.load(std::memory_order_relaxed); }

  /// Calls task(begin, end) over [0, n) cut into runs of `grain`, on this thread
  /// and on those that wait in `help`. Returns when all are done; the first
  /// exception stops what has not started and is thrown here.
  void run_ranges(std::size_t n, std::size_t grain, const Task& task);

  /// Runs others' ranges until nobody is busy. Waits without spinning, but for
  /// some microseconds: the next ranges mostly follow at once.
  void help();

 private:
  struct Job;
  Job* open_job() const;
  void work_on(Job& job);
  void wait_for_news(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable news_came_;
  std::condition_variable helper_left_;
  std::vector<Job*> jobs_;         // guarded by `mutex_`, as is what follows
  int busy_ = 0;                   // threads with work of their own
  std::atomic<unsigned> news_{0};  // counts jobs, and the last busy thread's leaving
  std::atomic<int> idle_{0};       // threads that wait in `help`
};

/// Runs over [0, n) in runs of `grain`, on one thread where there is no team.
void run_ranges(Team* team, std::size_t n, std::size_t grain, const Team::Task& task);

}  // namespace knowmap
