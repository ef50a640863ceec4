#include "store/atomic_file.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace knowmap::store {
namespace {

constexpr std::string_view kPrefix = ".knowmap-";
constexpr std::string_view kSuffix = ".tmp";

std::uint64_t free_bytes(int fd) {
  struct statvfs info {};
  if (::fstatvfs(fd, &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

[[noreturn]] void throw_write_error(const Directory& folder, const std::string& name, int error,
                                    std::uint64_t needed) {
  if (error != ENOSPC && error != EDQUOT && error != EFBIG) {
    throw_os_error("write", folder.path() / name, error);
  }
  const std::string reason = error == ENOSPC   ? "disk full"
                             : error == EDQUOT ? "disk quota used up"
                                               : "file size limit reached";
  throw CheckpointError(reason + ": " + name + " needs " + std::to_string(needed) + " bytes in " +
                        folder.path().string() + ", where " +
                        std::to_string(free_bytes(folder.fd())) +
                        " are free; nothing already committed is lost: free space and run again");
}

// Renames only onto a free name; gives the errno, or 0.
int rename_exclusively(const Directory& folder, const char* from, const char* to) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(folder.fd(), from, folder.fd(), to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#endif
  // File systems without it: a second name is exclusive as well.
  if (::linkat(folder.fd(), from, folder.fd(), to, 0) == 0) {
    ::unlinkat(folder.fd(), from, 0);
    return 0;
  }
  if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) return errno;
  // And those without links: looking and renaming are two steps, so whoever takes them makes
  // a claim first, exclusively. One that a kill leaves behind is removed with the other files
  // in the making when the next writer has the store's lock.
  const std::string claim = std::string(kPrefix) + to + std::string(kSuffix);
  const FileDescriptor claimed(::openat(
      folder.fd(), claim.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!claimed) return errno;
  int error = 0;
  try {
    if (folder.contains(to)) error = EEXIST;
  } catch (const CheckpointError&) {
    error = EIO;
  }
  if (error == 0 && ::renameat(folder.fd(), from, folder.fd(), to) != 0) error = errno;
  ::unlinkat(folder.fd(), claim.c_str(), 0);
  return error;
}

}  // namespace

bool is_temporary(std::string_view name) {
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

std::string temporary_name() {
  static std::atomic<std::uint64_t> count{0};
  return std::string(kPrefix) + std::to_string(::getpid()) + "-" + std::to_string(++count) +
         std::string(kSuffix);
}

Temporary::Temporary(const Directory& folder) : folder_(folder) {
  // A few tries: another machine's writer, killed, may have used the same number.
  for (int tries = 0; tries < 100; ++tries) {
    name_ = temporary_name();
    fd_ = FileDescriptor(::openat(folder.fd(), name_.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd_) return;
    if (errno != EEXIST) break;
  }
  throw_os_error("make a file in", folder.path(), errno);
}

Temporary::~Temporary() {
  fd_.close();
  if (!name_.empty()) ::unlinkat(folder_.fd(), name_.c_str(), 0);
}

void write_durably(const Directory& folder, const std::string& name, std::string_view content,
                   IfThere if_there) {
  write_durably(
      folder, name, content.size(), [&](int fd) { return write_all_at(fd, content, 0); }, if_there);
}

void write_durably(const Directory& folder, const std::string& name, std::uint64_t bytes,
                   const std::function<int(int fd)>& fill, IfThere if_there) {
  Temporary file(folder);
  int error = fill(file.fd());
  // A failed fsync is final: the kernel may have dropped the pages, so it is
  // never tried again on the same file.
  if (error == 0) error = sync_file(file.fd());
  if (const int closed = file.close(); error == 0) error = closed;
  if (error != 0) throw_write_error(folder, name, error, bytes);

  if (if_there == IfThere::replace) {
    if (::renameat(folder.fd(), file.name(), folder.fd(), name.c_str()) != 0) error = errno;
  } else {
    error = rename_exclusively(folder, file.name(), name.c_str());
  }
  if (error == EEXIST) {
    throw CheckpointError((folder.path() / name).string() +
                          " exists already: another process writes to this store");
  }
  if (error != 0) throw_write_error(folder, name, error, bytes);
  file.keep();
  try {
    folder.sync();
  } catch (const CheckpointError&) {
    // Not known to be durable, so not to be acknowledged: take it back.
    if (if_there == IfThere::refuse) ::unlinkat(folder.fd(), name.c_str(), 0);
    throw;
  }
}

}  // namespace knowmap::store
