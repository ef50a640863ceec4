#include "model/weights.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "knowmap/error.hpp"
#include "knowmap/fingerprint.hpp"
#include "support/hash128.hpp"
#include "support/json.hpp"
#include "support/read_at.hpp"

namespace knowmap {

namespace {

namespace fs = std::filesystem;

/// The files that an index names: each a plain name beside the index, so that
/// no index leads out of the model's folder.
std::set<std::string> files_of_index(const fs::path& index) {
  const auto parsed = read_json<ModelError>(index);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object()) {
    throw ModelError(index.string() + " has no 'weight_map'");
  }
  std::set<std::string> names;
  for (const auto& [tensor, value] : parsed["weight_map"].items()) {
    if (!value.is_string()) {
      throw ModelError(index.string() + ": tensor '" + tensor + "' names no file");
    }
    const auto name = value.get<std::string>();
    constexpr std::string_view kEnding = ".safetensors";
    if (name.size() <= kEnding.size() || !name.ends_with(kEnding) || name.front() == '.' ||
        name.find_first_of(std::string("/\\\0", 3)) != std::string::npos) {
      throw ModelError(index.string() + ": tensor '" + tensor + "' lies in '" + name +
                       "', which is not the plain name of a .safetensors file beside the index");
    }
    names.insert(name);
  }
  if (names.empty()) throw ModelError(index.string() + " names no file");
  return names;
}

std::string text(const std::vector<std::int64_t>& shape) {
  std::string out = "(";
  for (const std::int64_t n : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(n);
  return out + ")";
}

void advise(const TensorEntry& entry, int advice) {
  // Whole pages inside the tensor for giving back, all that it touches for reading.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<std::uintptr_t>(entry.data);
  auto end = begin + entry.bytes;
  if (advice == MADV_DONTNEED) {
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
  } else {
    begin = begin / page * page;
  }
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

/// A file open for reading at any place, a piece at a time.
class ReadFile {
 public:
  explicit ReadFile(const fs::path& file) : name_(file.string()) {
    file_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (file_ < 0 || ::fstat(file_, &info) != 0) {
      const int code = errno;
      if (file_ >= 0) ::close(file_);
      throw std::system_error(code, std::generic_category(), name_);
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~ReadFile() { ::close(file_); }
  ReadFile(const ReadFile&) = delete;
  ReadFile& operator=(const ReadFile&) = delete;

  std::uint64_t size() const { return size_; }

  /// Fills `piece` with the bytes from `at` on, all of which the file has.
  void at(std::uint64_t at, std::string& piece) const {
    const int error = read_at(file_, piece.data(), piece.size(), at);
    if (error == kFileEnded) throw ModelError(name_ + " became shorter while it was read");
    if (error != 0) throw std::system_error(error, std::generic_category(), name_);
  }

 private:
  std::string name_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace

Weights::Weights(const fs::path& file) : origin_(file.string()) {
  if (file.extension() == ".json") {
    const auto names = files_of_index(file);
    shards_.reserve(names.size());
    for (const std::string& name : names) {
      const fs::path shard = file.parent_path() / name;
      // A link is followed: a hub's cache is made of them.
      if (std::error_code ignored; !fs::is_regular_file(shard, ignored)) {
        throw ModelError(origin_ + " names '" + name +
                         "', which is not beside it; fetch the model again");
      }
      add(shard);
    }
  } else {
    shards_.reserve(1);
    add(file);
  }
}

void Weights::add(const fs::path& file) {
  paths_.push_back(file);
  const SafeTensors& shard = shards_.emplace_back(file);
  for (const auto& [name, entry] : shard.entries()) {
    if (!entries_.emplace(name, &entry).second) {
      throw ModelError(origin_ + ": tensor '" + name + "' is in two files, " + file.string() +
                       " the second");
    }
  }
}

const TensorEntry* Weights::find(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second;
}

std::vector<std::int64_t> Weights::shape(std::string_view name) const {
  const TensorEntry* entry = find(name);
  return entry == nullptr ? std::vector<std::int64_t>{} : entry->shape;
}

at::Tensor Weights::get(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr) {
    throw ModelError(origin_ + " has no tensor '" + name +
                     "', which the model's architecture needs");
  }
  if (entry->shape != shape) {
    throw ModelError(origin_ + ": tensor '" + name + "' has the shape " + text(entry->shape) +
                     ", config.json beside it asks for " + text(shape) +
                     "; the two belong to different models, or one is damaged");
  }
  at::ScalarType type = at::kFloat;
  switch (entry->type) {
    case TensorType::float32:
      break;
    case TensorType::float16:
      type = at::kHalf;
      break;
    case TensorType::bfloat16:
      type = at::kBFloat16;
      break;
    default:
      throw ModelError(origin_ + ": tensor '" + name +
                       "' holds numbers of a type that is not read (float32, float16 and bfloat16 "
                       "are); fetch or save the model in one of them");
  }
  // A header of odd length leaves the numbers unaligned, which only a copy mends.
  if (reinterpret_cast<std::uintptr_t>(entry->data) % at::elementSize(type) != 0) {
    at::Tensor copy = at::empty(shape, type);
    std::memcpy(copy.data_ptr(), entry->data, entry->bytes);
    return copy;
  }
  return at::from_blob(const_cast<char*>(entry->data), shape, type);
}

void Weights::will_need(const std::string& name) const {
  if (const TensorEntry* entry = find(name)) advise(*entry, MADV_WILLNEED);
}

void Weights::done_with(const std::string& name) const {
  if (const TensorEntry* entry = find(name)) advise(*entry, MADV_DONTNEED);
}

std::uint64_t Weights::bytes() const {
  std::uint64_t total = 0;
  for (const SafeTensors& shard : shards_) total += shard.bytes().size();
  return total;
}

std::string weights_hash(const std::vector<fs::path>& files) {
  constexpr std::uint64_t kWhole = std::uint64_t{1} << 30;
  constexpr std::uint64_t kStep = std::uint64_t{1} << 20;
  constexpr std::size_t kPage = 4096;
  std::string hashes;
  for (const fs::path& file : files) {
    // Read in pieces: pages of a mapping would count as the process' memory, all
    // of the file beside the weights made of it.
    const ReadFile read(file);
    if (read.size() <= kWhole) {
      Hasher hasher;
      std::string piece(kStep, '\0');
      for (std::uint64_t at = 0; at < read.size(); at += piece.size()) {
        piece.resize(static_cast<std::size_t>(std::min(kStep, read.size() - at)));
        read.at(at, piece);
        hasher.update(piece);
      }
      hashes += hex(hasher.finish());
      continue;
    }
    std::string sample = std::to_string(read.size());
    std::string page;
    for (std::uint64_t at = 0; at < read.size(); at += kStep) {
      page.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPage, read.size() - at)));
      read.at(at, page);
      sample += page;
    }
    hashes += content_hash(sample);
  }
  return files.size() == 1 ? hashes : content_hash(hashes);
}

}  // namespace knowmap
