#pragma once

#include <span>
#include <string>
#include <string_view>

#include "store/system.hpp"

namespace knowmap::store {

enum class IfThere {
  refuse,   ///< the name must be free: nobody else's file is ever overwritten
  replace,  ///< the new file takes the old one's place, in one step
};

/// Writes `pieces`, one after the other, as the file `name` of `folder`, so that
/// at every instant there is either no such file (or the old one) or the whole
/// new one: written under a temporary name, fsynced, renamed, the folder
/// fsynced. Durable when it returns. On failure throws a `CheckpointError`, and
/// leaves no temporary behind.
void write_durably(const Directory& folder, const std::string& name,
                   std::span<const std::string_view> pieces, IfThere if_there);

/// Whether a name is one that `write_durably` gives to a file in the making.
bool is_temporary(std::string_view name);

/// A name for a file in the making, not used before by this process.
std::string temporary_name();

}  // namespace knowmap::store
