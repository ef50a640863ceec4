#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <list>
#include <numeric>

#include "store/hdf5_image.hpp"
#include "store/hdf5_type.hpp"
#include "store/shard.hpp"
#include "store/shard_layout.hpp"

namespace knowmap::store {
namespace {

// Numbers are given to HDF5, and read back, as they lie in memory.
static_assert(std::endian::native == std::endian::little);

// What is hashed while it is in the cache, and what the disk is given to begin with.
constexpr std::size_t kWrittenAtOnce = std::size_t{1} << 20;
constexpr std::size_t kWrittenBack = std::size_t{4} << 20;

// Half precision, which HDF5 has no name for before 1.14.4.
hdf5::Handle half_type() {
  hdf5::Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "make the type float16");
  hdf5::check(H5Tset_fields(type, 15, 10, 5, 0, 10), "place the fields of float16");
  hdf5::check(H5Tset_size(type, 2), "size float16");
  hdf5::check(H5Tset_ebias(type, 15), "set the bias of float16");
  return type;
}

hid_t named_type(Element element) {
  switch (element) {
    case Element::float32:
      return H5T_IEEE_F32LE;
    case Element::float64:
      return H5T_IEEE_F64LE;
    case Element::int32:
      return H5T_STD_I32LE;
    case Element::int64:
      return H5T_STD_I64LE;
    case Element::uint64:
      return H5T_STD_U64LE;
    case Element::uint8:
      return H5T_STD_U8LE;
    case Element::int8:
      return H5T_STD_I8LE;
    case Element::float16:
      break;
  }
  return H5I_INVALID_HID;
}

std::size_t bytes_of(const ArrayToWrite& array) {
  return std::accumulate(array.shape.begin(), array.shape.end(), element_size(array.element),
                         std::multiplies<>());
}

std::string contents_json(const nlohmann::json& about, std::span<const ArrayToWrite> arrays,
                          std::span<const std::uint64_t> offsets) {
  nlohmann::json places = nlohmann::json::object();
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    places[arrays[i].name] = {{"type", element_name(arrays[i].element)},
                              {"shape", arrays[i].shape},
                              {"offset", offsets[i]}};
  }
  try {
    return nlohmann::json{{"about", about}, {"arrays", places}}.dump();
  } catch (const nlohmann::json::type_error&) {
    throw std::invalid_argument("a fingerprint holds a text that is not valid UTF-8");
  }
}

// HDF5 wants a power of two. Sized for the largest places there could be, since
// the real ones are known only when the block's size is.
std::uint64_t block_size(const nlohmann::json& about, std::span<const ArrayToWrite> arrays) {
  const std::vector<std::uint64_t> largest(arrays.size(),
                                           std::numeric_limits<std::uint64_t>::max());
  const auto needed = kHeaderBytes + contents_json(about, arrays, largest).size();
  if (needed > kMostBlockBytes) {
    throw std::invalid_argument("the description of a shard (its fingerprint) takes " +
                                std::to_string(needed) + " bytes, more than the " +
                                std::to_string(kMostBlockBytes) + " that it may");
  }
  return std::bit_ceil(std::max<std::uint64_t>(needed, kLeastBlockBytes));
}

// The file behind the user block: what HDF5 writes there, with the callers'
// numbers, which never pass through HDF5, between.
struct Body {
  std::vector<std::uint64_t> offsets;  // of the arrays in the file; 0 where empty
  std::list<std::string> structure;
  std::vector<std::string_view> pieces;
  std::size_t size = 0;
};

