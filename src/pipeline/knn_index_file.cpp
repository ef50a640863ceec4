#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/rows_file.hpp"
#include "store/shard.hpp"

namespace knowmap {

namespace {

constexpr std::uint64_t kFormat = 1;

std::vector<std::int32_t> read_numbers(store::Shard& shard, const char* name) {
  const auto found = shard.arrays().find(name);
  if (found == shard.arrays().end()) return {};
  if (found->second.element != store::Element::int32) {
    shard.throw_damaged("'" + std::string(name) + "' is of another type");
  }
  std::vector<std::int32_t> values(found->second.bytes / sizeof(std::int32_t));
  const store::Shard::Part part{found->second.offset, found->second.bytes, values.data()};
  shard.read({&part, 1});
  return values;
}

}  // namespace

void save_index(const KnnIndex& index, const std::filesystem::path& file) {
  const KnnIndexState& s = index.state();
  if (s.data.empty()) throw std::invalid_argument("an index without rows can't be saved");
  const nlohmann::json about = {{"n_neighbors", s.options.n_neighbors},
                                {"metric", std::string(metric_name(s.options.metric))},
                                {"p", s.options.p},
                                {"target_recall", s.options.target_recall},
                                {"seed", s.options.seed},
                                {"probes", s.probes},
                                {"recall", s.recall}};
  std::vector<store::ArrayToWrite> arrays = {
      {"data", store::Element::float32, {s.data.rows(), s.data.cols()}, s.data.data()}};
  if (!s.leaders.empty()) {
    arrays.push_back({"leaders", store::Element::int32, {s.leaders.size()}, s.leaders.data()});
    arrays.push_back({"cells", store::Element::int32, {s.cells.size()}, s.cells.data()});
  }
  const store::Directory folder(folder_of(file));
  store::write_shard(folder, file.filename().string(),
                     {{"kind", "knn_index"}, {"index_format", kFormat}, {"index", about.dump()}},
                     arrays, store::IfThere::replace);
}

KnnIndex load_index(const std::filesystem::path& file) {
  const store::Directory folder(folder_of(file));
  store::Shard shard(folder, file.filename().string(), store::Shard::File::keep_open);
  if (shard.text("kind") != "knn_index") shard.throw_damaged("it is not an index of neighbours");
  if (shard.number("index_format") != kFormat) {
    shard.throw_damaged("its format is " + std::to_string(shard.number("index_format")) +
                        ", this version reads " + std::to_string(kFormat));
  }
  try {
    const nlohmann::json about = nlohmann::json::parse(shard.text("index"));
    KnnIndexState s;
    s.options.n_neighbors = about.at("n_neighbors").get<std::size_t>();
    s.options.metric = metric_from_name(about.at("metric").get<std::string>());
    s.options.p = about.at("p").get<double>();
    s.options.target_recall = about.at("target_recall").get<double>();
    s.options.seed = about.at("seed").get<std::uint64_t>();
    s.probes = about.at("probes").get<std::size_t>();
    s.recall = about.at("recall").get<double>();
    s.data = read_rows(shard);
    s.leaders = read_numbers(shard, "leaders");
    s.cells = read_numbers(shard, "cells");
    return KnnIndex::from_state(std::move(s));
  } catch (const nlohmann::json::exception& error) {
    shard.throw_damaged(std::string("its description: ") + error.what());
  } catch (const std::invalid_argument& error) {
    shard.throw_damaged(error.what());
  }
}

}  // namespace knowmap
