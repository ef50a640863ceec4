#include "support/parallel.hpp"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"

namespace knowmap {

namespace {
constexpr auto kPollInterval = std::chrono::milliseconds(50);
}

Monitor::Monitor(const ProgressCallback& callback, std::string_view stage, std::uint64_t total,
                 std::string_view unit)
    : callback_(callback ? &callback : nullptr),
      stage_(stage),
      unit_(unit),
      total_(total),
      last_(std::chrono::steady_clock::now()) {}

void Monitor::report() {
  last_ = std::chrono::steady_clock::now();
  if (callback_ == nullptr) return;
  const std::uint64_t done = std::min(done_.load(std::memory_order_relaxed), total_);
  try {
    if (!(*callback_)({stage_, done, total_, unit_})) cancelled_ = true;
  } catch (...) {
    cancelled_ = true;  // so that workers stop; the exception is the caller's answer
    throw;
  }
}

void Monitor::poll() {
  if (!cancelled() && std::chrono::steady_clock::now() - last_ >= kPollInterval) report();
}

void Monitor::finish() {
  if (!cancelled()) report();
  throw_if_cancelled();
}

void Monitor::throw_if_cancelled() const {
  if (cancelled()) throw CancelledError("cancelled during stage '" + stage_ + "'");
}

int available_threads() {
  cpu_set_t set;
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  // A container's quota is not seen in the affinity mask: "max 100000" or
  // "200000 100000" (microseconds of CPU time a period).
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (quota_file >> quota >> period && quota > 0 && period > 0) {
    cores = std::min(cores, std::max(1, static_cast<int>(quota / period + 0.5)));
  }
  return std::max(1, cores);
}

struct Workers::Impl {
  std::mutex mutex;
  std::condition_variable work_ready;
  std::condition_variable work_done;
  std::vector<std::thread> threads;

  // The run in hand; guarded by `mutex` but for the atomic.
  const std::function<void(std::size_t, int)>* task = nullptr;
  Monitor* monitor = nullptr;
  std::size_t n = 0;
  std::atomic<std::size_t> next{0};
  std::uint64_t generation = 0;
  int active = 0;
  bool stopping = false;
  std::exception_ptr failure;

  void loop(int worker) {
    // Per-thread setting of the calling thread's OpenMP: each worker runs what
    // libtorch would spread over a team by itself.
    omp_set_num_threads(1);
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex);
    while (true) {
      work_ready.wait(lock, [&] { return stopping || generation != seen; });
      if (stopping) return;
      seen = generation;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        // What has been taken is run, since another item may wait for it.
        while (monitor == nullptr || !monitor->cancelled()) {
          const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
          if (i >= n) break;
          (*task)(i, worker);
        }
      } catch (...) {
        thrown = std::current_exception();
        next.store(n, std::memory_order_relaxed);
      }
      lock.lock();
      if (thrown && !failure) failure = thrown;
      if (--active == 0) work_done.notify_one();
    }
  }
};

Workers::Workers(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads < 0) {
    throw std::invalid_argument("threads must be 0 (one for each core) or more, not " +
                                std::to_string(threads));
  }
  const int count = threads == 0 ? available_threads() : threads;
  impl_->threads.reserve(static_cast<std::size_t>(count));
  for (int w = 0; w < count; ++w) {
    try {
      impl_->threads.emplace_back([this, w] { impl_->loop(w); });
    } catch (const std::system_error&) {
      // The system has no more threads: those that there are do the work.
      if (w == 0) throw;
      break;
    }
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work_ready.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

int Workers::size() const noexcept { return static_cast<int>(impl_->threads.size()); }

void Workers::run(std::size_t n, const std::function<void(std::size_t, int)>& task,
                  Monitor* monitor) {
  if (n == 0) return;
  Impl& s = *impl_;
  std::unique_lock lock(s.mutex);
  s.task = &task;
  s.monitor = monitor;
  s.n = n;
  s.next = 0;
  s.failure = nullptr;
  s.active = size();
  ++s.generation;
  s.work_ready.notify_all();
  const auto done = [&] { return s.active == 0; };
  if (monitor == nullptr) {
    s.work_done.wait(lock, done);
  } else {
    while (!s.work_done.wait_for(lock, kPollInterval, done)) {
      // The callback may take a lock of its own (Python's), so ours is let go.
      lock.unlock();
      std::exception_ptr thrown;
      try {
        monitor->poll();
      } catch (...) {
        thrown = std::current_exception();
        s.next.store(n, std::memory_order_relaxed);
      }
      lock.lock();
      if (thrown) {
        if (!s.failure) s.failure = thrown;
        s.work_done.wait(lock, done);
        break;
      }
    }
  }
  if (s.failure) std::rethrow_exception(std::exchange(s.failure, nullptr));
  lock.unlock();
  if (monitor != nullptr) {
    monitor->poll();
    monitor->throw_if_cancelled();
  }
}

void Workers::run_ranges(std::size_t n, std::size_t grain,
                         const std::function<void(std::size_t, std::size_t, int)>& task,
                         Monitor* monitor) {
  grain = std::max<std::size_t>(grain, 1);
  run((n + grain - 1) / grain,
      [&](std::size_t item, int worker) {
        task(item * grain, std::min(n, (item + 1) * grain), worker);
      },
      monitor);
}

}  // namespace knowmap
