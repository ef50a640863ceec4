#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "store/shard.hpp"

namespace knowmap::store {

/// The element that a shard's embeddings are made of, and back.
Element element_of(RowStorage storage);
std::optional<RowStorage> storage_of(Element element);

/// Rows as a shard holds them.
struct EncodedRows {
  std::vector<std::byte> numbers;  ///< (rows, dimension) elements
  std::vector<float> scales;       ///< int8: one a row; else none

  /// Puts row `from` of `other`, of the same storage and dimension, in the place of row `to`.
  void put(std::size_t to, const EncodedRows& other, std::size_t from, std::size_t row_bytes);
};

/// Throws `std::invalid_argument` where a number has no place in the storage:
/// beyond ±65504 for float16, not finite for int8. `first` is the number of the
/// first row, for the message.
EncodedRows encode_rows(MatrixView<const float> rows, RowStorage storage, std::uint64_t first);
/// Encoded numbers as float32 into `out`; `scales` as many as rows for int8.
void decode_rows(std::span<const std::byte> numbers, std::span<const float> scales,
                 RowStorage storage, MatrixView<float> out);

/// IEEE binary16, rounded to the nearest, ties to even.
std::uint16_t half_from_float(float value);
float float_from_half(std::uint16_t half);

}  // namespace knowmap::store
