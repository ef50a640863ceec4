#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "store/shard_layout.hpp"
#include "store_fixture.hpp"

namespace knowmap {
namespace {

// --- damage -------------------------------------------------------------------

// Every way to use a store either tells of the damage or gives what was stored.
void expect_never_wrong(const fs::path& folder, const std::string& what, bool must_be_found) {
  SCOPED_TRACE(what);
  std::size_t found = 0;
  try {
    const CheckpointStore store(folder, Mode::read);
    found = store.verify().damaged.size();
    try {
      EXPECT_TRUE(holds(store, {0, 3}));
    } catch (const CheckpointError&) {
      ++found;
    }
    try {
      EXPECT_TRUE(equal(*store.get_stage("umap", kMadeBy), a_result()));
    } catch (const CheckpointError&) {
      ++found;
    }
  } catch (const CheckpointError&) {
    ++found;
  }
  if (must_be_found) {
    EXPECT_GE(found, 2u);  // by verify and by reading
  }
}

class DamagedStore : public Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    commit(store, {0, 3});
    store.put_stage("umap", kMadeBy, a_result());
  }
  std::vector<fs::path> files() const {
    return {shard(), fs::directory_iterator(folder_ / "stages")->path()};
  }
};

TEST_F(DamagedStore, EveryFlippedBitIsFound) {
  for (const auto& file : files()) {
    const std::string good = read_file(file);
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
      write_file(file, bad);
      expect_never_wrong(folder_, file.filename().string() + " byte " + std::to_string(i), true);
    }
    write_file(file, good);
  }
  EXPECT_TRUE(CheckpointStore(folder_, Mode::read).verify().damaged.empty());
}

TEST_F(DamagedStore, EveryTruncationIsFound) {
  for (const auto& file : files()) {
    const std::string good = read_file(file);
    for (std::size_t i = 0; i < good.size(); ++i) {
      fs::resize_file(file, good.size() - 1 - i);
      expect_never_wrong(folder_, file.filename().string() + " cut " + std::to_string(i), true);
    }
    write_file(file, good + '\0');
    expect_never_wrong(folder_, file.filename().string() + " grown", true);
    write_file(file, std::string(good.size(), '\0'));
    expect_never_wrong(folder_, file.filename().string() + " zeroed", true);
    write_file(file, good);
  }
}

TEST_F(DamagedStore, AManifestIsNeverBelieved) {
  const fs::path manifest = folder_ / "store.json";
  const std::string good = read_file(manifest);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 7)));
    write_file(manifest, bad);
    expect_never_wrong(folder_, "manifest byte " + std::to_string(i), false);
  }
  for (const char* text : {"", "[]", "{\"format\":1}", "{\"format\":\"knowmap-store\"}"}) {
    write_file(manifest, text);
    expect_never_wrong(folder_, text, false);
  }
  write_file(manifest, std::string(200000, '['));
  expect_never_wrong(folder_, "deep", false);
  fs::remove(manifest);
  EXPECT_TRUE(holds(CheckpointStore(folder_), {0, 3}));  // made anew by the writer
  EXPECT_EQ(nlohmann::json::parse(read_file(manifest)), nlohmann::json::parse(good));
  write_file(manifest, "{\"format\":\"knowmap-store\",\"version\":2}");
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read), "version 2");
}

TEST_F(DamagedStore, DamageDoneWhileTheStoreIsOpenIsFound) {
  const CheckpointStore store(folder_, Mode::read);
  EXPECT_TRUE(holds(store, {0, 3}));
  std::string bytes = read_file(shard());
  bytes[bytes.size() - 9] = static_cast<char>(bytes[bytes.size() - 9] ^ 1);
  write_file(shard(), bytes);
  EXPECT_SAYS(holds(store, {0, 3}), "checksum");
}

