#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "store/shard.hpp"

namespace knowmap::store {

/// What goes into one plain HDF5 file.
struct Export {
  std::uint64_t rows = 0;
  std::uint64_t dimension = 0;
  Fingerprint fingerprint;
  std::span<const std::string> ids;  ///< one a row, or none
  /// Reads rows, and the hashes of their texts, into buffers of that many.
  std::function<void(RowRange, float*, std::uint64_t*)> read;
  /// By name; each is read twice, and in memory one at a time.
  std::map<std::string, std::shared_ptr<Shard>> stages;
};

/// HDF5 lays the file out in memory, texts included; every byte is written by us, and the
/// numbers from where they are read into the places it reserved, some MiB at a time. So no
/// error of the disk passes through HDF5, and memory doesn't grow with the rows.
void export_file(const Export& content, const std::filesystem::path& file);

/// The rows as NumPy's file format has them.
void export_npy(std::uint64_t rows, std::uint64_t columns,
                const std::function<void(RowRange, float*)>& read,
                const std::filesystem::path& file);

/// What a view shows: which shards of a folder hold which rows.
struct View {
  std::uint64_t rows = 0;
  std::uint64_t dimension = 0;
  RowStorage storage = RowStorage::float32;
  std::filesystem::path folder;
  std::vector<std::pair<RowRange, std::string>> shards;
};
void export_view(const View& view, const std::filesystem::path& file);

inline constexpr std::uint64_t kExportBytesAtOnce = std::uint64_t{8} << 20;

}  // namespace knowmap::store
