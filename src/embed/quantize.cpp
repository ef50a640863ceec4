#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "knowmap/embedder.hpp"

namespace knowmap {

namespace {

/// Calls put(index, steps from 0 to 255) for each number.
template <class Put>
void steps_of(MatrixView<const float> embeddings, MatrixView<const float> calibration,
              const Put& put) {
  const MatrixView<const float> source = calibration.rows == 0 ? embeddings : calibration;
  if (source.cols != embeddings.cols) {
    throw std::invalid_argument("calibration has " + std::to_string(source.cols) +
                                " columns, the embeddings " + std::to_string(embeddings.cols));
  }
  std::vector<float> low(embeddings.cols, std::numeric_limits<float>::infinity());
  std::vector<float> high(embeddings.cols, -std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < source.rows; ++i) {
    for (std::size_t j = 0; j < source.cols; ++j) {
      low[j] = std::min(low[j], source.row(i)[j]);
      high[j] = std::max(high[j], source.row(i)[j]);
    }
  }
  for (std::size_t i = 0; i < embeddings.rows; ++i) {
    for (std::size_t j = 0; j < embeddings.cols; ++j) {
      const float step = (high[j] - low[j]) / 255.0f;
      const float steps = step > 0 ? (embeddings.row(i)[j] - low[j]) / step : 0.0f;
      // A value beyond the calibration's range takes its end.
      put(i * embeddings.cols + j, std::clamp(steps, 0.0f, 255.0f));
    }
  }
}

}  // namespace

// Both cut towards zero, as a cast does there too.
std::vector<std::uint8_t> quantize_uint8(MatrixView<const float> embeddings,
                                         MatrixView<const float> calibration) {
  std::vector<std::uint8_t> out(embeddings.rows * embeddings.cols);
  steps_of(embeddings, calibration,
           [&](std::size_t i, float steps) { out[i] = static_cast<std::uint8_t>(steps); });
  return out;
}

std::vector<std::int8_t> quantize_int8(MatrixView<const float> embeddings,
                                       MatrixView<const float> calibration) {
  std::vector<std::int8_t> out(embeddings.rows * embeddings.cols);
  steps_of(embeddings, calibration,
           [&](std::size_t i, float steps) { out[i] = static_cast<std::int8_t>(steps - 128.0f); });
  return out;
}

std::vector<std::uint8_t> quantize_binary(MatrixView<const float> embeddings) {
  const std::size_t bytes = (embeddings.cols + 7) / 8;
  std::vector<std::uint8_t> out(embeddings.rows * bytes, 0);
  for (std::size_t i = 0; i < embeddings.rows; ++i) {
    for (std::size_t j = 0; j < embeddings.cols; ++j) {
      if (embeddings.row(i)[j] > 0) {
        out[i * bytes + j / 8] |= static_cast<std::uint8_t>(0x80u >> (j % 8));
      }
    }
  }
  return out;
}

}  // namespace knowmap
