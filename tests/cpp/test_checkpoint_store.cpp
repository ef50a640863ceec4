#include <fcntl.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"
#include "store/shard_layout.hpp"

namespace knowmap {
namespace {

namespace fs = std::filesystem;
using Mode = CheckpointStore::Mode;

const Fingerprint kMadeBy = {{"model", "0123abcd"}, {"precision", "bfloat16"}};

class Store : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "knowmap-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    folder_ = base_ / "store";
  }
  void TearDown() override { fs::remove_all(base_); }

  fs::path shard(const char* name = "rows-000000000000-000000000003.h5") const {
    return folder_ / "rows" / name;
  }

  fs::path base_, folder_;
};

// A number that tells its place, so that no row can pass for another.
float value_at(std::uint64_t row, std::uint64_t column) {
  return static_cast<float>(row) + static_cast<float>(column) / 128.0f;
}
std::uint64_t hash_at(std::uint64_t row) { return row * 0x9e3779b97f4a7c15u + 1; }

Matrix rows_of(RowRange range, std::uint64_t dimension) {
  Matrix rows(range.end - range.begin, dimension);
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    for (std::size_t j = 0; j < dimension; ++j) rows(i, j) = value_at(range.begin + i, j);
  }
  return rows;
}

std::vector<std::uint64_t> hashes_of(RowRange range) {
  std::vector<std::uint64_t> hashes;
  for (auto row = range.begin; row < range.end; ++row) hashes.push_back(hash_at(row));
  return hashes;
}

void commit(CheckpointStore& store, RowRange range, std::uint64_t dimension = 4) {
  store.commit_rows(range, rows_of(range, dimension), hashes_of(range));
}

bool holds(const CheckpointStore& store, RowRange range, std::uint64_t dimension = 4) {
  Matrix out(range.end - range.begin, dimension, -1.0f);
  store.read_rows(range, out);
  const Matrix expected = rows_of(range, dimension);
  return std::equal(out.data(), out.data() + out.size(), expected.data()) &&
         store.text_hashes(range) == hashes_of(range);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no CheckpointError";
  return "";
}

#define EXPECT_SAYS(action, part)                                      \
  EXPECT_NE(message_of([&] { action; }).find(part), std::string::npos) \
      << message_of([&] { action; })

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
}

StageResult a_result() {
  StageResult result;
  result["coordinates"] = {std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2}};
  result["weights"] = {std::vector<double>{0.5, std::numeric_limits<double>::infinity()}, {2}};
  result["small"] = {std::vector<std::int32_t>{-1, 2}, {2}};
  result["large"] = {std::vector<std::int64_t>{-1, std::int64_t{1} << 60}, {2}};
  result["names"] = {std::vector<std::string>{"", "größe", "</script>", "a"}, {2, 2}};
  result["nothing"] = {std::vector<float>{}, {0, 2}};
  result["no_texts"] = {std::vector<std::string>{}, {0}};
  return result;
}

bool equal(const StageResult& a, const StageResult& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, array] : a) {
    const auto other = b.find(name);
    if (other == b.end() || other->second.shape != array.shape ||
        other->second.values != array.values) {
      return false;
    }
  }
  return true;
}

// --- rows -------------------------------------------------------------------

TEST_F(Store, RowsComeBackBitForBitAcrossShards) {
  Matrix odd = rows_of({7, 9}, 4);
  odd(0, 0) = -0.0f;
  odd(0, 1) = std::bit_cast<float>(0x7fc12345u);  // a NaN with a payload
  odd(1, 3) = std::numeric_limits<float>::denorm_min();
  {
    CheckpointStore store(folder_);
    EXPECT_FALSE(store.rows_fingerprint());
    EXPECT_EQ(store.dimension(), 0u);
    store.begin_rows(kMadeBy, 4);
    commit(store, {3, 7});
    commit(store, {0, 3});
    store.commit_rows({7, 9}, odd, hashes_of({7, 9}));
    EXPECT_TRUE(holds(store, {0, 7}));
  }
  const CheckpointStore store(folder_, Mode::read);
  EXPECT_EQ(store.ranges(), (std::vector<RowRange>{{0, 3}, {3, 7}, {7, 9}}));
  EXPECT_EQ(store.rows_held(), 9u);
  EXPECT_EQ(store.dimension(), 4u);
  EXPECT_EQ(store.rows_fingerprint(), kMadeBy);
  for (std::uint64_t begin = 0; begin <= 7; ++begin) {
    for (std::uint64_t end = begin; end <= 7; ++end) EXPECT_TRUE(holds(store, {begin, end}));
  }
  Matrix out(2, 4);
  store.read_rows({7, 9}, out);
  EXPECT_EQ(std::memcmp(out.data(), odd.data(), sizeof(float) * 8), 0);
}

