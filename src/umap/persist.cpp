// A fitted map as one file, or in memory: a description and named arrays.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "knowmap/error.hpp"
#include "store/shard.hpp"
#include "support/json.hpp"
#include "umap/options.hpp"
#include "umap/projector.hpp"

namespace knowmap {

namespace {

constexpr const char* kKind = "umap";
constexpr std::uint64_t kVersion = 1;

store::Directory folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path();
  return store::Directory(folder.empty() ? std::filesystem::path(".") : folder);
}

}  // namespace

std::string UmapProjector::describe(std::string_view note) const {
  const Impl& s = *impl_;
  if (!s.fitted) throw std::invalid_argument("there is no map to save: call fit first");
  nlohmann::json about = {{"version", kVersion},
                          {"options", umap::options_to_json(s.options)},
                          {"a", s.a},
                          {"b", s.b},
                          {"n_features", s.n_features},
                          {"rows_hash", s.rows_hash},
                          {"supervised", s.supervised},
                          {"init_used", s.init_used},
                          {"note", std::string(note)}};
  if (!std::isnan(s.recall)) about["recall"] = s.recall;  // JSON has no NaN
  return about.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::map<std::string, MatrixView<const float>> UmapProjector::arrays(bool with_rows) const {
  const Impl& s = *impl_;
  std::map<std::string, MatrixView<const float>> result{{"embedding", s.placed}};
  if (!s.leveled.empty()) result["leveled"] = s.leveled;
  if (!s.radii.empty()) result["radii"] = s.radii;
  if (!s.weights.empty()) result["weights"] = s.weights;
  if (with_rows) {
    s.require_rows("saving with rows");
    result["rows"] = s.rows;
  }
  return result;
}

UmapProjector UmapProjector::restore(std::string_view description,
                                     const std::map<std::string, MatrixView<const float>>& arrays) {
  const auto about = parse_json<CheckpointError>(description, "the saved map");
  try {
    if (about.at("version").get<std::uint64_t>() != kVersion) {
      throw CheckpointError("the saved map is from a newer knowmap; update knowmap to read it");
    }
    UmapProjector result(umap::options_from_json(about.at("options")));
    Impl& s = *result.impl_;
    about.at("a").get_to(s.a);
    about.at("b").get_to(s.b);
    about.at("n_features").get_to(s.n_features);
    about.at("rows_hash").get_to(s.rows_hash);
    about.at("supervised").get_to(s.supervised);
    about.at("init_used").get_to(s.init_used);
    about.at("note").get_to(s.note);
    s.recall = about.value("recall", s.recall);
    for (const auto& [name, view] : arrays) {
      Matrix copy(view.rows, view.cols);
      std::copy_n(view.data, view.size(), copy.data());
      if (name == "embedding") s.placed = std::move(copy);
      if (name == "leveled") s.leveled = std::move(copy);
      if (name == "radii") s.radii = std::move(copy);
      if (name == "weights") s.weights = std::move(copy);
      if (name == "rows") s.data = std::move(copy);
    }
    s.rows = s.data;
    const std::size_t n = s.placed.rows();
    const bool fits =
        n > 0 && s.placed.cols() == s.options.n_components &&
        (s.leveled.empty() || (s.leveled.rows() == n && s.leveled.cols() == s.placed.cols())) &&
        (s.weights.empty() || (s.weights.rows() == n && s.weights.cols() == 1)) &&
        (s.data.empty() || (s.data.rows() == n && s.data.cols() == s.n_features));
    if (!fits) throw CheckpointError("the saved map's arrays do not fit one another");
    s.fitted = true;
    return result;
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError(std::string("the saved map's description is malformed: ") + error.what());
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(std::string("the saved map has an impossible option: ") + error.what());
  }
}

void UmapProjector::save(const std::filesystem::path& file, bool with_rows,
                         std::string_view note) const {
  const std::string description = describe(note);
  std::vector<store::ArrayToWrite> out;
  for (const auto& [name, view] : arrays(with_rows)) {
    out.push_back({name, store::Element::float32, {view.rows, view.cols}, view.data});
  }
  store::write_shard(folder_of(file), file.filename().string(),
                     {{"kind", kKind}, {"description", description}}, out, store::IfThere::replace);
}

UmapProjector UmapProjector::load(const std::filesystem::path& file) {
  const store::Directory folder = folder_of(file);
  store::Shard shard(folder, file.filename().string(), store::Shard::File::keep_open);
  if (shard.text("kind") != kKind) shard.throw_damaged("it is not a saved map");
  std::map<std::string, Matrix> held;
  std::vector<store::Shard::Part> parts;
  for (const auto& [name, array] : shard.arrays()) {
    if (array.element != store::Element::float32 || array.shape.size() != 2) {
      shard.throw_damaged("the array " + name + " is of a type or shape that no map has");
    }
    Matrix& matrix = held.emplace(name, Matrix(array.shape[0], array.shape[1])).first->second;
    parts.push_back({array.offset, array.bytes, matrix.data()});
  }
  shard.read(parts);
  std::map<std::string, MatrixView<const float>> views;
  for (const auto& [name, matrix] : held) views[name] = matrix;
  return restore(shard.text("description"), views);
}

}  // namespace knowmap
