#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/mapped_file.hpp"

namespace knowmap {

/// Number formats that a weights file may hold and that we read.
enum class TensorType { float32, float16, bfloat16, int64, other };

/// One tensor of a weights file: where it lies, never a copy.
struct TensorEntry {
  TensorType type = TensorType::other;
  std::vector<std::int64_t> shape;
  const char* data = nullptr;
  std::size_t bytes = 0;
};

/// A memory-mapped `.safetensors` file, checked whole before anything is read:
/// header at most 100,000,000 bytes, no name twice, sizes that agree with shape
/// and type (without overflow), offsets that follow each other from 0 to the
/// file's end. Format: huggingface/safetensors.
class SafeTensors {
 public:
  /// Throws `ModelError`.
  explicit SafeTensors(const std::filesystem::path& file);

  /// Throws `ModelError` naming the file and the tensor.
  const TensorEntry& at(std::string_view name) const;
  const TensorEntry* find(std::string_view name) const;
  const std::map<std::string, TensorEntry, std::less<>>& entries() const { return entries_; }
  std::string_view bytes() const { return mapped_.bytes(); }

 private:
  void parse_header(std::string_view header, std::size_t data_begin);

  std::string origin_;
  MappedFile mapped_;
  std::map<std::string, TensorEntry, std::less<>> entries_;
};

}  // namespace knowmap
