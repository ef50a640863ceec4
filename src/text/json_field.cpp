#include "text/json_field.hpp"

#include <limits>

#include "knowmap/error.hpp"
#include "support/json.hpp"

namespace knowmap::text {

namespace {

// Real files are a dozen levels deep and under 40 MB.
constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

}  // namespace

nlohmann::json parse_json(std::string_view json, std::string_view origin) {
  if (json.size() > kMaxBytes) {
    throw TokenizerError(std::string(origin) + ": " + std::to_string(json.size()) +
                         " bytes are more than the " + std::to_string(kMaxBytes) +
                         " that a tokenizer file may have");
  }
  return knowmap::parse_json<TokenizerError>(json, origin, kMaxDepth);
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