TEST_F(DamagedStore, ARepairRemovesJustWhatIsDamaged) {
  {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    commit(store, {3, 6});
  }
  for (const auto& file : files()) fs::resize_file(file, 100);
  write_file(folder_ / "rows" / ".knowmap-1-1.tmp", "x");
  CheckpointStore store(folder_);
  const VerifyReport report = store.repair();
  EXPECT_EQ(report.damaged.size(), 2u);
  EXPECT_EQ(store.ranges(), (std::vector<RowRange>{{3, 6}}));
  EXPECT_FALSE(store.get_stage("umap"));
  EXPECT_TRUE(store.verify().damaged.empty());
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  EXPECT_TRUE(holds(store, {0, 6}));
}

TEST_F(DamagedStore, ARenamedShardIsNoOtherShard) {
  fs::rename(shard(), shard("rows-000000000003-000000000006.h5"));
  EXPECT_EQ(CheckpointStore(folder_, Mode::read).verify().damaged.size(), 1u);
  fs::rename(shard("rows-000000000003-000000000006.h5"), shard("rows-0-3.h5"));
  EXPECT_EQ(CheckpointStore(folder_, Mode::read).rows_held(), 0u);
  write_file(shard(), "");
  write_file(shard("rows-000000000002-000000000006.h5"), "");
  EXPECT_SAYS(CheckpointStore(folder_).begin_rows(kMadeBy, 4), "holds rows twice");
}

TEST_F(DamagedStore, RowsHeldTwiceAreRefusedAndMended) {
  {
    CheckpointStore other(base_ / "other");
    other.begin_rows(kMadeBy, 4);
    commit(other, {2, 6});
    commit(other, {6, 8});
  }
  for (const auto& entry : fs::directory_iterator(base_ / "other/rows")) {
    fs::copy_file(entry.path(), folder_ / "rows" / entry.path().filename());
  }
  Matrix out(2, 4);
  CheckpointStore store(folder_);
  EXPECT_SAYS(store.read_rows({0, 2}, out), "knowmap repair");
  EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "rows-000000000002-000000000006.h5");
  ASSERT_EQ(store.verify().damaged.size(), 1u);
  EXPECT_NE(store.verify().damaged[0].find("another shard holds too"), std::string::npos);
  store.repair();
  EXPECT_EQ(store.ranges(), (std::vector<RowRange>{{2, 6}, {6, 8}}));  // those that hold most
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 2});
  EXPECT_TRUE(holds(store, {0, 8}));
}

class MendedStore : public DamagedStore {
 protected:
  // Puts shards of these ranges into the store, as a writer that no lock kept out would.
  void add(const std::vector<RowRange>& ranges, const Fingerprint& made_by = kMadeBy,
           RowStorage storage = RowStorage::float32, std::uint64_t columns = 4) {
    for (const RowRange range : ranges) {
      const fs::path place = base_ / ("other-" + std::to_string(others_++));
      {
        CheckpointStore other(place);
        other.begin_rows(made_by, columns, storage);
        commit(other, range, columns);
      }
      for (const auto& entry : fs::directory_iterator(place / "rows")) {
        fs::copy_file(entry.path(), folder_ / "rows" / entry.path().filename());
      }
    }
  }
  std::vector<RowRange> repaired() {
    CheckpointStore store(folder_);
    store.repair();
    EXPECT_TRUE(store.verify().damaged.empty());
    for (const RowRange range : store.ranges()) EXPECT_TRUE(holds(store, range));
    return store.ranges();
  }
  int others_ = 0;
};

TEST_F(MendedStore, ASoundShardStaysWhereADamagedOneHoldsItsRows) {
  add({{1, 6}});
  fs::resize_file(shard(), 600);
  EXPECT_EQ(repaired(), (std::vector<RowRange>{{1, 6}}));
}

