#include "support/team.hpp"

#include <algorithm>
#include <utility>

namespace knowmap {

namespace {

// A look takes some nanoseconds: all of them less than what waking a thread costs.
constexpr int kLooks = 2000;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Looks for a while whether `ready`.
template <class Ready>
void look(const Ready& ready) {
  for (int i = 0; i < kLooks && !ready(); ++i) pause();
}

}  // namespace

/// Lies on the stack of the thread that offers it, which outwaits its helpers.
struct Team::Job {
  const Task& task;
  const std::size_t n;
  const std::size_t grain;
  std::atomic<std::size_t> next{0};  // where the next range begins
  std::atomic<int> helpers{0};       // changes under the team's mutex
  std::exception_ptr failure{};      // guarded by the team's mutex
};

Team::Busy::Busy(Team& team) : team_(team) {
  const std::lock_guard lock(team_.mutex_);
  ++team_.busy_;
}

Team::Busy::~Busy() {
  const std::lock_guard lock(team_.mutex_);
  if (--team_.busy_ > 0) return;
  ++team_.news_;
  team_.news_came_.notify_all();
}

void Team::run_ranges(std::size_t n, std::size_t grain, const Task& task) {
  Job job{task, n, std::max<std::size_t>(grain, 1)};
  if (n <= job.grain || idle() == 0) {
    for (std::size_t i = 0; i < n; i += job.grain) task(i, std::min(n, i + job.grain));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(&job);
    ++news_;
  }
  news_came_.notify_all();
  work_on(job);
  look([&] { return job.helpers.load(std::memory_order_relaxed) == 0; });
  std::unique_lock lock(mutex_);
  std::erase(jobs_, &job);  // from here on nobody joins
  helper_left_.wait(lock, [&] { return job.helpers == 0; });
  if (job.failure) std::rethrow_exception(std::exchange(job.failure, nullptr));
}

void Team::help() {
  std::unique_lock lock(mutex_);
  ++idle_;
  while (true) {
    Job* const job = open_job();
    if (job == nullptr) {
      if (busy_ == 0) break;
      wait_for_news(lock);
      continue;
    }
    ++job->helpers;
    --idle_;
    lock.unlock();
    work_on(*job);
    lock.lock();
    ++idle_;
    if (--job->helpers == 0) helper_left_.notify_all();
  }
  --idle_;
}

Team::Job* Team::open_job() const {
  for (Job* const job : jobs_) {
    if (job->next.load(std::memory_order_relaxed) < job->n) return job;
  }
  return nullptr;
}

void Team::work_on(Job& job) {
  try {
    for (std::size_t i; (i = job.next.fetch_add(job.grain)) < job.n;) {
      job.task(i, std::min(job.n, i + job.grain));
    }
  } catch (...) {
    job.next = job.n;
    const std::lock_guard lock(mutex_);
    if (!job.failure) job.failure = std::current_exception();
  }
}

void Team::wait_for_news(std::unique_lock<std::mutex>& lock) {
  const unsigned seen = news_;
  const auto came = [&] { return news_.load(std::memory_order_relaxed) != seen; };
  lock.unlock();
  look(came);
  lock.lock();
  news_came_.wait(lock, came);
}

void run_ranges(Team* team, std::size_t n, std::size_t grain, const Team::Task& task) {
  if (team != nullptr) return team->run_ranges(n, grain, task);
  grain = std::max<std::size_t>(grain, 1);
  for (std::size_t i = 0; i < n; i += grain) task(i, std::min(n, i + grain));
}

}  // namespace knowmap
