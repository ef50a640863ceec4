#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/matrix.hpp"

namespace knowmap {

// What the store holds of an earlier state of the collection: results for other texts, from
// which those for the texts of today go on.

/// In a stage's key: what it goes on from. Absent where it was made anew.
inline constexpr const char* kGoesOnFrom = "goes_on_from";

/// A stage's result and the texts that its rows were made from, as the store keeps them.
StageResult with_texts(StageResult result, std::span<const std::uint64_t> text_hashes);
/// Those texts; none where they were not kept.
std::span<const std::int64_t> texts_of(const StageResult& result);
/// The number that each row of an earlier result has now, -1 = its text is gone (of equal texts the
/// first is the first again), where what is made of the texts of today goes on from that one.
/// Nothing where the texts are the same, unless that one went on from another itself: then
/// options changed since, and what stayed so far stays. Nor where fewer than half of today's
/// are among those: too little would stay to be worth a start that is not the best.
std::optional<std::vector<std::int64_t>> rows_to_go_on_from(const Fingerprint& before_key,
                                                            std::span<const std::int64_t> before,
                                                            std::span<const std::uint64_t> now);

/// The whole key of a stage's held result, where it was made from `key`, whatever it goes on
/// from; with `anew`, only where it goes on from nothing. Else nothing.
std::optional<Fingerprint> held_key(const CheckpointStore& store, const std::string& stage,
                                    const Fingerprint& key, bool anew);

/// In the layout's result: the places before they were spread evenly, where they were.
inline constexpr const char* kUnleveled = "unleveled";

struct EarlierMap {
  Matrix places;     ///< (n, n_components), NaN in the rows of new texts
  std::string hash;  ///< of what it was made from, for `kGoesOnFrom`
};
/// The held layout, carried over to the texts of today. Nothing where it was laid out
/// otherwise than `key` says, or is none to go on from (`rows_to_go_on_from`).
std::optional<EarlierMap> earlier_map(const CheckpointStore& store, const Fingerprint& key,
                                      std::span<const std::uint64_t> text_hashes);

}  // namespace knowmap
