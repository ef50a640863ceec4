// Preloaded beneath the store's programs (LD_PRELOAD): what a disk may do that a
// system-call tracer can't make it do. KNOWMAP_SHIM says what:
//
//   short:N   the Nth write is short: half of its bytes, at least 1
//   network   a file system without locks, links, exclusive rename and fsync of
//             folders
//   norename  one without exclusive rename: links take its place
//   ,trusting after either: nobody sees a lock's content or its owner, as where a
//             network disk's caches are stale: two writers both believe that they
//             have the store
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

const char* asked() {
  static const char* const what = ::getenv("KNOWMAP_SHIM");
  return what == nullptr ? "" : what;
}

bool network() { return ::strncmp(asked(), "network", 7) == 0; }
bool no_exclusive_rename() { return network() || ::strncmp(asked(), "norename", 8) == 0; }
bool trusting() { return ::strstr(asked(), ",trusting") != nullptr; }

// How many of so many bytes this write is to take.
size_t taken(int fd, size_t bytes) {
  static long count = 0;
  if (::strncmp(asked(), "short:", 6) != 0 || fd <= STDERR_FILENO || bytes < 2) return bytes;
  return ++count == ::atol(asked() + 6) ? bytes / 2 : bytes;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// To a process that trusts what it sees, the lock is a file of its own.
const char* seen(const char* name) {
  static char own[32];
  if (!trusting() || ::strcmp(name, ".lock") != 0) return name;
  ::snprintf(own, sizeof own, ".lock-%d", static_cast<int>(::getpid()));
  return own;
}

}  // namespace

extern "C" {

int openat(int folder, const char* name, int flags, ...) {
  static auto* const real = next<int(int, const char*, int, mode_t)>("openat");
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>((flags & O_CREAT) != 0 ? va_arg(rest, int) : 0);
  va_end(rest);
  return real(folder, seen(name), flags, mode);
}

int fstatat(int folder, const char* name, struct stat* info, int flags) noexcept {
  static auto* const real = next<int(int, const char*, struct stat*, int)>("fstatat");
  return real(folder, seen(name), info, flags);
}

ssize_t write(int fd, const void* data, size_t bytes) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return real(fd, data, taken(fd, bytes));
}

ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return real(fd, data, taken(fd, bytes), offset);
}

ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return pwrite64(fd, data, bytes, offset);
}

int fsync(int fd) {
  static auto* const real = next<int(int)>("fsync");
  struct stat info {};
  if (network() && ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    errno = EINVAL;
    return -1;
  }
  return real(fd);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned int flags) noexcept {
  static auto* const real =
      next<int(int, const char*, int, const char*, unsigned int)>("renameat2");
  if (no_exclusive_rename() && flags != 0) {
    errno = EINVAL;
    return -1;
  }
  return real(from_folder, from, to_folder, to, flags);
}

int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  static auto* const real = next<int(int, const char*, int, const char*, int)>("linkat");
  if (network()) {
    errno = EPERM;
    return -1;
  }
  return real(from_folder, from, to_folder, to, flags);
}

int fcntl(int fd, int command, ...) {
  static auto* const real = next<int(int, int, void*)>("fcntl");
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  if (network() && command == F_SETLK) {
    errno = ENOLCK;
    return -1;
  }
  if (trusting() && command == F_SETLK) return 0;
  return real(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return fcntl(fd, command, argument);
}

}  // extern "C"
