#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace knowmap {

/// A row-major block of numbers that somebody else owns: `rows` × `cols`,
/// without gaps between rows. Cheap to copy; lives no longer than its owner.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  MatrixView() = default;
  MatrixView(T* data_, std::size_t rows_, std::size_t cols_)
      : data(data_), rows(rows_), cols(cols_) {}
  /// A view for writing is also one for reading.
  template <class U>
  requires(std::is_const_v<T>&& std::is_same_v<const U, T> && !std::is_const_v<U>)
      MatrixView(MatrixView<U> other)  // NOLINT(google-explicit-constructor)
      : data(other.data), rows(other.rows), cols(other.cols) {}

  T* row(std::size_t i) const { return data + i * cols; }
  T& operator()(std::size_t i, std::size_t j) const { return data[i * cols + j]; }
  std::size_t size() const { return rows * cols; }
  bool empty() const { return size() == 0; }
  /// Rows [begin, end).
  MatrixView slice(std::size_t begin, std::size_t end) const {
    return {data + begin * cols, end - begin, cols};
  }
};

/// An owned row-major matrix, aligned to a cache line. Its numbers are not set
/// when it is made: a matrix of a million rows is written once, by its maker.
template <class T>
class BasicMatrix {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  BasicMatrix() = default;
  /// Throws `std::bad_alloc`, also where rows × cols overflows.
  BasicMatrix(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols) {
    if (cols != 0 && rows > static_cast<std::size_t>(-1) / sizeof(T) / cols) throw std::bad_alloc();
    if (rows * cols != 0) {
      data_.reset(static_cast<T*>(::operator new(rows* cols * sizeof(T), kAlignment)));
    }
  }
  BasicMatrix(std::size_t rows, std::size_t cols, T value) : BasicMatrix(rows, cols) {
    for (std::size_t i = 0; i < rows * cols; ++i) data_[i] = value;
  }
  BasicMatrix(BasicMatrix&& other) noexcept
      : data_(std::move(other.data_)),
        rows_(std::exchange(other.rows_, 0)),
        cols_(std::exchange(other.cols_, 0)) {}
  BasicMatrix& operator=(BasicMatrix&& other) noexcept {
    data_ = std::move(other.data_);
    rows_ = std::exchange(other.rows_, 0);
    cols_ = std::exchange(other.cols_, 0);
    return *this;
  }
  /// Copies are said out loud.
  BasicMatrix clone() const {
    BasicMatrix copy(rows_, cols_);
    for (std::size_t i = 0; i < size(); ++i) copy.data_[i] = data_[i];
    return copy;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t size() const { return rows_ * cols_; }
  bool empty() const { return size() == 0; }
  T* row(std::size_t i) { return data_.get() + i * cols_; }
  const T* row(std::size_t i) const { return data_.get() + i * cols_; }
  T& operator()(std::size_t i, std::size_t j) { return data_[i * cols_ + j]; }
  const T& operator()(std::size_t i, std::size_t j) const { return data_[i * cols_ + j]; }
  MatrixView<T> view() { return {data_.get(), rows_, cols_}; }
  MatrixView<const T> view() const { return {data_.get(), rows_, cols_}; }
  operator MatrixView<T>() { return view(); }              // NOLINT(google-explicit-constructor)
  operator MatrixView<const T>() const { return view(); }  // NOLINT(google-explicit-constructor)

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T[], Free> data_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

/// Embeddings and coordinates: float32.
using Matrix = BasicMatrix<float>;

}  // namespace knowmap
