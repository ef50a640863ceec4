#include "store/stage_file.hpp"

#include <algorithm>
#include <limits>
#include <list>
#include <stdexcept>

namespace knowmap::store {
namespace {

constexpr std::size_t kHashDigits = 32;
constexpr std::string_view kEnding = ".h5";
constexpr const char* kBytes = "/bytes";
constexpr const char* kOffsets = "/offsets";

std::uint64_t product(std::string_view name, const std::vector<std::uint64_t>& shape) {
  if (shape.empty() || shape.size() > 2) {
    throw std::invalid_argument("the array " + std::string(name) + " has " +
                                std::to_string(shape.size()) + " dimensions, not 1 or 2");
  }
  std::uint64_t values = 1;
  for (const auto extent : shape) {
    if (__builtin_mul_overflow(values, extent, &values)) {
      throw std::invalid_argument("the shape of the array " + std::string(name) + " overflows");
    }
  }
  return values;
}

template <class T>
constexpr Element kElement = Element::uint8;
template <>
constexpr Element kElement<float> = Element::float32;
template <>
constexpr Element kElement<double> = Element::float64;
template <>
constexpr Element kElement<std::int32_t> = Element::int32;
template <>
constexpr Element kElement<std::int64_t> = Element::int64;

// The texts of one array, end to end, and where each begins and ends.
struct JoinedTexts {
  std::string bytes;
  std::vector<std::uint64_t> offsets = {0};

  explicit JoinedTexts(const std::vector<std::string>& texts) {
    for (const auto& text : texts) {
      bytes += text;
      offsets.push_back(bytes.size());
    }
  }
};

class StageWriter {
 public:
  void add(const std::string& name, const StageArray& array) {
    check_name("array", name);
    const std::uint64_t expected = product(name, array.shape);
    std::visit(
        [&](const auto& values) {
          if (values.size() != expected) {
            throw std::invalid_argument("the array " + name + " has " +
                                        std::to_string(values.size()) + " values, its shape says " +
                                        std::to_string(expected));
          }
          add_values(name, values, array.shape);
        },
        array.values);
  }
  const std::vector<ArrayToWrite>& arrays() const { return arrays_; }
  const nlohmann::json& texts() const { return text_shapes_; }

 private:
  template <class T>
  void add_values(const std::string& name, const std::vector<T>& values,
                  const std::vector<std::uint64_t>& shape) {
    arrays_.push_back({name, kElement<T>, shape, values.data()});
  }
  void add_values(const std::string& name, const std::vector<std::string>& texts,
                  const std::vector<std::uint64_t>& shape) {
    const auto& joined = joined_.emplace_back(texts);
    text_shapes_[name] = shape;
    arrays_.push_back({name + kBytes, Element::uint8, {joined.bytes.size()}, joined.bytes.data()});
    arrays_.push_back(
        {name + kOffsets, Element::uint64, {joined.offsets.size()}, joined.offsets.data()});
  }

  std::vector<ArrayToWrite> arrays_;
  std::list<JoinedTexts> joined_;  // a list: what arrays_ points to stays in place
  nlohmann::json text_shapes_ = nlohmann::json::object();
};

template <class T>
std::vector<T> read_values(Shard& shard, const Shard::Array& array) {
  std::vector<T> values(array.bytes / sizeof(T));
  const Shard::Part part{array.offset, array.bytes, values.data()};
  shard.read({&part, 1});
  return values;
}

StageArray::Values read_numbers(Shard& shard, const std::string& name, const Shard::Array& array) {
  switch (array.element) {
    case Element::float32:
      return read_values<float>(shard, array);
    case Element::float64:
      return read_values<double>(shard, array);
    case Element::int32:
      return read_values<std::int32_t>(shard, array);
    case Element::int64:
      return read_values<std::int64_t>(shard, array);
    default:
      shard.throw_damaged("the array " + name + " is of a type that no stage has");
  }
}

const Shard::Array& part_of_texts(const Shard& shard, const std::string& name, Element element) {
  const auto found = shard.arrays().find(name);
  if (found == shard.arrays().end()) shard.throw_damaged("it has no array " + name);
  const Shard::Array& array = found->second;
  if (array.shape.size() != 1) shard.throw_damaged("the array " + name + " is not flat");
  return shard.array(name, element, array.shape);
}

std::vector<std::string> read_texts(Shard& shard, const std::string& name, std::uint64_t expected) {
  const auto bytes = read_values<char>(shard, part_of_texts(shard, name + kBytes, Element::uint8));
  const auto offsets =
      read_values<std::uint64_t>(shard, part_of_texts(shard, name + kOffsets, Element::uint64));
  if (offsets.empty() || offsets.size() - 1 != expected || offsets.front() != 0 ||
      offsets.back() != bytes.size() || !std::is_sorted(offsets.begin(), offsets.end())) {
    shard.throw_damaged("the places of the texts " + name + " are impossible");
  }
  std::vector<std::string> texts(expected);
  for (std::uint64_t i = 0; i < expected; ++i) {
    texts[i].assign(bytes.data() + offsets[i], offsets[i + 1] - offsets[i]);
  }
  return texts;
}

std::vector<std::uint64_t> parse_shape(const Shard& shard, const nlohmann::json& value) {
  if (!value.is_array() || value.empty() || value.size() > 2 ||
      !std::all_of(value.begin(), value.end(),
                   [](const auto& extent) { return extent.is_number_unsigned(); })) {
    shard.throw_damaged("a shape in its description is malformed");
  }
  return value.get<std::vector<std::uint64_t>>();
}

}  // namespace

nlohmann::json to_json(const Fingerprint& fingerprint) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : fingerprint) object[name] = value;
  return object;
}

