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
  std::optional<store::RowForm> begun;
  mutable std::optional<store::RowForm> held_form;  // of most rows, once it was looked for
  bool manifest_is_old = false;
  bool closed = false;

  void open(Mode mode);
  void close() noexcept;
  void require_open() const;
  void list_shards();
  void index_shards(store::RowShards all);
  void remove_leftovers() const;
  void require_writer() const;
  void require_rows_once() const;
  void require_begun(MatrixView<const float> rows, std::size_t hashes) const;

  store::RowShards snapshot() const;
  store::RowShards touching(RowRange range) const;
  store::RowShards covering(RowRange range) const;
  store::RowShards all_shards() const;
  std::optional<store::RowForm> form_of_most(const store::RowShards& held) const;
  std::optional<store::RowForm> rows_form() const;
  void check_headers(RowRange range) const;
  void refuse_own_file(const std::filesystem::path& file) const;
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
  /// `unread`: why a file could not be looked at, where one couldn't.
  VerifyReport verify(store::RowShards& bad_rows, std::vector<std::string>& bad_stages,
                      std::string& unread) const;
};

}  // namespace knowmap
