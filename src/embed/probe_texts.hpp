#pragma once

#include <span>
#include <string_view>

namespace knowmap {

/// Short texts of many subjects and some languages, for measuring what 8 bits
/// cost a model. They are part of what decides a row's bytes: changing them is
/// changing the engine.
std::span<const std::string_view> probe_texts();

}  // namespace knowmap
