#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"

namespace knowmap::store {

/// A call of the system's failed: whether the file is sound isn't known, so nothing may
/// be removed for it.
struct SystemError : CheckpointError {
  using CheckpointError::CheckpointError;
};

/// Throws a `SystemError`: what failed, on which path, why, and the way out
/// where the errno has one.
[[noreturn]] void throw_os_error(std::string_view action, const std::filesystem::path& path,
                                 int error_number);

/// A file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Closes it now; gives the errno, or 0.
  int close();

 private:
  int fd_ = -1;
};

/// An open folder: its entries are reached through its descriptor, so that a
/// link or a rename above it can't lead a later call elsewhere.
class Directory {
 public:
  Directory() = default;
  /// Throws where it is missing, no folder, or can't be opened.
  explicit Directory(const std::filesystem::path& path);
  /// A folder right in `parent`; a symbolic link is refused. With `create` it is
  /// made, and made durable, where it is missing.
  Directory(const Directory& parent, const std::string& name, bool create);

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  const std::filesystem::path& path() const { return path_; }

  /// Names of all entries but `.` and `..`, sorted.
  std::vector<std::string> list() const;
  bool contains(const std::string& name) const;
  /// Opens a regular file for reading; refuses links, pipes and devices.
  FileDescriptor open_file(const std::string& name) const;
  /// Removes a file; one that is gone already is no error.
  void remove(const std::string& name) const;
  /// Makes renames and removals durable.
  void sync() const;

 private:
  FileDescriptor fd_;
  std::filesystem::path path_;
};

/// fsync that really reaches the disk; gives the errno, or 0.
int sync_file(int fd);
/// Has the disk begin on what was written there, where the system can; whether that
/// went well, fsync tells.
void begin_write_back(int fd, std::uint64_t offset, std::uint64_t bytes);
/// Writes all, through interruptions and short writes; gives the errno, or 0.
int write_all_at(int fd, std::string_view bytes, std::uint64_t offset);
/// Reads just so many bytes; throws where the file ends before.
void read_exactly(int fd, void* out, std::size_t bytes, std::uint64_t offset,
                  const std::filesystem::path& path);

}  // namespace knowmap::store
