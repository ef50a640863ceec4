#include "store/hdf5.hpp"

#include <vector>

#include "knowmap/fingerprint.hpp"

namespace knowmap::store::hdf5 {
namespace {

std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

void initialise_once() {
  static const bool done = [] {
    H5dont_atexit();
    const bool opened = H5open() >= 0;
    H5PLset_loading_state(0);
    return opened;
  }();
  if (!done) throw CheckpointError("the HDF5 library can't be started");
}

// The attribute's size is limited to 64 KiB in files that old readers know.
constexpr std::size_t kLongestAttribute = 60000;

// Called from the innermost reason outwards: the first is the one that tells.
herr_t keep_first(unsigned, const H5E_error2_t* entry, void* reason) {
  auto& kept = *static_cast<std::string*>(reason);
  if (kept.empty() && entry->desc != nullptr) kept = entry->desc;
  return 0;
}

void write_attribute(hid_t object, const std::string& name, hid_t type, const void* value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "make an attribute's space");
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose, "make the attribute " + name);
  check(H5Awrite(attribute, type, value), "write the attribute " + name);
}

}  // namespace

Session::Session() : lock_(library_mutex()) {
  initialise_once();
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Session::~Session() {
  H5Eclear2(H5E_DEFAULT);
  H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

void throw_error(std::string_view action) {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  throw CheckpointError("HDF5 cannot " + std::string(action) +
                        (reason.empty() ? "" : ": " + reason) +
                        "; nothing was written: free memory and run again");
}

Handle file_creation(std::uint64_t user_block) {
  Handle list(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "make a property list");
  check(H5Pset_userblock(list, user_block), "set the user block");
  // No times in the file: the same content is the same bytes.
  check(H5Pset_obj_track_times(list, false), "turn times off");
  return list;
}

Handle file_access() {
  Handle list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "make a property list");
  check(H5Pset_fclose_degree(list, H5F_CLOSE_STRONG), "set how files are closed");
  return list;
}

Handle make_dataset(hid_t file, const std::string& name, hid_t type,
                    std::span<const std::uint64_t> shape) {
  const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make a property list");
  check(H5Pset_layout(layout, H5D_CONTIGUOUS), "set the layout");
  check(H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY), "set the allocation");
  check(H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER), "turn filling off");
  check(H5Pset_obj_track_times(layout, false), "turn times off");
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "make a property list");
  check(H5Pset_create_intermediate_group(links, 1), "have groups made");
  const std::vector<hsize_t> extent(shape.begin(), shape.end());
  const Handle space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                     H5Sclose, "make the space of " + name);
  return Handle(H5Dcreate2(file, name.c_str(), type, space, links, layout, H5P_DEFAULT), H5Dclose,
                "make the dataset " + name);
}

std::uint64_t place_of(hid_t dataset) {
  const haddr_t place = H5Dget_offset(dataset);
  return place == HADDR_UNDEF ? 0 : place;
}

void set_attribute(hid_t object, const std::string& name, std::uint64_t value) {
  write_attribute(object, name, H5T_STD_U64LE, &value);
}

void set_attribute(hid_t object, const std::string& name, const std::string& text) {
  const std::string held = text.size() <= kLongestAttribute ? text : content_hash(text);
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "make a text type");
  check(H5Tset_size(type, held.empty() ? 1 : held.size()), "size a text type");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "pad a text type");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "make a text type UTF-8");
  write_attribute(object, name, type, held.c_str());
}

}  // namespace knowmap::store::hdf5