TEST_F(MendedStore, ARepairTakesAsFewRowsAsItCan) {
  // [0, 3) and [2, 7) overlap, and so do [2, 7) and [6, 9), but not the outer two.
  add({{2, 7}, {6, 9}, {9, 12}});
  EXPECT_EQ(repaired(), (std::vector<RowRange>{{0, 3}, {6, 9}, {9, 12}}));
  add({{0, 5}});  // begins with [0, 3), and holds more
  EXPECT_EQ(repaired(), (std::vector<RowRange>{{0, 5}, {6, 9}, {9, 12}}));
  add({{0, 12}});
  EXPECT_EQ(repaired(), (std::vector<RowRange>{{0, 12}}));
}

TEST_F(MendedStore, RowsOfAnotherFormAreNeverReadNorWrittenOver) {
  const std::vector<std::uint64_t> row = {4};
  const Matrix value = rows_of({4, 5}, 4);
  const auto expect_refused = [&](const std::string& difference) {
    SCOPED_TRACE(difference);
    const std::string before = read_file(shard("rows-000000000003-000000000005.h5"));
    {
      CheckpointStore store(folder_);
      EXPECT_SAYS(store.begin_rows(kMadeBy, 4), difference);
      EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "rows-000000000003-000000000005.h5");
      EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "knowmap repair");
      EXPECT_THROW(store.update_rows(row, value, hashes_of({4, 5})), std::invalid_argument);
      Matrix out(2, 4);
      EXPECT_SAYS(store.read_rows({3, 5}, out), difference);
      EXPECT_SAYS(store.read_rows({3, 5}), difference);
      EXPECT_SAYS(store.text_hashes({2, 4}), difference);
      EXPECT_SAYS(store.export_npy(base_ / "all.npy"), difference);
      EXPECT_TRUE(holds(store, {0, 3}));
      EXPECT_EQ(store.rows_fingerprint(), kMadeBy);
      ASSERT_EQ(store.verify().damaged.size(), 1u);
    }
    EXPECT_EQ(read_file(shard("rows-000000000003-000000000005.h5")), before);
    EXPECT_EQ(repaired(), (std::vector<RowRange>{{0, 3}}));
  };
  add({{3, 5}}, {{"model", "another"}, {"precision", "bfloat16"}});
  expect_refused("model: 0123abcd → another");
  for (const RowStorage storage : {RowStorage::float16, RowStorage::int8}) {
    add({{3, 5}}, kMadeBy, storage);
    expect_refused("storage: float32 → " + std::string(row_storage_name(storage)));
  }
  add({{3, 5}}, kMadeBy, RowStorage::float32, 5);
  expect_refused("columns: 4 → 5");
}

// The shard comes after `begin_rows` has looked: every way to it looks once more.
TEST_F(MendedStore, AnUpdateOfAShardOfAnotherFormIsRefused) {
  for (const RowStorage storage : {RowStorage::float32, RowStorage::int8}) {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    store.drop_rows({0, 100});
    commit(store, {0, 3});
    EXPECT_TRUE(holds(store, {0, 3}));
    fs::remove(shard());
    add({{0, 3}}, {{"model", "another"}}, storage, 2);
    const std::string before = read_file(shard());
    const std::vector<std::uint64_t> rows = {0, 2};
    EXPECT_SAYS(store.update_rows(rows, rows_of({0, 2}, 4), hashes_of({0, 2})), "made otherwise");
    EXPECT_EQ(read_file(shard()), before);
    EXPECT_SAYS(holds(store, {0, 3}), "made otherwise");
    fs::remove(shard());
  }
}

TEST_F(MendedStore, OneForeignShardDoesNotSpeakForAllOthers) {
  CheckpointStore(folder_).drop_rows({0, 3});
  add({{0, 3}}, {{"model", "another"}});
  add({{3, 9}, {9, 12}});
  EXPECT_EQ(CheckpointStore(folder_, Mode::read).rows_fingerprint(), kMadeBy);
  EXPECT_EQ(repaired(), (std::vector<RowRange>{{3, 9}, {9, 12}}));
}

