#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knowmap/fingerprint.hpp"
#include "knowmap/matrix.hpp"
#include "knowmap/version.hpp"

namespace knowmap {

/// Rows [begin, end).
struct RowRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const RowRange&) const = default;
};

/// How the numbers of rows are stored. Reading gives float32 in any case.
enum class RowStorage {
  float32,  ///< as they are, bit for bit
  float16,  ///< half the size; rounded, the error is at most 2^-11 of the number
  /// A quarter: one scale a row, 255 steps from -max to max of the row's sizes;
  /// the error is at most max / 254.
  int8,
};
/// "float32", "float16", "int8"; throws `std::invalid_argument`.
KNOWMAP_EXPORT RowStorage row_storage_from_name(std::string_view name);
KNOWMAP_EXPORT std::string_view row_storage_name(RowStorage storage) noexcept;

/// One named array of a stage's result. `shape` has one entry or two.
struct StageArray {
  using Values = std::variant<std::vector<float>, std::vector<double>, std::vector<std::int32_t>,
                              std::vector<std::int64_t>, std::vector<std::string>>;
  Values values;
  std::vector<std::uint64_t> shape;
  bool operator==(const StageArray&) const = default;
};
/// A stage's whole result: arrays by name.
using StageResult = std::map<std::string, StageArray>;

/// What `verify` found.
struct VerifyReport {
  std::uint64_t shards = 0;
  std::uint64_t rows = 0;
  std::uint64_t stages = 0;
  /// One line for each file that is damaged: its name and what is wrong.
  std::vector<std::string> damaged;
  /// Files left behind by a run that was cut off; harmless.
  std::vector<std::string> leftovers;
};

/// A folder of immutable HDF5 shards: rows of embeddings, and the result of
/// every later stage.
///
/// A shard's image is built in memory, written beside its place under a
/// temporary name, fsynced and renamed: the rename is the only commit, and the
/// folder is fsynced after it. A shard is never changed, only replaced whole by
/// the rename of a new one. The manifest
/// (`store.json`) is for people and tools and can be rebuilt from the listing.
/// One process writes at a time (a lock file says who); any number may read.
/// Every failure is a `CheckpointError` that names the file and the way out;
/// what was committed stays. A store may be used from several threads at once.
class KNOWMAP_EXPORT CheckpointStore {
 public:
  enum class Mode {
    read,   ///< must exist; takes no lock
    write,  ///< made if it does not exist; what is there is kept
    fresh,  ///< what is there is removed first (only if it is a store)
  };
  explicit CheckpointStore(const std::filesystem::path& folder, Mode mode = Mode::write);
  CheckpointStore(CheckpointStore&&) noexcept;
  CheckpointStore& operator=(CheckpointStore&&) noexcept;
  ~CheckpointStore();

  /// Writes the manifest where it is old, and gives the lock back; so does the destructor.
  /// After it, every other use throws a `CheckpointError`, another `close` does nothing. No
  /// other thread may be using the store.
  void close() noexcept;
  bool closed() const noexcept;
  /// Opened for reading: what a stage makes is not kept.
  bool read_only() const noexcept;

  const std::filesystem::path& folder() const;

  // --- rows -----------------------------------------------------------------

