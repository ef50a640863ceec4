#include "store/export.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "store/hdf5_image.hpp"
#include "store/output_file.hpp"
#include "store/stage_file.hpp"

namespace knowmap::store {
namespace {

constexpr std::size_t kTextsAtOnce = std::size_t{1} << 14;

// Where the numbers of a dataset lie in the file.
struct Place {
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;
};

struct Layout {
  Place rows, hashes;
  std::map<std::string, std::map<std::string, Place>> arrays;  // by stage and name
};

template <class T>
hid_t type_of() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
}

// The file but for its numbers; `layout` says where those belong.
class Structure {
 public:
  // A `hdf5::Session` must live.
  explicit Structure(const Export& content) : image_(0) {
    if (content.rows > 0) add_rows(content);
    for (const auto& [stage, shard] : content.stages) add_stage(stage, *shard);
    image_.finish();
  }

  const Layout& layout() const { return layout_; }
  std::uint64_t file_bytes() const { return image_.size(); }
  // What lies around the numbers.
  void write(OutputFile& out) const;

 private:
  void add_rows(const Export& content) {
    const std::uint64_t shape[] = {content.rows, content.dimension};
    const std::string fingerprint = to_json(content.fingerprint).dump();
    const auto rows = add_numbers("embeddings", H5T_IEEE_F32LE, shape,
                                  content.rows * content.dimension * sizeof(float), layout_.rows);
    hdf5::set_attribute(rows, "fingerprint", fingerprint);
    hdf5::set_attribute(image_.file(), "fingerprint", fingerprint);
    add_numbers("text_hashes", H5T_STD_U64LE, {shape, 1}, content.rows * sizeof(std::uint64_t),
                layout_.hashes);
    if (!content.ids.empty()) add_texts("ids", content.ids, {shape, 1});
  }

  void add_stage(const std::string& stage, Shard& shard) {
    const std::string path = "stages/" + stage;
    const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "make a property list");
    hdf5::check(H5Pset_create_intermediate_group(links, 1), "have groups made");
    const hdf5::Handle group(
        H5Gcreate2(image_.file(), path.c_str(), links, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
        "make the group " + path);
    hdf5::set_attribute(group, "fingerprint", to_json(fingerprint_of(shard)).dump());
    auto& places = layout_.arrays[stage];
    for (const auto& [name, array] : read_stage(shard)) {
      std::visit(
          [&, &name = name, &shape = array.shape](const auto& values) {
            add_values(path + "/" + name, values, shape, places[name]);
          },
          array.values);
    }
  }

  template <class T>
  void add_values(const std::string& name, const std::vector<T>& values,
                  std::span<const std::uint64_t> shape, Place& place) {
    add_numbers(name, type_of<T>(), shape, values.size() * sizeof(T), place);
  }
  void add_values(const std::string& name, const std::vector<std::string>& texts,
                  std::span<const std::uint64_t> shape, Place&) {
    add_texts(name, texts, shape);
  }

  hdf5::Handle add_numbers(const std::string& name, hid_t type,
                           std::span<const std::uint64_t> shape, std::uint64_t bytes,
                           Place& place) {
    hdf5::Handle dataset = hdf5::make_dataset(image_.file(), name, type, shape);
    if (bytes == 0) return dataset;
    place = {hdf5::place_of(dataset), bytes};
    places_.push_back(place);
    return dataset;
  }

  void add_texts(const std::string& name, std::span<const std::string> texts,
                 std::span<const std::uint64_t> shape);

