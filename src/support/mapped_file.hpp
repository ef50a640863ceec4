#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace knowmap {

/// A file mapped into memory for reading: pages come when they are touched and
/// go when memory is short.
class MappedFile {
 public:
  /// Throws `std::system_error` (with the file's name) where it can't be
  /// opened, is no regular file, or is empty.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const char* data() const { return static_cast<const char*>(data_); }
  std::size_t size() const { return size_; }
  std::string_view bytes() const { return {data(), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace knowmap
