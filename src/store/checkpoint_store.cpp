#include "knowmap/checkpoint_store.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "knowmap/error.hpp"
#include "store/export.hpp"
#include "store/lock_file.hpp"
#include "store/manifest.hpp"
#include "store/row_shards.hpp"
#include "store/stage_file.hpp"

namespace knowmap {

using store::Directory;
using store::RowShard;
using store::Shard;

namespace {

using RowShards = std::vector<std::shared_ptr<RowShard>>;

std::string as_text(RowRange range) {
  return "[" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")";
}

bool overlap(RowRange a, RowRange b) { return a.begin < b.end && b.begin < a.end; }

// Makes a folder and what is missing above it, durably.
void make_folders(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> missing;
  std::error_code failed;
  for (auto at = path; !at.empty() && !std::filesystem::exists(at, failed); at = at.parent_path()) {
    missing.push_back(at);
    if (at == at.parent_path()) break;
  }
  std::filesystem::create_directories(path, failed);
  if (failed) store::throw_os_error("make the folder", path, failed.value());
  for (const auto& made : missing) {
    if (made.has_filename()) Directory(made.parent_path()).sync();
  }
}

// The folder itself; made, with what is above it, where a writer needs it.
Directory open_folder(const std::filesystem::path& path, bool create) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    throw CheckpointError("the store " + path.string() +
                          " is a file; a store is a folder: choose another name");
  }
  if (status.type() == std::filesystem::file_type::not_found) {
    if (!create) {
      throw CheckpointError("there is no store " + path.string() +
                            ": check the path, or make one by a run that writes it");
    }
    make_folders(std::filesystem::absolute(path));
  }
  return Directory(path);
}

// Each difference on a line of its own, what was and what is asked for.
std::string differences(const Fingerprint& before, const Fingerprint& now) {
  std::string text;
  const auto value = [](const Fingerprint& of, const std::string& name) {
    const auto found = of.find(name);
    return found == of.end() ? std::string("(not given)") : found->second;
  };
  Fingerprint all = before;
  all.insert(now.begin(), now.end());
  for (const auto& [name, unused] : all) {
    const std::string was = value(before, name), is = value(now, name);
    if (was != is) text += "\n  " + name + ": " + was + " → " + is;
  }
  return text;
}

}  // namespace

struct CheckpointStore::Impl {
  std::filesystem::path path;
  Directory root, rows, stages;
  std::unique_ptr<store::LockFile> lock;  // none when reading

  // `writing` is held for a whole change, `index` while what is below is used.
  mutable std::mutex writing;
  mutable std::mutex index;
  RowShards shards;  // in order, none overlaps another
  std::optional<Fingerprint> begun;
  std::uint64_t begun_dimension = 0;
  bool manifest_is_old = false;

  void open(Mode mode);
  void list_shards();
  void remove_leftovers() const;
  void require_writer() const;

  RowShards snapshot() const;
  RowShards covering(RowRange range) const;
  std::shared_ptr<RowShard> first_readable(const RowShards& held) const;
  std::uint64_t rows_dimension() const;
  void read(RowRange range, float* rows, std::uint64_t* hashes) const;
  void insert(RowRange range);
  void drop(const RowShards& dropped);

  std::vector<std::string> stage_files() const;
  std::optional<std::string> latest_stage_file(std::string_view stage) const;
  std::optional<Shard> open_stage(const std::string& name) const;

  void write_manifest();
  VerifyReport verify(RowShards& bad_rows, std::vector<std::string>& bad_stages) const;
};

// --- opening ----------------------------------------------------------------

