#include <hdf5.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "store/row_codec.hpp"
#include "store_fixture.hpp"

namespace knowmap {
namespace {

// --- float16 and int8 ---------------------------------------------------------

TEST(RowCodec, EveryHalfComesBackAndEveryFloatGoesToTheNearest) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = store::float_from_half(static_cast<std::uint16_t>(half));
    const std::uint16_t back = store::half_from_float(value);
    if (std::isnan(value)) {
      EXPECT_EQ(back & 0x7e00, 0x7e00) << half;
    } else {
      EXPECT_EQ(back, half);
    }
  }
  // Between two halves: to the nearer, and at the middle to the even one.
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    const float low = store::float_from_half(half);
    const float high = store::float_from_half(static_cast<std::uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(store::half_from_float(std::nextafter(middle, low)), half);
    EXPECT_EQ(store::half_from_float(std::nextafter(middle, high)), half + 1);
    EXPECT_EQ(store::half_from_float(middle), half + (half & 1));
    EXPECT_EQ(store::half_from_float(-middle), 0x8000 | (half + (half & 1)));
  }
  EXPECT_EQ(store::half_from_float(1e-30f), 0);
  EXPECT_EQ(store::half_from_float(1.0f), 0x3c00);
  EXPECT_EQ(store::half_from_float(-HUGE_VALF), 0xfc00);
}

// Rows of many sizes, as a model's are not.
Matrix uneven_rows(std::size_t count, std::size_t columns) {
  Matrix rows(count, columns);
  for (std::size_t i = 0; i < count; ++i) {
    const float size = std::pow(10.0f, static_cast<float>(i % 9) - 4.0f);
    for (std::size_t j = 0; j < columns; ++j) {
      rows(i, j) = size * std::sin(static_cast<float>(i * 31 + j * 7 + 1));
    }
  }
  return rows;
}

void expect_close(const Matrix& stored, const Matrix& given, RowStorage storage) {
  for (std::size_t i = 0; i < given.rows(); ++i) {
    float largest = 0.0f;
    for (std::size_t j = 0; j < given.cols(); ++j) {
      largest = std::max(largest, std::fabs(given(i, j)));
    }
    for (std::size_t j = 0; j < given.cols(); ++j) {
      const float allowed = storage == RowStorage::int8
                                ? largest / 254.0f * 1.0001f
                                : std::fabs(given(i, j)) * 0x1p-11f + 0x1p-25f;
      ASSERT_LE(std::fabs(stored(i, j) - given(i, j)), allowed) << i << " " << j;
    }
  }
}

class Stored : public Store, public testing::WithParamInterface<RowStorage> {};

TEST_P(Stored, RowsComeBackWithinTheirErrorAndAlwaysTheSame) {
  const Matrix given = uneven_rows(40, 33);
  Matrix first(40, 33);
  {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, 33, GetParam());
    store.commit_rows({0, 15}, given.view().slice(0, 15), hashes_of({0, 15}));
    store.commit_rows({15, 40}, given.view().slice(15, 40), hashes_of({15, 40}));
    store.read_rows({0, 40}, first);
    EXPECT_EQ(store.storage(), GetParam());
  }
  expect_close(first, given, GetParam());
  const CheckpointStore store(folder_, Mode::read);
  EXPECT_EQ(store.storage(), GetParam());
  EXPECT_EQ(store.text_hashes({3, 39}), hashes_of({3, 39}));
  for (std::uint64_t begin = 0; begin < 40; begin += 7) {
    for (std::uint64_t end = begin + 1; end <= 40; end += 5) {
      Matrix part(end - begin, 33);
      store.read_rows({begin, end}, part);
      ASSERT_EQ(std::memcmp(part.data(), first.row(begin), part.size() * sizeof(float)), 0);
    }
  }
  EXPECT_TRUE(store.verify().damaged.empty());
}

