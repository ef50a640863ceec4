#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "store/hdf5.hpp"
#include "store/shard.hpp"
#include "store/shard_layout.hpp"

namespace knowmap::store {
namespace {

// Numbers are given to HDF5, and read back, as they lie in memory.
static_assert(std::endian::native == std::endian::little);

// Never looked up in any folder: nothing can be below a device.
constexpr const char* kNowhere = "/dev/null/shard";

hid_t hdf5_type(Element element) {
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

// The file's bytes behind the user block, and where each array lies in the file.
struct Body {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
  std::vector<std::uint64_t> offsets;
  std::string_view view() const { return {bytes.get(), size}; }
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

std::uint64_t write_array(hid_t file, const ArrayToWrite& array) {
  const hid_t type = hdf5_type(array.element);
  const hdf5::Handle dataset = hdf5::make_dataset(file, array.name, type, array.shape);
  if (bytes_of(array) == 0) return 0;
  hdf5::check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.data),
              "write the dataset " + array.name);
  return hdf5::place_of(dataset);
}

void take_image(hid_t file, std::uint64_t block_bytes, Body& body) {
  hdf5::check(H5Fflush(file, H5F_SCOPE_GLOBAL), "flush an image");
  const ssize_t size = hdf5::check(H5Fget_file_image(file, nullptr, 0), "size an image");
  body.size = static_cast<std::size_t>(size);
  body.bytes = std::make_unique_for_overwrite<char[]>(body.size);
  hdf5::check(H5Fget_file_image(file, body.bytes.get(), body.size), "take an image");
  // The image begins behind the user block; a version of HDF5 that put the block
  // into it must not go unseen.
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  if (!body.view().starts_with(kSignature)) {
    throw CheckpointError("HDF5 made an image that doesn't begin behind its user block of " +
                          std::to_string(block_bytes) + " bytes");
  }
}

// What was handed over must lie where HDF5 says it does.
void check_places(const Body& body, std::uint64_t block_bytes,
                  std::span<const ArrayToWrite> arrays) {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::uint64_t bytes = bytes_of(arrays[i]);
    if (bytes == 0) continue;
    const std::uint64_t at = body.offsets[i] - block_bytes;
    if (body.offsets[i] < block_bytes || at > body.size || bytes > body.size - at ||
        std::memcmp(body.bytes.get() + at, arrays[i].data, bytes) != 0) {
      throw CheckpointError("HDF5 did not place the array " + arrays[i].name + " where it says");
    }
  }
}

Body make_body(const nlohmann::json& about, std::span<const ArrayToWrite> arrays,
               std::uint64_t block_bytes) {
  std::size_t expected = std::size_t{64} << 10;  // for what isn't numbers
  for (const auto& array : arrays) expected += bytes_of(array);
  const hdf5::Session session;
  const hdf5::Handle access = hdf5::file_access();
  hdf5::check(H5Pset_fapl_core(access, expected, /*backing_store=*/false), "work in memory");
  const hdf5::Handle creation = hdf5::file_creation(block_bytes);
  const hdf5::Handle file(H5Fcreate(kNowhere, H5F_ACC_TRUNC, creation, access), H5Fclose,
                          "make a file in memory");
  Body body;
  set_attributes(file, about);
  for (const auto& array : arrays) body.offsets.push_back(write_array(file, array));
  take_image(file, block_bytes, body);
  check_places(body, block_bytes, arrays);
  return body;
}

std::string make_block(const std::string& contents, std::uint64_t block_bytes, const Body& body) {
  std::string block(block_bytes, '\0');
  Header header;
  header.block_bytes = static_cast<std::uint32_t>(block_bytes);
  header.file_bytes = block_bytes + body.size;
  header.contents_bytes = contents.size();
  header.body_hash = hash_bytes(body.view());
  std::memcpy(block.data(), &header, sizeof header);
  contents.copy(block.data() + kHeaderBytes, contents.size());
  header.block_hash = hash_block(block);
  std::memcpy(block.data(), &header, sizeof header);
  return block;
}

}  // namespace

void write_shard(const Directory& folder, const std::string& name, const nlohmann::json& about,
                 std::span<const ArrayToWrite> arrays, IfThere if_there) {
  const std::uint64_t block_bytes = block_size(about, arrays);
  const Body body = make_body(about, arrays, block_bytes);
  const std::string block =
      make_block(contents_json(about, arrays, body.offsets), block_bytes, body);
  const std::array<std::string_view, 2> pieces = {block, body.view()};
  write_durably(folder, name, pieces, if_there);
}

}  // namespace knowmap::store