TEST_F(Store, OnePartOfAShardIsReadWithoutTheRest) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 300);
  commit(store, {0, 3000}, 300);  // more than is read at once
  EXPECT_TRUE(holds(store, {1, 2}, 300));
  EXPECT_TRUE(holds(store, {870, 880}, 300));
  EXPECT_TRUE(holds(store, {2999, 3000}, 300));
  EXPECT_TRUE(holds(CheckpointStore(folder_, Mode::read), {860, 2000}, 300));
}

TEST_F(Store, AResumedRunGoesOnAndMakesTheSameBytes) {
  const fs::path through = base_ / "through";
  {
    CheckpointStore store(through);
    store.begin_rows(kMadeBy, 4);
    for (std::uint64_t i = 0; i < 12; i += 3) commit(store, {i, i + 3});
    store.put_stage("umap", kMadeBy, a_result());
  }
  for (std::uint64_t i = 0; i < 12; i += 3) {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    EXPECT_EQ(store.rows_held(), i);
    commit(store, {i, i + 3});
  }
  CheckpointStore(folder_).put_stage("umap", kMadeBy, a_result());
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(through)) {
    if (!entry.is_regular_file()) continue;
    const auto other = folder_ / fs::relative(entry.path(), through);
    EXPECT_TRUE(read_file(entry.path()) == read_file(other)) << other;
    ++files;
  }
  EXPECT_EQ(files, 4u + 1 + 2);
}

TEST_F(Store, RowsThatAreHeldAreNotCommittedAgain) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {3, 6});
  for (const RowRange range : {RowRange{3, 6}, {0, 4}, {5, 9}, {4, 5}, {0, 9}}) {
    EXPECT_SAYS(commit(store, range), "overlap the rows [3, 6)");
  }
  commit(store, {0, 3});
  commit(store, {6, 9});
  EXPECT_TRUE(holds(store, {0, 9}));
}

TEST_F(Store, CallersMistakesAreNamed) {
  CheckpointStore store(folder_);
  EXPECT_THROW(commit(store, {0, 3}), std::invalid_argument);  // begin_rows first
  EXPECT_THROW(store.begin_rows(kMadeBy, 0), std::invalid_argument);
  EXPECT_THROW(store.begin_rows({{"model", "\xff"}}, 4);
               commit(store, {0, 3}), std::invalid_argument);
  store.begin_rows(kMadeBy, 4);
  EXPECT_THROW(commit(store, {0, 3}, 5), std::invalid_argument);
  EXPECT_THROW(store.commit_rows({0, 2}, rows_of({0, 3}, 4), hashes_of({0, 3})),
               std::invalid_argument);
  EXPECT_THROW(store.commit_rows({0, 3}, rows_of({0, 3}, 4), hashes_of({0, 2})),
               std::invalid_argument);
  Matrix out(1, 4);
  EXPECT_THROW(store.read_rows({0, 2}, out), std::invalid_argument);
  EXPECT_THROW(store.put_stage("../umap", {}, {}), std::invalid_argument);
  EXPECT_THROW(store.put_stage("umap", {}, {{"a/b", {std::vector<float>{}, {0}}}}),
               std::invalid_argument);
  EXPECT_THROW(store.put_stage("umap", {}, {{"a", {std::vector<float>{1}, {2}}}}),
               std::invalid_argument);
  EXPECT_THROW(store.put_stage("umap", {}, {{"a", {std::vector<float>{1}, {1, 1, 1}}}}),
               std::invalid_argument);
  EXPECT_EQ(store.rows_held(), 0u);
}

TEST_F(Store, NoRowsAreNothingToCommit) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {5, 5});
  EXPECT_TRUE(store.ranges().empty());
  store.read_rows({5, 5}, {});
  EXPECT_TRUE(store.text_hashes({5, 5}).empty());
  store.export_hdf5(base_ / "empty.h5");
  EXPECT_TRUE(fs::exists(base_ / "empty.h5"));
}

