#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/safetensors.hpp"

namespace knowmap {

/// A model's weights: one `.safetensors` file, or several with an index. Mapped,
/// never copied: pages come when they are read and go when memory is short.
class Weights {
 public:
  /// `file` is `model.safetensors` or `model.safetensors.index.json`, whose names
  /// are those of files beside it. Throws `ModelError`.
  explicit Weights(const std::filesystem::path& file);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// The tensor where it lies, in the file's number format; it lives as long as
  /// this does. Throws `ModelError` naming it where it is missing, of another
  /// shape, or no floating-point numbers.
  at::Tensor get(const std::string& name, const std::vector<std::int64_t>& shape) const;
  /// The extents that the file gives; empty where there is no such tensor.
  std::vector<std::int64_t> shape(std::string_view name) const;

  /// Has the file's pages read ahead (given back), where the system takes hints.
  void will_need(const std::string& name) const;
  void done_with(const std::string& name) const;

  /// Bytes of all files.
  std::uint64_t bytes() const;
  const std::vector<std::filesystem::path>& files() const { return paths_; }

 private:
  const TensorEntry* find(std::string_view name) const;
  void add(const std::filesystem::path& file);

  std::string origin_;
  std::vector<std::filesystem::path> paths_;
  std::vector<SafeTensors> shards_;
  std::map<std::string, const TensorEntry*, std::less<>> entries_;
};

/// What decides the weights' bytes, quickly told: a hash of the files, of which
/// only each megabyte's first page is read where they are larger than 1 GiB.
std::string weights_hash(const std::vector<std::filesystem::path>& files);

}  // namespace knowmap