  /// Says which rows are to be stored: their fingerprint, how wide, and how.
  /// Looks at the header of every shard: where one holds rows of another fingerprint,
  /// width or storage, throws a `CheckpointError` that names each difference. Must be
  /// called before `commit_rows` and `update_rows`.
  void begin_rows(const Fingerprint& fingerprint, std::uint64_t dimension,
                  RowStorage storage = RowStorage::float32);
  /// The fingerprint of the rows held (of most, by the shards' headers; reading others
  /// throws), and "storage" where that isn't float32; nothing where there are none.
  std::optional<Fingerprint> rows_fingerprint() const;
  /// How the rows held, or begun, are stored.
  RowStorage storage() const;
  /// Columns of the rows held, or begun; 0 where there are none.
  std::uint64_t dimension() const;
  /// Commits one range with a hash for each of its rows' texts. Durable when
  /// it returns. The range must not overlap one that is held. A range without
  /// rows is nothing to commit. Throws `std::invalid_argument` where a number
  /// can't be stored: beyond ±65504 as float16, not finite as int8.
  void commit_rows(RowRange range, MatrixView<const float> rows,
                   std::span<const std::uint64_t> text_hashes);
  /// Puts `rows` into the places of the rows `indices`, which are held and
  /// ascend, with the hashes of their new texts; the other rows of their shards
  /// stay as they are, bit for bit. Each shard is replaced whole, by one rename.
  /// Durable when it returns; where it throws, some shards may be replaced.
  void update_rows(std::span<const std::uint64_t> indices, MatrixView<const float> rows,
                   std::span<const std::uint64_t> text_hashes);
  /// Ranges held, in order.
  std::vector<RowRange> ranges() const;
  std::uint64_t rows_held() const;
  /// Hashes of the texts of the rows [begin, end), all of which must be held.
  std::vector<std::uint64_t> text_hashes(RowRange range) const;
  /// Reads rows [begin, end) into `out` (end - begin, dimension). Touches the
  /// shards of those rows alone; the first time, each is streamed whole through
  /// its checksum, later only the rows asked for are read.
  void read_rows(RowRange range, MatrixView<float> out) const;
  /// The same into new memory, taken only once the shards' headers say that the rows are
  /// there, whatever the files' names promise.
  Matrix read_rows(RowRange range) const;
  /// Takes out the shards that hold any row of `range` (their rows are to be
  /// computed anew, since the texts changed).
  void drop_rows(RowRange range);

  // --- results of later stages ------------------------------------------------

  /// Names of stages and arrays: 1 to 64 letters, digits, `_` or `-`. Stores a
  /// stage's result under the fingerprint of what it was made from;
  /// replaces an older result of that stage, once the new one is durable.
  void put_stage(std::string_view stage, const Fingerprint& made_from, const StageResult& result);
  /// The result of a stage, where it was made from just this; else nothing.
  std::optional<StageResult> get_stage(std::string_view stage, const Fingerprint& made_from) const;
  /// The latest result of a stage, whatever it was made from.
  std::optional<StageResult> get_stage(std::string_view stage) const;
  /// What each stored stage was made from.
  std::map<std::string, Fingerprint> stages() const;

  // --- care -----------------------------------------------------------------

  /// Reads every shard whole and checks it. Throws where one is of a later format:
  /// that is no damage, and not to be repaired.
  VerifyReport verify() const;
  /// Removes what `verify` finds damaged, made otherwise than most rows, or holding rows
  /// that another sound shard holds too, and leftovers, and writes `store.json` anew; gives
  /// what it found. The next run computes anew what is then missing. Throws, and removes
  /// nothing, where a file can't be looked at: whether it is damaged isn't known.
  VerifyReport repair();
  /// Writes rows and stages into one plain HDF5 file: `/embeddings` (n, d),
  /// `/text_hashes`, `/stages/<stage>/<array>`; attributes hold the
  /// fingerprints as JSON. All rows from 0 to the last must be held.
  /// With `ids`, one a row, `/ids` holds them. Exports over the store's own files are
  /// refused.
  void export_hdf5(const std::filesystem::path& file, std::span<const std::string> ids = {}) const;
  /// Writes the rows as one `.npy` file, float32 (n, d), that NumPy can map. All
  /// rows from 0 to the last must be held.
  void export_npy(const std::filesystem::path& file) const;
  /// Writes a small HDF5 file whose virtual datasets show the shards' rows as one:
  /// `/embeddings` (n, d) as stored, `/text_hashes`, and `/scales` for int8.
  /// It holds no row itself: it can be thrown away and made anew, and shows
  /// zeros (HDF5's fill value) where a shard is gone.
  void export_view(const std::filesystem::path& file) const;
  /// Writes `store.json` anew: format, fingerprints, ranges, stages.
  void write_manifest() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knowmap