TEST_P(Stored, AnUpdateChangesItsRowsAndNoOther) {
  const Matrix given = uneven_rows(40, 33);
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 33, GetParam());
  for (std::uint64_t i = 0; i < 40; i += 10) {
    store.commit_rows({i, i + 10}, given.view().slice(i, i + 10), hashes_of({i, i + 10}));
  }
  Matrix before(40, 33), after(40, 33), fresh(3, 33);
  store.read_rows({0, 40}, before);
  const CheckpointStore reader(folder_, Mode::read);  // has read the shards as they were
  reader.read_rows({0, 40}, after);

  const Matrix others = uneven_rows(50, 33);
  const std::vector<std::uint64_t> rows = {3, 9, 27}, hashes = {1, 2, 3};
  store.update_rows(rows, others.view().slice(44, 47), hashes);
  {
    CheckpointStore alone(base_ / "alone");
    alone.begin_rows(kMadeBy, 33, GetParam());
    alone.commit_rows({0, 3}, others.view().slice(44, 47), hashes);
    alone.read_rows({0, 3}, fresh);
  }
  for (const CheckpointStore* seen : {static_cast<const CheckpointStore*>(&store), &reader}) {
    seen->read_rows({0, 40}, after);
    for (std::uint64_t i = 0; i < 40; ++i) {
      const auto at = static_cast<std::size_t>(std::ranges::find(rows, i) - rows.begin());
      const float* expected = at < 3 ? fresh.row(at) : before.row(i);
      EXPECT_EQ(std::memcmp(after.row(i), expected, 33 * sizeof(float)), 0) << i;
      EXPECT_EQ(seen->text_hashes({i, i + 1})[0], at < 3 ? hashes[at] : hash_at(i)) << i;
    }
  }
  EXPECT_EQ(store.ranges().size(), 4u);
  EXPECT_TRUE(store.verify().damaged.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Every, Stored, testing::Values(RowStorage::float32, RowStorage::float16, RowStorage::int8),
    [](const auto& tested) { return std::string(row_storage_name(tested.param)); });

TEST_F(Store, TheStorageIsPartOfWhatRowsAre) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4, RowStorage::int8);
  commit(store, {0, 3});
  EXPECT_EQ(store.rows_fingerprint()->at("storage"), "int8");
  EXPECT_SAYS(store.begin_rows(kMadeBy, 4), "storage: int8 → float32");
  EXPECT_SAYS(store.begin_rows(kMadeBy, 4, RowStorage::float16), "storage: int8 → float16");
  store.begin_rows(kMadeBy, 4, RowStorage::int8);
  EXPECT_THROW(row_storage_from_name("int4"), std::invalid_argument);
  EXPECT_EQ(row_storage_from_name("float16"), RowStorage::float16);
}

TEST_F(Store, NumbersWithoutAPlaceAreRefused) {
  CheckpointStore half(folder_), eighth(base_ / "int8");
  half.begin_rows(kMadeBy, 4, RowStorage::float16);
  eighth.begin_rows(kMadeBy, 4, RowStorage::int8);
  Matrix rows = rows_of({0, 3}, 4);
  rows(1, 2) = 70000.0f;
  EXPECT_THROW(half.commit_rows({0, 3}, rows, hashes_of({0, 3})), std::invalid_argument);
  eighth.commit_rows({0, 3}, rows, hashes_of({0, 3}));
  rows(1, 2) = std::numeric_limits<float>::quiet_NaN();
  half.commit_rows({0, 3}, rows, hashes_of({0, 3}));
  EXPECT_THROW(eighth.commit_rows({3, 6}, rows, hashes_of({3, 6})), std::invalid_argument);
  rows(1, 2) = HUGE_VALF;
  EXPECT_THROW(eighth.commit_rows({3, 6}, rows, hashes_of({3, 6})), std::invalid_argument);
  EXPECT_EQ(half.rows_held(), 3u);
  EXPECT_EQ(eighth.rows_held(), 3u);
  Matrix zero(2, 4, 0.0f), out(2, 4, 1.0f);
  eighth.commit_rows({3, 5}, zero, hashes_of({3, 5}));
  eighth.read_rows({3, 5}, out);
  EXPECT_EQ(std::memcmp(out.data(), zero.data(), sizeof(float) * 8), 0);
}

