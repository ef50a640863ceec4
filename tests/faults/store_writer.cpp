// A run that commits rows and tells what was acknowledged, to be killed and to
// be given failing system calls by test_store_faults.py; and its check.
//
//   store_writer write FOLDER COMMITS   goes on where the folder's run was cut;
//                                       a line on stdout for every commit that
//                                       returned; exit 3 and a line on stderr
//                                       where the store gave a clear error
//   store_writer check FOLDER           reads acknowledgements on stdin: exit 0
//                                       where all of them are in the store, bit
//                                       for bit, and nothing is damaged
//   store_writer care FOLDER COMMITS FILE
//                                       on a store that `write` made: replaces,
//                                       drops and recommits rows, damages shards
//                                       and repairs, and exports all to FILE.npy,
//                                       FILE.h5 and FILE.view.h5; tells each
//                                       before and after
//   store_writer fresh FOLDER COMMITS   starts over; tells so before
//   store_writer export FOLDER FILE
//   store_writer watch FOLDER ROWS      reads all, again and again, until that
//                                       many rows are there; none may ever vanish
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "knowmap/checkpoint_store.hpp"
#include "knowmap/error.hpp"

namespace {

using knowmap::CheckpointStore;
using knowmap::RowRange;

constexpr std::uint64_t kRowsOfACommit = 5;
constexpr std::uint64_t kColumns = 16;
constexpr std::uint64_t kCommitsOfAStage = 5;
const knowmap::Fingerprint kMadeBy = {{"model", "0123"}, {"precision", "float32"}};

// A row has versions: 0 is committed, later ones replace it.
constexpr std::uint64_t kVersionBit = std::uint64_t{1} << 40;

knowmap::Matrix rows_of(RowRange range, std::uint64_t version = 0) {
  knowmap::Matrix rows(range.end - range.begin, kColumns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows.data()[i] = 1.0f + static_cast<float>(range.begin * kColumns + i) +  // never a zero
                     0.25f * static_cast<float>(version);
  }
  return rows;
}

std::vector<std::uint64_t> hashes_of(RowRange range, std::uint64_t version = 0) {
  std::vector<std::uint64_t> hashes;
  for (auto row = range.begin; row < range.end; ++row) {
    hashes.push_back(~row ^ (version * kVersionBit));
  }
  return hashes;
}

knowmap::StageResult stage_of(std::uint64_t step) {
  return {{"step", {std::vector<std::int64_t>{static_cast<std::int64_t>(step)}, {1}}},
          {"names", {std::vector<std::string>{"step " + std::to_string(step)}, {1}}}};
}

knowmap::Fingerprint made_from(std::uint64_t step) { return {{"step", std::to_string(step)}}; }

// Not through a buffer: what was said must have been said when the kill comes.
void acknowledge(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(4);
}

int write(const std::string& folder, std::uint64_t commits) {
  CheckpointStore store(folder);
  store.begin_rows(kMadeBy, kColumns);
  std::vector<std::uint64_t> held;
  for (const auto& there : store.ranges()) held.push_back(there.begin);
  for (std::uint64_t i = 0; i < commits; ++i) {
    const RowRange range{i * kRowsOfACommit, (i + 1) * kRowsOfACommit};
    if (!std::binary_search(held.begin(), held.end(), range.begin)) {
      store.commit_rows(range, rows_of(range), hashes_of(range));
      acknowledge("rows " + std::to_string(range.begin) + " " + std::to_string(range.end));
    }
    if ((i + 1) % kCommitsOfAStage == 0 && !store.get_stage("umap", made_from(i))) {
      store.put_stage("umap", made_from(i), stage_of(i));
      acknowledge("stage " + std::to_string(i));
    }
  }
  return 0;
}

std::string acknowledged(const char* what, RowRange range) {
  return std::string(what) + " " + std::to_string(range.begin) + " " + std::to_string(range.end);
}

void commit_missing(CheckpointStore& store, std::uint64_t commits) {
  std::vector<std::uint64_t> held;
  for (const auto& there : store.ranges()) held.push_back(there.begin);
  for (std::uint64_t i = 0; i < commits; ++i) {
    const RowRange range{i * kRowsOfACommit, (i + 1) * kRowsOfACommit};
    if (std::binary_search(held.begin(), held.end(), range.begin)) continue;
    store.commit_rows(range, rows_of(range), hashes_of(range));
    acknowledge(acknowledged("rows", range));
  }
}

// As a bad disk might: a shard's last bytes are gone.
void damage(const std::string& folder, RowRange range) {
  char name[64];
  std::snprintf(name, sizeof name, "/rows/rows-%012lu-%012lu.h5",
                static_cast<unsigned long>(range.begin), static_cast<unsigned long>(range.end));
  const int fd = ::open((folder + name).c_str(), O_WRONLY);
  if (fd < 0 || ::ftruncate(fd, 700) != 0) ::_exit(6);  // the test's own calls may fail too
  ::close(fd);
}

int care(const std::string& folder, std::uint64_t commits, const std::string& file) {
  CheckpointStore store(folder);
  store.repair();  // what an earlier run damaged, and was cut off
  acknowledge("repaired");
  store.begin_rows(kMadeBy, kColumns);
  commit_missing(store, commits);
  for (std::uint64_t i = 0; i + 1 < commits; ++i) {
    const RowRange range{i * kRowsOfACommit, (i + 1) * kRowsOfACommit};
    if (i % 3 == 0) {  // the end of this shard and the beginning of the next
      const RowRange changed{range.end - 2, range.end + 2};
      std::vector<std::uint64_t> indices;
      for (auto row = changed.begin; row < changed.end; ++row) indices.push_back(row);
      store.update_rows(indices, rows_of(changed, 1), hashes_of(changed, 1));
      acknowledge(acknowledged("updated", changed));
    } else if (i % 6 == 2) {
      acknowledge(acknowledged("dropping", range));
      store.drop_rows(range);
      acknowledge(acknowledged("dropped", range));
      store.commit_rows(range, rows_of(range), hashes_of(range));
      acknowledge(acknowledged("rows", range));
    } else if (i % 6 == 5 && i < 30) {  // each repair reads all shards
      acknowledge(acknowledged("damaging", range));
      damage(folder, range);
      store.repair();
      acknowledge(acknowledged("dropped", range));
      store.commit_rows(range, rows_of(range), hashes_of(range));
      acknowledge(acknowledged("rows", range));
    }
  }
  store.export_npy(file + ".npy");
  acknowledge("exported .npy");
  store.export_hdf5(file + ".h5");
  acknowledge("exported .h5");
  store.export_view(file + ".view.h5");
  acknowledge("exported .view.h5");
  return 0;
}

int fresh(const std::string& folder, std::uint64_t commits) {
  acknowledge("afresh");
  CheckpointStore store(folder, CheckpointStore::Mode::fresh);
  acknowledge("empty");
  store.begin_rows(kMadeBy, kColumns);
  commit_missing(store, commits);
  return 0;
}

// Each row of the range whole, in one of its versions, and none older than `versions` say.
bool holds(const CheckpointStore& store, RowRange range,
           const std::map<std::uint64_t, std::uint64_t>& versions = {}) {
  const auto hashes = store.text_hashes(range);
  knowmap::Matrix found(range.end - range.begin, kColumns, 0.0f);
  store.read_rows(range, found);
  for (auto row = range.begin; row < range.end; ++row) {
    const auto hash = hashes[row - range.begin];
    const std::uint64_t version = (hash ^ ~row) / kVersionBit;
    const RowRange one{row, row + 1};
    const auto least = versions.find(row);
    if (version > 1 || hash != hashes_of(one, version)[0] ||
        (least != versions.end() && version < least->second) ||
        std::memcmp(found.row(row - range.begin), rows_of(one, version).data(),
                    kColumns * sizeof(float)) != 0) {
      return false;
    }
  }
  return true;
}

int fail(const std::string& what) {
  std::cerr << "LOST: " << what << "\n";
  return 5;
}

int check(const std::string& folder) {
  std::map<std::uint64_t, RowRange> rows;  // must be there
  std::map<std::uint64_t, std::uint64_t> versions;
  std::set<std::uint64_t> damaged;  // may be there, and may be damaged
  std::int64_t stage = -1;
  for (std::string kind; std::cin >> kind;) {
    RowRange range;
    if (kind == "stage") {
      std::cin >> stage;
    } else if (kind == "afresh") {
      rows.clear();
      versions.clear();
      damaged.clear();
      stage = -1;
    } else if (kind == "exported") {
      std::cin >> kind;
    } else if (kind != "repaired" && kind != "empty") {
      std::cin >> range.begin >> range.end;
      if (kind == "rows") rows[range.begin] = range;
      if (kind == "rows" || kind == "dropped") damaged.erase(range.begin);
      if (kind == "damaging") damaged.insert(range.begin);
      if (kind == "dropping" || kind == "damaging") rows.erase(range.begin);
      for (auto row = range.begin; row < range.end; ++row) {
        if (kind == "updated") versions[row] = 1;
        if (kind == "dropping" || kind == "damaging") versions.erase(row);
      }
    }
  }
  // Killed before the folder was a store: there must have been nothing to lose.
  if (rows.empty() && stage < 0) return 0;
  const CheckpointStore store(folder, CheckpointStore::Mode::read);
  for (const auto& line : store.verify().damaged) {
    const bool expected = std::ranges::any_of(damaged, [&](std::uint64_t begin) {
      return line.find("/rows-" + std::string(12 - std::to_string(begin).size(), '0') +
                       std::to_string(begin) + "-") != line.npos;
    });
    if (!expected) return fail(line);
  }
  for (const auto& [begin, range] : rows) {
    if (!holds(store, range, versions)) return fail("rows from " + std::to_string(begin));
  }
  for (const auto& range : store.ranges()) {  // also what was never acknowledged
    if (damaged.contains(range.begin)) continue;
    if (!holds(store, range)) return fail("unacknowledged from " + std::to_string(range.begin));
  }
  if (stage < 0) return 0;
  const auto result = store.get_stage("umap");
  if (!result) return fail("the stage's result");
  const auto step = std::get<std::vector<std::int64_t>>(result->at("step").values)[0];
  return step >= stage ? 0 : fail("the stage's later result");
}

int watch(const std::string& folder, std::uint64_t rows) {
  std::uint64_t before = 0, rounds = 0;
  for (std::int64_t step = -1; before < rows; ++rounds) {
    const CheckpointStore store(folder, CheckpointStore::Mode::read);
    const std::uint64_t now = store.rows_held();
    if (now < before) return fail("rows that were there");
    before = now;
    for (const auto& range : store.ranges()) {
      if (!holds(store, range)) return fail("rows from " + std::to_string(range.begin));
    }
    if (const auto result = store.get_stage("umap")) {
      const auto seen = std::get<std::vector<std::int64_t>>(result->at("step").values)[0];
      if (seen < step) return fail("the stage's later result");
      step = seen;
    }
  }
  std::cout << rounds << "\n";
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> given(arguments + 1, arguments + count);
  try {
    if (given.size() == 3 && given[0] == "write") return write(given[1], std::stoull(given[2]));
    if (given.size() == 2 && given[0] == "check") return check(given[1]);
    if (given.size() == 3 && given[0] == "watch") return watch(given[1], std::stoull(given[2]));
    if (given.size() == 4 && given[0] == "care") {
      return care(given[1], std::stoull(given[2]), given[3]);
    }
    if (given.size() == 3 && given[0] == "fresh") return fresh(given[1], std::stoull(given[2]));
    if (given.size() == 3 && given[0] == "export") {
      CheckpointStore(given[1], CheckpointStore::Mode::read).export_hdf5(given[2]);
      return 0;
    }
  } catch (const knowmap::CheckpointError& error) {
    std::cerr << error.what() << "\n";
    return 3;
  }
  std::cerr << "usage: store_writer write FOLDER COMMITS | care FOLDER COMMITS FILE | fresh FOLDER "
               "COMMITS | check FOLDER | export FOLDER FILE | watch FOLDER ROWS\n";
  return 2;
}
