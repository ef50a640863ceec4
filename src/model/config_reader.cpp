#include "model/config_reader.hpp"

#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>

#include "knowmap/error.hpp"
#include "support/json.hpp"

namespace knowmap {

using nlohmann::json;

ConfigReader::ConfigReader(std::filesystem::path file)
    : file_(std::move(file)), object_(read_json<ModelError>(file_)) {
  if (!object_.is_object()) throw ModelError(file_.string() + " is not a JSON object");
}

ConfigReader::ConfigReader(std::filesystem::path file, json object)
    : file_(std::move(file)), object_(std::move(object)) {
  if (!object_.is_object())
    throw ModelError(file_.string() + ": not a JSON object where one belongs");
}

bool ConfigReader::has(const char* key) const {
  const auto it = object_.find(key);
  return it != object_.end() && !it->is_null();
}

const json& ConfigReader::at(const char* key) const {
  if (!has(key)) throw ModelError(file_.string() + " lacks '" + key + "'");
  return *object_.find(key);
}

std::int64_t ConfigReader::whole(const char* key, std::int64_t low, std::int64_t high) const {
  const json& value = at(key);
  if (!value.is_number_integer()) {
    refuse("'" + std::string(key) + "' is " + value.dump() + ", not a whole number");
  }
  const auto number = value.get<std::int64_t>();
  if (number < low || number > high) {
    refuse("'" + std::string(key) + "' is " + value.dump() + ", outside " + std::to_string(low) +
           " ... " + std::to_string(high));
  }
  return number;
}

std::int64_t ConfigReader::whole_or(const char* key, std::int64_t fallback, std::int64_t low,
                                    std::int64_t high) const {
  return has(key) ? whole(key, low, high) : fallback;
}

double ConfigReader::real(const char* key, double low, double high) const {
  const json& value = at(key);
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    refuse("'" + std::string(key) + "' is " + value.dump() + ", no number from " +
           json(low).dump() + " to " + json(high).dump());
  }
  return number;
}

double ConfigReader::real_or(const char* key, double fallback, double low, double high) const {
  return has(key) ? real(key, low, high) : fallback;
}

bool ConfigReader::flag_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const json& value = at(key);
  if (!value.is_boolean())
    refuse("'" + std::string(key) + "' is " + value.dump() + ", not true or false");
  return value.get<bool>();
}

std::string ConfigReader::text_or(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  const json& value = at(key);
  if (!value.is_string())
    refuse("'" + std::string(key) + "' is " + value.dump() + ", not a string");
  return value.get<std::string>();
}

ConfigReader ConfigReader::object(const char* key) const {
  const json& value = at(key);
  if (!value.is_object()) refuse("'" + std::string(key) + "' is no object");
  return {file_, value};
}

void ConfigReader::refuse(const std::string& why) const {
  throw ModelError(file_.string() + ": " + why);
}

Activation read_activation(const ConfigReader& config, const char* key, const char* fallback) {
  const std::string name = config.text_or(key, fallback);
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") {
    return Activation::gelu_tanh;
  }
  if (name == "silu" || name == "swish" || name == "swiglu") return Activation::silu;
  if (name == "relu") return Activation::relu;
  config.refuse("'" + std::string(key) + "' '" + name +
                "' is not supported; gelu, gelu_new, gelu_pytorch_tanh, silu and relu are");
}

Architecture read_common_sizes(const ConfigReader& config) {
  Architecture a;
  a.hidden_size = config.whole("hidden_size", 1, 1 << 16);
  a.intermediate_size = config.whole("intermediate_size", 1, 1 << 20);
  a.layers = config.whole("num_hidden_layers", 1, 1 << 12);
  a.heads = config.whole("num_attention_heads", 1, 1 << 10);
  a.kv_heads = a.heads;
  a.vocabulary_size = config.whole("vocab_size", 1, 1 << 26);
  a.max_positions = config.whole("max_position_embeddings", 1, 1 << 24);
  a.head_dim = config.whole_or("head_dim", 0, 1, 1 << 12);
  if (a.head_dim == 0) {
    if (a.hidden_size % a.heads != 0) {
      config.refuse("hidden_size " + std::to_string(a.hidden_size) +
                    " is no multiple of num_attention_heads " + std::to_string(a.heads));
    }
    a.head_dim = a.hidden_size / a.heads;
  }
  a.attention_scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  a.sights.resize(static_cast<std::size_t>(a.layers));
  return a;
}

