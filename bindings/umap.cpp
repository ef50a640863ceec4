#include "knowmap/umap.hpp"

#include <optional>

#include "common.hpp"

namespace knowmap::python {

namespace {

UmapOptions::Init init_from_name(const std::string& name) {
  if (name == "spectral") return UmapOptions::Init::spectral;
  if (name == "pca") return UmapOptions::Init::pca;
  if (name == "random") return UmapOptions::Init::random;
  throw std::invalid_argument("init '" + name + "' is not known; take spectral, pca or random");
}

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

}  // namespace

/// From the keyword arguments that Python's UmapProjector and the pipeline share.
UmapOptions umap_options(const py::dict& params) {
  UmapOptions o;
  for (const auto& [key, value] : params) {
    const auto name = key.cast<std::string>();
    if (name == "n_neighbors") o.n_neighbors = value.cast<std::size_t>();
    else if (name == "n_components") o.n_components = value.cast<std::size_t>();
    else if (name == "metric") o.metric = metric_from_name(value.cast<std::string>());
    else if (name == "n_epochs") o.n_epochs = value.is_none() ? 0 : value.cast<std::size_t>();
    else if (name == "learning_rate") o.learning_rate = value.cast<float>();
    else if (name == "init") o.init = init_from_name(value.cast<std::string>());
    else if (name == "min_dist") o.min_dist = value.cast<float>();
    else if (name == "spread") o.spread = value.cast<float>();
    else if (name == "a") o.a = value.is_none() ? 0.0f : value.cast<float>();
    else if (name == "b") o.b = value.is_none() ? 0.0f : value.cast<float>();
    else if (name == "set_op_mix_ratio") o.set_op_mix_ratio = value.cast<float>();
    else if (name == "local_connectivity") o.local_connectivity = value.cast<float>();
    else if (name == "repulsion_strength") o.repulsion_strength = value.cast<float>();
    else if (name == "negative_sample_rate") o.negative_sample_rate = value.cast<std::size_t>();
    else if (name == "random_state") o.seed = value.cast<std::uint64_t>();
    else if (name == "n_jobs") o.threads = value.cast<int>();
    else throw std::invalid_argument("unknown UMAP parameter '" + name + "'");
  }
  return o;
}

void register_umap(py::module_& m) {
  py::class_<UmapProjector>(m, "UmapProjector")
      .def(py::init([](const py::dict& params, const py::object& progress) {
             UmapOptions o = umap_options(params);
             o.progress = progress_callback(progress);
             return std::make_unique<UmapProjector>(std::move(o));
           }),
           py::arg("params"), py::arg("progress") = py::none())
      .def(
          "fit",
          [](UmapProjector& self, const FloatArray& data, const std::optional<IntArray>& indices,
             const std::optional<FloatArray>& distances) {
            const auto view = matrix_view(data);
            std::optional<KnnGraph> graph;
            if (indices && distances) graph = graph_from(*indices, *distances);
            const py::gil_scoped_release nogil;
            graph ? self.fit(view, *graph) : self.fit(view);
          },
          py::arg("data"), py::arg("indices") = py::none(), py::arg("distances") = py::none())
      .def("embedding", [](const UmapProjector& self) { return to_numpy(self.embedding().clone()); })
      .def("transform",
           [](const UmapProjector& self, const FloatArray& rows) {
             const auto view = matrix_view(rows);
             Matrix placed;
             {
               const py::gil_scoped_release nogil;
               placed = self.transform(view);
             }
             return to_numpy(std::move(placed));
           })
      .def_property_readonly("a", &UmapProjector::a)
      .def_property_readonly("b", &UmapProjector::b)
      .def_property_readonly("init_used", &UmapProjector::init_used);
}

}  // namespace knowmap::python