// What a name promises is believed no further than the header goes.
TEST_F(MendedStore, AFilesNameTakesNoMemory) {
  for (const char* name :
       {"rows-000000000003-18446744073709551615.h5", "rows-000000000003-999999999999.h5"}) {
    for (const bool sound : {false, true}) {
      if (sound) {
        fs::copy_file(shard(), shard(name));
      } else {
        write_file(shard(name), "x");
      }
      CheckpointStore store(folder_);
      const std::uint64_t end = store.ranges().back().end;
      EXPECT_SAYS(store.text_hashes({0, end}), name);
      EXPECT_SAYS(store.read_rows({0, end}), name);
      EXPECT_SAYS(store.export_npy(base_ / "all.npy"), name);
      EXPECT_SAYS(store.export_hdf5(base_ / "all.h5"), name);
      EXPECT_SAYS(store.export_view(base_ / "view.h5"), name);
      store.begin_rows(kMadeBy, 4);
      EXPECT_SAYS(
          store.update_rows(std::vector<std::uint64_t>{5}, rows_of({5, 6}, 4), hashes_of({5, 6})),
          name);
      store.repair();
      EXPECT_EQ(store.ranges(), (std::vector<RowRange>{{0, 3}}));
      EXPECT_TRUE(holds(store, {0, 3}));
    }
  }
}

// A map's folder, as `knowmap build` leaves it.
TEST_F(MendedStore, NoFlipOfTheManifestLocksAMapsFolderOut) {
  for (const char* name : {"collection.parquet", "map.html", "map.parquet", "map_options.json"}) {
    write_file(folder_ / name, "of the map");
  }
  const fs::path manifest = folder_ / "store.json";
  const std::string good = read_file(manifest);
  const auto expect_usable = [&](const std::string& what) {
    SCOPED_TRACE(what);
    {
      const CheckpointStore reader(folder_, Mode::read);
      EXPECT_TRUE(holds(reader, {0, 3}));
      const auto damaged = reader.verify().damaged;
      EXPECT_EQ(damaged.size(), fs::exists(manifest) ? 1u : 0u);
      for (const auto& line : damaged) EXPECT_NE(line.find("store.json"), std::string::npos);
    }
    CheckpointStore(folder_).repair();
    EXPECT_EQ(nlohmann::json::parse(read_file(manifest)), nlohmann::json::parse(good));
    EXPECT_TRUE(CheckpointStore(folder_, Mode::read).verify().damaged.empty());
  };
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    // White space of another kind says the same.
    const auto said = nlohmann::json::parse(bad, nullptr, false);
    if (said == nlohmann::json::parse(good)) continue;
    write_file(manifest, bad);
    expect_usable("bit " + std::to_string(bit));
  }
  fs::remove(manifest);
  expect_usable("no manifest");
  for (const char* name : {"collection.parquet", "map.html", "map.parquet", "map_options.json"}) {
    EXPECT_EQ(read_file(folder_ / name), "of the map");
  }
}

TEST_F(DamagedStore, ShardsMadeOtherwiseDoNotMix) {
  {
    CheckpointStore other(base_ / "other");
    other.begin_rows({{"model", "x"}}, 4);
    commit(other, {3, 6});
  }
  fs::copy_file(base_ / "other/rows/rows-000000000003-000000000006.h5",
                shard("rows-000000000003-000000000006.h5"));
  const auto report = CheckpointStore(folder_, Mode::read).verify();
  ASSERT_EQ(report.damaged.size(), 1u);
  EXPECT_NE(report.damaged[0].find("model: 0123abcd → x"), std::string::npos);
}

// --- hostile files --------------------------------------------------------------

