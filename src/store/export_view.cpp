#include <vector>

#include "store/export.hpp"
#include "store/hdf5_image.hpp"
#include "store/hdf5_type.hpp"
#include "store/output_file.hpp"
#include "store/row_codec.hpp"

namespace knowmap::store {
namespace {

hdf5::Handle make_space(std::span<const hsize_t> shape) {
  return {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose,
          "make a view's space"};
}

// One dataset whose rows are those of all shards. `columns` is 0 for a flat one.
void add_dataset(hid_t file, const View& view, const std::filesystem::path& shards,
                 const char* name, Element element, std::uint64_t columns) {
  const auto shape_of = [&](std::uint64_t rows) {
    std::vector<hsize_t> shape = {rows};
    if (columns != 0) shape.push_back(columns);
    return shape;
  };
  const hdf5::Handle all = make_space(shape_of(view.rows));
  const hdf5::Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make a property list");
  hdf5::check(H5Pset_obj_track_times(layout, false), "turn times off");
  for (const auto& [range, file_name] : view.shards) {
    const auto shape = shape_of(range.end - range.begin);
    std::vector<hsize_t> start(shape.size(), 0);
    start[0] = range.begin;
    hdf5::check(
        H5Sselect_hyperslab(all, H5S_SELECT_SET, start.data(), nullptr, shape.data(), nullptr),
        "choose a shard's rows");
    hdf5::check(H5Pset_virtual(layout, all, (shards / file_name).c_str(), name, make_space(shape)),
                "show a shard's rows");
  }
  hdf5::check(H5Sselect_all(all), "choose all rows");
  const hdf5::Handle dataset(
      H5Dcreate2(file, name, hdf5_type(element), all, H5P_DEFAULT, layout, H5P_DEFAULT), H5Dclose,
      std::string("make the dataset ") + name);
}

// The view's file, which is small.
std::string make_image(const View& view, const std::filesystem::path& shards) {
  const hdf5::Session session;
  hdf5::Image image(0);
  if (view.rows > 0) {
    add_dataset(image.file(), view, shards, "embeddings", element_of(view.storage), view.dimension);
    add_dataset(image.file(), view, shards, "text_hashes", Element::uint64, 0);
    if (view.storage == RowStorage::int8) {
      add_dataset(image.file(), view, shards, "scales", Element::float32, 0);
    }
  }
  image.finish();
  std::string bytes(image.size(), '\0');
  image.read(0, bytes);
  return bytes;
}

}  // namespace

void export_view(const View& view, const std::filesystem::path& file) {
  // Relative, so that the store and its view can be moved together.
  std::error_code failed;
  const auto from = std::filesystem::absolute(file).parent_path();
  auto shards = std::filesystem::relative(view.folder, from, failed);
  if (failed) throw_os_error("look at", view.folder, failed.value());
  if (shards.empty()) shards = std::filesystem::absolute(view.folder);
  const std::string image = make_image(view, shards);
  OutputFile out(file, image.size());
  out.put(image.data(), image.size(), 0);
  out.commit();
}

}  // namespace knowmap::store