TEST_F(Store, ARowThatIsNotHeldIsNamed) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  commit(store, {5, 8});
  Matrix out(8, 4);
  EXPECT_SAYS(store.read_rows({0, 8}, out), "does not hold row 3");
  EXPECT_SAYS(store.text_hashes({5, 9}), "does not hold row 8");
  EXPECT_SAYS(store.text_hashes({0, std::uint64_t{1} << 60}), "does not hold row 3");
  EXPECT_SAYS(store.export_hdf5(base_ / "gap.h5"), "does not hold row 3");
}

TEST_F(Store, EveryOptionThatDiffersIsNamed) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  store.begin_rows(kMadeBy, 4);
  const Fingerprint other = {{"model", "ffff"}, {"precision", "bfloat16"}, {"prompt", "query: "}};
  const std::string message = message_of([&] { store.begin_rows(other, 8); });
  EXPECT_NE(message.find("model: 0123abcd → ffff"), std::string::npos) << message;
  EXPECT_NE(message.find("prompt: (not given) → query: "), std::string::npos);
  EXPECT_NE(message.find("columns: 4 → 8"), std::string::npos);
  EXPECT_NE(message.find("--fresh"), std::string::npos);
  EXPECT_EQ(message.find("precision"), std::string::npos);
  EXPECT_TRUE(holds(store, {0, 3}));
}

TEST_F(Store, DroppedRowsAreGoneWithTheirShards) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  for (std::uint64_t i = 0; i < 12; i += 3) commit(store, {i, i + 3});
  store.drop_rows({5, 7});
  EXPECT_EQ(store.ranges(), (std::vector<RowRange>{{0, 3}, {9, 12}}));
  EXPECT_EQ(CheckpointStore(folder_, Mode::read).rows_held(), 6u);
  store.drop_rows({4, 4});
  store.drop_rows({100, 200});
  commit(store, {3, 9});
  EXPECT_TRUE(holds(store, {0, 12}));
}

TEST_F(Store, RowsOfAnotherFingerprintMayFollowOnceTheOldAreDropped) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  store.drop_rows({0, 3});
  store.begin_rows({{"model", "other"}}, 5);
  commit(store, {0, 3}, 5);
  EXPECT_TRUE(holds(store, {0, 3}, 5));
}

// --- stages -------------------------------------------------------------------

TEST_F(Store, AStageIsFoundByWhatItWasMadeFrom) {
  const Fingerprint other = {{"model", "0123abcd"}, {"precision", "float32"}};
  {
    CheckpointStore store(folder_);
    EXPECT_FALSE(store.get_stage("umap"));
    store.put_stage("umap", kMadeBy, a_result());
    store.put_stage("knn-graph", other, {});
    EXPECT_TRUE(equal(*store.get_stage("umap", kMadeBy), a_result()));
    EXPECT_FALSE(store.get_stage("umap", other));
    EXPECT_FALSE(store.get_stage("knn", other));
  }
  CheckpointStore store(folder_);
  EXPECT_TRUE(equal(*store.get_stage("umap"), a_result()));
  EXPECT_TRUE(store.get_stage("knn-graph", other)->empty());
  EXPECT_EQ(store.stages(),
            (std::map<std::string, Fingerprint>{{"knn-graph", other}, {"umap", kMadeBy}}));

  StageResult changed = a_result();
  changed.erase("names");
  store.put_stage("umap", kMadeBy, changed);  // the same name, in one step
  EXPECT_TRUE(equal(*store.get_stage("umap"), changed));
  store.put_stage("umap", other, a_result());
  EXPECT_FALSE(store.get_stage("umap", kMadeBy));
  EXPECT_TRUE(equal(*store.get_stage("umap"), a_result()));
  EXPECT_EQ(store.verify().stages, 2u);
}

