#pragma once

#include <cstdint>
#include <filesystem>

#include "store/atomic_file.hpp"

namespace knowmap::store {

/// A file outside the store in the making, such as an export: written under a
/// temporary name beside its place, it takes that place whole, or not at all.
class OutputFile {
 public:
  /// Throws a `CheckpointError` where so many bytes aren't free there.
  OutputFile(const std::filesystem::path& file, std::uint64_t bytes_needed);

  void put(const void* data, std::uint64_t bytes, std::uint64_t offset);
  /// Makes it durable and gives it its name.
  void commit();

 private:
  void require(int error) const;

  std::filesystem::path file_;
  std::uint64_t needed_;
  Directory folder_;
  Temporary temporary_;
};

}  // namespace knowmap::store