void set_attributes(hid_t file, const nlohmann::json& about) {
  hdf5::set_attribute(file, "format", std::uint64_t{kFormatVersion});
  for (const auto& [name, value] : about.items()) {
    if (value.is_number_unsigned()) {
      hdf5::set_attribute(file, name, value.get<std::uint64_t>());
    } else {
      hdf5::set_attribute(file, name, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

std::uint64_t reserve(hid_t file, const ArrayToWrite& array) {
  const hdf5::Handle type = hdf5_type(array.element);
  const hdf5::Handle dataset = hdf5::make_dataset(file, array.name, type, array.shape);
  return bytes_of(array) == 0 ? 0 : hdf5::place_of(dataset);
}

// Puts the arrays into their places between what HDF5 wrote.
void assemble(const hdf5::Image& image, std::uint64_t block_bytes,
              std::span<const ArrayToWrite> arrays, Body& body) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (body.offsets[i] != 0) order.push_back(i);
  }
  std::ranges::sort(order, {}, [&](std::size_t i) { return body.offsets[i]; });
  std::uint64_t at = block_bytes;
  const auto add_structure = [&](std::uint64_t end) {
    if (end == at) return;
    image.read(at, body.structure.emplace_back(end - at, '\0'));
    body.pieces.emplace_back(body.structure.back());
    at = end;
  };
  for (const std::size_t i : order) {
    const std::uint64_t bytes = bytes_of(arrays[i]);
    if (body.offsets[i] < at || bytes > image.size() - body.offsets[i]) {
      throw CheckpointError("HDF5 has no room for the array " + arrays[i].name + " where it says");
    }
    add_structure(body.offsets[i]);
    body.pieces.emplace_back(static_cast<const char*>(arrays[i].data), bytes);
    at += bytes;
  }
  add_structure(image.size());
  body.size = image.size() - block_bytes;
}

Body make_body(const nlohmann::json& about, std::span<const ArrayToWrite> arrays,
               std::uint64_t block_bytes) {
  const hdf5::Session session;
  hdf5::Image image(block_bytes);
  Body body;
  set_attributes(image.file(), about);
  for (const auto& array : arrays) body.offsets.push_back(reserve(image.file(), array));
  image.finish();
  assemble(image, block_bytes, arrays, body);
  return body;
}

std::string make_block(const std::string& contents, std::uint64_t block_bytes, const Body& body,
                       const Hash128& body_hash) {
  std::string block(block_bytes, '\0');
  Header header;
  header.block_bytes = static_cast<std::uint32_t>(block_bytes);
  header.file_bytes = block_bytes + body.size;
  header.contents_bytes = contents.size();
  header.body_hash = body_hash;
  std::memcpy(block.data(), &header, sizeof header);
  contents.copy(block.data() + kHeaderBytes, contents.size());
  header.block_hash = hash_block(block);
  std::memcpy(block.data(), &header, sizeof header);
  return block;
}

// Writes the body from `at` on and hashes it on the way, while it is in the
// cache and the disk is at work on what went before. Gives the errno, or 0.
int write_body(int fd, std::uint64_t at, const Body& body, Hash128& hash) {
  Hasher hasher;
  std::uint64_t begun = at;
  for (std::string_view piece : body.pieces) {
    for (std::string_view part; !piece.empty(); piece.remove_prefix(part.size())) {
      part = piece.substr(0, kWrittenAtOnce);
      hasher.update(part);
      if (const int error = write_all_at(fd, part, at); error != 0) return error;
      at += part.size();
      if (at - begun < kWrittenBack) continue;
      begin_write_back(fd, begun, at - begun);
      begun = at;
    }
  }
  hash = hasher.finish();
  return 0;
}

}  // namespace

hdf5::Handle hdf5_type(Element element) {
  if (element == Element::float16) return half_type();
  return {H5Tcopy(named_type(element)), H5Tclose, "copy a type"};
}

void write_shard(const Directory& folder, const std::string& name, const nlohmann::json& about,
                 std::span<const ArrayToWrite> arrays, IfThere if_there) {
  const std::uint64_t block_bytes = block_size(about, arrays);
  const Body body = make_body(about, arrays, block_bytes);
  const std::string contents = contents_json(about, arrays, body.offsets);
  const auto fill = [&](int fd) {
    Hash128 hash;
    if (const int error = write_body(fd, block_bytes, body, hash); error != 0) return error;
    return write_all_at(fd, make_block(contents, block_bytes, body, hash), 0);
  };
  write_durably(folder, name, block_bytes + body.size, fill, if_there);
}

}  // namespace knowmap::store
