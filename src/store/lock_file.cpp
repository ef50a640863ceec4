#include "store/lock_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "support/json.hpp"

namespace knowmap::store {
namespace {

// An owner on another machine, whose locks can't be seen from here, counts as
// gone when it hasn't committed for so long.
constexpr std::time_t kForeignPatience = 600;

// Record locks don't keep a process from itself, and closing any descriptor of
// the file drops them: so which files this process has locked is kept here.
struct Held {
  std::mutex mutex;
  pid_t process = 0;
  std::set<std::pair<dev_t, ino_t>> files;

  std::set<std::pair<dev_t, ino_t>>& of_this_process() {
    if (process != ::getpid()) {  // a fork: its parent's locks are not its own
      process = ::getpid();
      files.clear();
    }
    return files;
  }
};

Held& held() {
  static Held instance;
  return instance;
}

std::string first_line(const char* file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// Tells one running kernel from another, also where two hosts share a name.
std::string boot_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

// When a process began, in the kernel's ticks: a reused number has another one.
std::string start_time(pid_t process) {
  const std::string line = first_line(("/proc/" + std::to_string(process) + "/stat").c_str());
  const auto name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return "";
  std::size_t at = name_end + 1;
  for (int field = 3; field < 22 && at != std::string::npos; ++field) at = line.find(' ', at + 1);
  if (at == std::string::npos) return "";
  return line.substr(at + 1, line.find(' ', at + 1) - at - 1);
}

std::string now_as_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text.data();
}

// What a lock's file says of its owner; nothing where it is empty or garbled.
struct Owner {
  pid_t process = 0;
  std::string host, boot, started, since;
  bool known() const { return process > 0; }
  bool of_this_kernel() const { return boot == boot_id() && !boot.empty(); }
  bool of_this_host() const { return of_this_kernel() || host == host_name(); }
  bool alive_here() const {
    if (!boot.empty() && !of_this_kernel()) return false;  // from before a restart
    if (::kill(process, 0) != 0 && errno == ESRCH) return false;
    return started.empty() || started == start_time(process);
  }
};

Owner parse_owner(const std::string& content) {
  Owner owner;
  const auto said = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!said.is_object()) return owner;
  const auto text = [&](const char* key) {
    const auto at = said.find(key);
    return at != said.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto process = said.find("process");
  if (process != said.end() && process->is_number_integer()) owner.process = process->get<pid_t>();
  owner.host = text("host");
  owner.boot = text("boot");
  owner.started = text("process_started");
  owner.since = text("since");
  return owner;
}

std::string read_content(int fd) {
  std::array<char, 1024> bytes{};
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
}

int lock_whole_file(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
}

}  // namespace

LockFile::LockFile(const Directory& folder) : folder_(folder) {
  const std::lock_guard guard(held().mutex);
  auto& files = held().of_this_process();
  // Again where the file was removed between opening and locking it.
  for (int tries = 0; tries < 10; ++tries) {
    struct stat info {};
    if (::fstatat(folder.fd(), kLockName, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        files.contains({info.st_dev, info.st_ino})) {
      throw CheckpointError("the store " + folder.path().string() +
                            " is open for writing already, in this process: close that one, or "
                            "open this one for reading");
    }
    open();
    const int error = lock_whole_file(fd_.get());
    const std::string content = read_content(fd_.get());
    if (error == EACCES || error == EAGAIN) refuse(content);
    kernel_locks_ = error == 0;
    if (!same_file_in_place()) continue;
    refuse_foreign_owner(content);
    write_owner();
    owner_ = ::getpid();
    files.insert({device_, inode_});
    return;
  }
  throw CheckpointError("the lock " + (folder.path() / kLockName).string() +
                        " is removed again and again by somebody else");
}

void LockFile::open() {
  const auto path = folder_.path() / kLockName;
  fd_ = FileDescriptor(::openat(folder_.fd(), kLockName,
                                O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
  if (!fd_) throw_os_error("write to the store: its lock", path, errno);
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw_os_error("look at", path, errno);
  if (!S_ISREG(info.st_mode)) throw CheckpointError(path.string() + " is not a regular file");
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

// The kernel gave the lock, or has none to give: is there an owner that only
// the content tells of?
void LockFile::refuse_foreign_owner(const std::string& content) const {
  const Owner owner = parse_owner(content);
  if (!owner.known()) return;  // released, or cut off while it was written
  if (owner.of_this_host()) {
    if (!kernel_locks_ && owner.alive_here()) refuse(content);
    return;
  }
  struct stat info {};
  if (::fstat(fd_.get(), &info) == 0 && std::time(nullptr) - info.st_mtime > kForeignPatience) {
    return;
  }
  refuse(content);
}

void LockFile::refuse(const std::string& content) const {
  const Owner owner = parse_owner(content);
  std::string message = "the store " + folder_.path().string() + " is being written by ";
  if (!owner.known()) throw CheckpointError(message + "another process; wait for it to end");
  message += "process " + std::to_string(owner.process) + " on " + owner.host + " since " +
             owner.since + "; wait for it to end";
  if (!owner.of_this_host()) {
    message += ", or, if that machine is gone, delete " + (folder_.path() / kLockName).string() +
               " (it counts as gone after 10 minutes without a commit)";
  }
  throw CheckpointError(message);
}

void LockFile::write_owner() {
  const nlohmann::json owner = {{"process", ::getpid()},
                                {"process_started", start_time(::getpid())},
                                {"host", host_name()},
                                {"boot", boot_id()},
                                {"since", now_as_text()}};
  const std::string content =
      owner.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const auto path = folder_.path() / kLockName;
  if (::ftruncate(fd_.get(), 0) != 0) throw_os_error("write the lock", path, errno);
  if (const int error = write_all_at(fd_.get(), content, 0); error != 0) {
    throw_os_error("write the lock", path, error);
  }
}

bool LockFile::same_file_in_place() const {
  struct stat info {};
  return ::fstatat(folder_.fd(), kLockName, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         info.st_dev == device_ && info.st_ino == inode_;
}

void LockFile::check_held() const {
  if (owner_ != ::getpid()) {
    throw CheckpointError("the store " + folder_.path().string() +
                          " was opened by this process's parent; open it anew");
  }
  // Taken once more, which is free while it is ours: code elsewhere in this
  // process that opened and closed the file has made the kernel drop it.
  const int error = kernel_locks_ ? lock_whole_file(fd_.get()) : 0;
  if (error != 0 || !same_file_in_place()) {
    throw CheckpointError("the lock of the store " + folder_.path().string() +
                          " was removed or taken by another process; stop one of the two and run "
                          "again");
  }
  ::futimens(fd_.get(), nullptr);  // a sign of life for other machines
}

LockFile::~LockFile() {
  if (owner_ != ::getpid()) return;  // not locked, or a fork's copy
  const std::lock_guard guard(held().mutex);
  // An empty file is a lock that was given back; removing it could remove the
  // next owner's.
  if (::ftruncate(fd_.get(), 0) != 0) { /* then the kernel's lock alone tells */
  }
  held().of_this_process().erase({device_, inode_});
  fd_.close();
}

}  // namespace knowmap::store
