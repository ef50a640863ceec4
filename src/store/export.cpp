#include "store/export.hpp"

#include <algorithm>
#include <vector>

#include "store/hdf5.hpp"
#include "store/output_file.hpp"
#include "store/stage_file.hpp"

namespace knowmap::store {
namespace {

// Numbers that wait to be written into their place.
struct Pending {
  std::uint64_t offset;
  std::string_view bytes;
};

struct Layout {
  std::uint64_t rows_at = 0;
  std::uint64_t hashes_at = 0;
  std::vector<Pending> pending;
};

template <class T>
hid_t type_of() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
}

class StructureWriter {
 public:
  explicit StructureWriter(const std::filesystem::path& path) {
    const hdf5::Handle access = hdf5::file_access();
#if H5_VERSION_GE(1, 10, 7)
    hdf5::check(H5Pset_file_locking(access, false, true), "turn file locking off");
#endif
    const hdf5::Handle creation = hdf5::file_creation(0);
    file_ = hdf5::Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose,
                         "make " + path.string());
  }

  Layout write(const Export& content) {
    Layout layout;
    if (content.rows > 0) write_rows(content, layout);
    for (const auto& [stage, held] : content.stages) {
      const std::string group = "stages/" + stage;
      const hdf5::Handle made = make_group(group);
      hdf5::set_attribute(made, "fingerprint", to_json(held.first).dump());
      for (const auto& [name, array] : held.second) {
        write_array(group + "/" + name, array, layout);
      }
    }
    file_.close("close the exported file");
    return layout;
  }

 private:
  void write_rows(const Export& content, Layout& layout) {
    const std::uint64_t shape[] = {content.rows, content.dimension};
    const auto rows = hdf5::make_dataset(file_, "embeddings", H5T_IEEE_F32LE, shape);
    const auto hashes = hdf5::make_dataset(file_, "text_hashes", H5T_STD_U64LE, {shape, 1});
    layout.rows_at = hdf5::place_of(rows);
    layout.hashes_at = hdf5::place_of(hashes);
    hdf5::set_attribute(file_, "fingerprint", to_json(content.fingerprint).dump());
    hdf5::set_attribute(rows, "fingerprint", to_json(content.fingerprint).dump());
    if (!content.ids.empty()) write_texts("ids", content.ids, {content.rows});
  }

  hdf5::Handle make_group(const std::string& name) {
    const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "make a property list");
    hdf5::check(H5Pset_create_intermediate_group(links, 1), "have groups made");
    return {H5Gcreate2(file_, name.c_str(), links, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
            "make the group " + name};
  }

  void write_array(const std::string& name, const StageArray& array, Layout& layout) {
    std::visit([&](const auto& values) { write_values(name, values, array.shape, layout); },
               array.values);
  }

  template <class T>
  void write_values(const std::string& name, const std::vector<T>& values,
                    const std::vector<std::uint64_t>& shape, Layout& layout) {
    const auto dataset = hdf5::make_dataset(file_, name, type_of<T>(), shape);
    if (values.empty()) return;
    layout.pending.push_back(
        {hdf5::place_of(dataset),
         {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}});
  }

  void write_values(const std::string& name, const std::vector<std::string>& texts,
                    const std::vector<std::uint64_t>& shape, Layout&) {
    write_texts(name, texts, shape);
  }

  void write_texts(const std::string& name, std::span<const std::string> texts,
                   const std::vector<std::uint64_t>& shape) {
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
        H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT),
        H5Dclose, "make the dataset " + name);
    std::vector<const char*> pointers;
    for (const auto& text : texts) pointers.push_back(text.c_str());
    if (texts.empty()) return;
    hdf5::check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()),
                "write the texts " + name);
  }

  hdf5::Handle file_;
};

std::uint64_t bytes_needed(const Export& content) {
  std::uint64_t bytes = content.rows * (content.dimension * sizeof(float) + sizeof(std::uint64_t));
  for (const auto& [stage, held] : content.stages) {
    for (const auto& [name, array] : held.second) {
      bytes += std::visit(
          [](const auto& values) {
            std::uint64_t sum = values.size() * sizeof(values[0]);
            if constexpr (std::is_same_v<std::decay_t<decltype(values[0])>, std::string>) {
              for (const auto& text : values) sum += text.size() + 16;
            }
            return sum;
          },
          array.values);
    }
  }
  for (const auto& id : content.ids) bytes += id.size() + sizeof(std::uint64_t) * 4;
  return bytes + (64u << 10);
}

void write_numbers(OutputFile& out, const Export& content, const Layout& layout) {
  const std::uint64_t row_bytes = content.dimension * sizeof(float);
  const std::uint64_t at_once = std::max<std::uint64_t>(1, kExportBytesAtOnce / (row_bytes + 1));
  std::vector<float> rows(std::min(at_once, content.rows) * content.dimension);
  std::vector<std::uint64_t> hashes(std::min(at_once, content.rows));
  for (std::uint64_t begin = 0; begin < content.rows; begin += at_once) {
    const std::uint64_t count = std::min(at_once, content.rows - begin);
    content.read({begin, begin + count}, rows.data(), hashes.data());
    out.put(rows.data(), count * row_bytes, layout.rows_at + begin * row_bytes);
    out.put(hashes.data(), count * sizeof(std::uint64_t),
            layout.hashes_at + begin * sizeof(std::uint64_t));
  }
  for (const auto& part : layout.pending)
    out.put(part.bytes.data(), part.bytes.size(), part.offset);
}

}  // namespace

void export_file(const Export& content, const std::filesystem::path& file) {
  OutputFile out(file, bytes_needed(content));
  Layout layout;
  try {
    const hdf5::Session session;
    layout = StructureWriter(out.path()).write(content);
  } catch (const CheckpointError& error) {  // HDF5's own words, without a way out
    throw CheckpointError(std::string(error.what()) +
                          "; nothing was exported, and the store is as it was: free space or "
                          "choose another place, and export again");
  }
  write_numbers(out, content, layout);
  out.commit();
}

}  // namespace knowmap::store
