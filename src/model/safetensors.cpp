#include "model/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "knowmap/error.hpp"
#include "support/foreign_file.hpp"

namespace knowmap {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr int kMaxDepth = 8;

MappedFile map_or_throw(const std::filesystem::path& file) {
  try {
    return MappedFile(file);
  } catch (const std::system_error& error) {
    throw ModelError(std::string("cannot read the model's weights: ") + error.what());
  }
}

struct TypeInfo {
  const char* name;
  TensorType type;
  std::uint64_t size;
};
constexpr TypeInfo kTypes[] = {
    {"F32", TensorType::float32, 4},   {"F16", TensorType::float16, 2},
    {"BF16", TensorType::bfloat16, 2}, {"I64", TensorType::int64, 8},
    {"F64", TensorType::other, 8},     {"U64", TensorType::other, 8},
    {"I32", TensorType::other, 4},     {"U32", TensorType::other, 4},
    {"I16", TensorType::other, 2},     {"U16", TensorType::other, 2},
    {"I8", TensorType::other, 1},      {"U8", TensorType::other, 1},
    {"BOOL", TensorType::other, 1},    {"F8_E4M3", TensorType::other, 1},
    {"F8_E5M2", TensorType::other, 1},
};

/// Reads the header without nlohmann's silent "last one wins" for names given twice.
json parse_header_json(std::string_view text, const std::string& origin) {
  std::vector<std::set<std::string>> open;
  std::string problem;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kMaxDepth) problem = "is nested too deep";
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end && !open.empty()) open.pop_back();
    if (event == json::parse_event_t::key && !open.empty()) {
      const auto& key = value.get_ref<const std::string&>();
      if (!open.back().insert(key).second) problem = "names '" + key + "' twice";
    }
    return problem.empty();
  };
  json header;
  try {
    header = json::parse(text, watch);
  } catch (const json::exception& error) {
    if (problem.empty()) problem = std::string("is not valid JSON: ") + error.what();
  }
  if (!problem.empty()) throw ModelError(origin + ": the header " + problem);
  if (!header.is_object()) throw ModelError(origin + ": the header is not a JSON object");
  return header;
}

std::uint64_t as_unsigned(const json& value, const std::string& what) {
  if (!value.is_number_unsigned()) throw ModelError(what + " is not a whole number of 0 or more");
  return value.get<std::uint64_t>();
}

}  // namespace

SafeTensors::SafeTensors(const std::filesystem::path& file)
    : origin_(file.string()), mapped_(map_or_throw(file)) {
  std::uint64_t header_size = 0;
  if (mapped_.size() < sizeof header_size) {
    throw ModelError(origin_ + " is no safetensors file: it has " + std::to_string(mapped_.size()) +
                     " bytes" + foreign_file_hint(mapped_.bytes()));
  }
  std::memcpy(&header_size, mapped_.data(), sizeof header_size);
  const std::string hint = foreign_file_hint(mapped_.bytes());
  if (!hint.empty() && !mapped_.bytes().substr(sizeof header_size).starts_with('{')) {
    throw ModelError(origin_ + " is no safetensors file" + hint);
  }
  if (header_size > kMaxHeader) {
    throw ModelError(origin_ + ": the header claims " + std::to_string(header_size) +
                     " bytes, more than " + std::to_string(kMaxHeader) +
                     "; this is no safetensors file");
  }
  if (header_size > mapped_.size() - sizeof header_size) {
    throw ModelError(origin_ + " is cut short: the header needs " + std::to_string(header_size) +
                     " bytes, the file holds " + std::to_string(mapped_.size()) +
                     "; fetch the model again");
  }
  const std::size_t data_begin = sizeof header_size + static_cast<std::size_t>(header_size);
  parse_header(mapped_.bytes().substr(sizeof header_size, header_size), data_begin);
}

void SafeTensors::parse_header(std::string_view header, std::size_t data_begin) {
  const std::uint64_t data_size = mapped_.size() - data_begin;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
  const json parsed = parse_header_json(header, origin_);
  for (const auto& [name, value] : parsed.items()) {
    if (name == "__metadata__") continue;
    const std::string where = origin_ + ": tensor '" + name + "'";
    if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() ||
        !value.contains("shape") || !value["shape"].is_array() || !value.contains("data_offsets") ||
        !value["data_offsets"].is_array() || value["data_offsets"].size() != 2) {
      throw ModelError(where + " lacks dtype, shape or data_offsets");
    }
    const std::string dtype = value["dtype"].get<std::string>();
    const auto* info = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const TypeInfo& t) { return dtype == t.name; });
    if (info == std::end(kTypes)) throw ModelError(where + " has the unknown type '" + dtype + "'");

    TensorEntry entry;
    entry.type = info->type;
    std::uint64_t bytes = info->size;
    for (const json& extent : value["shape"]) {
      const std::uint64_t n = as_unsigned(extent, where + ": a shape's entry");
      if (n > (1ull << 62) || __builtin_mul_overflow(bytes, n, &bytes)) {
        throw ModelError(where + " has a shape whose size overflows");
      }
      entry.shape.push_back(static_cast<std::int64_t>(n));
    }
    const std::uint64_t begin = as_unsigned(value["data_offsets"][0], where + ": an offset");
    const std::uint64_t end = as_unsigned(value["data_offsets"][1], where + ": an offset");
    if (begin > end || end - begin != bytes) {
      throw ModelError(where + ": offsets hold " + std::to_string(end - begin) +
                       " bytes, shape and type need " + std::to_string(bytes));
    }
    if (end > data_size) {
      throw ModelError(origin_ + " is cut short: tensor '" + name + "' ends at byte " +
                       std::to_string(end) + " of the data, the file holds " +
                       std::to_string(data_size) + "; fetch the model again");
    }
    entry.data = mapped_.data() + data_begin + begin;
    entry.bytes = static_cast<std::size_t>(bytes);
    spans.emplace_back(begin, end);
    entries_.emplace(name, std::move(entry));
  }
  std::sort(spans.begin(), spans.end());
  std::uint64_t expected = 0;
  for (const auto& [begin, end] : spans) {
    if (begin != expected) {
      throw ModelError(origin_ + ": tensors overlap or leave a gap at byte " +
                       std::to_string(expected) + " of the data");
    }
    expected = end;
  }
  if (expected != data_size) {
    throw ModelError(origin_ + ": " + std::to_string(data_size - expected) +
                     " bytes after the last tensor belong to none");
  }
}

const TensorEntry* SafeTensors::find(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

const TensorEntry& SafeTensors::at(std::string_view name) const {
  if (const TensorEntry* entry = find(name)) return *entry;
  throw ModelError(origin_ + " has no tensor '" + std::string(name) +
                   "', which the model's architecture needs");
}

}  // namespace knowmap
