#include "pipeline/stage_codec.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "knowmap/error.hpp"

namespace knowmap {

namespace {

template <class T>
StageArray array(std::vector<T> values) {
  StageArray result;
  result.shape = {values.size()};
  result.values = std::move(values);
  return result;
}

template <class T>
StageArray array(const BasicMatrix<T>& matrix) {
  StageArray result;
  result.shape = {matrix.rows(), matrix.cols()};
  result.values = std::vector<T>(matrix.data(), matrix.data() + matrix.size());
  return result;
}

[[noreturn]] void misfit(const std::string& name) {
  throw CheckpointError("a stored result's array '" + name +
                        "' is missing or does not fit the others; run again with the stage made "
                        "afresh");
}

const StageArray& named(const StageResult& result, const std::string& name) {
  const auto it = result.find(name);
  if (it == result.end()) misfit(name);
  return it->second;
}

template <class T>
const std::vector<T>& values(const StageResult& result, const std::string& name) {
  const auto* held = std::get_if<std::vector<T>>(&named(result, name).values);
  if (held == nullptr) misfit(name);
  return *held;
}

template <class T>
BasicMatrix<T> matrix(const StageResult& result, const std::string& name) {
  const auto& held = values<T>(result, name);
  const auto& shape = named(result, name).shape;
  if (shape.size() != 2) misfit(name);
  BasicMatrix<T> out(shape[0], shape[1]);
  if (out.size() != held.size()) misfit(name);
  std::copy(held.begin(), held.end(), out.data());
  return out;
}

template <class T>
std::vector<T> column(const StageResult& result, const std::string& name, std::size_t rows) {
  const auto& held = values<T>(result, name);
  if (held.size() != rows) misfit(name);
  return held;
}

/// Lists of lists as one list and where each begins.
template <class T>
struct Ragged {
  std::vector<T> items;
  std::vector<std::int64_t> offsets{0};