  hdf5::Image image_;
  Layout layout_;
  std::vector<Place> places_;
};

void Structure::add_texts(const std::string& name, std::span<const std::string> texts,
                          std::span<const std::uint64_t> shape) {
  const hdf5::Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "make a text type");
  hdf5::check(H5Tset_size(type, H5T_VARIABLE), "size a text type");
  hdf5::check(H5Tset_cset(type, H5T_CSET_UTF8), "make a text type UTF-8");
  const std::vector<hsize_t> extent(shape.begin(), shape.end());
  const hdf5::Handle space(
      H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
      "make the space of " + name);
  const hdf5::Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make a property list");
  hdf5::check(H5Pset_obj_track_times(properties, false), "turn times off");  // the same bytes
  const hdf5::Handle dataset(
      H5Dcreate2(image_.file(), name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT),
      H5Dclose, "make the dataset " + name);
  // A part at a time, by rows: what HDF5 converts it holds twice.
  const std::uint64_t rows = extent.front();
  const std::uint64_t columns = rows == 0 ? 0 : texts.size() / rows;
  if (columns == 0) return;
  const std::uint64_t at_once = std::max<std::uint64_t>(1, kTextsAtOnce / columns);
  std::vector<hsize_t> start(extent.size(), 0), count = extent;
  std::vector<const char*> pointers;
  for (start[0] = 0; start[0] < rows; start[0] += count[0]) {
    count[0] = std::min<std::uint64_t>(at_once, rows - start[0]);
    pointers.clear();
    for (const auto& text : texts.subspan(start[0] * columns, count[0] * columns)) {
      if (text.find('\0') != text.npos) {
        throw CheckpointError("the text \"" + std::string(text.c_str()) + "\" of " + name +
                              " goes on behind a NUL, where a text of HDF5's ends: export to "
                              ".parquet or .npy; nothing was written");
      }
      pointers.push_back(text.c_str());
    }
    const hdf5::Handle part(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr),
                            H5Sclose, "make the space of a part of " + name);
    hdf5::check(
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
        "choose a part of " + name);
    hdf5::check(H5Dwrite(dataset, type, part, space, H5P_DEFAULT, pointers.data()),
                "lay out the texts " + name);
  }
}

void Structure::write(OutputFile& out) const {
  std::vector<Place> places = places_;
  std::ranges::sort(places, {}, &Place::at);
  places.push_back({file_bytes(), 0});
  std::vector<char> part;
  std::uint64_t at = 0;
  for (const Place& next : places) {
    while (at < next.at) {
      part.resize(std::min(kExportBytesAtOnce, next.at - at));
      image_.read(at, part);
      out.put(part.data(), part.size(), at);
      at += part.size();
    }
    at += next.bytes;
  }
}

void write_rows(OutputFile& out, const Export& content, const Layout& layout) {
  const std::uint64_t row_bytes = content.dimension * sizeof(float);
  const std::uint64_t at_once = std::max<std::uint64_t>(1, kExportBytesAtOnce / (row_bytes + 1));
  std::vector<float> rows(std::min(at_once, content.rows) * content.dimension);
  std::vector<std::uint64_t> hashes(std::min(at_once, content.rows));
  for (std::uint64_t begin = 0; begin < content.rows; begin += at_once) {
    const std::uint64_t count = std::min(at_once, content.rows - begin);
    content.read({begin, begin + count}, rows.data(), hashes.data());
    out.put(rows.data(), count * row_bytes, layout.rows.at + begin * row_bytes);
    out.put(hashes.data(), count * sizeof(std::uint64_t),
            layout.hashes.at + begin * sizeof(std::uint64_t));
  }
}

void write_stage(OutputFile& out, Shard& shard, const std::map<std::string, Place>& places) {
  for (const auto& [name, array] : read_stage(shard)) {
    const Place place = places.at(name);
    std::visit([&](const auto& values) { out.put(values.data(), place.bytes, place.at); },
               array.values);  // texts have no bytes here: they are in the structure
  }
}

}  // namespace

void export_file(const Export& content, const std::filesystem::path& file) {
  const Structure structure = [&] {
    const hdf5::Session session;
    return Structure(content);
  }();
  OutputFile out(file, structure.file_bytes());
  structure.write(out);
  write_rows(out, content, structure.layout());
  for (const auto& [stage, shard] : content.stages) {
    write_stage(out, *shard, structure.layout().arrays.at(stage));
  }
  out.commit();
}

}  // namespace knowmap::store
