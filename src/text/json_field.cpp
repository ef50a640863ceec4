#include "text/json_field.hpp"

#include <limits>

#include "knowmap/error.hpp"

namespace knowmap::text {

namespace {

// Real files are a dozen levels deep and under 40 MB.
constexpr std::size_t kMaxDepth = 100;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

std::size_t nesting_depth(std::string_view json) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

nlohmann::json parse_json(std::string_view json, std::string_view origin) {
  const auto fail = [&](const std::string& what) {
    throw TokenizerError(std::string(origin) + ": " + what);
  };
  if (json.size() > kMaxBytes) {
    fail(std::to_string(json.size()) + " bytes are more than the " + std::to_string(kMaxBytes) +
         " that a tokenizer file may have");
  }
  if (nesting_depth(json) > kMaxDepth) {
    fail("nested more than " + std::to_string(kMaxDepth) + " levels deep");
  }
  try {
    return nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& e) {
    fail(std::string("not valid JSON: ") + e.what());
  }
  return {};
}

void JsonField::fail(std::string_view what) const {
  throw TokenizerError(path_ + ": " + std::string(what));
}

const nlohmann::json& JsonField::expect(bool holds, std::string_view what) const {
  if (!holds) fail("expected " + std::string(what) + ", found " + value_->type_name());
  return *value_;
}

JsonField JsonField::operator[](const char* key) const {
  const auto it = as_object().find(key);
  if (it == value_->end()) fail("\"" + std::string(key) + "\" is missing");
  return {*it, path_ + "." + key};
}

JsonField JsonField::optional(const char* key) const {
  static const nlohmann::json kNull;
  const auto it = as_object().find(key);
  return {it == value_->end() ? kNull : *it, path_ + "." + key};
}

JsonField JsonField::operator[](std::size_t index) const {
  const std::string path = path_ + "[" + std::to_string(index) + "]";
  if (index >= as_array().size()) throw TokenizerError(path + ": missing");
  return {(*value_)[index], path};
}

std::int32_t JsonField::as_id() const {
  constexpr auto kHighest = std::numeric_limits<std::int32_t>::max() - 1;
  const std::uint64_t id = as_count();
  if (id > kHighest) fail("the id " + std::to_string(id) + " is too high");
  return static_cast<std::int32_t>(id);
}

std::uint64_t JsonField::as_count() const {
  return expect(value_->is_number_unsigned(), "a whole number, not negative").get<std::uint64_t>();
}

}  // namespace knowmap::text
