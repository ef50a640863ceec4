#include "store/output_file.hpp"

#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

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
    : file_(file), needed_(bytes_needed), folder_(parent_of(file)), temporary_(folder_) {
  if (free_in(folder_.path()) < needed_) throw_full(folder_.path(), needed_);
}

void OutputFile::put(const void* data, std::uint64_t bytes, std::uint64_t offset) {
  require(write_all_at(temporary_.fd(), {static_cast<const char*>(data), bytes}, offset));
}

void OutputFile::commit() {
  require(sync_file(temporary_.fd()));
  require(temporary_.close());
  if (::renameat(folder_.fd(), temporary_.name(), folder_.fd(), file_.filename().c_str()) != 0) {
    require(errno);
  }
  temporary_.keep();
  folder_.sync();
}

void OutputFile::require(int error) const {
  if (error == ENOSPC || error == EDQUOT) throw_full(folder_.path(), needed_);
  if (error != 0) throw_os_error("write", file_, error);
}

}  // namespace knowmap::store
