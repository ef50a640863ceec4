#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "support/foreign_file.hpp"

namespace knowmap {

/// Parses JSON that somebody else wrote: throws `E` (with `origin` named) where
/// it is malformed or nested deeper than `max_depth`, since nlohmann/json
/// recurses when it copies and destroys.
template <class E>
nlohmann::json parse_json(std::string_view text, std::string_view origin, int max_depth = 64) {
  bool too_deep = false;
  const auto guard = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > max_depth) too_deep = true;
    return !too_deep;
  };
  try {
    nlohmann::json parsed = nlohmann::json::parse(text, guard);
    if (!too_deep) return parsed;
  } catch (const nlohmann::json::exception& error) {
    if (!too_deep) {
      const std::string hint = foreign_file_hint(text);
      if (!hint.empty()) throw E(std::string(origin) + ": not valid JSON" + hint);
      throw E(std::string(origin) + ": not valid JSON, perhaps cut short: " + error.what());
    }
  }
  throw E(std::string(origin) + ": nested more than " + std::to_string(max_depth) + " levels deep");
}

/// The same from a file of at most `max_bytes`.
template <class E>
nlohmann::json read_json(const std::filesystem::path& file, std::uintmax_t max_bytes = 64u << 20) {
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(file, failed);
  if (failed) throw E("cannot read " + file.string() + ": " + failed.message());
  if (bytes > max_bytes) {
    throw E(file.string() + " holds " + std::to_string(bytes) + " bytes, more than the " +
            std::to_string(max_bytes) + " that such a file may have");
  }
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) throw E("cannot read " + file.string());
  return parse_json<E>(text, file.string());
}

}  // namespace knowmap
