#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "knowmap/matrix.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// Rows that are read as float32 where they are wanted, and never all at once:
/// numbers of another type, or a store or file larger than memory.
class KNOWMAP_EXPORT RowSource {
 public:
  virtual ~RowSource();
  virtual std::size_t rows() const = 0;
  virtual std::size_t cols() const = 0;
  /// Writes rows [begin, end) to `out`, (end - begin, cols). Called from several
  /// threads at a time.
  virtual void read(std::size_t begin, std::size_t end, float* out) const = 0;
  /// Whether a row alone is read as quickly as one among many: so in memory, not
  /// from a disk.
  virtual bool is_resident() const = 0;
};

/// The types of numbers that rows come in.
enum class NumberType { float32, float16, int8, uint8 };

/// Rows of another type that somebody else keeps: (rows, cols), row-major,
/// without gaps; float16 as IEEE 754 has it. `resident` is false where the memory
/// is a mapped file: it is then read in long runs.
KNOWMAP_EXPORT std::unique_ptr<RowSource> rows_in_memory(const void* data, NumberType type,
                                                         std::size_t rows, std::size_t cols,
                                                         bool resident = true);

}  // namespace knowmap