TEST_F(Store, AnUpdateWantsRowsThatAreHeldInOrder) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  const Matrix rows = rows_of({0, 2}, 4);
  const auto update = [&](std::vector<std::uint64_t> at) {
    store.update_rows(at, rows, hashes_of({0, 2}));
  };
  EXPECT_THROW(update({1, 0}), std::invalid_argument);
  EXPECT_THROW(update({1, 1}), std::invalid_argument);
  EXPECT_THROW(update({1}), std::invalid_argument);
  EXPECT_SAYS(update({1, 3}), "does not hold row 3");
  EXPECT_TRUE(holds(store, {0, 3}));
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

// All that one dataset of a file holds, as `type` in memory.
template <class T>
std::vector<T> read_dataset(hid_t file, const std::string& name, hid_t type,
                            std::vector<hsize_t> shape) {
  const hid_t dataset = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
  const hid_t space = H5Dget_space(dataset);
  std::vector<hsize_t> extent(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, extent.data(), nullptr);
  EXPECT_EQ(extent, shape) << name;
  std::size_t count = 1;
  for (const auto length : shape) count *= length;
  std::vector<T> values(count);
  EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
  H5Sclose(space);
  H5Dclose(dataset);
  return values;
}

std::vector<std::string> read_text_dataset(hid_t file, const std::string& name,
                                           std::vector<hsize_t> shape) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  std::vector<std::string> texts;
  for (char* text : read_dataset<char*>(file, name, type, std::move(shape))) {
    texts.emplace_back(text == nullptr ? "" : text);
    H5free_memory(text);
  }
  H5Tclose(type);
  return texts;
}

TEST_F(Store, AnExportHoldsAllThatTheStoreHolds) {
  constexpr std::uint64_t kMany = 50'000;  // more than are laid out at once
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  for (std::uint64_t begin = 0; begin < kMany; begin += kMany / 5) {
    commit(store, {begin, begin + kMany / 5});
  }
  std::vector<std::string> ids, pairs;
  for (std::uint64_t i = 0; i < kMany; ++i) ids.push_back("id " + std::to_string(i * 7919));
  for (std::uint64_t i = 0; i < kMany; ++i) pairs.push_back(std::string(i % 90, 'a') + "ö");
  store.put_stage("layout", kMadeBy, a_result());
  store.put_stage("words", {}, {{"pairs", {pairs, {kMany / 2, 2}}}});
  store.put_stage("bare", {}, {});
  const fs::path file = base_ / "all.h5";
  store.export_hdf5(file, ids);

  const hid_t opened = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(opened, 0);
  const Matrix rows = rows_of({0, kMany}, 4);
  EXPECT_EQ(read_dataset<float>(opened, "embeddings", H5T_NATIVE_FLOAT, {kMany, 4}),
            std::vector<float>(rows.data(), rows.data() + rows.size()));
  EXPECT_EQ(read_dataset<std::uint64_t>(opened, "text_hashes", H5T_NATIVE_UINT64, {kMany}),
            hashes_of({0, kMany}));
  EXPECT_EQ(read_text_dataset(opened, "ids", {kMany}), ids);
  EXPECT_EQ(read_text_dataset(opened, "stages/words/pairs", {kMany / 2, 2}), pairs);
  const StageResult result = a_result();
  const auto expect_array = [&]<class T>(const std::string& name, hid_t type, T) {
    const auto& array = result.at(name);
    EXPECT_EQ(read_dataset<T>(opened, "stages/layout/" + name, type,
                              {array.shape.begin(), array.shape.end()}),
              std::get<std::vector<T>>(array.values))
        << name;
  };
  expect_array("coordinates", H5T_NATIVE_FLOAT, float{});
  expect_array("weights", H5T_NATIVE_DOUBLE, double{});
  expect_array("small", H5T_NATIVE_INT32, std::int32_t{});
  expect_array("large", H5T_NATIVE_INT64, std::int64_t{});
  expect_array("nothing", H5T_NATIVE_FLOAT, float{});
  EXPECT_EQ(read_text_dataset(opened, "stages/layout/names", {2, 2}),
            std::get<std::vector<std::string>>(result.at("names").values));
  EXPECT_TRUE(read_text_dataset(opened, "stages/layout/no_texts", {0}).empty());
  for (const char* object : {"/", "embeddings", "stages/layout", "stages/bare"}) {
    EXPECT_GT(H5Aexists_by_name(opened, object, "fingerprint", H5P_DEFAULT), 0) << object;
  }
  H5Fclose(opened);

  const std::string first = read_file(file);
  store.export_hdf5(file, ids);
  EXPECT_EQ(read_file(file), first);  // the same content, the same bytes
  ids.back() = std::string("cut\0here", 8);
  EXPECT_SAYS(store.export_hdf5(file, ids), "goes on behind a NUL");
  EXPECT_EQ(read_file(file), first);
}

