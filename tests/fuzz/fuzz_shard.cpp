// Feeds arbitrary bytes to the reader of shards. A byte of the input chooses what
// they are: a whole file, or the description and the arrays of one whose header and
// checksums are right, so that all behind the checksums is reached too. Whatever
// they are, every way to read a store ends in rows or in a CheckpointError.
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
  fs::path rows() const { return path / "store/rows/rows-000000000000-000000000003.h5"; }
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
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  if (size < 3) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 3), size - 3);
  const bool stage = (data[0] & 1) != 0;
  const fs::path file = stage ? folder.stage() : folder.rows();
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
  fs::remove(file);
  return 0;
}
