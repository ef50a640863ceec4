#pragma once

#include <hdf5.h>

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knowmap/error.hpp"

namespace knowmap::store::hdf5 {

/// Every use of the HDF5 library happens while one of these lives: HDF5 is not
/// thread-safe in every build. HDF5's own printing of errors is off meanwhile,
/// and so are its plug-ins and its clean-up at exit, which crashes where a file
/// could not be closed.
class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  H5E_auto2_t printer_ = nullptr;
  void* printer_data_ = nullptr;
};

/// Throws a `CheckpointError`: what was done, and HDF5's innermost reason.
[[noreturn]] void throw_error(std::string_view action);

/// Passes a result of HDF5 on, where it is none of an error.
template <class T>
T check(T result, std::string_view action) {
  if (result < 0) throw_error(action);
  return result;
}

/// An identifier of HDF5 that closes itself.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close close_with, std::string_view action)
      : id_(check(id, action)), close_(close_with) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor)

  /// Closes it now, and throws where that fails.
  void close(std::string_view action) { check(close_(std::exchange(id_, -1)), action); }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Property lists as every file here wants them.
Handle file_creation(std::uint64_t user_block);
Handle file_access();

/// A new dataset, contiguous and with its place in the file fixed, so that its
/// numbers can be written, and read, without HDF5. Not filled; holds no time.
Handle make_dataset(hid_t file, const std::string& name, hid_t type,
                    std::span<const std::uint64_t> shape);
/// Where its first number lies, counted from the file's first byte; 0 for a
/// dataset without elements, which lies nowhere.
std::uint64_t place_of(hid_t dataset);

void set_attribute(hid_t object, const std::string& name, std::uint64_t value);
/// A text too long for an attribute is replaced by its hash.
void set_attribute(hid_t object, const std::string& name, const std::string& text);

}  // namespace knowmap::store::hdf5
