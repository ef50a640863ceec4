#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "store/system.hpp"

namespace knowmap::store {

/// A file outside the store in the making, such as an export: written under a
/// temporary name beside its place, it takes that place whole, or not at all.
class OutputFile {
 public:
  /// Throws a `CheckpointError` where so many bytes aren't free there.
  OutputFile(const std::filesystem::path& file, std::uint64_t bytes_needed);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// The temporary name, for who makes the file otherwise; `put` then goes on with it.
  const std::filesystem::path& path() const { return temporary_; }
  void put(const void* data, std::uint64_t bytes, std::uint64_t offset);
  /// Makes it durable and gives it its name.
  void commit();

 private:
  std::filesystem::path file_;
  std::uint64_t needed_;
  Directory folder_;
  std::filesystem::path temporary_;
  FileDescriptor out_;
};

}  // namespace knowmap::store
