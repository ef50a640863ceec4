#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"

// What the tests of the store share.
namespace knowmap {

namespace fs = std::filesystem;
using Mode = CheckpointStore::Mode;

inline const Fingerprint kMadeBy = {{"model", "0123abcd"}, {"precision", "bfloat16"}};

class Store : public testing::Test {
 protected:
  void SetUp() override {
    // In memory where there is such a folder: these tests make thousands of files.
    const fs::path memory = "/dev/shm";
    const bool use_memory = ::access(memory.c_str(), W_OK) == 0;
    const fs::path base = use_memory ? memory : fs::temp_directory_path();
    std::string name = (base / "knowmap-store-XXXXXX").string();
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
inline float value_at(std::uint64_t row, std::uint64_t column) {
  return static_cast<float>(row) + static_cast<float>(column) / 128.0f;
}
inline std::uint64_t hash_at(std::uint64_t row) { return row * 0x9e3779b97f4a7c15u + 1; }

inline Matrix rows_of(RowRange range, std::uint64_t dimension) {
  Matrix rows(range.end - range.begin, dimension);
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    for (std::size_t j = 0; j < dimension; ++j) rows(i, j) = value_at(range.begin + i, j);
  }
  return rows;
}

inline std::vector<std::uint64_t> hashes_of(RowRange range) {
  std::vector<std::uint64_t> hashes;
  for (auto row = range.begin; row < range.end; ++row) hashes.push_back(hash_at(row));
  return hashes;
}

inline void commit(CheckpointStore& store, RowRange range, std::uint64_t dimension = 4) {
  store.commit_rows(range, rows_of(range, dimension), hashes_of(range));
}

inline bool holds(const CheckpointStore& store, RowRange range, std::uint64_t dimension = 4) {
  Matrix out(range.end - range.begin, dimension, -1.0f);
  store.read_rows(range, out);
  const Matrix expected = rows_of(range, dimension);
  return std::equal(out.data(), out.data() + out.size(), expected.data()) &&
         store.text_hashes(range) == hashes_of(range);
}

inline std::string message_of(const std::function<void()>& action) {
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

inline std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
}

// Whether `holds` in a process that may take so many MiB more than now, and no more.
template <class Holds>
bool in_child_with_memory(rlim_t mebibytes, Holds&& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream pages("/proc/self/statm");
    std::uint64_t now = 0;
    pages >> now;
    [[maybe_unused]] const rlim_t most =
        now * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (mebibytes << 20);
#ifndef __SANITIZE_ADDRESS__
    const rlimit limit{most, most};
    ::setrlimit(RLIMIT_AS, &limit);
#endif
    bool result = false;
    try {
      result = holds();
    } catch (...) {
    }
    ::_exit(result ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline StageResult a_result() {
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

inline bool equal(const StageResult& a, const StageResult& b) {
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

}  // namespace knowmap
