#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "store/hdf5.hpp"

namespace knowmap::store::hdf5 {

/// Bytes at any place of a file, held in memory: what was never written is zero, and takes
/// none.
class SparseBytes {
 public:
  /// Gives false where there is no memory.
  bool write(std::uint64_t at, std::span<const char> bytes) noexcept;
  void read(std::uint64_t at, std::span<char> out) const noexcept;

 private:
  static constexpr std::size_t kPage = std::size_t{16} << 10;
  std::map<std::uint64_t, std::unique_ptr<char[]>> pages_;  // by their number
};

/// A file as HDF5 lays it out, but for the numbers of its datasets: those stay where their
/// owner has them, and are written from there into the places that HDF5 reserved
/// (`make_dataset`, `place_of`). So what is held is the structure and the texts, however
/// large the datasets are, and HDF5 never touches the disk: it drops the error of a write that
/// fails at the wrong moment, and can crash once the disk is full. A `Session` must live until
/// `finish` has returned.
class Image {
 public:
  explicit Image(std::uint64_t user_block);
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  hid_t file() const { return file_; }
  /// Closes the file: nothing can be added any more, and the rest may be asked for.
  void finish();
  /// Of the whole file, user block and datasets included.
  std::uint64_t size() const { return held_.size; }
  /// What HDF5 wrote there; zeros elsewhere.
  void read(std::uint64_t at, std::span<char> out) const { held_.bytes.read(at, out); }

  /// What HDF5's driver keeps.
  struct Held {
    SparseBytes bytes;
    std::uint64_t size = 0;
    bool out_of_memory = false;
  };

 private:
  Held held_;
  Handle driver_;  // before file_, which needs it to the last
  Handle file_;
};

}  // namespace knowmap::store::hdf5
