#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace knowmap {

/// How far a stage has come.
struct Progress {
  /// The stage at work: "embed", "neighbors", "spectral", "layout", "label", ...
  std::string_view stage;
  /// Steps done and steps in all, in `unit`.
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  /// What one step is: "texts", "rows", "epochs".
  std::string_view unit;
};

/// Called from the thread that called the library, about every 50 ms and at the
/// end of each stage; never from a worker. Answering false cancels: the call
/// then throws `CancelledError` within a tenth of a second.
using ProgressCallback = std::function<bool(const Progress&)>;

}  // namespace knowmap
