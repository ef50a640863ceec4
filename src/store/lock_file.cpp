#include "store/lock_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>

#include "knowmap/fingerprint.hpp"
#include "store/atomic_file.hpp"
#include "support/json.hpp"

namespace knowmap::store {
namespace {

// An owner on another machine, whose locks can't be seen from here, counts as
// gone when it has shown no sign of life for so long.
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

// Tells one installed system from another, where it says so; the bare id is not for show.
std::string machine_id() {
  const std::string id = first_line("/etc/machine-id");
  return id.empty() ? id : content_hash("knowmap " + id).substr(0, 16);
}

// Process numbers mean something within one of these alone (a container has its own).
std::string process_namespace() {
  std::array<char, 64> text{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", text.data(), text.size());
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
}

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
  std::string host, machine, boot, names, started, since;
  bool known() const { return process > 0; }
  bool of_this_kernel() const { return boot == boot_id() && !boot.empty(); }
  // Host names are given twice, and so are the ids of machines that were cloned. A name with
  // another boot is this host before a restart only where both agree. Where a system has no
  // boot ids, the name must do.
  bool of_this_host() const {
    if (of_this_kernel()) return true;
    if (host != host_name() || machine != machine_id()) return false;
    return !machine.empty() || (boot.empty() && boot_id().empty());
  }
  /// Whether its process can be looked for from here.
  bool visible() const { return names.empty() || names == process_namespace(); }
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
  owner.machine = text("machine");
  owner.boot = text("boot");
  owner.names = text("process_namespace");
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
  while (::fcntl(fd, F_SETLK, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

bool taken(int error) { return error == EACCES || error == EAGAIN; }

// The time by the clock that dates the folder's files, which is a server's where
// the folder is a network disk's.
std::time_t time_of(const Directory& folder) {
  const std::string name = temporary_name();
  const FileDescriptor file(::openat(folder.fd(), name.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  struct stat info {};
  const bool known = file && ::fstat(file.get(), &info) == 0;
  if (file) ::unlinkat(folder.fd(), name.c_str(), 0);
  return known ? info.st_mtime : std::time(nullptr);
}

}  // namespace

// Dates the lock's file anew, every so often: a unit of a large model may take
// longer than others' patience.
struct LockFile::SignsOfLife {
  SignsOfLife(int fd, std::chrono::milliseconds every)
      : thread([this, fd, every] {
          std::unique_lock guard(mutex);
          while (!released.wait_for(guard, every, [this] { return release; })) {
            ::futimens(fd, nullptr);
          }
        }) {}
  ~SignsOfLife() {
    {
      const std::lock_guard guard(mutex);
      release = true;
    }
    released.notify_one();
    thread.join();
  }

  std::mutex mutex;
  std::condition_variable released;
  bool release = false;
  std::thread thread;
};

LockFile::LockFile(const Directory& folder, std::chrono::milliseconds sign_of_life)
    : folder_(folder) {
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
    if (taken(error)) refuse(content);
    kernel_locks_ = error == 0;
    if (!same_file_in_place()) continue;
    refuse_foreign_owner(content);
    write_owner();
    alive_ = std::make_unique<SignsOfLife>(fd_.get(), sign_of_life);
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
  // Where the kernel gave the lock, an owner on this kernel is gone, in whatever container.
  if (owner.of_this_host() && (kernel_locks_ || owner.visible() || !owner.of_this_kernel())) {
    if (!kernel_locks_ && owner.alive_here()) refuse(content);
    return;
  }
  struct stat info {};
  if (::fstat(fd_.get(), &info) == 0 && time_of(folder_) - info.st_mtime > kForeignPatience) {
    return;
  }
  refuse(content);
}

void LockFile::refuse(const std::string& content) const {
  const Owner owner = parse_owner(content);
  const std::string path = (folder_.path() / kLockName).string();
  std::string message = "the store " + folder_.path().string() + " is being written by ";
  if (!owner.known()) {
    // Locked, and not yet told by whom; or by a machine whose owner can't be seen here.
    throw CheckpointError(message +
                          "another process, which its lock doesn't name yet; wait for it to end, "
                          "or name another store");
  }
  message += "process " + std::to_string(owner.process) + " on " + owner.host + " since " +
             owner.since +
             "; wait for it to end or stop it there (what it committed is kept), or "
             "name another store; reading needs no lock";
  if (!owner.of_this_host()) {
    message += "; if that machine is gone, delete " + path +
               " (it counts as gone after 10 minutes without a sign of life)";
  }
  throw CheckpointError(message);
}

void LockFile::write_owner() {
  const nlohmann::json owner = {
      {"process", ::getpid()}, {"process_started", start_time(::getpid())},
      {"host", host_name()},   {"machine", machine_id()},
      {"boot", boot_id()},     {"process_namespace", process_namespace()},
      {"since", now_as_text()}};
  content_ = owner.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const auto path = folder_.path() / kLockName;
  if (::ftruncate(fd_.get(), 0) != 0) throw_os_error("write the lock", path, errno);
  if (const int error = write_all_at(fd_.get(), content_, 0); error != 0) {
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
  if (error != 0 && !taken(error)) {
    throw_os_error("write to the store: its lock", folder_.path() / kLockName, error);
  }
  // On a disk without locks another owner shows only in the content.
  if (error != 0 || !same_file_in_place() || read_content(fd_.get()) != content_) {
    throw CheckpointError("the lock of the store " + folder_.path().string() +
                          " was removed or taken by another process, as may happen to a machine "
                          "that slept; nothing committed is lost: stop one of the two and run "
                          "again");
  }
  ::futimens(fd_.get(), nullptr);
}

LockFile::~LockFile() {
  if (owner_ != ::getpid()) {
    // Not locked, or a fork's copy: the thread is the parent's, and waiting for it would not end.
    static_cast<void>(owner_ == -1 ? nullptr : alive_.release());
    return;
  }
  alive_.reset();
  const std::lock_guard guard(held().mutex);
  // An empty file is a lock that was given back; removing it could remove the
  // next owner's.
  if (::ftruncate(fd_.get(), 0) != 0) { /* then the kernel's lock alone tells */
  }
  held().of_this_process().erase({device_, inode_});
  fd_.close();
}

}  // namespace knowmap::store