// A file whose checksums are right, whatever it says.
std::string forge(const std::string& contents, const std::string& body = std::string(4096, 'x')) {
  std::string block(std::bit_ceil(std::max<std::size_t>(512, 64 + contents.size())), '\0');
  store::Header header;
  header.block_bytes = static_cast<std::uint32_t>(block.size());
  header.file_bytes = block.size() + body.size();
  header.contents_bytes = contents.size();
  header.body_hash = hash_bytes(body);
  std::memcpy(block.data(), &header, sizeof header);
  contents.copy(block.data() + store::kHeaderBytes, contents.size());
  header.block_hash = store::hash_block(block);
  std::memcpy(block.data(), &header, sizeof header);
  return block + body;
}

TEST_F(DamagedStore, ForgedDescriptionsAreRefused) {
  const std::string rows = R"("embeddings":{"type":"float32","shape":[3,4],"offset":1024})";
  const std::string hashes = R"("text_hashes":{"type":"uint64","shape":[3],"offset":2048})";
  const std::string about =
      R"("about":{"kind":"rows","begin":0,"end":3,"dimension":4,"fingerprint":{}})";
  const auto with = [&](const std::string& arrays) {
    return "{" + about + ",\"arrays\":{" + arrays + "}}";
  };
  write_file(shard(), forge(with(rows + "," + hashes)));  // the forgery itself is fine
  {
    const CheckpointStore store(folder_, Mode::read);
    EXPECT_TRUE(store.verify().damaged.empty());
  }
  std::vector<std::string> bad = {"",
                                  "null",
                                  "[]",
                                  "{}",
                                  "{\"about\":1,\"arrays\":{}}",
                                  "{\"about\":{},\"arrays\":[]}",
                                  std::string(100000, '['),
                                  with(""),
                                  with(rows),
                                  with(hashes),
                                  "\xff\xfe",
                                  with(rows + ","),
                                  "{\"about\":{\"kind\":7},\"arrays\":{}}"};
  const auto array = [](const char* type, const char* shape, const char* offset) {
    return R"("embeddings":{"type":)" + std::string(type) + R"(,"shape":)" + shape +
           R"(,"offset":)" + offset + "}";
  };
  for (const auto& embeddings :
       {array("\"float64\"", "[3,4]", "1024"), array("\"float8\"", "[3,4]", "1024"),
        array("\"int8\"", "[3,4]", "1024"), array("3", "[3,4]", "1024"),
        array("\"float32\"", "[12]", "1024"), array("\"float32\"", "[3,4,1]", "1024"),
        array("\"float32\"", "[]", "1024"), array("\"float32\"", "[4,3]", "1024"),
        array("\"float32\"", "[3,4]", "0"), array("\"float32\"", "[3,4]", "4600"),
        array("\"float32\"", "[3,4]", "-8"), array("\"float32\"", "[3,4]", "1.5"),
        array("\"float32\"", "[3,4]", "99999999"),
        array("\"float32\"", "[3,4]", "18446744073709551600"),
        array("\"float32\"", "[9223372036854775808,8]", "1024"),
        array("\"float32\"", "[-3,-4]", "1024"), array("\"float32\"", "\"3,4\"", "1024")}) {
    bad.push_back(with(embeddings + "," + hashes));
  }
  for (const auto& contents : bad) {
    SCOPED_TRACE(contents.substr(0, 200));
    write_file(shard(), forge(contents));
    const CheckpointStore store(folder_, Mode::read);
    EXPECT_EQ(store.verify().damaged.size(), 1u);
    Matrix out(3, 4);
    EXPECT_THROW(store.read_rows({0, 3}, out), CheckpointError);
    EXPECT_THROW(store.rows_fingerprint(), CheckpointError);
  }
}

