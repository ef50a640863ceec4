// store_flips FOLDER COUNT SEED: makes stores of every kind of rows, with stages, in
// folders that also hold a map's files as `knowmap build` leaves them, and flips COUNT
// random single bits over all the store's files, one at a time. Each must be found by
// `verify`, which names the file. One in a shard must be found by reading as well; one in a
// manifest may not change what is read, nor lock anybody out: a repair writes it as it was.
// Exit 5 where a flip did anything else.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"

namespace {

namespace fs = std::filesystem;
using knowmap::CheckpointStore;
using knowmap::RowRange;
using knowmap::RowStorage;

constexpr std::uint64_t kRows = 120, kRowsOfAShard = 12, kColumns = 48;
const knowmap::Fingerprint kMadeBy = {{"model", "0123"}, {"precision", "float32"}};

void make(const fs::path& folder, RowStorage storage) {
  CheckpointStore store(folder);
  store.begin_rows(kMadeBy, kColumns, storage);
  for (std::uint64_t begin = 0; begin < kRows; begin += kRowsOfAShard) {
    knowmap::Matrix rows(kRowsOfAShard, kColumns);
    std::vector<std::uint64_t> hashes(kRowsOfAShard);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows.data()[i] = static_cast<float>((begin * kColumns + i) % 977) / 488.0f - 1.0f;
    }
    for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i] = ~(begin + i);
    store.commit_rows({begin, begin + kRowsOfAShard}, rows, hashes);
  }
  std::vector<float> coordinates(2 * kRows, 0.5f);
  std::vector<std::string> names(kRows, "a region's name");
  store.put_stage("layout", {{"rows", "x"}}, {{"coordinates", {coordinates, {kRows, 2}}}});
  store.put_stage("regions", {{"layout", "y"}}, {{"names", {names, {kRows}}}});
  for (const char* name : {"collection.parquet", "map.html", "map.parquet", "map_options.json"}) {
    std::ofstream(folder / name) << "a map's";
  }
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// All that a store gives to who reads it.
struct Content {
  std::vector<float> rows;
  std::vector<std::uint64_t> hashes;
  knowmap::StageResult layout, regions;
};

bool same(const Content& a, const Content& b) {
  return a.rows.size() == b.rows.size() &&
         std::memcmp(a.rows.data(), b.rows.data(), a.rows.size() * sizeof(float)) == 0 &&
         a.hashes == b.hashes && a.layout == b.layout && a.regions == b.regions;
}

Content read(const CheckpointStore& store) {
  Content content;
  content.rows.resize(kRows * kColumns);
  store.read_rows({0, kRows}, {content.rows.data(), kRows, kColumns});
  content.hashes = store.text_hashes({0, kRows});
  content.layout = store.get_stage("layout").value();
  content.regions = store.get_stage("regions").value();
  return content;
}

void flip(const fs::path& file, std::uint64_t bit) {
  const int fd = ::open(file.c_str(), O_RDWR);
  unsigned char byte = 0;
  const auto at = static_cast<off_t>(bit / 8);
  bool done = ::pread(fd, &byte, 1, at) == 1;
  byte = static_cast<unsigned char>(byte ^ (1u << (bit % 8)));
  done = done && ::pwrite(fd, &byte, 1, at) == 1;
  ::close(fd);
  if (!done) throw std::runtime_error("cannot flip a bit of " + file.string());
}

// Throws where the flip wasn't found, or did harm.
void expect_found(const fs::path& folder, const fs::path& file, const Content& expected,
                  const std::string& good) {
  const std::string name = file.filename();
  const bool manifest = name == "store.json";
  bool by_verify = false, by_reading = false;
  try {
    const CheckpointStore store(folder, CheckpointStore::Mode::read);
    for (const auto& line : store.verify().damaged) by_verify |= line.find(name) != line.npos;
  } catch (const knowmap::CheckpointError& error) {
    throw std::runtime_error(std::string("the store as a whole was refused: ") + error.what());
  }
  try {
    const CheckpointStore store(folder, CheckpointStore::Mode::read);
    if (!same(read(store), expected)) throw std::runtime_error("something else was read");
  } catch (const knowmap::CheckpointError&) {
    by_reading = true;
  }
  if (!by_verify) throw std::runtime_error("verify didn't find it");
  if (by_reading == manifest) throw std::runtime_error("reading found it, or didn't");
  if (!manifest) return;
  CheckpointStore(folder).repair();
  if (read_file(file) != good) throw std::runtime_error("a repair wrote another manifest");
}

int run(const fs::path& base, std::uint64_t count, std::uint64_t seed) {
  struct File {
    fs::path store, path;
    std::uint64_t bits;
  };
  std::vector<File> files;
  std::map<fs::path, Content> contents;
  std::map<fs::path, std::string> manifests;
  for (const auto storage : {RowStorage::float32, RowStorage::float16, RowStorage::int8}) {
    const fs::path folder = base / knowmap::row_storage_name(storage);
    make(folder, storage);
    contents[folder] = read(CheckpointStore(folder, CheckpointStore::Mode::read));
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const fs::path name = entry.path().filename();
      if (name == "store.json") manifests[entry.path()] = read_file(entry.path());
      if (entry.is_regular_file() && (name.extension() == ".h5" || name == "store.json")) {
        files.push_back({folder, entry.path(), entry.file_size() * 8});
      }
    }
  }
  std::mt19937_64 random(seed);
  std::uint64_t all_bits = 0, shards = 0, in_manifests = 0;
  for (const auto& file : files) all_bits += file.bits;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t bit = random() % all_bits;
    // Every tenth falls on a manifest, which is small.
    const bool manifest = i % 10 == 0;
    const File* hit = nullptr;
    for (const auto& file : files) {
      const bool is_manifest = file.path.filename() == "store.json";
      if (manifest ? is_manifest && random() % 3 == 0 : bit < file.bits) {
        hit = &file;
        break;
      }
      if (!manifest) bit -= file.bits;
      if (is_manifest && manifest) hit = &file;
    }
    bit %= hit->bits;
    flip(hit->path, bit);
    try {
      const std::string& good = manifests[hit->path];  // empty for a shard
      expect_found(hit->store, hit->path, contents.at(hit->store), good);
      ++(good.empty() ? shards : in_manifests);
      if (!good.empty()) continue;  // it was written anew
    } catch (const std::runtime_error& error) {
      std::cerr << "bit " << bit << " of " << hit->path << ": " << error.what() << "\n";
      return 5;
    }
    flip(hit->path, bit);
  }
  std::cout
      << "| One random bit flipped over stores of float32, float16 and int8 rows, their stages "
         "and manifests, in a map's folder ("
      << in_manifests << " in a manifest) | " << count << " | " << shards + in_manifests
      << ", all found | 0 |\n";
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::cerr << "usage: store_flips FOLDER COUNT SEED\n";
    return 2;
  }
  return run(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]));
}
