#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "store/system.hpp"

namespace knowmap::store {

/// The name of the lock within a store.
inline constexpr const char* kLockName = ".lock";

/// Keeps a second writer out of a folder, from another process or this one.
///
/// The lock itself is the kernel's (a POSIX record lock): it goes when its
/// process dies, however that dies, it is not inherited by a forked child, and
/// no reused process number can be taken for its owner. The file's content says
/// to people who holds it. Where the file system has no locks, and for owners
/// on other machines, the content decides: process number with start time, and
/// how long ago the owner last showed itself, which a thread of the owner does
/// every minute, however long a commit takes.
class LockFile {
 public:
  /// Throws a `CheckpointError` that says who holds the lock and since when.
  explicit LockFile(const Directory& folder,
                    std::chrono::milliseconds sign_of_life = std::chrono::minutes(1));
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  /// Throws where the lock was lost: the file was removed or taken, its content
  /// names another owner, or this process is a fork of the owner. Also shows
  /// others that the owner lives.
  void check_held() const;

 private:
  void open();
  void refuse_foreign_owner(const std::string& content) const;
  [[noreturn]] void refuse(const std::string& content) const;
  void write_owner();
  bool same_file_in_place() const;

  Directory const& folder_;
  FileDescriptor fd_;
  pid_t owner_ = -1;
  std::string content_;  ///< what the file says while the lock is ours
  bool kernel_locks_ = true;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  struct SignsOfLife;
  std::unique_ptr<SignsOfLife> alive_;
};

}  // namespace knowmap::store
