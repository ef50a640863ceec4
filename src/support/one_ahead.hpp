#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <new>
#include <system_error>
#include <utility>

namespace knowmap {

/// Numbered items made one after the other, each on a thread of its own while its taker is
/// busy with the one before it.
template <class T>
class OneAhead {
 public:
  /// `make(i)` for i in [0, n) runs beside what the taker does.
  OneAhead(std::size_t n, std::function<T(std::size_t)> make) : n_(n), make_(std::move(make)) {}
  /// Waits for the item being made.
  ~OneAhead() = default;
  OneAhead(const OneAhead&) = delete;
  OneAhead& operator=(const OneAhead&) = delete;

  /// The next item; throws what its `make` threw.
  T take() {
    T item = coming_.valid() ? coming_.get() : make_(next_);
    if (++next_ < n_) begin();
    return item;
  }

 private:
  void begin() {
    try {
      coming_ = std::async(std::launch::async, [this, i = next_] { return make_(i); });
    } catch (const std::system_error&) {  // no thread to be had: it is made when it is taken
    } catch (const std::bad_alloc&) {
    }
  }

  std::size_t n_;
  std::function<T(std::size_t)> make_;
  std::size_t next_ = 0;
  std::future<T> coming_;  // last: it ends before what it uses
};

}  // namespace knowmap
