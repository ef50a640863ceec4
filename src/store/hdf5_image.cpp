#include "store/hdf5_image.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>

#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

namespace knowmap::store::hdf5 {

bool SparseBytes::write(std::uint64_t at, std::span<const char> bytes) noexcept {
  while (!bytes.empty()) {
    const std::size_t inside = at % kPage;
    const std::size_t count = std::min(bytes.size(), kPage - inside);
    try {
      auto& page = pages_[at / kPage];
      if (!page) page = std::make_unique<char[]>(kPage);
      std::memcpy(page.get() + inside, bytes.data(), count);
    } catch (const std::bad_alloc&) {
      return false;
    }
    at += count;
    bytes = bytes.subspan(count);
  }
  return true;
}

void SparseBytes::read(std::uint64_t at, std::span<char> out) const noexcept {
  while (!out.empty()) {
    const std::size_t inside = at % kPage;
    const std::size_t count = std::min(out.size(), kPage - inside);
    const auto page = pages_.find(at / kPage);
    if (page == pages_.end() || !page->second) {
      std::memset(out.data(), 0, count);
    } else {
      std::memcpy(out.data(), page->second.get() + inside, count);
    }
    at += count;
    out = out.subspan(count);
  }
}

namespace {

// Never looked up in any folder: nothing can be below a device.
constexpr const char* kNowhere = "/dev/null/knowmap";

struct Access {
  Image::Held* held;
};

struct File {
  H5FD_t shown;  // HDF5's own part, which must come first
  Image::Held* held;
  haddr_t allotted;
};

File& of(H5FD_t* file) { return *reinterpret_cast<File*>(file); }
const File& of(const H5FD_t* file) { return *reinterpret_cast<const File*>(file); }

H5FD_t* open(const char*, unsigned, hid_t access, haddr_t) {
  const auto* given = static_cast<const Access*>(H5Pget_driver_info(access));
  if (given == nullptr) return nullptr;
  auto* file = new (std::nothrow) File{};
  if (file == nullptr) return nullptr;
  file->held = given->held;
  return &file->shown;
}

herr_t close(H5FD_t* file) {
  delete &of(file);
  return 0;
}

// Metadata and small data are gathered, as in any file on a disk.
herr_t query(const H5FD_t*, unsigned long* flags) {
  if (flags != nullptr) {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
  }
  return 0;
}

haddr_t get_end_allotted(const H5FD_t* file, H5FD_mem_t) { return of(file).allotted; }

herr_t set_end_allotted(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  of(file).allotted = end;
  return 0;
}

haddr_t get_end(const H5FD_t* file, H5FD_mem_t) { return of(file).held->size; }

herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, void* out) {
  of(file).held->bytes.read(at, {static_cast<char*>(out), bytes});
  return 0;
}

// No error is ever given to HDF5, which might drop it, or crash on it: it is kept for `finish`.
herr_t write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, const void* data) {
  Image::Held& held = *of(file).held;
  if (!held.bytes.write(at, {static_cast<const char*>(data), bytes})) held.out_of_memory = true;
  held.size = std::max<std::uint64_t>(held.size, at + bytes);
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  of(file).held->size = of(file).allotted;
  return 0;
}

Handle register_driver() {
  H5FD_class_t driver{};
#if H5_VERSION_GE(1, 14, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(511);  // the last of those that nobody reserved
#endif
  driver.name = "knowmap_image";
  driver.maxaddr = static_cast<haddr_t>(INT64_MAX);
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(Access);
  driver.open = open;
  driver.close = close;
  driver.query = query;
  driver.get_eoa = get_end_allotted;
  driver.set_eoa = set_end_allotted;
  driver.get_eof = get_end;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  constexpr H5FD_mem_t kGathered[] = H5FD_FLMAP_DICHOTOMY;
  static_assert(std::size(kGathered) == H5FD_MEM_NTYPES);
  std::copy(std::begin(kGathered), std::end(kGathered), driver.fl_map);
  return {H5FDregister(&driver), H5FDunregister, "register a driver"};
}

}  // namespace

Image::Image(std::uint64_t user_block) : driver_(register_driver()) {
  const Handle access = file_access();
  const Access given{&held_};
  check(H5Pset_driver(access, driver_, &given), "work in memory");
  file_ = Handle(H5Fcreate(kNowhere, H5F_ACC_TRUNC, file_creation(user_block), access), H5Fclose,
                 "make a file in memory");
}

void Image::finish() {
  file_.close("end a file in memory");
  driver_.close("end a driver");
  if (held_.out_of_memory) throw std::bad_alloc();
}

}  // namespace knowmap::store::hdf5
