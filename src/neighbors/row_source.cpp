#include "knowmap/row_source.hpp"

#include <bit>
#include <cstring>
#include <stdexcept>

namespace knowmap {

RowSource::~RowSource() = default;

namespace {

/// The bits of a float16.
struct Half {
  std::uint16_t bits;
};

float widened(float x) { return x; }
float widened(std::int8_t x) { return static_cast<float>(x); }
float widened(std::uint8_t x) { return static_cast<float>(x); }
float widened(Half x) {
  // Exponent and fraction are put where float32 has them; the product puts the
  // exponent's origin right, also of numbers below the normal ones.
  const auto magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const float size = std::bit_cast<float>(magnitude) * 0x1p112f;
  const std::uint32_t beyond = (x.bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(size) | beyond | sign);
}

template <class T>
class TypedRows final : public RowSource {
 public:
  TypedRows(const void* data, std::size_t rows, std::size_t cols, bool resident)
      : data_(static_cast<const T*>(data)), rows_(rows), cols_(cols), resident_(resident) {}

  std::size_t rows() const override { return rows_; }
  std::size_t cols() const override { return cols_; }
  bool is_resident() const override { return resident_; }
  void read(std::size_t begin, std::size_t end, float* out) const override {
    const T* from = data_ + begin * cols_;
    const std::size_t count = (end - begin) * cols_;
    for (std::size_t i = 0; i < count; ++i) out[i] = widened(from[i]);
  }

 private:
  const T* data_;
  std::size_t rows_;
  std::size_t cols_;
  bool resident_;
};

}  // namespace

std::unique_ptr<RowSource> rows_in_memory(const void* data, NumberType type, std::size_t rows,
                                          std::size_t cols, bool resident) {
  switch (type) {
    case NumberType::float32:
      return std::make_unique<TypedRows<float>>(data, rows, cols, resident);
    case NumberType::float16:
      return std::make_unique<TypedRows<Half>>(data, rows, cols, resident);
    case NumberType::int8:
      return std::make_unique<TypedRows<std::int8_t>>(data, rows, cols, resident);
    case NumberType::uint8:
      return std::make_unique<TypedRows<std::uint8_t>>(data, rows, cols, resident);
  }
  throw std::invalid_argument("unknown type of numbers");
}

}  // namespace knowmap
