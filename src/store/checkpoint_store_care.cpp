#include <fcntl.h>

#include "store/export.hpp"
#include "store/manifest.hpp"
#include "store/stage_file.hpp"
#include "store/store_impl.hpp"

namespace knowmap {

using store::Directory;
using store::RowShard;
using store::RowShards;
using store::Shard;

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
  bool removed = false;
  for (const auto& name : impl_->stage_files()) {
    if (name == kept || store::stage_of_file(name) != stage) continue;
    impl_->stages.remove(name);
    removed = true;
  }
  // Or a power loss could bring back an earlier result, with nothing but the
  // files' times to tell which one counts.
  if (removed) impl_->stages.sync();
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
  RowShards held, twice;
  {
    const std::lock_guard guard(index);
    held = shards;
    twice = doubled;
  }
  std::shared_ptr<RowShard> first;
  for (const auto& shard : held) {
    ++report.shards;
    try {
      shard->verify(first ? first->dimension() : 0);
      if (first && shard->fingerprint() != first->fingerprint()) {
        throw CheckpointError((rows.path() / shard->file_name()).string() +
                              " was made otherwise than " + first->file_name() + ":" +
                              store::differences(first->fingerprint(), shard->fingerprint()));
      }
      if (!first) first = shard;
      report.rows += shard->range().end - shard->range().begin;
    } catch (const store::NewerShardError&) {
      throw;
    } catch (const CheckpointError& error) {
      report.damaged.emplace_back(error.what());
      bad_rows.push_back(shard);
    }
  }
  for (const auto& shard : twice) {
    ++report.shards;
    bad_rows.push_back(shard);
    report.damaged.push_back((rows.path() / shard->file_name()).string() +
                             " holds rows that another shard holds too");
  }
  for (const auto& name : stage_files()) {
    try {
      auto shard = open_stage(name);
      if (!shard) continue;  // replaced by a writer a moment ago
      ++report.stages;
      store::read_stage(*shard);
      shard->verify();
    } catch (const store::NewerShardError&) {
      throw;
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
  {
    const std::lock_guard guard(impl_->index);
    impl_->doubled.clear();
  }
  for (const auto& name : bad_stages) impl_->stages.remove(name);
  if (!bad_stages.empty()) impl_->stages.sync();
  impl_->remove_leftovers();
  impl_->write_manifest();
  return report;
}

std::uint64_t CheckpointStore::Impl::rows_from_first() const {
  const RowShards held = snapshot();
  const std::uint64_t rows_held = held.empty() ? 0 : held.back()->range().end;
  covering({0, rows_held});
  return rows_held;
}

void CheckpointStore::export_hdf5(const std::filesystem::path& file) const {
  store::Export content;
  content.rows = impl_->rows_from_first();
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

void CheckpointStore::export_npy(const std::filesystem::path& file) const {
  store::export_npy(
      impl_->rows_from_first(), impl_->rows_dimension(),
      [this](RowRange range, float* rows) { impl_->read(range, rows, nullptr); }, file);
}

void CheckpointStore::export_view(const std::filesystem::path& file) const {
  store::View view;
  view.rows = impl_->rows_from_first();
  view.dimension = impl_->rows_dimension();
  view.storage = storage();
  view.folder = impl_->rows ? impl_->rows.path() : impl_->path;
  for (const auto& shard : impl_->snapshot()) {
    view.shards.emplace_back(shard->range(), shard->file_name());
  }
  store::export_view(view, file);
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