void CheckpointStore::Impl::open(Mode mode) {
  root = open_folder(path, mode != Mode::read);
  store::require_store(root, mode == Mode::fresh  ? "nothing was removed: choose another folder"
                             : mode == Mode::read ? "check the path"
                                                  : "choose a new or an empty folder");
  if (mode == Mode::read) {
    if (!root.contains(store::kManifestName) && !root.contains(store::kRowsFolder)) {
      throw CheckpointError("the folder " + path.string() + " holds no store: check the path");
    }
  } else {
    lock = std::make_unique<store::LockFile>(root);
    if (mode == Mode::fresh) store::remove_store_files(root);
  }
  rows = Directory(root, store::kRowsFolder, lock != nullptr);
  stages = Directory(root, store::kStagesFolder, lock != nullptr);
  if (lock) remove_leftovers();
  list_shards();
  if (lock && (mode == Mode::fresh || !root.contains(store::kManifestName))) write_manifest();
}

void CheckpointStore::Impl::remove_leftovers() const {
  for (const Directory* folder : {&root, &rows, &stages}) {
    for (const auto& name : store::leftovers(*folder)) folder->remove(name);
  }
}

void CheckpointStore::Impl::list_shards() {
  if (!rows) return;
  for (const auto& name : rows.list()) {
    if (const auto range = store::range_of_file(name)) {
      shards.push_back(std::make_shared<RowShard>(rows, *range));
    }
  }
  std::ranges::sort(shards, {}, [](const auto& shard) { return shard->range().begin; });
  for (std::size_t i = 1; i < shards.size(); ++i) {
    if (!overlap(shards[i - 1]->range(), shards[i]->range())) continue;
    throw CheckpointError("the store " + path.string() + " holds rows twice, in " +
                          shards[i - 1]->file_name() + " and " + shards[i]->file_name() +
                          ": delete one of the two files and run again");
  }
}

void CheckpointStore::Impl::require_writer() const {
  if (!lock) {
    throw CheckpointError("the store " + path.string() +
                          " was opened for reading: open it for writing");
  }
  lock->check_held();
}

CheckpointStore::CheckpointStore(const std::filesystem::path& folder, Mode mode)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = folder;
  impl_->open(mode);
}

CheckpointStore::CheckpointStore(CheckpointStore&&) noexcept = default;
CheckpointStore& CheckpointStore::operator=(CheckpointStore&& other) noexcept {
  std::swap(impl_, other.impl_);  // the other's destructor closes what was here
  return *this;
}

CheckpointStore::~CheckpointStore() {
  if (!impl_ || !impl_->lock || !impl_->manifest_is_old) return;
  try {
    impl_->write_manifest();
  } catch (const std::exception&) {
    // It is for people, and rebuilt by the next writer.
  }
}

const std::filesystem::path& CheckpointStore::folder() const { return impl_->path; }

// --- rows -------------------------------------------------------------------

RowShards CheckpointStore::Impl::snapshot() const {
  const std::lock_guard guard(index);
  return shards;
}

// The shards that together hold the range; throws where one row isn't held.
RowShards CheckpointStore::Impl::covering(RowRange range) const {
  if (range.begin > range.end) {
    throw std::invalid_argument("the range " + as_text(range) + " ends before it begins");
  }
  RowShards found;
  std::uint64_t next = range.begin;
  for (const auto& shard : snapshot()) {
    if (next >= range.end || shard->range().end <= next) continue;
    if (shard->range().begin > next) break;
    found.push_back(shard);
    next = shard->range().end;
  }
  if (next < range.end) {
    throw CheckpointError("the store " + path.string() + " does not hold row " +
                          std::to_string(next) + " of the rows " + as_text(range) +
                          ": finish the run that computes them");
  }
  return found;
}

// The first shard whose header can be read: it says what all rows are.
std::shared_ptr<RowShard> CheckpointStore::Impl::first_readable(const RowShards& held) const {
  std::string why;
  for (const auto& shard : held) {
    try {
      shard->dimension();
      return shard;
    } catch (const CheckpointError& error) {
      if (why.empty()) why = error.what();
    }
  }
  if (!held.empty()) throw CheckpointError(why);
  return nullptr;
}

std::uint64_t CheckpointStore::Impl::rows_dimension() const {
  {
    const std::lock_guard guard(index);
    if (begun) return begun_dimension;
  }
  const auto shard = first_readable(snapshot());
  return shard ? shard->dimension() : 0;
}

