#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

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
  require_open();
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
    if (::fstatat(stages.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // a writer replaced it a moment ago
      store::throw_os_error("look at", stages.path() / name, errno);
    }
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
  require_open();
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

namespace {

// The shards that must go so that no row is held twice, chosen so that as many rows as can
// be stay: of all ways to keep shards that don't overlap, the one that holds most.
RowShards overlapped(RowShards shards) {
  std::ranges::sort(shards, {}, [](const auto& shard) {
    return std::pair(shard->range().end, shard->range().begin);
  });
  struct Best {
    std::uint64_t rows = 0;
    bool takes = false;      // the last of these shards
    std::size_t before = 0;  // how many shards may stand before it
  };
  std::vector<Best> best(shards.size() + 1);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const RowRange range = shards[i]->range();
    const auto before = static_cast<std::size_t>(
        std::ranges::upper_bound(shards.begin(), shards.begin() + static_cast<std::ptrdiff_t>(i),
                                 range.begin, {}, [](const auto& s) { return s->range().end; }) -
        shards.begin());
    const std::uint64_t with = best[before].rows + (range.end - range.begin);
    best[i + 1] = {std::max(with, best[i].rows), with > best[i].rows, before};
  }
  RowShards gone;
  for (std::size_t i = shards.size(); i > 0;) {
    if (best[i].takes) {
      const std::size_t before = best[i].before;
      for (std::size_t j = before; j + 1 < i; ++j) gone.push_back(shards[j]);
      i = before;
    } else {
      gone.push_back(shards[--i]);
    }
  }
  return gone;
}

}  // namespace

VerifyReport CheckpointStore::Impl::verify(RowShards& bad_rows,
                                           std::vector<std::string>& bad_stages,
                                           std::string& unread) const {
  VerifyReport report;
  const auto not_read = [&](const store::SystemError& error) {
    report.damaged.emplace_back(error.what());
    if (unread.empty()) unread = error.what();
  };
  RowShards held = all_shards();
  const auto condemn = [&](const std::shared_ptr<RowShard>& shard, std::string why) {
    report.damaged.push_back(std::move(why));
    bad_rows.push_back(shard);
  };
  report.shards = held.size();
  const auto keep_those_that_pass = [&](auto test) {
    std::erase_if(held, [&](const auto& shard) {
      try {
        test(*shard);
        return false;
      } catch (const store::NewerShardError&) {
        throw;
      } catch (const store::SystemError& error) {
        not_read(error);
        return true;
      } catch (const CheckpointError& error) {
        condemn(shard, error.what());
        return true;
      }
    });
  };
  keep_those_that_pass([](RowShard& shard) { shard.verify(); });
  // Of the sound ones, those that are unlike most; then those that hold what another
  // holds too, as few as there can be: no row goes that nothing else is wrong with.
  const auto most = form_of_most(held);
  keep_those_that_pass([&](RowShard& shard) { shard.check(*most); });
  for (const auto& shard : overlapped(held)) {
    condemn(shard, (rows.path() / shard->file_name()).string() +
                       " holds rows that another shard holds too");
    std::erase(held, shard);
  }
  for (const auto& shard : held) report.rows += shard->range().end - shard->range().begin;
  if (store::manifest_is_damaged(root)) {
    report.damaged.push_back((root.path() / store::kManifestName).string() +
                             " is damaged; nothing was read from it, and repair writes it anew");
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
    } catch (const store::SystemError& error) {
      not_read(error);
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
  std::string unread;
  return impl_->verify(bad_rows, bad_stages, unread);
}

VerifyReport CheckpointStore::repair() {
  const std::lock_guard writing(impl_->writing);
  impl_->require_writer();
  RowShards bad_rows;
  std::vector<std::string> bad_stages;
  std::string unread;
  VerifyReport report = impl_->verify(bad_rows, bad_stages, unread);
  // A disk that fails, or that is away for a moment, makes no shard a damaged one.
  if (!unread.empty()) throw CheckpointError(unread + "; so nothing was repaired, nor removed");
  impl_->drop(bad_rows);
  impl_->index_shards(impl_->all_shards());
  for (const auto& name : bad_stages) impl_->stages.remove(name);
  if (!bad_stages.empty()) impl_->stages.sync();
  impl_->remove_leftovers();
  impl_->write_manifest();
  return report;
}

std::uint64_t CheckpointStore::Impl::rows_from_first() const {
  const RowShards held = snapshot();
  const std::uint64_t rows_held = held.empty() ? 0 : held.back()->range().end;
  check_headers({0, rows_held});
  return rows_held;
}

// An export would take the place of what it is made from.
void CheckpointStore::Impl::refuse_own_file(const std::filesystem::path& file) const {
  struct stat folder {};
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (::stat(parent.c_str(), &folder) != 0) store::throw_os_error("look at", parent, errno);
  const auto is = [&](const Directory& own) {
    struct stat info {};
    if (!own) return false;
    if (::fstat(own.fd(), &info) != 0) store::throw_os_error("look at", own.path(), errno);
    return info.st_dev == folder.st_dev && info.st_ino == folder.st_ino;
  };
  if (is(rows) || is(stages) || (is(root) && store::is_own_name(file.filename().string()))) {
    throw CheckpointError("an export may not take the place of the store's own file " +
                          file.string() + ": choose another name");
  }
}

void CheckpointStore::export_hdf5(const std::filesystem::path& file,
                                  std::span<const std::string> ids) const {
  impl_->refuse_own_file(file);
  store::Export content;
  content.rows = impl_->rows_from_first();
  if (!ids.empty() && ids.size() != content.rows) {
    throw std::invalid_argument(std::to_string(ids.size()) + " ids were given for " +
                                std::to_string(content.rows) + " rows");
  }
  content.ids = ids;
  content.dimension = dimension();
  content.fingerprint = rows_fingerprint().value_or(Fingerprint{});
  content.read = [this](RowRange range, float* rows, std::uint64_t* hashes) {
    impl_->read(range, rows, hashes);
  };
  for (const auto& [stage, made_from] : stages()) {
    if (auto shard = impl_->open_stage(store::stage_file_name(stage, made_from))) {
      content.stages[stage] = std::make_shared<Shard>(std::move(*shard));
    }
  }
  store::export_file(content, file);
}

void CheckpointStore::export_npy(const std::filesystem::path& file) const {
  impl_->refuse_own_file(file);
  store::export_npy(
      impl_->rows_from_first(), dimension(),
      [this](RowRange range, float* rows) { impl_->read(range, rows, nullptr); }, file);
}

void CheckpointStore::export_view(const std::filesystem::path& file) const {
  impl_->refuse_own_file(file);
  store::View view;
  view.rows = impl_->rows_from_first();
  view.dimension = dimension();
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
    if (const auto form = held.empty() ? std::nullopt : rows_form()) {
      manifest.fingerprint = form->fingerprint;
      manifest.dimension = form->dimension;
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
