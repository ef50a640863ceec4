#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "knowmap/matrix.hpp"
#include "knowmap/row_source.hpp"

namespace knowmap::neighbors {

/// The rows that a search works on: float32 in memory, looked at where they lie,
/// or a source that they are read from. Cheap to copy; lives no longer than the
/// rows.
class RowReader {
 public:
  std::size_t rows = 0;
  std::size_t cols = 0;

  RowReader() = default;
  RowReader(MatrixView<const float> view)  // NOLINT(google-explicit-constructor)
      : rows(view.rows), cols(view.cols), data_(view.data) {}
  RowReader(const Matrix& matrix)  // NOLINT(google-explicit-constructor)
      : RowReader(matrix.view()) {}
  RowReader(const RowSource& source)  // NOLINT(google-explicit-constructor)
      : rows(source.rows()), cols(source.cols()), source_(&source) {}

  bool empty() const { return rows * cols == 0; }
  /// Whether the rows lie in memory as float32: what `view` wants.
  bool is_direct() const { return source_ == nullptr; }
  MatrixView<const float> view() const {
    if (!is_direct()) throw std::logic_error("rows of a source have no view");
    return {data_, rows, cols};
  }
  /// Whether one row alone is quickly read.
  bool is_resident() const { return is_direct() || source_->is_resident(); }

  /// Rows [begin, end), one behind the other: where they lie, or in `room`.
  const float* run(std::size_t begin, std::size_t end, std::vector<float>& room) const {
    if (is_direct()) return data_ + begin * cols;
    room.resize((end - begin) * cols);
    source_->read(begin, end, room.data());
    return room.data();
  }
  const float* row(std::size_t i, std::vector<float>& room) const { return run(i, i + 1, room); }

 private:
  const float* data_ = nullptr;
  const RowSource* source_ = nullptr;
};

}  // namespace knowmap::neighbors
