#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/atomic_file.hpp"
#include "store/system.hpp"
#include "support/hash128.hpp"

namespace knowmap::store {

/// A shard is one HDF5 file, made in memory and never changed:
///
///     user block   512 bytes or more, which HDF5 leaves to us: a header of 64
///                  bytes (little-endian), then JSON: what the shard is, and the
///                  type, shape and place of each of its arrays
///     HDF5         the same arrays as contiguous datasets, the same facts as
///                  attributes, for every program that reads HDF5
///
///     0  "KNOWMAP\x1a"        32  hash of all behind the user block
///     8  u32 format version   48  hash of the user block but for these 16 bytes
///     12 u32 user block's size
///     16 u64 file's size
///     24 u64 size of the JSON
///
/// So every byte of the file is under one of the two hashes. Reading goes by the
/// user block alone and never hands a file to the HDF5 library, whose parser was
/// not made for hostile files: links, filters, external storage, virtual
/// datasets and odd types have no way in.

/// What the numbers of an array are; names are those in the JSON.
enum class Element { float32, float64, int32, int64, uint64, uint8, float16, int8 };
std::size_t element_size(Element element);
std::string_view element_name(Element element);

/// An array to be written; `data` is the caller's.
struct ArrayToWrite {
  std::string name;
  Element element = Element::float32;
  std::vector<std::uint64_t> shape;
  const void* data = nullptr;
};

/// Writes a shard, durably. `about` is an object; each of its entries becomes an
/// attribute too: unsigned numbers as numbers, all else as text.
void write_shard(const Directory& folder, const std::string& name, const nlohmann::json& about,
                 std::span<const ArrayToWrite> arrays, IfThere if_there);

/// The file isn't the one whose header was read: a writer may have replaced it.
struct ReplacedError : CheckpointError {
  using CheckpointError::CheckpointError;
};

/// A sound shard of a later format: not damaged, and never to be removed.
class NewerShardError : public CheckpointError {
 public:
  using CheckpointError::CheckpointError;
};

/// A shard's header, read and checked: its own hash, sizes against the file's,
/// types, shapes and places.
class Shard {
 public:
  enum class File {
    reopen,     ///< opened for every read: a store may have more shards than
                ///< descriptors
    keep_open,  ///< read to its end even where a writer replaces it meanwhile
  };
  /// Throws a `CheckpointError` that names the file and what is wrong.
  Shard(const Directory& folder, const std::string& name, File file);

  struct Array {
    Element element = Element::float32;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  const nlohmann::json& about() const { return about_; }
  const std::map<std::string, Array>& arrays() const { return arrays_; }
  /// Throws where there is no such array, or one of another type or shape.
  const Array& array(const std::string& name, Element element,
                     std::span<const std::uint64_t> shape) const;
  std::filesystem::path path() const { return folder_->path() / name_; }
  /// An unsigned number of `about`; throws where there is none.
  std::uint64_t number(const std::string& key) const;
  /// A text of `about`; throws where there is none.
  const std::string& text(const std::string& key) const;

  /// A part of the file to be copied out.
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    void* out = nullptr;
  };
  /// Copies the parts out. The first time, and whenever the file isn't the one
  /// that was read before, reads all of it and checks its hash on the way;
  /// later only what is asked for. Throws on damage, and `ReplacedError` where
  /// the header is another one: then `out` holds nothing to be trusted. Not to be called from two
  /// threads at once.
  void read(std::span<const Part> parts);
  /// Reads and checks all, whether that was done before or not.
  void verify();
  /// To be called before memory is taken for what the header promises: a file that
  /// claims more than the disk holds of it (a sparse one) is checked whole first.
  void check_before_allocating();

  [[noreturn]] void throw_damaged(const std::string& what) const;

 private:
  struct Identity {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_seconds = 0, modified_nanoseconds = 0;
    bool operator==(const Identity&) const = default;
  };
  void read_from(int fd, std::span<const Part> parts);
  static Identity identify(int fd, const std::filesystem::path& path);
  void parse_header(int fd, std::uint64_t file_bytes);
  void parse_arrays(const nlohmann::json& arrays);
  void read_checking(int fd, std::span<const Part> parts);

  const Directory* folder_;
  std::string name_;
  nlohmann::json about_;
  std::map<std::string, Array> arrays_;
  std::uint64_t block_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::string header_;
  Hash128 body_hash_;
  std::optional<Identity> verified_;
  FileDescriptor kept_;
};

}  // namespace knowmap::store
