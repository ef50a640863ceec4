#pragma once

#include <cstdint>
#include <span>

#include "label/vote.hpp"

namespace knowmap::label {

/// What of a row's vote tells whether it is right.
struct VoteFeatures {
  float share = 0;
  float margin = 0;
  float nearest = 0;
  float mean = 0;
};

/// Learns from votes on rows whose `truth` is known (-1: not); a row must not
/// have voted for itself. The vote's share, margin, distances and the class'
/// own record go through a logistic regression, then through isotonic
/// regression over bins (Zadrozny and Elkan 2002). Fewer than 20 rows teach
/// nothing: the confidence stays the share. `target_error` below 1 sets the
/// threshold.
LabelCalibration calibrate(const Votes& votes, std::span<const std::int32_t> truth,
                           std::size_t n_classes, float target_error);

/// The same for votes on several labels a row: learns from each class that got a
/// vote, by its share alone.
LabelCalibration calibrate_sets(const Votes& votes, const ClassesOf& truth, float target_error);

/// The chance that a label with such a vote is right; the share itself where
/// nothing was learnt.
float confidence(const LabelCalibration& calibration, const VoteFeatures& vote, std::int32_t label);

}  // namespace knowmap::label
