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

}  // namespace

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
  shard.array(kRows, Element::float32, std::array{rows, shard.number("dimension")});
  shard.array(kHashes, Element::uint64, std::array{rows});
  return shard_.emplace(std::move(shard));
}

Fingerprint RowShard::fingerprint() {
  const std::lock_guard guard(mutex_);
  return fingerprint_of(opened());
}

std::uint64_t RowShard::dimension() {
  const std::lock_guard guard(mutex_);
  return opened().number("dimension");
}

void RowShard::check_dimension(std::uint64_t expected) {
  const std::uint64_t held = opened().number("dimension");
  if (expected == 0 || held == expected) return;
  opened().throw_damaged("its rows have " + std::to_string(held) + " columns, those of the store " +
                         std::to_string(expected));
}

void RowShard::read(RowRange wanted, std::uint64_t dimension, float* rows, std::uint64_t* hashes) {
  const std::uint64_t begin = std::max(wanted.begin, range_.begin);
  const std::uint64_t end = std::min(wanted.end, range_.end);
  const std::lock_guard guard(mutex_);
  check_dimension(dimension);
  std::vector<Shard::Part> parts;
  const auto add = [&](const char* name, std::uint64_t row_bytes, void* out) {
    const auto& array = opened().arrays().at(name);
    parts.push_back({array.offset + (begin - range_.begin) * row_bytes, (end - begin) * row_bytes,
                     static_cast<char*>(out) + (begin - wanted.begin) * row_bytes});
  };
  if (rows != nullptr) add(kRows, dimension * sizeof(float), rows);
  if (hashes != nullptr) add(kHashes, sizeof(std::uint64_t), hashes);
  opened().read(parts);
}

void RowShard::verify(std::uint64_t dimension) {
  const std::lock_guard guard(mutex_);
  shard_.reset();  // what the file says now, not what it said when it was opened
  check_dimension(dimension);
  opened().verify();
}

void write_rows(const Directory& folder, RowRange range, const Fingerprint& fingerprint,
                MatrixView<const float> rows, std::span<const std::uint64_t> text_hashes) {
  const nlohmann::json about = {{"kind", "rows"},
                                {"begin", range.begin},
                                {"end", range.end},
                                {"dimension", std::uint64_t{rows.cols}},
                                {"fingerprint", to_json(fingerprint)}};
  const std::array<ArrayToWrite, 2> arrays = {
      ArrayToWrite{kRows, Element::float32, {rows.rows, rows.cols}, rows.data},
      ArrayToWrite{kHashes, Element::uint64, {text_hashes.size()}, text_hashes.data()}};
  write_shard(folder, row_file_name(range), about, arrays, IfThere::refuse);
}

}  // namespace knowmap::store
