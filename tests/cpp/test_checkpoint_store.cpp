#include <sys/stat.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "store_fixture.hpp"
#include "support/hash128.hpp"

namespace knowmap {
namespace {

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

TEST_F(Store, AClosedStoreGivesItsLockBackAndSaysSo) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  store.put_stage("umap", kMadeBy, a_result());
  EXPECT_FALSE(store.closed());
  store.close();
  store.close();
  EXPECT_TRUE(store.closed());
  EXPECT_EQ(nlohmann::json::parse(read_file(folder_ / "store.json"))["rows"]["count"], 3);
  for (const auto& use :
       std::vector<std::function<void()>>{[&] { store.begin_rows(kMadeBy, 4); },
                                          [&] {
                                            commit(store, {3, 6});
                                          },
                                          [&] { store.ranges(); },
                                          [&] { store.rows_held(); },
                                          [&] { store.dimension(); },
                                          [&] { store.storage(); },
                                          [&] { store.rows_fingerprint(); },
                                          [&] {
                                            store.read_rows({0, 3});
                                          },
                                          [&] {
                                            store.text_hashes({0, 3});
                                          },
                                          [&] {
                                            store.drop_rows({0, 3});
                                          },
                                          [&] { store.get_stage("umap"); },
                                          [&] { store.get_stage("umap", kMadeBy); },
                                          [&] { store.stages(); },
                                          [&] { store.put_stage("umap", kMadeBy, {}); },
                                          [&] { store.verify(); },
                                          [&] { store.repair(); },
                                          [&] { store.write_manifest(); },
                                          [&] { store.export_hdf5(base_ / "x.h5"); },
                                          [&] { store.export_npy(base_ / "x.npy"); },
                                          [&] { store.export_view(base_ / "v.h5"); }}) {
    EXPECT_SAYS(use(), "was closed: open it anew");
  }
  CheckpointStore again(folder_);  // in this process
  EXPECT_TRUE(holds(again, {0, 3}));
}

TEST_F(Store, AnExportNeverTakesThePlaceOfTheStoresOwn) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  fs::create_directory_symlink(folder_ / "rows", base_ / "link");
  const std::string before = read_file(shard());
  for (const fs::path& file :
       {shard(), folder_ / "rows" / "new.h5", folder_ / "stages" / "new.h5", folder_ / "store.json",
        folder_ / ".lock", folder_ / "rows", base_ / "link" / shard().filename(),
        folder_ / ".." / "store" / "store.json"}) {
    EXPECT_SAYS(store.export_hdf5(file), "the store's own file");
    EXPECT_SAYS(store.export_npy(file), "the store's own file");
    EXPECT_SAYS(store.export_view(file), "the store's own file");
  }
  EXPECT_EQ(read_file(shard()), before);
  store.export_view(folder_ / "view.h5");
  EXPECT_TRUE(store.verify().damaged.empty());
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
