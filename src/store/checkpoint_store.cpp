#include "knowmap/checkpoint_store.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "knowmap/error.hpp"
#include "store/manifest.hpp"
#include "store/store_impl.hpp"

namespace knowmap {

using store::Directory;
using store::RowForm;
using store::RowShard;
using store::RowShards;

namespace {

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
  if (status.type() == std::filesystem::file_type::none) {
    store::throw_os_error("look at the folder", path, failed.value());
  }
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

}  // namespace

// Each difference on a line of its own, what was and what is asked for.
std::string store::differences(const Fingerprint& before, const Fingerprint& now) {
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
  if (lock && (mode == Mode::fresh || !root.contains(store::kManifestName))) {
    write_manifest();
  } else {
    manifest_is_old = lock != nullptr;  // a run that was cut off leaves it behind
  }
}

void CheckpointStore::Impl::remove_leftovers() const {
  for (const Directory* folder : {&root, &rows, &stages}) {
    for (const auto& name : store::leftovers(*folder)) folder->remove(name);
  }
}

void CheckpointStore::Impl::list_shards() {
  if (!rows) return;
  RowShards all;
  for (const auto& name : rows.list()) {
    if (const auto range = store::range_of_file(name)) {
      all.push_back(std::make_shared<RowShard>(rows, *range));
    }
  }
  index_shards(std::move(all));
}

// In order; of two that overlap the one that begins first counts, the longer one where
// both begin there.
void CheckpointStore::Impl::index_shards(RowShards all) {
  std::ranges::sort(all, {}, [](const auto& shard) {
    return std::pair(shard->range().begin, ~shard->range().end);
  });
  const std::lock_guard guard(index);
  shards.clear();
  doubled.clear();
  std::uint64_t end = 0;
  for (auto& shard : all) {
    const bool twice = shard->range().begin < end;
    if (!twice) end = shard->range().end;
    (twice ? doubled : shards).push_back(std::move(shard));
  }
}

RowShards CheckpointStore::Impl::all_shards() const {
  require_open();
  const std::lock_guard guard(index);
  RowShards all = shards;
  all.insert(all.end(), doubled.begin(), doubled.end());
  return all;
}

// Two writers that no lock kept apart: `verify` names them, `repair` mends it.
void CheckpointStore::Impl::require_rows_once() const {
  const std::lock_guard guard(index);
  if (doubled.empty()) return;
  throw CheckpointError("the store " + path.string() + " holds rows twice: those of " +
                        doubled.front()->file_name() +
                        " are in another shard too; repair the store (knowmap repair) and run "
                        "again");
}

void CheckpointStore::Impl::require_open() const {
  if (closed) {
    throw CheckpointError("the store " + path.string() + " was closed: open it anew");
  }
}

void CheckpointStore::Impl::require_writer() const {
  require_open();
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

CheckpointStore::~CheckpointStore() { close(); }

void CheckpointStore::close() noexcept {
  if (impl_) impl_->close();
}

bool CheckpointStore::read_only() const noexcept { return impl_ && !impl_->lock; }

bool CheckpointStore::closed() const noexcept { return !impl_ || impl_->closed; }

void CheckpointStore::Impl::close() noexcept {
  const std::lock_guard guard(writing);
  if (closed) return;
  try {
    if (lock && manifest_is_old) write_manifest();
  } catch (const std::exception&) {
    // It is for people, and rebuilt by the next writer.
  }
  closed = true;
  lock.reset();
  {
    const std::lock_guard index_guard(index);
    shards.clear();
    doubled.clear();
  }
  for (Directory* folder : {&stages, &rows, &root}) *folder = Directory();
}

const std::filesystem::path& CheckpointStore::folder() const { return impl_->path; }

// --- rows -------------------------------------------------------------------

RowShards CheckpointStore::Impl::snapshot() const {
  require_open();
  const std::lock_guard guard(index);
  return shards;
}

// The shards that hold any row of the range, in order.
RowShards CheckpointStore::Impl::touching(RowRange range) const {
  require_open();
  if (range.begin >= range.end) return {};
  const std::lock_guard guard(index);
  const auto first = std::ranges::partition_point(
      shards, [&](const auto& shard) { return shard->range().end <= range.begin; });
  const auto last = std::find_if(
      first, shards.end(), [&](const auto& shard) { return !overlap(shard->range(), range); });
  return {first, last};
}

// The shards that together hold the range; throws where one row isn't held.
RowShards CheckpointStore::Impl::covering(RowRange range) const {
  if (range.begin > range.end) {
    throw std::invalid_argument("the range " + as_text(range) + " ends before it begins");
  }
  require_rows_once();
  const RowShards found = touching(range);
  std::uint64_t next = range.begin;
  for (const auto& shard : found) {
    if (shard->range().begin > next) break;
    next = shard->range().end;
  }
  if (next < range.end) {
    throw CheckpointError("the store " + path.string() + " does not hold row " +
                          std::to_string(next) + " of the rows " + as_text(range) +
                          ": finish the run that computes them");
  }
  return found;
}

// What the rows are made like that most are, by the headers: one shard of somebody else's
// must not speak for the others. Throws where there are shards, and no header is sound.
std::optional<RowForm> CheckpointStore::Impl::form_of_most(const RowShards& held) const {
  std::vector<std::pair<RowForm, std::uint64_t>> forms;
  std::string why;
  for (const auto& shard : held) {
    try {
      RowForm form = shard->form();
      const std::uint64_t count = shard->range().end - shard->range().begin;
      const auto known = std::ranges::find(
          forms, form, [](const auto& entry) -> auto& { return entry.first; });
      if (known == forms.end()) {
        forms.emplace_back(std::move(form), count);
      } else {
        known->second += count;
      }
    } catch (const CheckpointError& error) {
      if (why.empty()) why = error.what();
    }
  }
  if (forms.empty() && !held.empty()) throw CheckpointError(why);
  if (forms.empty()) return std::nullopt;
  return std::ranges::max_element(forms, {}, [](const auto& entry) { return entry.second; })->first;
}

std::optional<RowForm> CheckpointStore::Impl::rows_form() const {
  require_open();
  {
    const std::lock_guard guard(index);
    if (begun) return begun;
    if (held_form) return held_form;
  }
  auto form = form_of_most(snapshot());
  const std::lock_guard guard(index);
  held_form = form;
  return form;
}

// A file's name promises rows, its header says whether they are there: to be asked before
// memory is taken for them.
void CheckpointStore::Impl::check_headers(RowRange range) const {
  const RowShards parts = covering(range);
  if (parts.empty()) return;
  const RowForm form = rows_form().value();
  for (const auto& shard : parts) shard->check(form);
}

void CheckpointStore::begin_rows(const Fingerprint& fingerprint, std::uint64_t dimension,
                                 RowStorage storage) {
  if (dimension == 0) throw std::invalid_argument("rows need at least 1 column");
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  impl_->require_rows_once();
  RowForm now{fingerprint, dimension, storage};
  if (storage != RowStorage::float32) now.fingerprint["storage"] = row_storage_name(storage);
  const RowShards held = impl_->snapshot();
  const auto before = impl_->form_of_most(held);
  if (before && *before != now) {
    throw CheckpointError(
        "the store " + impl_->path.string() + " holds " + std::to_string(rows_held()) +
        " rows that were made otherwise (there → now):" + store::differences(*before, now) +
        "\nrun with the options they were made with, name another store, or "
        "start over (--fresh, which removes them)");
  }
  for (const auto& shard : held) {
    std::optional<RowForm> form;
    try {
      form = shard->form();
    } catch (const store::NewerShardError&) {
      throw;
    } catch (const CheckpointError&) {
      continue;  // damaged: told when it is read
    }
    if (*form != now) shard->check(now);  // which says what differs, and the way out
  }
  const std::lock_guard guard(impl_->index);
  impl_->begun = std::move(now);
}

std::optional<Fingerprint> CheckpointStore::rows_fingerprint() const {
  const RowShards held = impl_->snapshot();
  if (held.empty()) return std::nullopt;
  const auto form = impl_->rows_form();
  return form ? std::optional(form->fingerprint) : std::nullopt;
}

RowStorage CheckpointStore::storage() const {
  const auto form = impl_->rows_form();
  return form ? form->storage : RowStorage::float32;
}

std::uint64_t CheckpointStore::dimension() const {
  const auto form = impl_->rows_form();
  return form ? form->dimension : 0;
}

void CheckpointStore::Impl::insert(RowRange range) {
  const std::lock_guard guard(index);
  auto shard = std::make_shared<RowShard>(rows, range);
  const auto place = std::ranges::upper_bound(shards, range.begin, {},
                                              [](const auto& held) { return held->range().begin; });
  shards.insert(place, std::move(shard));
}

void CheckpointStore::Impl::require_begun(MatrixView<const float> given, std::size_t hashes) const {
  if (!begun) {
    throw std::invalid_argument("begin_rows must be called before rows are given to the store");
  }
  if (given.rows != hashes) {
    throw std::invalid_argument(std::to_string(given.rows) + " rows were given with " +
                                std::to_string(hashes) + " hashes of texts");
  }
  if (given.rows != 0 && given.cols != begun->dimension) {
    throw std::invalid_argument("rows of " + std::to_string(given.cols) +
                                " columns were given to a store of " +
                                std::to_string(begun->dimension));
  }
}

void CheckpointStore::commit_rows(RowRange range, MatrixView<const float> rows,
                                  std::span<const std::uint64_t> text_hashes) {
  if (range.begin > range.end || rows.rows != range.end - range.begin) {
    throw std::invalid_argument("the range " + as_text(range) + " was given " +
                                std::to_string(rows.rows) + " rows");
  }
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  impl_->require_begun(rows, text_hashes.size());
  if (rows.rows == 0) return;
  for (const auto& shard : impl_->touching(range)) {
    throw CheckpointError("the rows " + as_text(range) + " overlap the rows " +
                          as_text(shard->range()) + " that the store " + impl_->path.string() +
                          " holds: drop those first");
  }
  const RowStorage storage = impl_->begun->storage;
  store::EncodedRows encoded;
  store::RowsToWrite given{storage, rows.cols, rows.data, {}, text_hashes};
  if (storage != RowStorage::float32) {
    encoded = store::encode_rows(rows, storage, range.begin);
    given.numbers = encoded.numbers.data();
    given.scales = encoded.scales;
  }
  store::write_rows(impl_->rows, range, impl_->begun->fingerprint, given, store::IfThere::refuse);
  impl_->insert(range);
  impl_->manifest_is_old = true;
}

void CheckpointStore::Impl::update(RowShard& shard, std::span<const std::uint64_t> indices,
                                   const store::EncodedRows& changed, std::uint64_t row_bytes,
                                   std::span<const std::uint64_t> text_hashes) {
  store::EncodedRows all;
  std::vector<std::uint64_t> hashes;
  shard.read_encoded(*begun, all, hashes);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::uint64_t at = indices[i] - shard.range().begin;
    all.put(at, changed, i, row_bytes);
    hashes[at] = text_hashes[i];
  }
  store::write_rows(rows, shard.range(), begun->fingerprint,
                    {begun->storage, begun->dimension, all.numbers.data(), all.scales, hashes},
                    store::IfThere::replace);
}

void CheckpointStore::update_rows(std::span<const std::uint64_t> indices,
                                  MatrixView<const float> rows,
                                  std::span<const std::uint64_t> text_hashes) {
  if (indices.size() != rows.rows ||
      std::ranges::adjacent_find(indices, std::greater_equal<>()) != indices.end()) {
    throw std::invalid_argument("rows to be updated need one number each, and those must ascend");
  }
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  impl_->require_begun(rows, text_hashes.size());
  for (const std::uint64_t index : indices) impl_->covering({index, index + 1});
  const std::uint64_t row_bytes =
      rows.cols * store::element_size(store::element_of(impl_->begun->storage));
  for (const auto& shard : impl_->snapshot()) {
    const auto first = std::ranges::lower_bound(indices, shard->range().begin);
    const auto last = std::ranges::lower_bound(indices, shard->range().end);
    if (first == last) continue;
    const auto at = static_cast<std::size_t>(first - indices.begin());
    const auto count = static_cast<std::size_t>(last - first);
    const auto changed =
        store::encode_rows(rows.slice(at, at + count), impl_->begun->storage, *first);
    impl_->update(*shard, indices.subspan(at, count), changed, row_bytes,
                  text_hashes.subspan(at, count));
    impl_->manifest_is_old = true;
  }
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
  const RowForm form = rows_form().value();
  for (const auto& shard : parts) shard->read(range, form, out_rows, out_hashes);
}

std::vector<std::uint64_t> CheckpointStore::text_hashes(RowRange range) const {
  impl_->check_headers(range);
  std::vector<std::uint64_t> hashes(range.end - range.begin);
  impl_->read(range, nullptr, hashes.data());
  return hashes;
}

Matrix CheckpointStore::read_rows(RowRange range) const {
  impl_->check_headers(range);
  Matrix rows(range.end - range.begin, dimension());
  impl_->read(range, rows.data(), nullptr);
  return rows;
}

void CheckpointStore::read_rows(RowRange range, MatrixView<float> out) const {
  if (range.begin > range.end || out.rows != range.end - range.begin ||
      (out.rows != 0 && out.cols != dimension())) {
    throw std::invalid_argument("the rows " + as_text(range) + " of " +
                                std::to_string(dimension()) +
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
    std::erase(doubled, shard);
    held_form.reset();
  }
  rows.sync();
}

void CheckpointStore::drop_rows(RowRange range) {
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  impl_->drop(impl_->touching(range));
}

}  // namespace knowmap
