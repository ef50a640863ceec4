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
//   store_writer export FOLDER FILE
//   store_writer watch FOLDER ROWS      reads all, again and again, until that
//                                       many rows are there; none may ever vanish
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iostream>
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

knowmap::Matrix rows_of(RowRange range) {
  knowmap::Matrix rows(range.end - range.begin, kColumns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows.data()[i] = 1.0f + static_cast<float>(range.begin * kColumns + i);  // never a zero
  }
  return rows;
}

std::vector<std::uint64_t> hashes_of(RowRange range) {
  std::vector<std::uint64_t> hashes;
  for (auto row = range.begin; row < range.end; ++row) hashes.push_back(~row);
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

bool holds(const CheckpointStore& store, RowRange range) {
  const knowmap::Matrix expected = rows_of(range);
  knowmap::Matrix found(expected.rows(), kColumns, 0.0f);
  store.read_rows(range, found);
  return std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0 &&
         store.text_hashes(range) == hashes_of(range);
}

int fail(const std::string& what) {
  std::cerr << "LOST: " << what << "\n";
  return 5;
}

int check(const std::string& folder) {
  std::vector<RowRange> rows;
  std::int64_t stage = -1;
  for (std::string kind; std::cin >> kind;) {
    if (kind == "stage") {
      std::cin >> stage;
    } else {
      std::cin >> rows.emplace_back().begin >> rows.back().end;
    }
  }
  // Killed before the folder was a store: there must have been nothing to lose.
  if (rows.empty() && stage < 0) return 0;
  const CheckpointStore store(folder, CheckpointStore::Mode::read);
  for (const auto& line : store.verify().damaged) return fail(line);
  for (const auto& range : rows) {
    if (!holds(store, range)) return fail("rows from " + std::to_string(range.begin));
  }
  for (const auto& range : store.ranges()) {  // also what was never acknowledged
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
    if (given.size() == 3 && given[0] == "export") {
      CheckpointStore(given[1], CheckpointStore::Mode::read).export_hdf5(given[2]);
      return 0;
    }
  } catch (const knowmap::CheckpointError& error) {
    std::cerr << error.what() << "\n";
    return 3;
  }
  std::cerr << "usage: store_writer write FOLDER COMMITS | check FOLDER | export FOLDER FILE | "
               "watch FOLDER ROWS\n";
  return 2;
}