TEST_F(Store, OfTwoResultsLeftByACutRunTheLaterCounts) {
  const Fingerprint other = {{"a", "b"}};
  CheckpointStore store(folder_);
  store.put_stage("umap", kMadeBy, a_result());
  const auto file = fs::directory_iterator(folder_ / "stages")->path();
  fs::copy_file(file, base_ / "kept");
  store.put_stage("umap", other, {});
  fs::copy_file(base_ / "kept", file);
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(store.stages().at("umap"), other);
  EXPECT_TRUE(store.get_stage("umap")->empty());
}

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
  EXPECT_SAYS(CheckpointStore{folder_}, "holds rows twice");
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
       {array("\"float64\"", "[3,4]", "1024"), array("\"float16\"", "[3,4]", "1024"),
        array("3", "[3,4]", "1024"), array("\"float32\"", "[12]", "1024"),
        array("\"float32\"", "[3,4,1]", "1024"), array("\"float32\"", "[]", "1024"),
        array("\"float32\"", "[4,3]", "1024"), array("\"float32\"", "[3,4]", "0"),
        array("\"float32\"", "[3,4]", "4600"), array("\"float32\"", "[3,4]", "-8"),
        array("\"float32\"", "[3,4]", "1.5"), array("\"float32\"", "[3,4]", "99999999"),
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

TEST_F(DamagedStore, OtherPeoplesHdf5IsRefused) {
  const std::string secret = base_ / "secret";
  write_file(secret, std::string(48, 's'));
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(properties, secret.c_str(), 0, 48);
  const hsize_t shape[] = {3, 4};
  const hid_t space = H5Screate_simple(2, shape, nullptr);
  for (const bool with_external_link : {false, true}) {
    const hid_t file = H5Fcreate(shard().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    if (with_external_link) {
      H5Lcreate_external(secret.c_str(), "/x", file, "embeddings", H5P_DEFAULT, H5P_DEFAULT);
    } else {
      H5Dclose(H5Dcreate2(file, "embeddings", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties,
                          H5P_DEFAULT));
    }
    H5Fclose(file);
    EXPECT_EQ(CheckpointStore(folder_, Mode::read).verify().damaged.size(), 1u);
    Matrix out(3, 4);
    EXPECT_SAYS(CheckpointStore(folder_, Mode::read).read_rows({0, 3}, out), "does not begin as");
  }
  H5Sclose(space);
  H5Pclose(properties);
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

// --- the folder -------------------------------------------------------------------

TEST_F(Store, PathsThatCannotHoldAStoreAreToldApart) {
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read), "there is no store");
  fs::create_directory(folder_);
  EXPECT_SAYS(CheckpointStore(folder_, Mode::read), "holds no store");
  write_file(base_ / "file", "text");
  for (const Mode mode : {Mode::read, Mode::write, Mode::fresh}) {
    EXPECT_SAYS(CheckpointStore(base_ / "file", mode), "is a file; a store is a folder");
    EXPECT_THROW(CheckpointStore(base_ / "file" / "below", mode), CheckpointError);
    EXPECT_THROW(CheckpointStore(base_ / std::string(300, 'n'), mode), CheckpointError);
    EXPECT_THROW(CheckpointStore(fs::path(std::string(5000, 'n')), mode), CheckpointError);
  }
  EXPECT_SAYS(CheckpointStore(base_ / std::string(300, 'n')), "shorter path");
  EXPECT_THROW(CheckpointStore("/proc/knowmap-store"), CheckpointError);
  EXPECT_THROW(CheckpointStore("/sys/kernel/knowmap-store"), CheckpointError);
  CheckpointStore(base_ / "a" / "b" / "c");
  EXPECT_TRUE(fs::exists(base_ / "a/b/c/store.json"));
}

TEST_F(Store, AFolderOfTheUsersIsLeftAlone) {
  fs::create_directory(folder_);
  fs::create_directory(folder_ / "rows");
  write_file(folder_ / "thesis.txt", "years of work");
  write_file(shard(), "mine");
  for (const Mode mode : {Mode::write, Mode::fresh, Mode::read}) {
    EXPECT_SAYS(CheckpointStore(folder_, mode),
                "is not a store of knowmap: it holds \"thesis.txt\"");
  }
  EXPECT_EQ(read_file(folder_ / "thesis.txt"), "years of work");
  EXPECT_EQ(read_file(shard()), "mine");
  EXPECT_FALSE(fs::exists(folder_ / ".lock"));
}

TEST_F(Store, StartingAfreshRemovesTheStoresFilesOnly) {
  {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    commit(store, {0, 3});
    store.put_stage("umap", kMadeBy, a_result());
  }
  write_file(folder_ / "map.html", "the map");
  write_file(folder_ / "rows" / "notes.txt", "notes");
  write_file(folder_ / "rows" / "rows-000000000000-000000000003.h5.bak", "a copy");
  CheckpointStore store(folder_, Mode::fresh);
  EXPECT_EQ(store.rows_held(), 0u);
  EXPECT_FALSE(store.get_stage("umap"));
  EXPECT_TRUE(fs::exists(folder_ / "map.html"));
  EXPECT_TRUE(fs::exists(folder_ / "rows" / "notes.txt"));
  EXPECT_TRUE(fs::exists(folder_ / "rows" / "rows-000000000000-000000000003.h5.bak"));
  store.begin_rows({{"model", "another"}}, 7);
  commit(store, {0, 3}, 7);
  EXPECT_TRUE(holds(store, {0, 3}, 7));
}

TEST_F(Store, LeftoversAreIgnoredByReadersAndRemovedByWriters) {
  { CheckpointStore store(folder_); }
  const std::vector<fs::path> left = {folder_ / ".knowmap-12-1.tmp",
                                      folder_ / "rows/.knowmap-12-2.tmp",
                                      folder_ / "stages/.knowmap-12-3.tmp"};
  for (const auto& file : left) write_file(file, "half a shard");
  const auto report = CheckpointStore(folder_, Mode::read).verify();
  EXPECT_EQ(report.leftovers.size(), 3u);
  EXPECT_TRUE(report.damaged.empty());
  CheckpointStore store(folder_);
  for (const auto& file : left) EXPECT_FALSE(fs::exists(file));
}

TEST_F(Store, AReaderWritesNothing) {
  { CheckpointStore store(folder_); }
  fs::remove(folder_ / ".lock");
  CheckpointStore store(folder_, Mode::read);
  EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "opened for reading");
  EXPECT_SAYS(store.put_stage("umap", kMadeBy, {}), "opened for reading");
  EXPECT_SAYS(store.drop_rows({0, 1}), "opened for reading");
  EXPECT_SAYS(store.write_manifest(), "opened for reading");
  EXPECT_SAYS(store.repair(), "opened for reading");
  EXPECT_FALSE(fs::exists(folder_ / ".lock"));
}