  void add(const std::vector<T>& list) {
    items.insert(items.end(), list.begin(), list.end());
    offsets.push_back(static_cast<std::int64_t>(items.size()));
  }
  void put(StageResult& result, const std::string& name) && {
    result[name] = array(std::move(items));
    result[name + "_offsets"] = array(std::move(offsets));
  }
};

template <class T>
std::vector<std::vector<T>> ragged(const StageResult& result, const std::string& name,
                                   std::size_t lists) {
  const auto& items = values<T>(result, name);
  const auto offsets = column<std::int64_t>(result, name + "_offsets", lists + 1);
  const bool ordered = std::is_sorted(offsets.begin(), offsets.end());
  if (!ordered || offsets.front() != 0 ||
      offsets.back() != static_cast<std::int64_t>(items.size())) {
    misfit(name);
  }
  std::vector<std::vector<T>> out(lists);
  for (std::size_t i = 0; i < lists; ++i) {
    out[i].assign(items.begin() + offsets[i], items.begin() + offsets[i + 1]);
  }
  return out;
}

}  // namespace

StageResult encode_graph(const KnnGraph& graph) {
  return {{"indices", array(graph.indices)},
          {"distances", array(graph.distances)},
          {"recall", array(std::vector<double>{graph.recall})}};
}

KnnGraph decode_graph(const StageResult& result) {
  KnnGraph graph{matrix<std::int32_t>(result, "indices"), matrix<float>(result, "distances")};
  if (graph.indices.rows() != graph.distances.rows() ||
      graph.indices.cols() != graph.distances.cols()) {
    misfit("distances");
  }
  const auto n = static_cast<std::int64_t>(graph.indices.rows());
  for (std::size_t i = 0; i < graph.indices.size(); ++i) {
    if (graph.indices.data()[i] < -1 || graph.indices.data()[i] >= n) misfit("indices");
  }
  // Stores of before kept no recall: it is not known.
  graph.recall = result.contains("recall") ? column<double>(result, "recall", 1).front()
                                           : std::numeric_limits<double>::quiet_NaN();
  return graph;
}

StageResult encode_coordinates(const Matrix& coordinates) {
  return {{"coordinates", array(coordinates)}};
}

Matrix decode_coordinates(const StageResult& result) {
  return matrix<float>(result, "coordinates");
}

StageResult encode_labels(const LabelPrediction& labels) {
  return {{"labels", array(labels.labels)},
          {"confidence", array(labels.confidence)},
          {"margin", array(labels.margin)},
          {"top_classes", array(labels.top.classes)},
          {"top_shares", array(labels.top.shares)}};
}

LabelPrediction decode_labels(const StageResult& result) {
  LabelPrediction out;
  out.labels = values<std::int32_t>(result, "labels");
  out.confidence = column<float>(result, "confidence", out.labels.size());
  out.margin = column<float>(result, "margin", out.labels.size());
  out.top = {matrix<std::int32_t>(result, "top_classes"), matrix<float>(result, "top_shares")};
  if (out.top.classes.rows() != out.labels.size() || out.top.shares.rows() != out.labels.size() ||
      out.top.classes.cols() != out.top.shares.cols()) {
    misfit("top_classes");
  }
  return out;
}

StageResult encode_regions(const std::vector<RegionLevel>& levels) {
  StageResult result;
  std::vector<std::int32_t> counts;
  std::vector<std::string> names;
  std::vector<float> x;
  std::vector<float> y;
  std::vector<std::int64_t> sizes;
  std::vector<std::int32_t> parents;
  std::vector<float> confidence;
  Ragged<std::string> phrases;
  Ragged<std::int64_t> exemplars;
  std::vector<std::int32_t> assignment;
  for (const RegionLevel& level : levels) {
    counts.push_back(static_cast<std::int32_t>(level.regions.size()));
    assignment.insert(assignment.end(), level.assignment.begin(), level.assignment.end());
    for (const Region& region : level.regions) {
      names.push_back(region.name);
      x.push_back(region.x);
      y.push_back(region.y);
      sizes.push_back(static_cast<std::int64_t>(region.size));
      parents.push_back(region.parent);
      confidence.push_back(region.confidence);
      phrases.add(region.phrases);
      exemplars.add(region.exemplars);
    }
  }
  result["regions_per_level"] = array(std::move(counts));
  result["names"] = array(std::move(names));
  result["x"] = array(std::move(x));
  result["y"] = array(std::move(y));
  result["sizes"] = array(std::move(sizes));
  result["parents"] = array(std::move(parents));
  result["confidence"] = array(std::move(confidence));
  result["assignment"] = array(std::move(assignment));
  std::move(phrases).put(result, "phrases");
  std::move(exemplars).put(result, "exemplars");
  return result;
}

std::vector<RegionLevel> decode_regions(const StageResult& result) {
  const auto& counts = values<std::int32_t>(result, "regions_per_level");
  const auto& names = values<std::string>(result, "names");
  const std::size_t regions = names.size();
  const auto x = column<float>(result, "x", regions);
  const auto y = column<float>(result, "y", regions);
  const auto sizes = column<std::int64_t>(result, "sizes", regions);
  const auto parents = column<std::int32_t>(result, "parents", regions);
  const auto confidence = column<float>(result, "confidence", regions);
  const auto phrases = ragged<std::string>(result, "phrases", regions);
  const auto exemplars = ragged<std::int64_t>(result, "exemplars", regions);
  const auto& assignment = values<std::int32_t>(result, "assignment");
  if (!counts.empty() && assignment.size() % counts.size() != 0) misfit("assignment");
  const std::size_t rows = counts.empty() ? 0 : assignment.size() / counts.size();

  std::vector<RegionLevel> levels(counts.size());
  std::size_t at = 0;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    if (counts[l] < 0 || at + static_cast<std::size_t>(counts[l]) > regions) {
      misfit("regions_per_level");
    }
    for (std::int32_t i = 0; i < counts[l]; ++i, ++at) {
      const std::int32_t above = l == 0 ? 0 : counts[l - 1];
      if (parents[at] < -1 || parents[at] >= above) misfit("parents");
      levels[l].regions.push_back({names[at], phrases[at], exemplars[at], x[at], y[at],
                                   static_cast<std::size_t>(sizes[at]), parents[at],
                                   confidence[at]});
    }
    const auto first = assignment.begin() + static_cast<std::ptrdiff_t>(l * rows);
    levels[l].assignment.assign(first, first + static_cast<std::ptrdiff_t>(rows));
    for (const std::int32_t region : levels[l].assignment) {
      if (region < -1 || region >= counts[l]) misfit("assignment");
    }
  }
  return levels;
}

}  // namespace knowmap
