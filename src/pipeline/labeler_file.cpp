#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/rows_file.hpp"
#include "store/shard.hpp"

namespace knowmap {

namespace {

constexpr std::uint64_t kFormat = 1;

template <class T>
constexpr store::Element kElement = store::Element::float32;
template <>
constexpr store::Element kElement<double> = store::Element::float64;
template <>
constexpr store::Element kElement<std::int32_t> = store::Element::int32;
template <>
constexpr store::Element kElement<std::int64_t> = store::Element::int64;

template <class T>
store::ArrayToWrite array(const char* name, const std::vector<T>& values) {
  return {name, kElement<T>, {values.size()}, values.data()};
}

template <class T>
std::vector<T> read(store::Shard& shard, const char* name) {
  const auto found = shard.arrays().find(name);
  if (found == shard.arrays().end() || found->second.element != kElement<T> ||
      found->second.shape.size() != 1) {
    shard.throw_damaged("it has no list '" + std::string(name) + "' of the right type");
  }
  std::vector<T> values(found->second.bytes / sizeof(T));
  const store::Shard::Part part{found->second.offset, found->second.bytes, values.data()};
  shard.read({&part, 1});
  return values;
}

/// Small numbers are written so that they read back the same.
template <class T>
T number(const nlohmann::json& about, const char* name) {
  return about.at(name).get<T>();
}

}  // namespace

void save_labeler(const KnnLabeler& labeler, const std::filesystem::path& file,
                  const std::vector<std::string>& class_names) {
  const LabelerState& s = labeler.state();
  if (s.data.empty()) {
    throw std::invalid_argument("the labeler is not fitted: call fit(data, classes) first");
  }
  if (s.options.weights == KnnLabelerOptions::Weights::function) {
    throw std::invalid_argument(
        "a labeler whose weights are a function can't be saved: a file holds no code");
  }
  if (!class_names.empty() && class_names.size() < s.n_classes) {
    throw std::invalid_argument(std::to_string(class_names.size()) + " class names do not fit " +
                                std::to_string(s.n_classes) + " classes");
  }
  const KnnLabelerOptions& o = s.options;
  const LabelCalibration& c = s.calibration;
  const nlohmann::json options = {
      {"n_neighbors", o.n_neighbors},
      {"metric", std::string(metric_name(o.metric))},
      {"search", static_cast<int>(o.search)},
      {"weights", static_cast<int>(o.weights)},
      {"top_k", o.top_k},
      {"calibrate", o.calibrate},
      {"min_confidence", o.min_confidence},
      // JSON knows no infinity.
      {"max_distance", std::min(o.max_distance, std::numeric_limits<float>::max())},
      {"target_error", o.target_error},
      {"n_classes", s.n_classes},
      {"multi_label", s.multi_label},
      {"threshold", c.threshold},
      {"coverage", c.coverage},
      {"error", c.error},
      {"index_probes", s.index.probes},
      {"index_recall", s.index.recall},
      {"class_names", class_names}};
  std::vector<store::ArrayToWrite> arrays = {
      {"data", store::Element::float32, {s.data.rows(), s.data.cols()}, s.data.data()},
      array("numbers", s.numbers),
      array("offsets", s.classes.offsets),
      array("classes", s.classes.classes),
      array("coefficients", c.coefficients),
      array("means", c.means),
      array("spreads", c.spreads),
      array("precision", c.precision),
      array("score", c.score),
      array("right", c.right),
      array("index_leaders", s.index.leaders),
      array("index_cells", s.index.cells)};
  std::erase_if(
      arrays, [](const store::ArrayToWrite& a) { return a.shape[0] == 0 && a.name != "classes"; });
  const store::Directory folder(folder_of(file));
  store::write_shard(
      folder, file.filename().string(),
      {{"kind", "labeler"}, {"labeler_format", kFormat}, {"labeler", options.dump()}}, arrays,
      store::IfThere::replace);
}

SavedLabeler load_labeler(const std::filesystem::path& file) {
  const store::Directory folder(folder_of(file));
  store::Shard shard(folder, file.filename().string(), store::Shard::File::keep_open);
  if (shard.text("kind") != "labeler") shard.throw_damaged("it is not a labeler");
  if (shard.number("labeler_format") != kFormat) {
    shard.throw_damaged("its format is " + std::to_string(shard.number("labeler_format")) +
                        ", this version reads " + std::to_string(kFormat));
  }
  try {
    const nlohmann::json about = nlohmann::json::parse(shard.text("labeler"));
    LabelerState s;
    KnnLabelerOptions& o = s.options;
    o.n_neighbors = number<std::size_t>(about, "n_neighbors");
    o.metric = metric_from_name(number<std::string>(about, "metric"));
    // Files from before there was a choice: their voters are searched exactly.
    using Search = KnnOptions::Search;
    const int search = about.value("search", static_cast<int>(Search::exact));
    if (search < 0 || search > 2) shard.throw_damaged("its search is not known");
    o.search = static_cast<Search>(search);
    const int weights = number<int>(about, "weights");
    if (weights < 0 || weights > 2) shard.throw_damaged("its weights are not known");
    o.weights = static_cast<KnnLabelerOptions::Weights>(weights);
    o.top_k = number<std::size_t>(about, "top_k");
    o.calibrate = number<bool>(about, "calibrate");
    o.min_confidence = number<float>(about, "min_confidence");
    o.max_distance = number<float>(about, "max_distance");
    if (o.max_distance >= std::numeric_limits<float>::max()) {
      o.max_distance = std::numeric_limits<float>::infinity();
    }
    o.target_error = number<float>(about, "target_error");
    s.n_classes = number<std::size_t>(about, "n_classes");
    s.multi_label = number<bool>(about, "multi_label");
    s.data = read_rows(shard);
    s.numbers = read<std::int32_t>(shard, "numbers");
    s.classes = {read<std::int64_t>(shard, "offsets"), read<std::int32_t>(shard, "classes")};
    LabelCalibration& c = s.calibration;
    const auto learnt = [&](const char* name) { return shard.arrays().contains(name); };
    if (learnt("coefficients")) {
      c.coefficients = read<double>(shard, "coefficients");
      c.means = read<double>(shard, "means");
      c.spreads = read<double>(shard, "spreads");
    }
    if (learnt("precision")) c.precision = read<float>(shard, "precision");
    if (learnt("score")) {
      c.score = read<float>(shard, "score");
      c.right = read<float>(shard, "right");
    }
    c.threshold = number<float>(about, "threshold");
    c.coverage = number<float>(about, "coverage");
    c.error = number<float>(about, "error");
    if (learnt("index_leaders")) {  // else the index is built anew, where there was one
      s.index.leaders = read<std::int32_t>(shard, "index_leaders");
      s.index.cells = read<std::int32_t>(shard, "index_cells");
      s.index.probes = number<std::size_t>(about, "index_probes");
      s.index.recall = number<double>(about, "index_recall");
    }
    auto names = number<std::vector<std::string>>(about, "class_names");
    return {KnnLabeler::from_state(std::move(s)), std::move(names)};
  } catch (const nlohmann::json::exception& error) {
    shard.throw_damaged(std::string("its description: ") + error.what());
  } catch (const std::invalid_argument& error) {
    shard.throw_damaged(error.what());
  }
}

}  // namespace knowmap