TEST_F(DamagedStore, ForgedTextsAreRefused) {
  const std::string name = files()[1].filename();
  const std::string about =
      R"("about":{"kind":"stage","stage":"umap","fingerprint":)" + nlohmann::json(kMadeBy).dump();
  std::string body(4096, '\0');
  const auto forged = [&](std::vector<std::uint64_t> offsets, const char* shape) {
    if (!offsets.empty()) std::memcpy(body.data(), offsets.data(), offsets.size() * 8);
    const std::string arrays = R"("t/offsets":{"type":"uint64","offset":512,"shape":[)" +
                               std::to_string(offsets.size()) +
                               R"(]},"t/bytes":{"type":"uint8","offset":1024,"shape":[10]})";
    write_file(
        folder_ / "stages" / name,
        forge("{" + about + R"(,"texts":{"t":)" + shape + "}},\"arrays\":{" + arrays + "}}", body));
  };
  const CheckpointStore store(folder_, Mode::read);
  forged({0, 4, 10}, "[2]");
  EXPECT_EQ(store.get_stage("umap", kMadeBy)->at("t").shape, std::vector<std::uint64_t>{2});
  const std::uint64_t huge = ~std::uint64_t{0};
  for (const auto& offsets : std::vector<std::vector<std::uint64_t>>{
           {0, 4, 11}, {0, 11, 10}, {1, 4, 10}, {0, huge, 10}, {0, 10}, {}}) {
    forged(offsets, "[2]");
    EXPECT_THROW(store.get_stage("umap", kMadeBy), CheckpointError);
  }
  for (const char* shape : {"[3]", "[]", "[1,1,2]", "[4294967296,4294967296]", "[-2]", "2", "null",
                            "[18446744073709551615]"}) {
    forged({0, 4, 10}, shape);
    EXPECT_THROW(store.get_stage("umap", kMadeBy), CheckpointError) << shape;
  }
}

// A file of 1 GiB that the disk holds one block of: its checksum is asked for before memory is
// taken for what the header claims.
TEST_F(DamagedStore, ASparseStageIsCheckedBeforeMemoryIsTaken) {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
  const fs::path file = files()[1];
  std::string bytes = forge(
      R"({"about":{"kind":"stage","stage":"umap","fingerprint":)" + nlohmann::json(kMadeBy).dump() +
          R"(,"texts":{}},"arrays":{"x":{"type":"int64","offset":512,"shape":[)" +
          std::to_string((kBytes - 512) / 8) + "]}}}",
      std::string());
  store::Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.file_bytes = kBytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  header.block_hash = store::hash_block(bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  write_file(file, bytes);
  fs::resize_file(file, kBytes);
  EXPECT_EQ(in_child_with_memory(256,
                                 [&] {
                                   const CheckpointStore store(folder_, Mode::read);
                                   return message_of([&] {
                                            store.get_stage("umap", kMadeBy);
                                          }).find("checksum") != std::string::npos;
                                 }),
            true);
}

TEST_F(DamagedStore, AShardOfALaterFormatIsNotDamageAndStays) {
  std::string bytes = read_file(shard());
  store::Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.format = store::kFormatVersion + 1;
  std::memcpy(bytes.data(), &header, sizeof header);
  header.block_hash = store::hash_block(std::string_view(bytes).substr(0, header.block_bytes));
  std::memcpy(bytes.data(), &header, sizeof header);
  write_file(shard(), bytes);
  CheckpointStore store(folder_);
  EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "use the knowmap that made it");
  EXPECT_SAYS(store.verify(), "format version 2");
  EXPECT_SAYS(store.repair(), "format version 2");
  EXPECT_EQ(read_file(shard()), bytes);
}

// A file of somebody else's in a shard's place, with one dataset made by `make`.
template <class Make>
void write_foreign(const fs::path& file, Make&& make) {
  const hid_t opened = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(opened, 0);
  make(opened);
  ASSERT_GE(H5Fclose(opened), 0);
}

