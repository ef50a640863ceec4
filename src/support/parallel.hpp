#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "knowmap/progress.hpp"

namespace knowmap {

/// Carries progress from workers to the caller's callback, and the wish to stop
/// the other way. Workers call `add` and `cancelled`; only the thread that owns
/// the run calls the others.
class Monitor {
 public:
  Monitor(const ProgressCallback& callback, std::string_view stage, std::uint64_t total,
          std::string_view unit);

  void add(std::uint64_t steps) noexcept { done_.fetch_add(steps, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  /// Calls the callback where 50 ms have gone since the last time.
  void poll();
  /// Calls the callback a last time and throws `CancelledError` if it said so.
  void finish();
  /// Throws `CancelledError` if the callback asked to stop.
  void throw_if_cancelled() const;

 private:
  void report();
  const ProgressCallback* callback_;
  std::string stage_;
  std::string unit_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> cancelled_{false};
  std::chrono::steady_clock::time_point last_;
};

/// Threads that wait without spinning and share out numbered items. The calling
/// thread does not compute: it waits, polls the monitor, and so answers Ctrl-C
/// while an item takes long. Inside a worker, OpenMP (libtorch, MKL, oneDNN)
/// runs on one thread: the sharing out is done here.
class Workers {
 public:
  /// 0 = one for each core that this process may use. Fewer where the system gives no more.
  explicit Workers(int threads = 0);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int size() const noexcept;

  /// Calls task(item, worker) once for each item in [0, n), in order of start;
  /// worker is in [0, size()). Returns when all are done. The first exception
  /// stops what has not started and is thrown here; so is `CancelledError`.
  void run(std::size_t n, const std::function<void(std::size_t item, int worker)>& task,
           Monitor* monitor = nullptr);

  /// Calls task(begin, end, worker) over [0, n) cut into runs of `grain`. The
  /// cut depends on n and grain alone, never on the number of threads.
  void run_ranges(std::size_t n, std::size_t grain,
                  const std::function<void(std::size_t begin, std::size_t end, int worker)>& task,
                  Monitor* monitor = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Cores that this process may use: the affinity mask and the cgroup's quota.
int available_threads();

}  // namespace knowmap
