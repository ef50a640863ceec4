#include <fcntl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>

#include "store/shard.hpp"
#include "store/shard_layout.hpp"
#include "support/json.hpp"

namespace knowmap::store {
namespace {

constexpr std::size_t kReadAtOnce = std::size_t{1} << 20;

constexpr std::array<std::pair<Element, std::string_view>, 8> kNames = {{
    {Element::float32, "float32"},
    {Element::float64, "float64"},
    {Element::int32, "int32"},
    {Element::int64, "int64"},
    {Element::uint64, "uint64"},
    {Element::uint8, "uint8"},
    {Element::float16, "float16"},
    {Element::int8, "int8"},
}};

// Throws a json exception where it isn't just that.
std::uint64_t unsigned_number(const nlohmann::json& value) {
  return value.get_ref<const nlohmann::json::number_unsigned_t&>();
}

Element parse_element(const nlohmann::json& value) {
  const auto& text = value.get_ref<const std::string&>();
  for (const auto& [element, name] : kNames) {
    if (name == text) return element;
  }
  throw CheckpointError("the type \"" + text.substr(0, 40) + "\" is not known");
}

Shard::Array parse_array(const nlohmann::json& value) {
  Shard::Array array;
  array.element = parse_element(value.at("type"));
  array.offset = unsigned_number(value.at("offset"));
  array.bytes = element_size(array.element);
  const auto& shape = value.at("shape").get_ref<const nlohmann::json::array_t&>();
  if (shape.empty() || shape.size() > 2) {
    throw CheckpointError("an array has " + std::to_string(shape.size()) +
                          " dimensions, not 1 or 2");
  }
  for (const auto& extent : shape) {
    array.shape.push_back(unsigned_number(extent));
    if (__builtin_mul_overflow(array.bytes, array.shape.back(), &array.bytes)) {
      throw CheckpointError("an array's size overflows");
    }
  }
  return array;
}

// Copies what of `chunk`, which lies at `offset` in the file, belongs to a part.
void copy_overlap(std::string_view chunk, std::uint64_t offset, const Shard::Part& part) {
  const std::uint64_t begin = std::max(offset, part.offset);
  const std::uint64_t end = std::min(offset + chunk.size(), part.offset + part.bytes);
  if (begin >= end) return;
  std::memcpy(static_cast<char*>(part.out) + (begin - part.offset), chunk.data() + (begin - offset),
              end - begin);
}

}  // namespace

std::size_t element_size(Element element) {
  switch (element) {
    case Element::float32:
    case Element::int32:
      return 4;
    case Element::float16:
      return 2;
    case Element::uint8:
    case Element::int8:
      return 1;
    default:
      return 8;
  }
}

std::string_view element_name(Element element) {
  return std::find_if(kNames.begin(), kNames.end(),
                      [&](const auto& entry) { return entry.first == element; })
      ->second;
}

void Shard::throw_damaged(const std::string& what) const {
  throw CheckpointError(path().string() + " is damaged: " + what +
                        "; repair the store, or delete this file, and run again: what it "
                        "held is computed anew");
}

Shard::Identity Shard::identify(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw_os_error("look at", path, errno);
#ifdef __APPLE__
  const timespec modified = info.st_mtimespec;
#else
  const timespec modified = info.st_mtim;
#endif
  return {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino),
          static_cast<std::uint64_t>(info.st_size), modified.tv_sec, modified.tv_nsec};
}

Shard::Shard(const Directory& folder, const std::string& name, File file)
    : folder_(&folder), name_(name), kept_(folder.open_file(name)) {
  parse_header(kept_.get(), identify(kept_.get(), path()).size);
  if (file == File::reopen) kept_.close();
}

void Shard::parse_header(int fd, std::uint64_t file_bytes) {
  if (file_bytes < kLeastBlockBytes) throw_damaged("it is cut short");
  Header header;
  read_exactly(fd, &header, sizeof header, 0, path());
  if (header.magic != kMagic) throw_damaged("it does not begin as a shard of knowmap does");
  if (header.file_bytes != file_bytes) {
    throw_damaged("it holds " + std::to_string(file_bytes) + " bytes where it should hold " +
                  std::to_string(header.file_bytes));
  }
  if (!std::has_single_bit(header.block_bytes) || header.block_bytes < kLeastBlockBytes ||
      header.block_bytes > std::min(file_bytes, kMostBlockBytes) ||
      header.contents_bytes > header.block_bytes - kHeaderBytes) {
    throw_damaged("the sizes in its header are impossible");
  }
  std::string block(header.block_bytes, '\0');
  read_exactly(fd, block.data(), block.size(), 0, path());
  if (hash_block(block) != header.block_hash) throw_damaged("its header's checksum is wrong");
  if (header.format != kFormatVersion) {
    throw NewerShardError(path().string() + " is of format version " +
                          std::to_string(header.format) + ", this knowmap knows version " +
                          std::to_string(kFormatVersion) + ": use the knowmap that made it");
  }
  block_bytes_ = header.block_bytes;
  file_bytes_ = file_bytes;
  body_hash_ = header.body_hash;
  header_ = block.substr(0, kHeaderBytes);
  try {
    auto contents = parse_json<CheckpointError>(
        std::string_view(block).substr(kHeaderBytes, header.contents_bytes), "its description", 16);
    parse_arrays(contents.at("arrays"));
    about_ = std::move(contents.at("about"));
    if (!about_.is_object()) throw CheckpointError("its description is not an object");
  } catch (const nlohmann::json::exception& error) {
    throw_damaged(std::string("its description is malformed: ") + error.what());
  } catch (const CheckpointError& error) {
    throw_damaged(error.what());
  }
}

