#include "knowmap/labeler.hpp"

#include "common.hpp"

namespace knowmap::python {

KnnLabelerOptions::Weights weights_from_name(const std::string& name) {
  if (name == "uniform") return KnnLabelerOptions::Weights::uniform;
  if (name == "distance") return KnnLabelerOptions::Weights::distance;
  throw std::invalid_argument("weights '" + name + "' is not known; take uniform or distance");
}

void register_labeler(py::module_& m) {
  py::class_<LabelPrediction>(m, "LabelPrediction")
      .def_property_readonly("labels", [](const LabelPrediction& p) { return to_numpy(p.labels); })
      .def_property_readonly("confidence",
                             [](const LabelPrediction& p) { return to_numpy(p.confidence); })
      .def_property_readonly("margin", [](const LabelPrediction& p) { return to_numpy(p.margin); });

  py::class_<KnnLabeler>(m, "KnnLabeler")
      .def(py::init([](std::size_t n_neighbors, const std::string& metric,
                       const std::string& weights, float min_confidence, int threads) {
             KnnLabelerOptions o;
             o.n_neighbors = n_neighbors;
             o.metric = metric_from_name(metric);
             o.weights = weights_from_name(weights);
             o.min_confidence = min_confidence;
             o.threads = threads;
             o.progress = progress_callback(py::none());
             return std::make_unique<KnnLabeler>(std::move(o));
           }),
           py::kw_only(), py::arg("n_neighbors") = 15, py::arg("metric") = "cosine",
           py::arg("weights") = "uniform", py::arg("min_confidence") = 0.0f, py::arg("threads") = 0)
      .def("fit",
           [](KnnLabeler& self, const FloatArray& data, const IntArray& classes) {
             const auto view = matrix_view(data);
             const std::span<const std::int32_t> y(classes.data(),
                                                   static_cast<std::size_t>(classes.size()));
             const py::gil_scoped_release nogil;
             self.fit(view, y);
           })
      .def("predict",
           [](const KnnLabeler& self, const FloatArray& rows) {
             const auto view = matrix_view(rows);
             const py::gil_scoped_release nogil;
             return self.predict(view);
           })
      .def("predict_proba",
           [](const KnnLabeler& self, const FloatArray& rows) {
             const auto view = matrix_view(rows);
             Matrix shares;
             {
               const py::gil_scoped_release nogil;
               shares = self.predict_proba(view);
             }
             return to_numpy(std::move(shares));
           })
      .def("voters",
           [](const KnnLabeler& self, const FloatArray& rows) {
             const auto view = matrix_view(rows);
             KnnGraph graph;
             {
               const py::gil_scoped_release nogil;
               graph = self.voters(view);
             }
             return py::make_tuple(to_numpy(std::move(graph.indices)),
                                   to_numpy(std::move(graph.distances)));
           })
      .def_property_readonly("n_classes", &KnnLabeler::n_classes);

  py::class_<Region>(m, "Region")
      .def_readonly("name", &Region::name)
      .def_readonly("phrases", &Region::phrases)
      .def_readonly("exemplars", &Region::exemplars)
      .def_readonly("x", &Region::x)
      .def_readonly("y", &Region::y)
      .def_readonly("size", &Region::size)
      .def_readonly("parent", &Region::parent);
  py::class_<RegionLevel>(m, "RegionLevel")
      .def_readonly("regions", &RegionLevel::regions)
      .def_property_readonly("assignment",
                             [](const RegionLevel& level) { return to_numpy(level.assignment); });

  m.def(
      "name_regions",
      [](const FloatArray& map, const FloatArray& embedding, const py::sequence& texts,
         const py::sequence& titles, const std::vector<std::size_t>& level_sizes,
         std::size_t min_region_size, int threads, const py::object& progress) {
        const Texts text_views(texts);
        const Texts title_views(titles);
        RegionOptions o;
        o.level_sizes = level_sizes;
        o.min_region_size = min_region_size;
        o.threads = threads;
        o.progress = progress_callback(progress);
        const auto map_view = matrix_view(map);
        const auto rows = matrix_view(embedding);
        const py::gil_scoped_release nogil;
        return name_regions(map_view, rows, text_views.views(), title_views.views(), o);
      },
      py::arg("map"), py::arg("embedding"), py::arg("texts"), py::arg("titles"), py::kw_only(),
      py::arg("level_sizes") = std::vector<std::size_t>{}, py::arg("min_region_size") = 0,
      py::arg("threads") = 0, py::arg("progress") = py::none());
}

}  // namespace knowmap::python