void CheckpointStore::begin_rows(const Fingerprint& fingerprint, std::uint64_t dimension) {
  if (dimension == 0) throw std::invalid_argument("rows need at least 1 column");
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  if (const auto shard = impl_->first_readable(impl_->snapshot())) {
    Fingerprint before = shard->fingerprint(), now = fingerprint;
    before["columns"] = std::to_string(shard->dimension());
    now["columns"] = std::to_string(dimension);
    if (const std::string found = differences(before, now); !found.empty()) {
      throw CheckpointError(
          "the store " + impl_->path.string() + " holds " + std::to_string(rows_held()) +
          " rows that were made otherwise (there → now):" + found +
          "\nrun with the options they were made with, name another store, or start over "
          "(--fresh, which removes them)");
    }
  }
  const std::lock_guard guard(impl_->index);
  impl_->begun = fingerprint;
  impl_->begun_dimension = dimension;
}

std::optional<Fingerprint> CheckpointStore::rows_fingerprint() const {
  const auto shard = impl_->first_readable(impl_->snapshot());
  if (!shard) return std::nullopt;
  return shard->fingerprint();
}

std::uint64_t CheckpointStore::dimension() const { return impl_->rows_dimension(); }

void CheckpointStore::Impl::insert(RowRange range) {
  const std::lock_guard guard(index);
  auto shard = std::make_shared<RowShard>(rows, range);
  const auto place = std::ranges::upper_bound(shards, range.begin, {},
                                              [](const auto& held) { return held->range().begin; });
  shards.insert(place, std::move(shard));
}

void CheckpointStore::commit_rows(RowRange range, MatrixView<const float> rows,
                                  std::span<const std::uint64_t> text_hashes) {
  if (range.begin > range.end || rows.rows != range.end - range.begin ||
      text_hashes.size() != rows.rows) {
    throw std::invalid_argument("the range " + as_text(range) + " was given " +
                                std::to_string(rows.rows) + " rows and " +
                                std::to_string(text_hashes.size()) + " hashes of texts");
  }
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  if (!impl_->begun) throw std::invalid_argument("begin_rows must be called before commit_rows");
  if (rows.rows == 0) return;
  if (rows.cols != impl_->begun_dimension) {
    throw std::invalid_argument("rows of " + std::to_string(rows.cols) +
                                " columns were given to a store of " +
                                std::to_string(impl_->begun_dimension));
  }
  for (const auto& shard : impl_->snapshot()) {
    if (!overlap(shard->range(), range)) continue;
    throw CheckpointError("the rows " + as_text(range) + " overlap the rows " +
                          as_text(shard->range()) + " that the store " + impl_->path.string() +
                          " holds: drop those first");
  }
  store::write_rows(impl_->rows, range, *impl_->begun, rows, text_hashes);
  impl_->insert(range);
  impl_->manifest_is_old = true;
}

std::vector<RowRange> CheckpointStore::ranges() const {
  std::vector<RowRange> held;
  for (const auto& shard : impl_->snapshot()) held.push_back(shard->range());
  return held;
}

std::uint64_t CheckpointStore::rows_held() const {
  std::uint64_t rows = 0;
  for (const auto& range : ranges()) rows += range.end - range.begin;
  return rows;
}

void CheckpointStore::Impl::read(RowRange range, float* out_rows, std::uint64_t* out_hashes) const {
  const RowShards parts = covering(range);
  if (parts.empty()) return;
  const std::uint64_t dimension = rows_dimension();
  for (const auto& shard : parts) shard->read(range, dimension, out_rows, out_hashes);
}

std::vector<std::uint64_t> CheckpointStore::text_hashes(RowRange range) const {
  impl_->covering(range);  // before memory is taken for a range that isn't held
  std::vector<std::uint64_t> hashes(range.end - range.begin);
  impl_->read(range, nullptr, hashes.data());
  return hashes;
}

