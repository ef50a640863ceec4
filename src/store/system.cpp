#include "store/system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "support/read_at.hpp"

namespace knowmap::store {
namespace {

std::string way_out(int error_number) {
  switch (error_number) {
    case EROFS:
      return "; it is read-only: open the store for reading, or copy it elsewhere";
    case EACCES:
    case EPERM:
      return "; check who owns it and its permissions";
    case ENAMETOOLONG:
      return "; choose a shorter path";
    case ENOSPC:
    case EDQUOT:
      return "; nothing already committed is lost: free space and run again";
    case EFBIG:
      return "; no file may be so large there (the file system, or ulimit -f): choose another disk";
    case EMFILE:
    case ENFILE:
      return "; too many files are open: raise the limit (ulimit -n)";
    case ESTALE:
    case ENOLCK:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case EIO:
      return "; the disk or the network drive failed: nothing already committed was touched, "
             "run again when it answers, or copy the store to another disk";
    case ENOENT:
      return "; it was removed or its drive is gone: check the path";
    case EINTR:
      return "; a signal came between: run again";
    default:
      return "; nothing already committed was touched";
  }
}

}  // namespace

void throw_os_error(std::string_view action, const std::filesystem::path& path, int error_number) {
  throw SystemError("cannot " + std::string(action) + " " + path.string() + ": " +
                    std::generic_category().message(error_number) + way_out(error_number));
}

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::close() {
  const int fd = std::exchange(fd_, -1);
  // Never again after EINTR: Linux has closed it, and its number may be another's.
  if (fd < 0 || ::close(fd) == 0 || errno == EINTR) return 0;
  return errno;
}

Directory::Directory(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path_(path) {
  if (!fd_) throw_os_error("open the folder", path, errno);
}

Directory::Directory(const Directory& parent, const std::string& name, bool create)
    : path_(parent.path() / name) {
  bool made = false;
  if (create) {
    made = ::mkdirat(parent.fd(), name.c_str(), 0777) == 0;
    if (!made && errno != EEXIST) throw_os_error("make the folder", path_, errno);
  }
  fd_ = FileDescriptor(
      ::openat(parent.fd(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd_) {
    if (!create && errno == ENOENT) return;
    throw_os_error("open the folder", path_, errno);
  }
  if (made) parent.sync();
}

std::vector<std::string> Directory::list() const {
  // A descriptor of its own: closedir would close ours, and rewinding races.
  const int fd = ::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const raw = fd < 0 ? nullptr : ::fdopendir(fd);
  if (raw == nullptr) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    throw_os_error("list the folder", path_, error);
  }
  const auto close = [](DIR* d) { ::closedir(d); };
  const std::unique_ptr<DIR, decltype(close)> stream(raw, close);
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = ::readdir(stream.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) throw_os_error("list the folder", path_, errno);
  std::sort(names.begin(), names.end());
  return names;
}

bool Directory::contains(const std::string& name) const {
  struct stat info {};
  if (::fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  throw_os_error("look at", path_ / name, errno);
}

FileDescriptor Directory::open_file(const std::string& name) const {
  // O_NONBLOCK: a pipe in the file's place must not hang the reader.
  FileDescriptor file(
      ::openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ELOOP) {
    throw CheckpointError((path_ / name).string() + " is a symbolic link, which a store never has");
  }
  if (!file) throw_os_error("open", path_ / name, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_os_error("look at", path_ / name, errno);
  if (!S_ISREG(info.st_mode)) {
    throw CheckpointError((path_ / name).string() + " is not a regular file");
  }
  return file;
}

void Directory::remove(const std::string& name) const {
  if (::unlinkat(fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    throw_os_error("remove", path_ / name, errno);
  }
}

void Directory::sync() const {
  const int error = sync_file(fd_.get());
  // Some network and FUSE file systems have no fsync for folders.
  if (error != 0 && error != EINVAL && error != ENOTSUP) {
    throw_os_error("make durable the folder", path_, error);
  }
}

int sync_file(int fd) {
#ifdef F_FULLFSYNC
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;  // macOS: fsync stops at the drive's cache
#endif
  while (::fsync(fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void begin_write_back([[maybe_unused]] int fd, [[maybe_unused]] std::uint64_t offset,
                      [[maybe_unused]] std::uint64_t bytes) {
#ifdef SYNC_FILE_RANGE_WRITE
  ::sync_file_range(fd, static_cast<off64_t>(offset), static_cast<off64_t>(bytes),
                    SYNC_FILE_RANGE_WRITE);
#endif
}

// One call never takes more than 2 GiB on Linux, and less elsewhere.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

int write_all_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(fd, bytes.data(), std::min(bytes.size(), kMostAtOnce), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;  // no progress and no reason: don't spin
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

void read_exactly(int fd, void* out, std::size_t bytes, std::uint64_t offset,
                  const std::filesystem::path& path) {
  const int error = read_at(fd, out, bytes, offset);
  if (error == kFileEnded) throw CheckpointError(path.string() + " is cut short");
  if (error != 0) throw_os_error("read", path, error);
}

}  // namespace knowmap::store
