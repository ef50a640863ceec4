#include "store/row_shards.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cinttypes>
#include <cstdio>

#include "store/stage_file.hpp"

namespace knowmap::store {
namespace {

constexpr const char* kRows = "embeddings";
constexpr const char* kHashes = "text_hashes";
constexpr const char* kScales = "scales";  // int8: what a row's steps are worth

// Calls `read`, again where a writer replaced the file a moment ago: a reader may meet a
// writer that replaces shards faster than it reads them, but not for ever.
template <class Read>
void reading_anew(std::optional<Shard>& shard, Read&& read) {
  for (int tries = 0; tries < 20; ++tries) {
    try {
      return read();
    } catch (const ReplacedError&) {
      shard.reset();
    }
  }
  read();
}

}  // namespace

std::string differences(const RowForm& before, const RowForm& now) {
  const auto as_list = [](const RowForm& form) {
    Fingerprint list = form.fingerprint;
    list["columns"] = std::to_string(form.dimension);
    list["storage"] = row_storage_name(form.storage);
    return list;
  };
  return differences(as_list(before), as_list(now));
}

std::string row_file_name(RowRange range) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "rows-%012" PRIu64 "-%012" PRIu64 ".h5", range.begin,
                range.end);
  return text.data();
}

std::optional<RowRange> range_of_file(std::string_view name) {
  const auto first = name.find('-');
  const auto second = name.find('-', first == name.npos ? first : first + 1);
  if (second == name.npos) return std::nullopt;
  RowRange range;
  const char* const end = name.data() + name.size();
  std::from_chars(name.data() + first + 1, name.data() + second, range.begin);
  std::from_chars(name.data() + second + 1, end, range.end);
  // Only the one way to write it: so no two files can tell of one range.
  if (range.begin >= range.end || row_file_name(range) != name) return std::nullopt;
  return range;
}

Shard& RowShard::opened() {
  if (shard_) return *shard_;
  Shard shard(*folder_, file_name(), Shard::File::reopen);
  if (shard.text("kind") != "rows") shard.throw_damaged("it holds no rows");
  if (shard.number("begin") != range_.begin || shard.number("end") != range_.end) {
    shard.throw_damaged("it holds other rows than its name says");
  }
  const std::uint64_t rows = range_.end - range_.begin;
  const std::uint64_t dimension = shard.number("dimension");
  const auto numbers = shard.arrays().find(kRows);
  const auto storage =
      numbers == shard.arrays().end() ? std::nullopt : storage_of(numbers->second.element);
  const RowStorage kept_as = storage.value_or(RowStorage::float32);
  const Element element = element_of(kept_as);
  shard.array(kRows, element, std::array{rows, dimension});
  shard.array(kHashes, Element::uint64, std::array{rows});
  if (element == Element::int8) shard.array(kScales, Element::float32, std::array{rows});
  form_ = {fingerprint_of(shard), dimension, kept_as};
  return shard_.emplace(std::move(shard));
}

Shard& RowShard::opened_as(const RowForm& expected) {
  Shard& shard = opened();
  if (form_ == expected) return shard;
  throw CheckpointError(shard.path().string() +
                        " holds rows that were made otherwise than those of the store:" +
                        differences(expected, form_) +
                        "\nrepair the store (knowmap repair), which removes it, and run again: "
                        "what it held is computed anew");
}

RowForm RowShard::form() {
  const std::lock_guard guard(mutex_);
  opened();
  return form_;
}

void RowShard::check(const RowForm& expected) {
  const std::lock_guard guard(mutex_);
  reading_anew(shard_, [&] { opened_as(expected).check_before_allocating(); });
}

void RowShard::read(RowRange wanted, const RowForm& expected, float* rows, std::uint64_t* hashes) {
  const std::lock_guard guard(mutex_);
  reading_anew(shard_, [&] { read_parts(wanted, expected, rows, hashes); });
}

void RowShard::read_parts(RowRange wanted, const RowForm& expected, float* rows,
                          std::uint64_t* hashes) {
  const std::uint64_t dimension = expected.dimension;
  const std::uint64_t begin = std::max(wanted.begin, range_.begin);
  const std::uint64_t end = std::min(wanted.end, range_.end);
  const std::uint64_t count = end - begin, before = begin - wanted.begin;
  const auto& arrays = opened_as(expected).arrays();
  std::vector<Shard::Part> parts;
  const auto add = [&](const char* name, std::uint64_t row_bytes, void* out) {
    const auto& array = arrays.at(name);
    parts.push_back({array.offset + (begin - range_.begin) * row_bytes, count * row_bytes, out});
  };
  if (hashes != nullptr) add(kHashes, sizeof(std::uint64_t), hashes + before);
  if (rows == nullptr) return opened().read(parts);

  float* const out = rows + before * dimension;
  const Element element = arrays.at(kRows).element;
  if (element == Element::float32) {
    add(kRows, dimension * sizeof(float), out);
    return opened().read(parts);
  }
  EncodedRows encoded;
  encoded.numbers.resize(count * dimension * element_size(element));
  add(kRows, dimension * element_size(element), encoded.numbers.data());
  if (element == Element::int8) {
    encoded.scales.resize(count);
    add(kScales, sizeof(float), encoded.scales.data());
  }
  opened().read(parts);
  decode_rows(encoded.numbers, encoded.scales, *storage_of(element), {out, count, dimension});
}

void RowShard::read_encoded(const RowForm& expected, EncodedRows& rows,
                            std::vector<std::uint64_t>& hashes) {
  const std::lock_guard guard(mutex_);
  reading_anew(shard_, [&] {
    opened_as(expected).check_before_allocating();
    const auto& arrays = opened().arrays();
    std::vector<Shard::Part> parts;
    const auto add = [&](const char* name, auto& out) {
      const auto& array = arrays.at(name);
      out.resize(array.bytes / sizeof out[0]);
      parts.push_back({array.offset, array.bytes, out.data()});
    };
    add(kRows, rows.numbers);
    add(kHashes, hashes);
    rows.scales.clear();
    if (arrays.at(kRows).element == Element::int8) add(kScales, rows.scales);
    opened().read(parts);
  });
}

void RowShard::verify() {
  const std::lock_guard guard(mutex_);
  shard_.reset();  // what the file says now, not what it said when it was opened
  reading_anew(shard_, [&] { opened().verify(); });
}

void write_rows(const Directory& folder, RowRange range, const Fingerprint& fingerprint,
                const RowsToWrite& rows, IfThere if_there) {
  const nlohmann::json about = {{"kind", "rows"},
                                {"begin", range.begin},
                                {"end", range.end},
                                {"dimension", rows.dimension},
                                {"fingerprint", to_json(fingerprint)}};
  const std::uint64_t count = range.end - range.begin;
  std::vector<ArrayToWrite> arrays = {
      {kRows, element_of(rows.storage), {count, rows.dimension}, rows.numbers},
      {kHashes, Element::uint64, {count}, rows.text_hashes.data()}};
  if (rows.storage == RowStorage::int8) {
    arrays.push_back({kScales, Element::float32, {count}, rows.scales.data()});
  }
  write_shard(folder, row_file_name(range), about, arrays, if_there);
}

}  // namespace knowmap::store