Fingerprint fingerprint_of(const Shard& shard) {
  const auto found = shard.about().find("fingerprint");
  if (found == shard.about().end() || !found->is_object()) {
    shard.throw_damaged("it has no fingerprint");
  }
  Fingerprint fingerprint;
  for (const auto& [name, value] : found->items()) {
    if (!value.is_string()) shard.throw_damaged("its fingerprint is malformed");
    fingerprint[name] = value.get<std::string>();
  }
  return fingerprint;
}

void check_name(std::string_view what, std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), fits)) {
    throw std::invalid_argument("\"" + std::string(name.substr(0, 80)) + "\" can't name a " +
                                std::string(what) +
                                ": 1 to 64 letters, digits, underscores or hyphens can");
  }
}

std::string stage_file_name(std::string_view stage, const Fingerprint& made_from) {
  return std::string(stage) + "-" + content_hash(made_from) + std::string(kEnding);
}

std::string stage_of_file(std::string_view name) {
  constexpr std::size_t kTail = 1 + kHashDigits + kEnding.size();
  if (name.size() <= kTail || !name.ends_with(kEnding)) return "";
  const std::string_view stage = name.substr(0, name.size() - kTail);
  const std::string_view hash = name.substr(stage.size() + 1, kHashDigits);
  if (name[stage.size()] != '-' ||
      hash.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return "";
  }
  try {
    check_name("stage", stage);
  } catch (const std::invalid_argument&) {
    return "";
  }
  return std::string(stage);
}

void write_stage(const Directory& folder, std::string_view stage, const Fingerprint& made_from,
                 const StageResult& result) {
  check_name("stage", stage);
  StageWriter writer;
  for (const auto& [name, array] : result) writer.add(name, array);
  const nlohmann::json about = {{"kind", "stage"},
                                {"stage", std::string(stage)},
                                {"fingerprint", to_json(made_from)},
                                {"texts", writer.texts()}};
  write_shard(folder, stage_file_name(stage, made_from), about, writer.arrays(), IfThere::replace);
}

Shard open_stage(const Directory& folder, const std::string& file_name) {
  Shard shard(folder, file_name, Shard::File::keep_open);
  if (shard.text("kind") != "stage") shard.throw_damaged("it is not a stage's result");
  const std::string stage = stage_of_file(file_name);
  if (shard.text("stage") != stage || stage_file_name(stage, fingerprint_of(shard)) != file_name) {
    shard.throw_damaged("its content belongs under another name");
  }
  return shard;
}

StageResult read_stage(Shard& shard) {
  shard.check_before_allocating();
  StageResult result;
  for (const auto& [name, array] : shard.arrays()) {
    if (name.find('/') != std::string::npos) continue;  // a part of texts
    result[name] = {read_numbers(shard, name, array), array.shape};
  }
  const auto texts = shard.about().find("texts");
  if (texts == shard.about().end() || !texts->is_object()) {
    shard.throw_damaged("it doesn't say which of its arrays are texts");
  }
  for (const auto& [name, value] : texts->items()) {
    auto shape = parse_shape(shard, value);
    std::uint64_t count = 1;
    for (const auto extent : shape) {
      if (__builtin_mul_overflow(count, extent, &count)) shard.throw_damaged("a shape overflows");
    }
    result[name] = {read_texts(shard, name, count), std::move(shape)};
  }
  return result;
}

}  // namespace knowmap::store
