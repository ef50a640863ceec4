#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "knowmap/version.hpp"

namespace knowmap {

/// The root of everything that the library throws, but for a caller's mistake,
/// which is a `std::invalid_argument`. A message holds the value that offends
/// and the way out.
class KNOWMAP_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A model's folder is missing, cut short, malformed, or of an unknown kind.
class KNOWMAP_EXPORT ModelError : public Error {
 public:
  using Error::Error;
};

/// `tokenizer.json` is malformed or holds a component that is not known.
class KNOWMAP_EXPORT TokenizerError : public Error {
 public:
  using Error::Error;
};

/// A store can't be opened, read or written, or doesn't fit what was asked.
class KNOWMAP_EXPORT CheckpointError : public Error {
 public:
  using Error::Error;
};

/// Memory ran out and every smaller way was tried.
class KNOWMAP_EXPORT OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

/// The progress callback asked to stop. What was committed stays committed.
class KNOWMAP_EXPORT CancelledError : public Error {
 public:
  using Error::Error;
};

}  // namespace knowmap
