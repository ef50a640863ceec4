#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "store/row_codec.hpp"
#include "store/shard.hpp"

namespace knowmap::store {

/// `rows-<begin>-<end>.h5`, the numbers padded to 12 digits.
std::string row_file_name(RowRange range);
/// The range that a file's name tells of; nothing where it is no shard's.
std::optional<RowRange> range_of_file(std::string_view file_name);

/// Each difference on a line of its own, what was and what is asked for.
std::string differences(const Fingerprint& before, const Fingerprint& now);

/// What a shard's rows are: the same for all shards of a store.
struct RowForm {
  Fingerprint fingerprint;
  std::uint64_t dimension = 0;
  RowStorage storage = RowStorage::float32;
  bool operator==(const RowForm&) const = default;
};
std::string differences(const RowForm& before, const RowForm& now);

/// One shard of rows, opened when it is first needed. Safe from many threads.
class RowShard {
 public:
  RowShard(const Directory& folder, RowRange range) : folder_(&folder), range_(range) {}

  RowRange range() const { return range_; }
  std::string file_name() const { return row_file_name(range_); }
  /// What the header says of the rows. These throw a `CheckpointError` where the file
  /// is damaged or gone, and, given a form, where its rows are of another.
  RowForm form();
  /// Whether the rows may be read: that the file is as large as its name promises.
  void check(const RowForm& expected);
  /// Rows and hashes of those of `wanted` that lie in this shard; either may be
  /// left out. `rows` and `hashes` are those of the first row of `wanted`.
  void read(RowRange wanted, const RowForm& expected, float* rows, std::uint64_t* hashes);
  /// All rows and hashes, as they are stored.
  void read_encoded(const RowForm& expected, EncodedRows& rows, std::vector<std::uint64_t>& hashes);
  /// Reads and checks the whole file.
  void verify();

 private:
  Shard& opened();
  Shard& opened_as(const RowForm& expected);
  void read_parts(RowRange wanted, const RowForm& expected, float* rows, std::uint64_t* hashes);

  const Directory* folder_;
  RowRange range_;
  std::mutex mutex_;
  std::optional<Shard> shard_;
  RowForm form_;  // of the shard that is open
};

/// Rows to be written: `numbers` is of (rows, dimension) elements of `storage`,
/// `scales` has one entry a row for int8 and none else.
struct RowsToWrite {
  RowStorage storage = RowStorage::float32;
  std::uint64_t dimension = 0;
  const void* numbers = nullptr;
  std::span<const float> scales;
  std::span<const std::uint64_t> text_hashes;
};
void write_rows(const Directory& folder, RowRange range, const Fingerprint& fingerprint,
                const RowsToWrite& rows, IfThere if_there);

}  // namespace knowmap::store
