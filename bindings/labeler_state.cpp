#include <tuple>

#include "labeler.hpp"

namespace knowmap::python {

KnnLabelerOptions::Weights weights_from_name(const std::string& name) {
  using Weights = KnnLabelerOptions::Weights;
  if (name == "uniform") return Weights::uniform;
  if (name == "distance") return Weights::distance;
  if (name == "membership") return Weights::membership;
  if (name == "function") return Weights::function;
  throw std::invalid_argument("weights '" + name +
                              "' is not known; take uniform, distance, membership or a function");
}

std::string weights_name(KnnLabelerOptions::Weights weights) {
  static constexpr const char* kNames[] = {"uniform", "distance", "membership", "function"};
  return kNames[static_cast<int>(weights)];
}

KnnLabelerOptions labeler_options(const py::dict& params) {
  KnnLabelerOptions o;
  for (const auto& [name, value] : params) {
    const auto key = name.cast<std::string>();
    if (key == "n_neighbors")
      o.n_neighbors = value.cast<std::size_t>();
    else if (key == "metric")
      o.metric = metric_from_name(value.cast<std::string>());
    else if (key == "exact")
      o.search = value.is_none()      ? KnnOptions::Search::automatic
                 : value.cast<bool>() ? KnnOptions::Search::exact
                                      : KnnOptions::Search::approximate;
    else if (key == "weights")
      o.weights = weights_from_name(value.cast<std::string>());
    else if (key == "top_k")
      o.top_k = value.cast<std::size_t>();
    else if (key == "calibrate")
      o.calibrate = value.cast<bool>();
    else if (key == "min_confidence")
      o.min_confidence = value.cast<float>();
    else if (key == "max_distance")
      o.max_distance = value.cast<float>();
    else if (key == "target_error")
      o.target_error = value.cast<float>();
    else if (key == "threads")
      o.threads = value.cast<int>();
    else
      throw std::invalid_argument("there is no labeler option '" + key + "'");
  }
  return o;
}

/// `function(distances)` answers an array of the same shape.
void set_weight_function(KnnLabelerOptions& options, const py::object& function) {
  if (function.is_none()) return;
  const std::shared_ptr<py::object> kept(new py::object(function), [](py::object* p) {
    const py::gil_scoped_acquire gil;
    delete p;
  });
  options.weight_function = [kept](MatrixView<const float> distances, MatrixView<float> weights) {
    const py::gil_scoped_acquire gil;
    const auto rows = static_cast<py::ssize_t>(distances.rows);
    const auto cols = static_cast<py::ssize_t>(distances.cols);
    const FloatArray given((*kept)(py::array_t<float>({rows, cols}, distances.data)));
    if (given.ndim() != 2 || given.shape(0) != rows || given.shape(1) != cols) {
      throw std::invalid_argument("the weight function must answer an array of shape (" +
                                  std::to_string(rows) + ", " + std::to_string(cols) +
                                  "), as the distances it was given");
    }
    std::memcpy(weights.data, given.data(), weights.size() * sizeof(float));
  };
}

namespace {

template <class T>
std::vector<T> list(const py::dict& state, const char* name) {
  const auto array = state[name].cast<py::array_t<T, py::array::c_style | py::array::forcecast>>();
  return {array.data(), array.data() + array.size()};
}

}  // namespace

py::dict labeler_state(const LabelerState& s) {
  const LabelCalibration& c = s.calibration;
  py::dict d;
  d["data"] = to_numpy(s.data.clone());
  d["numbers"] = to_numpy(s.numbers);
  d["offsets"] = to_numpy(s.classes.offsets);
  d["classes"] = to_numpy(s.classes.classes);
  d["n_classes"] = s.n_classes;
  d["multi_label"] = s.multi_label;
  d["coefficients"] = to_numpy(c.coefficients);
  d["means"] = to_numpy(c.means);
  d["spreads"] = to_numpy(c.spreads);
  d["precision"] = to_numpy(c.precision);
  d["score"] = to_numpy(c.score);
  d["right"] = to_numpy(c.right);
  d["index_leaders"] = to_numpy(s.index.leaders);
  d["index_cells"] = to_numpy(s.index.cells);
  d["index_told"] = py::make_tuple(s.index.probes, s.index.recall);
  d["told"] = py::make_tuple(c.threshold, c.coverage, c.error);
  return d;
}

KnnLabeler labeler_from_state(const py::dict& params, const py::object& weight_function,
                              const py::dict& d) {
  LabelerState s;
  s.options = labeler_options(params);
  s.options.progress = progress_callback(py::none());
  set_weight_function(s.options, weight_function);
  const auto view = matrix_view(d["data"].cast<FloatArray>());
  s.data = Matrix(view.rows, view.cols);
  std::memcpy(s.data.data(), view.data, view.size() * sizeof(float));
  s.numbers = list<std::int32_t>(d, "numbers");
  s.classes = {list<std::int64_t>(d, "offsets"), list<std::int32_t>(d, "classes")};
  s.n_classes = d["n_classes"].cast<std::size_t>();
  s.multi_label = d["multi_label"].cast<bool>();
  LabelCalibration& c = s.calibration;
  c.coefficients = list<double>(d, "coefficients");
  c.means = list<double>(d, "means");
  c.spreads = list<double>(d, "spreads");
  c.precision = list<float>(d, "precision");
  c.score = list<float>(d, "score");
  c.right = list<float>(d, "right");
  s.index.leaders = list<std::int32_t>(d, "index_leaders");
  s.index.cells = list<std::int32_t>(d, "index_cells");
  std::tie(s.index.probes, s.index.recall) =
      d["index_told"].cast<std::tuple<std::size_t, double>>();
  std::tie(c.threshold, c.coverage, c.error) = d["told"].cast<std::tuple<float, float, float>>();
  return KnnLabeler::from_state(std::move(s));
}

py::dict options_dict(const KnnLabelerOptions& o) {
  py::dict d;
  d["n_neighbors"] = o.n_neighbors;
  d["metric"] = std::string(metric_name(o.metric));
  d["exact"] = o.search == KnnOptions::Search::automatic
                   ? py::object(py::none())
                   : py::object(py::bool_(o.search == KnnOptions::Search::exact));
  d["weights"] = weights_name(o.weights);
  d["top_k"] = o.top_k;
  d["calibrate"] = o.calibrate;
  d["min_confidence"] = o.min_confidence;
  d["max_distance"] = o.max_distance;
  d["target_error"] = o.target_error;
  return d;
}

}  // namespace knowmap::python