void CheckpointStore::read_rows(RowRange range, MatrixView<float> out) const {
  if (range.begin > range.end || out.rows != range.end - range.begin ||
      (out.rows != 0 && out.cols != impl_->rows_dimension())) {
    throw std::invalid_argument("the rows " + as_text(range) + " of " +
                                std::to_string(impl_->rows_dimension()) +
                                " columns don't fit into a matrix of " + std::to_string(out.rows) +
                                " × " + std::to_string(out.cols));
  }
  impl_->read(range, out.data, nullptr);
}

void CheckpointStore::Impl::drop(const RowShards& dropped) {
  if (dropped.empty()) return;
  manifest_is_old = true;
  for (const auto& shard : dropped) {
    rows.remove(shard->file_name());
    const std::lock_guard guard(index);
    std::erase(shards, shard);
  }
  rows.sync();
}

void CheckpointStore::drop_rows(RowRange range) {
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  RowShards dropped = impl_->snapshot();
  std::erase_if(dropped, [&](const auto& shard) { return !overlap(shard->range(), range); });
  impl_->drop(dropped);
}

// --- results of later stages --------------------------------------------------

std::vector<std::string> CheckpointStore::Impl::stage_files() const {
  if (!stages) return {};
  auto names = stages.list();
  std::erase_if(names, [](const auto& name) { return store::stage_of_file(name).empty(); });
  return names;
}

