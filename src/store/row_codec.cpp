#include "store/row_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace knowmap::store {
namespace {

constexpr float kLargestHalf = 65504.0f;
constexpr float kSteps = 127.0f;

[[noreturn]] void refuse(std::uint64_t row, std::size_t column, float value, RowStorage storage) {
  throw std::invalid_argument("row " + std::to_string(row) + " holds " + std::to_string(value) +
                              " in column " + std::to_string(column) + ", which " +
                              std::string(row_storage_name(storage)) +
                              " can't hold: store these rows as float32");
}

void encode_half(const float* row, std::size_t columns, std::uint16_t* out) {
  for (std::size_t j = 0; j < columns; ++j) out[j] = half_from_float(row[j]);
}

// Symmetric, so that 0 stays 0; in double, so that the smallest rows scale too.
float encode_int8(const float* row, std::size_t columns, std::int8_t* out) {
  float largest = 0.0f;
  for (std::size_t j = 0; j < columns; ++j) largest = std::max(largest, std::fabs(row[j]));
  const double steps = largest > 0.0f ? static_cast<double>(kSteps) / largest : 0.0;
  for (std::size_t j = 0; j < columns; ++j) {
    out[j] = static_cast<std::int8_t>(std::lrint(row[j] * steps));
  }
  return largest / kSteps;
}

// The first number that the storage has no place for.
void check_row(const float* row, std::size_t columns, RowStorage storage, std::uint64_t number) {
  const bool half = storage == RowStorage::float16;
  bool fits = true;
  for (std::size_t j = 0; j < columns; ++j) {
    // NaN and infinity have a place in float16.
    const float size = std::fabs(row[j]);
    fits &= half ? !(size > kLargestHalf && size < HUGE_VALF) : size < HUGE_VALF;
  }
  if (fits) return;
  for (std::size_t j = 0; j < columns; ++j) {
    const float size = std::fabs(row[j]);
    const bool bad = half ? size > kLargestHalf && size < HUGE_VALF : !(size < HUGE_VALF);
    if (bad) refuse(number, j, row[j], storage);
  }
}

}  // namespace

Element element_of(RowStorage storage) {
  switch (storage) {
    case RowStorage::float16:
      return Element::float16;
    case RowStorage::int8:
      return Element::int8;
    default:
      return Element::float32;
  }
}

std::optional<RowStorage> storage_of(Element element) {
  switch (element) {
    case Element::float32:
      return RowStorage::float32;
    case Element::float16:
      return RowStorage::float16;
    case Element::int8:
      return RowStorage::int8;
    default:
      return std::nullopt;
  }
}

std::uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t size = bits & 0x7fffffffu;
  // A normal half: the exponent's bias changes from 127 to 15, 13 bits are rounded off.
  const std::uint32_t normal = (size - (112u << 23) + 0xfffu + ((size >> 13) & 1u)) >> 13;
  // Below 2^-14 the last place of a half is 2^-24, which is that of a float in [1/2, 1).
  const float shifted = std::bit_cast<float>(size < (113u << 23) ? size : 0u) + 0.5f;
  const std::uint32_t small = std::bit_cast<std::uint32_t>(shifted) - (126u << 23);
  const std::uint32_t special =
      size > 0x7f800000u ? 0x7e00u | ((size >> 13) & 0x1ffu) : std::uint32_t{0x7c00u};
  const std::uint32_t finite = size < (113u << 23) ? small : normal;
  return static_cast<std::uint16_t>(sign | (size >= 0x477ff000u ? special : finite));
}

float float_from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t size = half & 0x7fffu;
  // By way of an integer: denormal floats may be flushed to zero in this thread.
  const auto small = std::bit_cast<std::uint32_t>(static_cast<float>(size) * 0x1p-24f);
  const std::uint32_t normal = (size << 13) + (112u << 23);
  const std::uint32_t special = (size << 13) | 0x7f800000u;
  const std::uint32_t finite = size < 0x400u ? small : normal;
  return std::bit_cast<float>(sign | (size >= 0x7c00u ? special : finite));
}

void EncodedRows::put(std::size_t to, const EncodedRows& other, std::size_t from,
                      std::size_t row_bytes) {
  std::memcpy(numbers.data() + to * row_bytes, other.numbers.data() + from * row_bytes, row_bytes);
  if (!scales.empty()) scales[to] = other.scales[from];
}

EncodedRows encode_rows(MatrixView<const float> rows, RowStorage storage, std::uint64_t first) {
  EncodedRows encoded;
  encoded.numbers.resize(rows.size() * element_size(element_of(storage)));
  if (storage == RowStorage::float32) {
    if (!rows.empty()) std::memcpy(encoded.numbers.data(), rows.data, encoded.numbers.size());
    return encoded;
  }
  if (storage == RowStorage::int8) encoded.scales.resize(rows.rows);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    check_row(rows.row(i), rows.cols, storage, first + i);
    if (storage == RowStorage::float16) {
      encode_half(rows.row(i), rows.cols,
                  reinterpret_cast<std::uint16_t*>(encoded.numbers.data()) + i * rows.cols);
    } else {
      encoded.scales[i] =
          encode_int8(rows.row(i), rows.cols,
                      reinterpret_cast<std::int8_t*>(encoded.numbers.data()) + i * rows.cols);
    }
  }
  return encoded;
}

void decode_rows(std::span<const std::byte> numbers, std::span<const float> scales,
                 RowStorage storage, MatrixView<float> out) {
  if (storage == RowStorage::float32) {
    std::memcpy(out.data, numbers.data(), numbers.size());
  } else if (storage == RowStorage::float16) {
    const auto* half = reinterpret_cast<const std::uint16_t*>(numbers.data());
    for (std::size_t i = 0; i < out.size(); ++i) out.data[i] = float_from_half(half[i]);
  } else {
    const auto* steps = reinterpret_cast<const std::int8_t*>(numbers.data());
    for (std::size_t i = 0; i < out.rows; ++i) {
      for (std::size_t j = 0; j < out.cols; ++j) {
        out(i, j) = scales[i] * static_cast<float>(steps[i * out.cols + j]);
      }
    }
  }
}

}  // namespace knowmap::store

namespace knowmap {

std::string_view row_storage_name(RowStorage storage) noexcept {
  switch (storage) {
    case RowStorage::float16:
      return "float16";
    case RowStorage::int8:
      return "int8";
    default:
      return "float32";
  }
}

RowStorage row_storage_from_name(std::string_view name) {
  for (const auto storage : {RowStorage::float32, RowStorage::float16, RowStorage::int8}) {
    if (name == row_storage_name(storage)) return storage;
  }
  throw std::invalid_argument("rows can't be stored as \"" + std::string(name.substr(0, 40)) +
                              "\"; take float32, float16 or int8");
}

}  // namespace knowmap