namespace {

/// Llama 3.1's stretching of the slow turns: those slower than once in
/// original / low tokens by `factor`, those faster than once in original / high
/// not at all, between them by degrees.
void stretch_llama3(const ConfigReader& parameters, std::vector<float>& frequencies) {
  const double factor = parameters.real("factor", 1e-3, 1e6);
  const double low = parameters.real("low_freq_factor", 1e-6, 1e6);
  const double high = parameters.real("high_freq_factor", 1e-6, 1e6);
  const auto original =
      static_cast<double>(parameters.whole("original_max_position_embeddings", 1, 1 << 24));
  if (!(high > low)) parameters.refuse("'high_freq_factor' is not above 'low_freq_factor'");
  for (float& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(frequency);
    if (wavelength > original / low) {
      frequency = static_cast<float>(static_cast<double>(frequency) / factor);
    } else if (wavelength >= original / high) {
      const double smooth = (original / wavelength - low) / (high - low);
      frequency = static_cast<float>((1 - smooth) * static_cast<double>(frequency) / factor +
                                     smooth * static_cast<double>(frequency));
    }
  }
}

Rope scaled_rope(const ConfigReader* scaling, std::int64_t dim, double theta) {
  Rope rope = plain_rope(dim, theta);
  if (scaling == nullptr) return rope;
  const std::string type = scaling->text_or("rope_type", scaling->text_or("type", "default"));
  if (type == "default") return rope;
  if (type == "linear") {
    const double factor = scaling->real("factor", 1e-3, 1e6);
    for (float& f : rope.inverse_frequencies)
      f = static_cast<float>(static_cast<double>(f) / factor);
    return rope;
  }
  if (type == "llama3") {
    stretch_llama3(*scaling, rope.inverse_frequencies);
    return rope;
  }
  scaling->refuse("rope scaling '" + type + "' is not supported; default, linear and llama3 are");
}

}  // namespace

Rope plain_rope(std::int64_t dim, double theta) {
  Rope rope;
  // In float32, as the models were trained: at far positions its rounding shows.
  const auto base = static_cast<float>(theta);
  for (std::int64_t i = 0; i < dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    rope.inverse_frequencies.push_back(1.0f / std::pow(base, exponent));
  }
  return rope;
}

Rope read_rope_parameters(const ConfigReader& parameters, std::int64_t dim, double default_theta) {
  return scaled_rope(&parameters, dim, parameters.real_or("rope_theta", default_theta, 1e-3, 1e12));
}

Rope read_rope(const ConfigReader& config, std::int64_t dim, double default_theta) {
  const double theta = config.real_or("rope_theta", default_theta, 1e-3, 1e12);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (config.has(key)) return read_rope_parameters(config.object(key), dim, theta);
  }
  return plain_rope(dim, theta);
}

Rope read_layer_rope(const ConfigReader& config, const char* kind, const char* theta_key,
                     std::int64_t dim, double default_theta) {
  const double theta = config.real_or(theta_key, default_theta, 1e-3, 1e12);
  if (config.has("rope_parameters")) {
    const ConfigReader all = config.object("rope_parameters");
    return all.has(kind) ? read_rope_parameters(all.object(kind), dim, theta)
                         : plain_rope(dim, theta);
  }
  if (config.has("rope_scaling") && std::string_view(kind) == "full_attention") {
    const ConfigReader scaling = config.object("rope_scaling");
    return scaled_rope(&scaling, dim, theta);
  }
  return plain_rope(dim, theta);
}

std::vector<bool> read_local_layers(const ConfigReader& config, std::int64_t layers,
                                    std::int64_t every, std::int64_t global) {
  std::vector<bool> local;
  if (!config.has("layer_types")) {
    for (std::int64_t i = 0; i < layers; ++i) local.push_back(i % every != global);
    return local;
  }
  const json& types = config.at("layer_types");
  if (!types.is_array() || types.size() != static_cast<std::size_t>(layers)) {
    config.refuse("'layer_types' is not a list of num_hidden_layers names");
  }
  for (const json& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      config.refuse("layer type " + type.dump() +
                    " is not supported; full_attention and sliding_attention are");
    }
    local.push_back(type == "sliding_attention");
  }
  return local;
}

}  // namespace knowmap