// Two are there only where a run was cut off between writing and removing.
std::optional<std::string> CheckpointStore::Impl::latest_stage_file(std::string_view stage) const {
  std::optional<std::string> latest;
  std::pair<std::int64_t, std::int64_t> latest_time;
  for (const auto& name : stage_files()) {
    if (store::stage_of_file(name) != stage) continue;
    struct stat info {};
    if (::fstatat(stages.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
#ifdef __APPLE__
    const std::pair<std::int64_t, std::int64_t> time{info.st_mtimespec.tv_sec,
                                                     info.st_mtimespec.tv_nsec};
#else
    const std::pair<std::int64_t, std::int64_t> time{info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
#endif
    if (latest && time < latest_time) continue;
    latest = name;
    latest_time = time;
  }
  return latest;
}

void CheckpointStore::put_stage(std::string_view stage, const Fingerprint& made_from,
                                const StageResult& result) {
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  store::write_stage(impl_->stages, stage, made_from, result);
  impl_->manifest_is_old = true;
  const std::string kept = store::stage_file_name(stage, made_from);
  for (const auto& name : impl_->stage_files()) {
    if (name != kept && store::stage_of_file(name) == stage) impl_->stages.remove(name);
  }
}

// Nothing where the file isn't there, or a writer replaced it a moment ago.
std::optional<Shard> CheckpointStore::Impl::open_stage(const std::string& name) const {
  if (!stages || !stages.contains(name)) return std::nullopt;
  try {
    return store::open_stage(stages, name);
  } catch (const CheckpointError&) {
    if (stages.contains(name)) throw;
    return std::nullopt;
  }
}

std::optional<StageResult> CheckpointStore::get_stage(std::string_view stage,
                                                      const Fingerprint& made_from) const {
  store::check_name("stage", stage);
  auto shard = impl_->open_stage(store::stage_file_name(stage, made_from));
  if (!shard || store::fingerprint_of(*shard) != made_from) return std::nullopt;
  return store::read_stage(*shard);
}

std::optional<StageResult> CheckpointStore::get_stage(std::string_view stage) const {
  store::check_name("stage", stage);
  while (const auto name = impl_->latest_stage_file(stage)) {
    if (auto shard = impl_->open_stage(*name)) return store::read_stage(*shard);
  }
  return std::nullopt;
}

std::map<std::string, Fingerprint> CheckpointStore::stages() const {
  std::map<std::string, Fingerprint> held;
  for (const auto& name : impl_->stage_files()) {
    const std::string stage = store::stage_of_file(name);
    if (held.contains(stage)) continue;
    while (const auto latest = impl_->latest_stage_file(stage)) {
      const auto shard = impl_->open_stage(*latest);
      if (!shard) continue;
      held[stage] = store::fingerprint_of(*shard);
      break;
    }
  }
  return held;
}

// --- care ---------------------------------------------------------------------

VerifyReport CheckpointStore::Impl::verify(RowShards& bad_rows,
                                           std::vector<std::string>& bad_stages) const {
  VerifyReport report;
  const RowShards held = snapshot();
  std::shared_ptr<RowShard> first;
  for (const auto& shard : held) {
    ++report.shards;
    try {
      shard->verify(first ? first->dimension() : 0);
      if (first && shard->fingerprint() != first->fingerprint()) {
        throw CheckpointError((rows.path() / shard->file_name()).string() +
                              " was made otherwise than " + first->file_name() + ":" +
                              differences(first->fingerprint(), shard->fingerprint()));
      }
      if (!first) first = shard;
      report.rows += shard->range().end - shard->range().begin;
    } catch (const CheckpointError& error) {
      report.damaged.emplace_back(error.what());
      bad_rows.push_back(shard);
    }
  }
  for (const auto& name : stage_files()) {
    try {
      auto shard = open_stage(name);
      if (!shard) continue;  // replaced by a writer a moment ago
      ++report.stages;
      store::read_stage(*shard);
      shard->verify();
    } catch (const CheckpointError& error) {
      report.damaged.emplace_back(error.what());
      bad_stages.push_back(name);
    }
  }
  for (const Directory* folder : {&root, &rows, &stages}) {
    if (!*folder) continue;
    for (const auto& name : store::leftovers(*folder)) {
      report.leftovers.push_back((folder->path() / name).string());
    }
  }
  return report;
}

VerifyReport CheckpointStore::verify() const {
  RowShards bad_rows;
  std::vector<std::string> bad_stages;
  return impl_->verify(bad_rows, bad_stages);
}

VerifyReport CheckpointStore::repair() {
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  RowShards bad_rows;
  std::vector<std::string> bad_stages;
  VerifyReport report = impl_->verify(bad_rows, bad_stages);
  impl_->drop(bad_rows);
  for (const auto& name : bad_stages) impl_->stages.remove(name);
  if (!bad_stages.empty()) impl_->stages.sync();
  impl_->remove_leftovers();
  impl_->write_manifest();
  return report;
}

void CheckpointStore::export_hdf5(const std::filesystem::path& file) const {
  store::Export content;
  const auto held = ranges();
  content.rows = held.empty() ? 0 : held.back().end;
  impl_->covering({0, content.rows});
  content.dimension = impl_->rows_dimension();
  content.fingerprint = rows_fingerprint().value_or(Fingerprint{});
  content.read = [this](RowRange range, float* rows, std::uint64_t* hashes) {
    impl_->read(range, rows, hashes);
  };
  for (const auto& [stage, made_from] : stages()) {
    if (auto result = get_stage(stage, made_from)) {
      content.stages[stage] = {made_from, std::move(*result)};
    }
  }
  store::export_file(content, file);
}

void CheckpointStore::Impl::write_manifest() {
  require_writer();
  store::Manifest manifest;
  const RowShards held = snapshot();
  for (const auto& shard : held) manifest.ranges.push_back(shard->range());
  try {
    if (const auto shard = first_readable(held)) {
      manifest.fingerprint = shard->fingerprint();
      manifest.dimension = shard->dimension();
    }
  } catch (const CheckpointError&) {
    // Rows that can't be read are `verify`'s to tell of.
  }
  for (const auto& name : stage_files()) {
    try {
      manifest.stages[store::stage_of_file(name)] =
          store::fingerprint_of(store::open_stage(stages, name));
    } catch (const CheckpointError&) {
    }
  }
  store::write_manifest_file(root, manifest);
  manifest_is_old = false;
}

void CheckpointStore::write_manifest() const {
  const std::lock_guard writing(impl_->writing);
  impl_->write_manifest();
}

}  // namespace knowmap
