#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

namespace knowmap {

/// Numbered items made one after the other, each, but for the first, on a thread of its own
/// while its taker is busy with the one before it.
template <class T>
class OneAhead {
 public:
  /// `make(i)` for i in [0, n) runs beside what the taker does. Where there is no memory or
  /// no thread for that just then, it runs again when the item is taken.
  OneAhead(std::size_t n, std::function<T(std::size_t)> make) : n_(n), make_(std::move(make)) {}
  /// Waits for the item being made.
  ~OneAhead() = default;
  OneAhead(const OneAhead&) = delete;
  OneAhead& operator=(const OneAhead&) = delete;

  /// The next item; throws what its `make` threw.
  T take() {
    std::optional<T> item = made();
    if (!item) item = make_(next_);
    if (++next_ < n_) begin();
    return *std::move(item);
  }

 private:
  std::optional<T> made() {
    if (!coming_.valid()) return std::nullopt;
    try {
      return coming_.get();
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
    return std::nullopt;
  }
  void begin() {
    try {
      coming_ = std::async(std::launch::async, [this, i = next_] { return make_(i); });
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
  }

  std::size_t n_;
  std::function<T(std::size_t)> make_;
  std::size_t next_ = 0;
  std::future<T> coming_;  // last: it ends before what it uses
};

}  // namespace knowmap
