#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace knowmap::text {

/// A value of a JSON file that knows where it stands, so that what is wrong
/// with it can be said: "tokenizer.json: model.vocab: expected an object, found
/// a string". Every mismatch throws `TokenizerError`.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool has(const char* key) const { return as_object().contains(key); }
  /// A member; it must be there.
  JsonField operator[](const char* key) const;
  /// A member, null where it is not there.
  JsonField optional(const char* key) const;
  JsonField operator[](std::size_t index) const;

  const nlohmann::json& as_object() const { return expect(value_->is_object(), "an object"); }
  const nlohmann::json& as_array() const { return expect(value_->is_array(), "an array"); }
  bool as_bool() const { return expect(value_->is_boolean(), "true or false").get<bool>(); }
  const std::string& as_string() const {
    return expect(value_->is_string(), "a string").get_ref<const std::string&>();
  }
  double as_number() const { return expect(value_->is_number(), "a number").get<double>(); }
  std::int32_t as_id() const;
  std::uint64_t as_count() const;

  [[noreturn]] void fail(std::string_view what) const;

 private:
  const nlohmann::json& expect(bool holds, std::string_view what) const;
  const nlohmann::json* value_;
  std::string path_;
};

/// Parses `json`; `origin` names it in messages.
nlohmann::json parse_json(std::string_view json, std::string_view origin);

}  // namespace knowmap::text
