#include "pipeline/earlier_map.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <variant>

#include "pipeline/stage_codec.hpp"

namespace knowmap {

namespace {

constexpr const char* kTexts = "texts_of_rows";

/// Rows in the order of their texts, of equal ones the first first.
template <class Hash>
std::vector<std::size_t> by_text(std::span<const Hash> hashes) {
  std::vector<std::size_t> order(hashes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto of_a = static_cast<std::uint64_t>(hashes[a]);
    const auto of_b = static_cast<std::uint64_t>(hashes[b]);
    return of_a != of_b ? of_a < of_b : a < b;
  });
  return order;
}

std::vector<std::int64_t> rows_now(std::span<const std::int64_t> before,
                                   std::span<const std::uint64_t> now) {
  std::vector<std::int64_t> rows(before.size(), -1);
  const std::vector<std::size_t> then = by_text(before);
  const std::vector<std::size_t> today = by_text(now);
  auto at = today.begin();
  for (const std::size_t row : then) {
    const auto text = static_cast<std::uint64_t>(before[row]);
    while (at != today.end() && now[*at] < text) ++at;
    if (at != today.end() && now[*at] == text) rows[row] = static_cast<std::int64_t>(*at++);
  }
  return rows;
}

Fingerprint without(Fingerprint key, std::initializer_list<const char*> names) {
  for (const char* name : names) key.erase(name);
  return key;
}

}  // namespace

StageResult with_texts(StageResult result, std::span<const std::uint64_t> text_hashes) {
  StageArray& texts = result[kTexts];
  texts.shape = {text_hashes.size()};
  texts.values = std::vector<std::int64_t>(text_hashes.begin(), text_hashes.end());
  return result;
}

std::span<const std::int64_t> texts_of(const StageResult& result) {
  const auto found = result.find(kTexts);
  if (found == result.end()) return {};
  const auto* texts = std::get_if<std::vector<std::int64_t>>(&found->second.values);
  return texts == nullptr ? std::span<const std::int64_t>{} : *texts;
}

std::optional<std::vector<std::int64_t>> rows_to_go_on_from(const Fingerprint& before_key,
                                                            std::span<const std::int64_t> before,
                                                            std::span<const std::uint64_t> now) {
  if (before.empty()) return std::nullopt;
  const bool same = std::equal(
      before.begin(), before.end(), now.begin(), now.end(),
      [](std::int64_t a, std::uint64_t b) { return static_cast<std::uint64_t>(a) == b; });
  if (same && !before_key.contains(kGoesOnFrom)) return std::nullopt;
  std::vector<std::int64_t> rows = rows_now(before, now);
  const auto gone = static_cast<std::size_t>(std::count(rows.begin(), rows.end(), -1));
  if (2 * (rows.size() - gone) < now.size()) return std::nullopt;
  return rows;
}

std::optional<Fingerprint> held_key(const CheckpointStore& store, const std::string& stage,
                                    const Fingerprint& key, bool anew) {
  auto stages = store.stages();
  const auto held = stages.find(stage);
  if (held == stages.end()) return std::nullopt;
  if (held->second == key) return key;
  if (anew || without(held->second, {kGoesOnFrom}) != key) return std::nullopt;
  return std::move(held->second);
}

std::optional<EarlierMap> earlier_map(const CheckpointStore& store, const Fingerprint& key,
                                      std::span<const std::uint64_t> text_hashes) {
  const auto stages = store.stages();
  const auto before = stages.find("layout");
  if (before == stages.end()) return std::nullopt;
  // The neighbours are others because the rows are; an engine may go on from an older one's map.
  const auto options = [](const Fingerprint& of) {
    return without(of, {kGoesOnFrom, "neighbors", "engine"});
  };
  if (options(before->second) != options(key)) return std::nullopt;
  const auto held = store.get_stage("layout");
  const auto hashes = held ? texts_of(*held) : std::span<const std::int64_t>{};
  const auto rows = rows_to_go_on_from(before->second, hashes, text_hashes);
  if (!rows) return std::nullopt;
  const auto unleveled = held->find(kUnleveled);
  const Matrix then = decode_coordinates(
      unleveled == held->end() ? *held : StageResult{{"coordinates", unleveled->second}});
  if (then.rows() != hashes.size()) return std::nullopt;

  EarlierMap map{Matrix(text_hashes.size(), then.cols(), std::numeric_limits<float>::quiet_NaN()),
                 content_hash(before->second)};
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const std::int64_t row = (*rows)[i];
    if (row >= 0)
      std::copy_n(then.row(i), then.cols(), map.places.row(static_cast<std::size_t>(row)));
  }
  return map;
}

}  // namespace knowmap
