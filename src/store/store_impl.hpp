#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"
#include "store/lock_file.hpp"
#include "store/row_shards.hpp"

namespace knowmap {

namespace store {

using RowShards = std::vector<std::shared_ptr<RowShard>>;

/// Each difference on a line of its own, what was and what is asked for.
std::string differences(const Fingerprint& before, const Fingerprint& now);

}  // namespace store

struct CheckpointStore::Impl {
  std::filesystem::path path;
  store::Directory root, rows, stages;
  std::unique_ptr<store::LockFile> lock;  // none when reading

  // `writing` is held for a whole change, `index` while what is below is used.
  mutable std::mutex writing;
  mutable std::mutex index;
  store::RowShards shards;   // in order, none overlaps another
  store::RowShards doubled;  // hold rows that one of those holds too
  std::optional<Fingerprint> begun;
  std::uint64_t begun_dimension = 0;
  RowStorage begun_storage = RowStorage::float32;
  bool manifest_is_old = false;

  void open(Mode mode);
  void list_shards();
  void remove_leftovers() const;
  void require_writer() const;
  void require_rows_once() const;
  void require_begun(MatrixView<const float> rows, std::size_t hashes) const;

  store::RowShards snapshot() const;
  store::RowShards touching(RowRange range) const;
  store::RowShards covering(RowRange range) const;
  std::shared_ptr<store::RowShard> first_readable(const store::RowShards& held) const;
  std::uint64_t rows_dimension() const;
  void read(RowRange range, float* rows, std::uint64_t* hashes) const;
  std::uint64_t rows_from_first() const;
  void insert(RowRange range);
  void update(store::RowShard& shard, std::span<const std::uint64_t> indices,
              const store::EncodedRows& rows, std::uint64_t row_bytes,
              std::span<const std::uint64_t> text_hashes);
  void drop(const store::RowShards& dropped);

  std::vector<std::string> stage_files() const;
  std::optional<std::string> latest_stage_file(std::string_view stage) const;
  std::optional<store::Shard> open_stage(const std::string& name) const;

  void write_manifest();
  VerifyReport verify(store::RowShards& bad_rows, std::vector<std::string>& bad_stages) const;
};

}  // namespace knowmap