TEST_F(Store, AnExportTakesNoMemoryForTheRows) {
  constexpr std::uint64_t kWide = 1u << 18;  // a MiB a row
  {
    CheckpointStore store(folder_);
    store.begin_rows(kMadeBy, kWide);
    for (std::uint64_t begin = 0; begin < 128; begin += 4) commit(store, {begin, begin + 4}, kWide);
  }
  EXPECT_TRUE(in_child_with_memory(48, [&] {
    CheckpointStore(folder_, Mode::read).export_hdf5(base_ / "all.h5");
    return fs::file_size(base_ / "all.h5") > (128u << 20);
  }));
}

TEST_F(Store, AnNpyFileHoldsTheRows) {
  CheckpointStore store(folder_);
  store.begin_rows(kMadeBy, 4);
  commit(store, {0, 3});
  commit(store, {3, 9});
  store.export_npy(base_ / "all.npy");
  const std::string bytes = read_file(base_ / "all.npy");
  ASSERT_EQ(bytes.size(), 128u + 9 * 4 * sizeof(float));
  EXPECT_EQ(bytes.substr(0, 6), "\x93NUMPY");
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_NE(bytes.find("'shape': (9, 4)"), std::string::npos);
  EXPECT_EQ(std::memcmp(bytes.data() + 128, rows_of({0, 9}, 4).data(), 9 * 4 * sizeof(float)), 0);
  store.drop_rows({3, 4});
  commit(store, {4, 9});
  EXPECT_SAYS(store.export_npy(base_ / "gap.npy"), "does not hold row 3");
  EXPECT_FALSE(fs::exists(base_ / "gap.npy"));
}

TEST_F(Store, AViewShowsTheShardsAsOneAndMovesWithThem) {
  for (const auto storage : {RowStorage::float32, RowStorage::float16, RowStorage::int8}) {
    SCOPED_TRACE(row_storage_name(storage));
    const fs::path moved = base_ / "moved";
    {
      CheckpointStore store(folder_);
      store.begin_rows(kMadeBy, 4, storage);
      commit(store, {0, 3});
      commit(store, {3, 9});
      store.export_view(folder_ / "view.h5");
      fs::remove(folder_ / "view.h5");  // and made anew
      store.export_view(folder_ / "view.h5");
    }
    fs::rename(folder_, moved);
    EXPECT_LT(fs::file_size(moved / "view.h5"), 20000u);
    const hid_t file = H5Fopen((moved / "view.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    std::vector<float> rows(36), expected(36);
    const hid_t dataset = H5Dopen2(file, "embeddings", H5P_DEFAULT);
    EXPECT_GE(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()), 0);
    H5Dclose(dataset);
    if (storage == RowStorage::int8) {
      std::vector<float> scales(9);
      const hid_t steps = H5Dopen2(file, "scales", H5P_DEFAULT);
      EXPECT_GE(H5Dread(steps, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, scales.data()), 0);
      H5Dclose(steps);
      for (std::size_t i = 0; i < 36; ++i) rows[i] *= scales[i / 4];
    }
    std::vector<std::uint64_t> hashes(9);
    const hid_t held = H5Dopen2(file, "text_hashes", H5P_DEFAULT);
    EXPECT_GE(H5Dread(held, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, hashes.data()), 0);
    H5Dclose(held);
    H5Fclose(file);
    CheckpointStore(moved, Mode::read).read_rows({0, 9}, {expected.data(), 9, 4});
    EXPECT_EQ(rows, expected);
    EXPECT_EQ(hashes, hashes_of({0, 9}));
    fs::remove_all(moved);
  }
}

}  // namespace
}  // namespace knowmap