void Shard::parse_arrays(const nlohmann::json& arrays) {
  for (const auto& [name, value] : arrays.get_ref<const nlohmann::json::object_t&>()) {
    const Array array = parse_array(value);
    const bool inside = array.offset >= block_bytes_ && array.offset <= file_bytes_ &&
                        array.bytes <= file_bytes_ - array.offset;
    if (array.bytes != 0 && !inside) {
      throw CheckpointError("the array " + name + " reaches beyond the file");
    }
    arrays_.emplace(name, array);
  }
}

const Shard::Array& Shard::array(const std::string& name, Element element,
                                 std::span<const std::uint64_t> shape) const {
  const auto found = arrays_.find(name);
  if (found == arrays_.end()) throw_damaged("it has no array " + name);
  const Array& array = found->second;
  if (array.element != element || !std::ranges::equal(array.shape, shape)) {
    throw_damaged("the array " + name + " has another type or shape than it should");
  }
  return array;
}

std::uint64_t Shard::number(const std::string& key) const {
  const auto found = about_.find(key);
  if (found == about_.end() || !found->is_number_unsigned()) throw_damaged("it has no " + key);
  return found->get<std::uint64_t>();
}

const std::string& Shard::text(const std::string& key) const {
  const auto found = about_.find(key);
  if (found == about_.end() || !found->is_string()) throw_damaged("it has no " + key);
  return found->get_ref<const std::string&>();
}

void Shard::read(std::span<const Part> parts) {
  if (kept_) return read_from(kept_.get(), parts);
  const FileDescriptor file = folder_->open_file(name_);
  read_from(file.get(), parts);
}

void Shard::read_from(int fd, std::span<const Part> parts) {
  const Identity identity = identify(fd, path());
  if (verified_ == identity) {
    for (const Part& part : parts) read_exactly(fd, part.out, part.bytes, part.offset, path());
    return;
  }
  verified_.reset();
  if (identity.size != file_bytes_) {
    throw ReplacedError(path().string() + " has changed its size since it was opened");
  }
  read_checking(fd, parts);
  verified_ = identity;
}

void Shard::check_before_allocating() {
  if (verified_) return;
  const FileDescriptor opened = kept_ ? FileDescriptor() : folder_->open_file(name_);
  struct stat info {};
  if (::fstat(kept_ ? kept_.get() : opened.get(), &info) != 0) {
    throw_os_error("look at", path(), errno);
  }
  constexpr std::uint64_t kBlock = 512;  // what stat counts in
  if (static_cast<std::uint64_t>(info.st_blocks) * kBlock < file_bytes_ / 2) read({});
}

void Shard::verify() {
  verified_.reset();
  read({});
}

void Shard::read_checking(int fd, std::span<const Part> parts) {
  std::array<char, kHeaderBytes> header{};
  read_exactly(fd, header.data(), header.size(), 0, path());
  if (std::string_view(header.data(), header.size()) != header_) {
    throw ReplacedError(path().string() + " is not the file that was opened");
  }
#ifdef POSIX_FADV_SEQUENTIAL
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint to read ahead further
#endif
  const auto buffer = std::make_unique_for_overwrite<char[]>(kReadAtOnce);
  Hasher hasher;
  for (std::uint64_t at = block_bytes_; at < file_bytes_;) {
    const std::size_t bytes = std::min<std::uint64_t>(kReadAtOnce, file_bytes_ - at);
    read_exactly(fd, buffer.get(), bytes, at, path());
    const std::string_view chunk(buffer.get(), bytes);
    hasher.update(chunk);
    for (const Part& part : parts) copy_overlap(chunk, at, part);
    at += bytes;
  }
  if (hasher.finish() != body_hash_) throw_damaged("its checksum is wrong");
}

}  // namespace knowmap::store