TEST_F(Store, TheManifestTellsPeopleWhatIsThere) {
  {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 4);
    commit(store, {0, 3});
    commit(store, {3, 6});
    commit(store, {9, 12});
    store.put_stage("umap", kMadeBy, {});
  }
  const auto manifest = nlohmann::json::parse(read_file(folder_ / "store.json"));
  EXPECT_EQ(manifest["format"], "knowmap-store");
  EXPECT_EQ(manifest["rows"]["count"], 9);
  EXPECT_EQ(manifest["rows"]["ranges"], nlohmann::json::parse("[[0,6],[9,12]]"));
  EXPECT_EQ(manifest["rows"]["fingerprint"], nlohmann::json(kMadeBy));
  EXPECT_EQ(manifest["stages"]["umap"], nlohmann::json(kMadeBy));
}

TEST_F(Store, AStoreCanBeMoved) {
  CheckpointStore store(folder_);
  CheckpointStore other = std::move(store);
  other.begin_rows(kMadeBy, 4);
  commit(other, {0, 3});
  CheckpointStore third(base_ / "third");
  third = std::move(other);
  EXPECT_TRUE(holds(third, {0, 3}));
}

// --- who may write ------------------------------------------------------------------

// Runs `body` in a child process and gives its exit status.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = body();
    } catch (const CheckpointError&) {
      result = 1;
    } catch (...) {
    }
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(Store, ASecondWriterIsToldWhoTheFirstIs) {
  CheckpointStore store(folder_);
  EXPECT_SAYS(CheckpointStore{folder_}, "in this process");
  const std::string owner = "process " + std::to_string(::getpid()) + " on ";
  EXPECT_EQ(in_child([&] {
              try {
                CheckpointStore second(folder_, Mode::fresh);
              } catch (const CheckpointError& error) {
                const std::string what = error.what();
                return what.find(owner) != what.npos && what.find(" since 20") != what.npos ? 7 : 8;
              }
              return 0;
            }),
            7);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  EXPECT_TRUE(holds(CheckpointStore(folder_, Mode::read), {0, 3}));
}

