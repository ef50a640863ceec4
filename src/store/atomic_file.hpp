#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "store/system.hpp"

namespace knowmap::store {

enum class IfThere {
  refuse,   ///< the name must be free: nobody else's file is ever overwritten
  replace,  ///< the new file takes the old one's place, in one step
};

/// Makes the file `name` of `folder` so that at every instant there is either no
/// such file (or the old one) or the whole new one: written under a temporary
/// name, fsynced, renamed, the folder fsynced. `fill` writes the content, of so
/// many bytes, into a descriptor and gives the errno, or 0. Durable when it
/// returns. On failure throws a `CheckpointError`, and leaves no temporary behind.
void write_durably(const Directory& folder, const std::string& name, std::uint64_t bytes,
                   const std::function<int(int fd)>& fill, IfThere if_there);
/// The same for content that is there already.
void write_durably(const Directory& folder, const std::string& name, std::string_view content,
                   IfThere if_there);

/// A file in the making, with a name of its own in `folder`, which must outlive it: gone
/// again unless it is kept.
class Temporary {
 public:
  explicit Temporary(const Directory& folder);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const { return fd_.get(); }
  /// Gives the errno, or 0.
  int close() { return fd_.close(); }
  const char* name() const { return name_.c_str(); }
  /// To be called once it has another name.
  void keep() { name_.clear(); }

 private:
  const Directory& folder_;
  std::string name_;
  FileDescriptor fd_;
};

/// Whether a name is one that `write_durably` gives to a file in the making.
bool is_temporary(std::string_view name);

/// A name for a file in the making, not used before by this process.
std::string temporary_name();

}  // namespace knowmap::store
