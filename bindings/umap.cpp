#include "knowmap/umap.hpp"

#include <functional>
#include <map>
#include <optional>
#include <type_traits>

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
  using Set = std::function<void(const py::handle&)>;
  const auto number = [](auto& field) -> Set {
    using T = std::decay_t<decltype(field)>;
    return [&field](const py::handle& value) { field = value.cast<T>(); };
  };
  // None = the library's own choice, which is 0 there.
  const auto optional = [](auto& field) -> Set {
    using T = std::decay_t<decltype(field)>;
    return [&field](const py::handle& value) { field = value.is_none() ? T{0} : value.cast<T>(); };
  };
  const std::map<std::string, Set> known{
      {"n_neighbors", number(o.n_neighbors)},
      {"n_components", number(o.n_components)},
      {"metric", [&](const py::handle& v) { o.metric = metric_from_name(v.cast<std::string>()); }},
      {"n_epochs", optional(o.n_epochs)},
      {"learning_rate", number(o.learning_rate)},
      {"init", [&](const py::handle& v) { o.init = init_from_name(v.cast<std::string>()); }},
      {"min_dist", number(o.min_dist)},
      {"spread", number(o.spread)},
      {"a", optional(o.a)},
      {"b", optional(o.b)},
      {"set_op_mix_ratio", number(o.set_op_mix_ratio)},
      {"local_connectivity", number(o.local_connectivity)},
      {"repulsion_strength", number(o.repulsion_strength)},
      {"negative_sample_rate", number(o.negative_sample_rate)},
      {"random_state", number(o.seed)},
      {"n_jobs", number(o.threads)},
  };
  for (const auto& [key, value] : params) {
    const auto name = key.cast<std::string>();
    const auto found = known.find(name);
    if (found == known.end()) {
      throw std::invalid_argument("unknown UMAP parameter '" + name + "'");
    }
    try {
      found->second(value);
    } catch (const py::cast_error&) {
      throw std::invalid_argument("UMAP parameter " + name + " is " +
                                  py::repr(value).cast<std::string>() +
                                  ", of the wrong type or sign");
    }
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
      .def("embedding",
           [](const UmapProjector& self) { return to_numpy(self.embedding().clone()); })
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