TEST_F(Store, TheLockGoesWithItsOwner) {
  { CheckpointStore store(folder_); }
  { CheckpointStore again(folder_); }
  EXPECT_EQ(in_child([&] {
              CheckpointStore store(folder_);
              store.begin_rows(kMadeBy, 4);
              commit(store, {0, 3});
              ::raise(SIGKILL);
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_NE(read_file(folder_ / ".lock"), "");  // it was left behind
  CheckpointStore store(folder_);
  EXPECT_TRUE(holds(store, {0, 3}));
}

TEST_F(Store, AForkHoldsNoLockAndMayNotWrite) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  EXPECT_EQ(in_child([&] {
              commit(store, {0, 3});
              return 0;
            }),
            1);
  EXPECT_EQ(in_child([&] {
              CheckpointStore moved = std::move(store);  // destroyed in the child
              return 0;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              CheckpointStore second(folder_);
              return 0;
            }),
            1);
  commit(store, {0, 3});
}

TEST_F(Store, AnOrphanedForkKeepsNobodyOut) {
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  EXPECT_EQ(in_child([&] {
              CheckpointStore store(folder_);
              if (::fork() == 0) {  // lives on after its parent was killed
                char byte;
                ::close(pipes[1]);
                while (::read(pipes[0], &byte, 1) > 0) {
                }
                ::_exit(0);
              }
              ::raise(SIGKILL);
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_NO_THROW(CheckpointStore{folder_});
  ::close(pipes[1]);
  ::close(pipes[0]);
}

TEST_F(Store, ALockThatWasTakenAwayStopsItsOwner) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  fs::remove(folder_ / ".lock");
  EXPECT_SAYS(commit(store, {3, 6}), "lock");
  CheckpointStore second(folder_);
  EXPECT_SAYS(commit(store, {3, 6}), "lock");
  second.begin_rows(kMadeBy, 4);
  commit(second, {3, 6});
}

TEST_F(Store, LocksOfOtherMachinesCountWhileTheyAreFresh) {
  { CheckpointStore store(folder_); }
  const fs::path lock = folder_ / ".lock";
  const std::string elsewhere =
      R"({"process":1,"host":"elsewhere.example","boot":"x","since":"2026-01-01 00:00:00 UTC"})";
  write_file(lock, elsewhere);
  EXPECT_SAYS(CheckpointStore{folder_}, "elsewhere.example since 2026-01-01");
  EXPECT_SAYS(CheckpointStore{folder_}, "delete ");
  fs::last_write_time(lock, fs::file_time_type::clock::now() - std::chrono::minutes(11));
  EXPECT_NO_THROW(CheckpointStore{folder_});
  for (const char* garbage : {"", "{", "[]", "{\"process\":\"x\"}", "{\"process\":-4}", "\xff"}) {
    write_file(lock, garbage);
    EXPECT_NO_THROW(CheckpointStore{folder_}) << garbage;
  }
  fs::remove(lock);
  fs::create_symlink(base_ / "target", lock);
  EXPECT_THROW(CheckpointStore{folder_}, CheckpointError);
  EXPECT_FALSE(fs::exists(base_ / "target"));
}

TEST_F(Store, ReadersSeeWholeShardsWhileAWriterWrites) {
  { CheckpointStore store(folder_); }
  std::atomic<bool> done = false;
  std::atomic<int> opened = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const CheckpointStore store(folder_, Mode::read);
        EXPECT_TRUE(holds(store, {0, store.rows_held()}));
        const auto stage = store.get_stage("umap");
        EXPECT_TRUE(!stage || equal(*stage, a_result()));
        ++opened;
      }
    });
  }
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  for (std::uint64_t i = 0; i < 60 || opened < 9; i += 3) {
    commit(store, {i, i + 3});
    store.put_stage("umap", {{"step", std::to_string(i)}}, a_result());
  }
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_TRUE(store.verify().damaged.empty());
}

TEST_F(Store, OneStoreServesManyThreads) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 30});
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 10; ++i) {
        commit(store, {t * 30 + i * 3, t * 30 + i * 3 + 3});
        EXPECT_TRUE(holds(store, {i, 30}));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(holds(store, {0, 120}));
}

// --- disks that fail ------------------------------------------------------------------

