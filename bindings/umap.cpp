#include "knowmap/umap.hpp"

#include <map>
#include <optional>

#include "common.hpp"

namespace knowmap::python {

UmapOptions umap_options(const py::dict& params);

namespace {

KnnGraph graph_from(const IntArray& indices, const FloatArray& distances) {
  if (indices.ndim() != 2 || distances.ndim() != 2 || indices.shape(0) != distances.shape(0) ||
      indices.shape(1) != distances.shape(1)) {
    throw std::invalid_argument("indices and distances must both have the shape (rows, k)");
  }
  const auto n = static_cast<std::size_t>(indices.shape(0));
  const auto k = static_cast<std::size_t>(indices.shape(1));
  KnnGraph graph{{n, k}, {n, k}};
  std::memcpy(graph.indices.data(), indices.data(), n * k * sizeof(std::int32_t));
  std::memcpy(graph.distances.data(), distances.data(), n * k * sizeof(float));
  return graph;
}

using Rows = std::optional<FloatArray>;

UmapData beside_rows(const Rows& initial, const std::optional<IntArray>& classes,
                     const Rows& targets, const Rows& weights, const Rows& earlier) {
  UmapData data;
  if (earlier) data.earlier = matrix_view(*earlier);
  if (initial) data.initial = matrix_view(*initial);
  if (targets) data.targets = matrix_view(*targets);
  if (classes) data.classes = {classes->data(), static_cast<std::size_t>(classes->size())};
  if (weights) data.sample_weights = {weights->data(), static_cast<std::size_t>(weights->size())};
  return data;
}

}  // namespace

void register_umap(py::module_& m) {
  py::class_<UmapProjector>(m, "UmapProjector")
      .def(py::init([](const py::dict& params, const py::object& progress) {
             UmapOptions o = umap_options(params);
             o.progress = progress_callback(progress);
             o.keep_rows = UmapOptions::KeepRows::view;
             o.keep_graph = true;
             return std::make_unique<UmapProjector>(std::move(o));
           }),
           py::arg("params"), py::arg("progress") = py::none())
      // The rows are looked at where they lie, so they are kept alive and never converted.
      .def(
          "fit",
          [](UmapProjector& self, const FloatArray& rows, const std::optional<IntArray>& indices,
             const Rows& distances, const Rows& initial, const std::optional<IntArray>& classes,
             const Rows& targets, const Rows& weights, const Rows& earlier) {
            UmapData data = beside_rows(initial, classes, targets, weights, earlier);
            data.rows = matrix_view(rows);
            std::optional<KnnGraph> graph;
            if (indices && distances) data.graph = &graph.emplace(graph_from(*indices, *distances));
            const py::gil_scoped_release nogil;
            self.fit(data);
          },
          py::arg("rows").noconvert(), py::arg("indices") = py::none(),
          py::arg("distances") = py::none(), py::arg("initial") = py::none(),
          py::arg("classes") = py::none(), py::arg("targets") = py::none(),
          py::arg("weights") = py::none(), py::arg("earlier") = py::none(), py::keep_alive<1, 2>())
      .def(
          "fit_source",
          [](UmapProjector& self, const RowSource& source, const Rows& initial,
             const std::optional<IntArray>& classes, const Rows& targets, const Rows& weights,
             const Rows& earlier) {
            UmapData data = beside_rows(initial, classes, targets, weights, earlier);
            data.source = &source;
            const py::gil_scoped_release nogil;
            self.fit(data);
          },
          py::arg("source"), py::arg("initial") = py::none(), py::arg("classes") = py::none(),
          py::arg("targets") = py::none(), py::arg("weights") = py::none(),
          py::arg("earlier") = py::none())
      .def(
          "attach_rows",
          [](UmapProjector& self, const FloatArray& rows) { self.attach_rows(matrix_view(rows)); },
          py::arg("rows").noconvert(), py::keep_alive<1, 2>())
      .def("check_rows", &UmapProjector::check_rows, py::call_guard<py::gil_scoped_release>())
      .def("embedding",
           [](const UmapProjector& self) { return to_numpy(self.embedding().clone()); })
      .def("snapshots",
           [](const UmapProjector& self) {
             py::list maps;
             for (const Matrix& map : self.snapshots()) maps.append(to_numpy(map.clone()));
             return maps;
           })
      .def("radii", [](const UmapProjector& self) { return to_numpy(self.radii().clone()); })
      .def("graph",
           [](const UmapProjector& self) {
             const UmapGraphView g = self.graph();
             return py::make_tuple(py::array_t<std::size_t>(g.offsets.size(), g.offsets.data()),
                                   py::array_t<std::int32_t>(g.columns.size(), g.columns.data()),
                                   py::array_t<float>(g.weights.size(), g.weights.data()));
           })
      .def(
          "transform",
          [](const UmapProjector& self, const FloatArray& rows,
             const std::optional<IntArray>& indices, const Rows& distances) {
            const auto view = matrix_view(rows);
            Matrix placed;
            if (indices && distances) {
              const KnnGraph graph = graph_from(*indices, *distances);
              const py::gil_scoped_release nogil;
              placed = self.transform(view, graph);
            } else {
              const py::gil_scoped_release nogil;
              placed = self.transform(view);
            }
            return to_numpy(std::move(placed));
          },
          py::arg("rows"), py::arg("indices") = py::none(), py::arg("distances") = py::none())
      .def("inverse_transform",
           [](const UmapProjector& self, const FloatArray& points) {
             const auto view = matrix_view(points);
             Matrix rows;
             {
               const py::gil_scoped_release nogil;
               rows = self.inverse_transform(view);
             }
             return to_numpy(std::move(rows));
           })
      .def(
          "update",
          [](UmapProjector& self, const FloatArray& rows, const Rows& weights) {
            const auto view = matrix_view(rows);
            std::span<const float> pulls;
            if (weights) pulls = {weights->data(), static_cast<std::size_t>(weights->size())};
            const py::gil_scoped_release nogil;
            self.update(view, pulls);
          },
          py::arg("rows"), py::arg("weights") = py::none())
      .def("save", &UmapProjector::save, py::arg("file"), py::arg("with_rows"), py::arg("note"),
           py::call_guard<py::gil_scoped_release>())
      .def_static("load", &UmapProjector::load, py::call_guard<py::gil_scoped_release>())
      .def("set_run",
           [](UmapProjector& self, int threads, const py::object& progress) {
             self.set_run(threads, progress_callback(progress), UmapOptions::KeepRows::view);
           })
      .def("describe", &UmapProjector::describe, py::arg("note") = "")
      .def("arrays",
           [](const UmapProjector& self, bool with_rows) {
             py::dict held;
             for (const auto& [name, view] : self.arrays(with_rows)) {
               held[py::str(name)] = py::array_t<float>({view.rows, view.cols}, view.data);
             }
             return held;
           })
      .def_static(
          "restore",
          [](const std::string& description, const std::map<std::string, FloatArray>& held) {
            std::map<std::string, MatrixView<const float>> views;
            for (const auto& [name, array] : held) views[name] = matrix_view(array);
            return UmapProjector::restore(description, views);
          })
      .def_property_readonly("recall", &UmapProjector::recall)
      .def_property_readonly("note", &UmapProjector::note)
      .def_property_readonly("n_features", &UmapProjector::n_features)
      .def_property_readonly("a", &UmapProjector::a)
      .def_property_readonly("b", &UmapProjector::b)
      .def_property_readonly("init_used", &UmapProjector::init_used);

  m.def(
      "level_density",
      [](const FloatArray& map, float strength, int threads) {
        const auto view = matrix_view(map);
        Matrix level;
        {
          const py::gil_scoped_release nogil;
          level = level_density(view, strength, threads);
        }
        return to_numpy(std::move(level));
      },
      py::arg("map"), py::arg("strength") = 1.0f, py::arg("threads") = 0);
  m.def("knows_metric", [](const std::string& name) {
    try {
      metric_from_name(name);
      return true;
    } catch (const std::invalid_argument&) {
      return false;
    }
  });
}

}  // namespace knowmap::python
