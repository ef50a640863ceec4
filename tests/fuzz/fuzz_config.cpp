// A config.json of any bytes gives an architecture whose sizes hold together, or is a ModelError.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "knowmap/error.hpp"
#include "model/families/families.hpp"
#include "support/json.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const knowmap::ConfigReader config("config.json",
                                       knowmap::parse_json<knowmap::ModelError>(bytes, "config"));
    const knowmap::Architecture a = knowmap::read_architecture(config);
    require(a.hidden_size > 0 && a.vocabulary_size > 0 && a.max_positions > 0 && a.layers > 0);
    require(a.heads > 0 && a.kv_heads > 0 && a.head_dim > 0 && a.heads % a.kv_heads == 0);
    require(a.sights.size() == static_cast<std::size_t>(a.layers));
    for (const knowmap::Sight& sight : a.sights) {
      require(sight.before >= 0 && sight.after >= 0);
      require(sight.rope < static_cast<int>(a.ropes.size()));
    }
    for (const knowmap::Rope& rope : a.ropes) {
      require(rope.inverse_frequencies.size() == static_cast<std::size_t>(a.head_dim / 2));
    }
  } catch (const knowmap::ModelError&) {
    // What a damaged file is to end in.
  }
  return 0;
}