TEST_F(Store, AFileSizeLimitIsAClearErrorAndLeavesNothing) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 100);
  commit(store, {0, 3}, 100);
  EXPECT_EQ(in_child([&] {
              CheckpointStore other(base_ / "other");
              other.begin_rows(kMadeBy, 100);
              commit(other, {0, 3}, 100);
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{50000, 50000};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              const std::string message = message_of([&] { commit(other, {3, 303}, 100); });
              if (message.find("file size limit") == message.npos) return 3;
              if (!holds(other, {0, 3}, 100) || !other.verify().leftovers.empty()) return 4;
              commit(other, {3, 6}, 100);  // goes on where it fits
              return holds(other, {0, 6}, 100) ? 0 : 5;
            }),
            0);
}

// --- export ---------------------------------------------------------------------------

TEST_F(Store, AnExportIsOnePlainHdf5File) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  commit(store, {3, 9});
  store.put_stage("umap", kMadeBy, a_result());
  const fs::path file = base_ / "all.h5";
  store.export_hdf5(file);
  store.export_hdf5(file);  // takes the old one's place

  const hid_t opened = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(opened, 0);
  Matrix rows(9, 4);
  const hid_t dataset = H5Dopen2(opened, "embeddings", H5P_DEFAULT);
  EXPECT_GE(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()), 0);
  EXPECT_EQ(std::memcmp(rows.data(), rows_of({0, 9}, 4).data(), sizeof(float) * 36), 0);
  H5Dclose(dataset);
  const hid_t hashes = H5Dopen2(opened, "text_hashes", H5P_DEFAULT);
  std::vector<std::uint64_t> read(9);
  EXPECT_GE(H5Dread(hashes, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()), 0);
  EXPECT_EQ(read, hashes_of({0, 9}));
  H5Dclose(hashes);
  EXPECT_GT(H5Lexists(opened, "stages/umap/names", H5P_DEFAULT), 0);
  H5Fclose(opened);

  EXPECT_THROW(store.export_hdf5(base_), CheckpointError);
  EXPECT_THROW(store.export_hdf5(base_ / "missing" / "all.h5"), CheckpointError);
  std::size_t left = 0;
  for (const auto& entry : fs::directory_iterator(base_)) {
    left += entry.path().filename().string().starts_with(".knowmap");
  }
  EXPECT_EQ(left, 0u);
}

// --- hashes -----------------------------------------------------------------------------

TEST(ContentHash, IsTheSameEverywhereAndHoweverItIsFed) {
  // Kept on disk, in names and headers: a change here is a new format version.
  EXPECT_EQ(content_hash(""), "2aadaa8893cbd84aa90d1f25acd14a20");
  EXPECT_EQ(content_hash("knowledge map"), "37ce95df6cb47577bd6590e8c91f799d");
  std::string long_text;
  for (int i = 0; i < 1000; ++i) long_text += static_cast<char>(i * 7);
  EXPECT_EQ(content_hash(long_text), "984cfc476946e99975f38027962433e4");
  for (std::size_t cut = 0; cut < long_text.size(); cut += 13) {
    Hasher hasher;
    hasher.update(long_text.data(), cut);
    hasher.update(long_text.data() + cut, 1);
    hasher.update(long_text.data() + cut + 1, long_text.size() - cut - 1);
    EXPECT_EQ(hex(hasher.finish()), content_hash(long_text));
  }
}

TEST(ContentHash, SeesEveryBitAndEveryLength) {
  for (const std::size_t length : {1u, 8u, 63u, 64u, 65u, 200u}) {
    const std::string text(length, 'a');
    const std::string hash = content_hash(text);
    for (std::size_t bit = 0; bit < 8 * length; ++bit) {
      std::string other = text;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
      EXPECT_NE(content_hash(other), hash);
    }
  }
  std::map<std::string, std::size_t> seen;
  for (std::size_t zeros = 0; zeros < 300; ++zeros) {
    EXPECT_TRUE(seen.emplace(content_hash(std::string(zeros, '\0')), zeros).second) << zeros;
  }
}

TEST(ContentHash, OfFingerprintsDoesNotRunTogether) {
  EXPECT_NE(content_hash(Fingerprint{{"a", "b"}}), content_hash(Fingerprint{{"ab", ""}}));
  EXPECT_NE(content_hash(Fingerprint{{"a", "1:b"}}),
            content_hash(Fingerprint{{"a", ""}, {"b", ""}}));
  EXPECT_NE(content_hash(Fingerprint{}), content_hash(Fingerprint{{"", ""}}));
}

}  // namespace
}  // namespace knowmap
