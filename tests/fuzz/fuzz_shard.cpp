// Feeds arbitrary bytes to the reader of shards. A byte of the input chooses what
// they are: a whole file, or the description and the arrays of one whose header and
// checksums are right, so that all behind the checksums is reached too; it may also
// choose the name that a shard of rows has. Whatever they are, every way to read a store,
// to update its rows and to repair it ends in rows or in a CheckpointError.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"
#include "store/row_shards.hpp"
#include "store/shard_layout.hpp"
#include "store/stage_file.hpp"

namespace {

namespace fs = std::filesystem;
using knowmap::CheckpointStore;
using knowmap::Matrix;

const knowmap::Fingerprint kMadeFrom = {{"a", "b"}};

struct Folder {
  fs::path path;
  Folder() {
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name =
        ((memory ? fs::path("/dev/shm") : fs::temp_directory_path()) / "fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
    CheckpointStore store(path / "store");
  }
  ~Folder() { fs::remove_all(path); }
  fs::path rows(std::uint64_t begin = 0, std::uint64_t end = 3) const {
    return path / "store/rows" / knowmap::store::row_file_name({begin, end});
  }
  fs::path stage() const {
    return path / "store/stages" / knowmap::store::stage_file_name("umap", kMadeFrom);
  }
  fs::path manifest() const { return path / "store/store.json"; }
};

void write(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
}

// A file whose sizes and checksums are right.
std::string forge(std::string_view contents, std::string_view body) {
  using namespace knowmap::store;
  const auto block_bytes =
      std::bit_ceil(std::max<std::size_t>(kLeastBlockBytes, kHeaderBytes + contents.size()));
  std::string block(block_bytes, '\0');
  Header header;
  header.block_bytes = static_cast<std::uint32_t>(block_bytes);
  header.file_bytes = block_bytes + body.size();
  header.contents_bytes = contents.size();
  header.body_hash = knowmap::hash_bytes(body);
  std::memcpy(block.data(), &header, sizeof header);
  contents.copy(block.data() + kHeaderBytes, contents.size());
  header.block_hash = hash_block(block);
  std::memcpy(block.data(), &header, sizeof header);
  return block + std::string(body);
}

template <class Action>
void attempt(Action&& action) {
  try {
    action();
  } catch (const knowmap::CheckpointError&) {
    // What a damaged file is to end in.
  }
}

// Numbers of all sizes, many of them at the edges.
std::uint64_t number(unsigned char choice) {
  const std::uint64_t power = std::uint64_t{1} << (choice & 63);
  return choice < 64 ? choice : choice < 128 ? power : choice < 192 ? power - 1 : ~power;
}

void write_all(const fs::path& folder) {
  attempt([&] {
    CheckpointStore store(folder);
    attempt([&] {
      const std::uint64_t columns = store.dimension();
      if (columns == 0 || columns > 4096) return;
      store.begin_rows(store.rows_fingerprint().value(), columns, store.storage());
      const auto held = store.ranges();
      if (held.empty()) return;
      const Matrix row(1, columns, 0.5f);
      const std::uint64_t at[] = {held.front().begin}, hash[] = {1};
      store.update_rows(at, row, hash);
    });
    attempt([&] { store.repair(); });
    attempt([&] { store.verify(); });
  });
}

void read_all(const fs::path& folder) {
  attempt([&] {
    const CheckpointStore store(folder, CheckpointStore::Mode::read);
    attempt([&] { store.verify(); });
    attempt([&] { store.rows_fingerprint(); });
    attempt([&] { store.stages(); });
    attempt([&] { store.get_stage("umap"); });
    attempt([&] { store.text_hashes({1, 3}); });
    attempt([&] {
      const std::uint64_t columns = store.dimension();
      if (columns > 4096) return;  // a caller would ask for that much memory
      Matrix out(2, columns);
      store.read_rows({0, 2}, out);
    });
    for (const auto& range : store.ranges()) {
      attempt([&] { store.text_hashes(range); });
      attempt([&] { store.read_rows(range); });
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  if (size < 3) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 3), size - 3);
  const bool stage = (data[0] & 1) != 0, named = (data[0] & 8) != 0;
  fs::path file = stage ? folder.stage() : folder.rows();
  if (named && !stage && size >= 5) {
    const std::uint64_t begin = number(data[3]), end = number(data[4]);
    if (begin < end) file = folder.rows(begin, end);
  }
  if ((data[0] & 6) == 6) {
    write(folder.manifest(), bytes);
    read_all(folder.path / "store");
    fs::remove(folder.manifest());
    return 0;
  }
  if ((data[0] & 2) != 0) {
    write(file, bytes);
  } else {
    const std::size_t cut = std::min<std::size_t>(bytes.size(), data[1] + 256u * data[2]);
    write(file, forge(bytes.substr(0, cut), bytes.substr(cut)));
  }
  read_all(folder.path / "store");
  if ((data[0] & 16) != 0) write_all(folder.path / "store");
  fs::remove(file);
  return 0;
}
