#include "store/output_file.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "store/atomic_file.hpp"

namespace knowmap::store {
namespace {

std::filesystem::path parent_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

std::uint64_t free_in(const std::filesystem::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) throw_os_error("look at", folder, errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

[[noreturn]] void throw_full(const std::filesystem::path& folder, std::uint64_t needed) {
  throw CheckpointError("disk full: the export needs " + std::to_string(needed) + " bytes in " +
                        folder.string() + ", where " + std::to_string(free_in(folder)) +
                        " are free; the store is as it was: free space and export again");
}

}  // namespace

OutputFile::OutputFile(const std::filesystem::path& file, std::uint64_t bytes_needed)
    : file_(file), needed_(bytes_needed), folder_(parent_of(file)) {
  if (free_in(folder_.path()) < needed_) throw_full(folder_.path(), needed_);
  temporary_ = folder_.path() / temporary_name();
}

OutputFile::~OutputFile() {
  out_.close();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::put(const void* data, std::uint64_t bytes, std::uint64_t offset) {
  if (!out_) {
    out_ = FileDescriptor(
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!out_) throw_os_error("open", temporary_, errno);
  }
  const int error = write_all_at(out_.get(), {static_cast<const char*>(data), bytes}, offset);
  if (error == ENOSPC || error == EDQUOT) throw_full(folder_.path(), needed_);
  if (error != 0) throw_os_error("write", file_, error);
}

void OutputFile::commit() {
  put(nullptr, 0, 0);  // the file is there, be it empty
  if (const int error = sync_file(out_.get()); error != 0) throw_os_error("write", file_, error);
  if (const int error = out_.close(); error != 0) throw_os_error("write", file_, error);
  if (::rename(temporary_.c_str(), file_.c_str()) != 0) throw_os_error("write", file_, errno);
  temporary_.clear();
  folder_.sync();
}

}  // namespace knowmap::store