TEST_F(DamagedStore, OtherPeoplesHdf5IsRefused) {
  const std::string secret = base_ / "secret.h5";
  write_foreign(secret, [](hid_t) {});
  const auto dataset = [](hid_t file, hid_t type, std::vector<hsize_t> shape, auto&& set) {
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    set(properties);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t made =
        H5Dcreate2(file, "embeddings", type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    ASSERT_GE(made, 0);
    H5Dclose(made);
    H5Sclose(space);
    H5Pclose(properties);
  };
  const auto plain = [](hid_t) {};
  const std::map<std::string, std::function<void(hid_t)>> foreign = {
      {"external storage",
       [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {3, 4},
                 [&](hid_t p) { H5Pset_external(p, secret.c_str(), 0, 48); });
       }},
      {"external link",
       [&](hid_t file) {
         H5Lcreate_external(secret.c_str(), "/x", file, "embeddings", H5P_DEFAULT, H5P_DEFAULT);
       }},
      {"soft link",
       [&](hid_t file) { H5Lcreate_soft("/../x", file, "embeddings", H5P_DEFAULT, H5P_DEFAULT); }},
      {"virtual set of another file",
       [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {3, 4}, [&](hid_t p) {
           const hsize_t shape[] = {3, 4};
           const hid_t space = H5Screate_simple(2, shape, nullptr);
           H5Pset_virtual(p, space, secret.c_str(), "x", space);
           H5Sclose(space);
         });
       }},
      {"built-in filter",
       [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {3, 4}, [](hid_t p) {
           const hsize_t chunk[] = {1, 4};
           H5Pset_chunk(p, 2, chunk);
           H5Pset_deflate(p, 9);
         });
       }},
      {"plug-in filter",
       [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {3, 4}, [](hid_t p) {
           const hsize_t chunk[] = {1, 4};
           H5Pset_chunk(p, 2, chunk);
           H5Pset_filter(p, 32015, H5Z_FLAG_OPTIONAL, 0, nullptr);
         });
       }},
      {"rank 3",
       [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {3, 4, 1}, plain);
       }},
      {"texts",
       [&](hid_t file) {
         dataset(file, H5T_C_S1, {3, 4}, plain);
       }},
      {"references",
       [&](hid_t file) {
         dataset(file, H5T_STD_REF_OBJ, {3, 4}, plain);
       }},
      {"a size beyond all bounds", [&](hid_t file) {
         dataset(file, H5T_IEEE_F32LE, {hsize_t{1} << 40, hsize_t{1} << 20}, [](hid_t p) {
           H5Pset_alloc_time(p, H5D_ALLOC_TIME_LATE);
           const hsize_t chunk[] = {1, 4};
           H5Pset_chunk(p, 2, chunk);
         });
       }}};
  for (const auto& [what, make] : foreign) {
    SCOPED_TRACE(what);
    write_foreign(shard(), make);
    const CheckpointStore store(folder_, Mode::read);
    EXPECT_EQ(store.verify().damaged.size(), 1u);
    Matrix out(3, 4);
    EXPECT_SAYS(store.read_rows({0, 3}, out), "does not begin as");
  }
}

TEST_F(DamagedStore, LinksPipesAndFoldersAreNoShards) {
  Matrix out(3, 4);
  fs::rename(shard(), base_ / "moved.h5");
  fs::create_symlink(base_ / "moved.h5", shard());
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read).read_rows({0, 3}, out), "symbolic link");
  fs::remove(shard());
  ASSERT_EQ(::mkfifo(shard().c_str(), 0600), 0);
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read).read_rows({0, 3}, out), "not a regular file");
  fs::remove(shard());
  fs::create_directory(shard());
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read).read_rows({0, 3}, out), "not a regular file");
  fs::remove(shard());
  fs::rename(folder_ / "rows", base_ / "elsewhere");
  fs::create_directory_symlink(base_ / "elsewhere", folder_ / "rows");
  EXPECT_THROW(CheckpointStore(folder_, Mode::read), CheckpointError);
  EXPECT_THROW(CheckpointStore(folder_, Mode::fresh), CheckpointError);
}

}  // namespace
}  // namespace knowmap
