#include "labeler.hpp"

namespace knowmap::python {

KnnGraph graph_of(const IntArray& indices, const FloatArray& distances) {
  if (indices.ndim() != 2 || distances.ndim() != 2 || indices.shape(0) != distances.shape(0) ||
      indices.shape(1) != distances.shape(1)) {
    throw std::invalid_argument("indices and distances must be two arrays of one shape (n, k)");
  }
  KnnGraph graph{
      {static_cast<std::size_t>(indices.shape(0)), static_cast<std::size_t>(indices.shape(1))},
      {static_cast<std::size_t>(indices.shape(0)), static_cast<std::size_t>(indices.shape(1))}};
  std::copy_n(indices.data(), graph.indices.size(), graph.indices.data());
  std::copy_n(distances.data(), graph.distances.size(), graph.distances.data());
  return graph;
}

namespace {

std::span<const std::int32_t> values(const IntArray& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

}  // namespace

void register_label_graph(py::module_& m) {
  m.def(
      "label_by_graph",
      [](const IntArray& indices, const FloatArray& distances, const IntArray& classes,
         const py::dict& params, const py::object& weight_function) {
        KnnLabelerOptions o = labeler_options(params);
        set_weight_function(o, weight_function);
        const KnnGraph graph = graph_of(indices, distances);
        const auto y = values(classes);
        const py::gil_scoped_release nogil;
        return label_by_graph(graph, y, o);
      },
      py::arg("indices"), py::arg("distances"), py::arg("classes"), py::arg("params") = py::dict(),
      py::arg("weight_function") = py::none());
  m.def(
      "link_neighbors",
      [](const IntArray& indices, const FloatArray& distances, const std::string& weights,
         int threads) {
        const KnnGraph graph = graph_of(indices, distances);
        LinkGraph links;
        {
          const py::gil_scoped_release nogil;
          links = link_neighbors(graph, weights_from_name(weights), threads);
        }
        return py::make_tuple(to_numpy(links.offsets), to_numpy(links.columns),
                              to_numpy(links.weights));
      },
      py::arg("indices"), py::arg("distances"), py::arg("weights") = "membership",
      py::arg("threads") = 0);
  m.def(
      "propagate_labels",
      [](const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>& offsets,
         const IntArray& columns, const FloatArray& weights, const IntArray& classes,
         const std::string& kind, float alpha, std::size_t max_iter, double tol, std::size_t top_k,
         float min_confidence, int threads, const py::object& progress) {
        const LinkGraph graph{{offsets.data(), offsets.data() + offsets.size()},
                              {columns.data(), columns.data() + columns.size()},
                              {weights.data(), weights.data() + weights.size()}};
        PropagationOptions o;
        if (kind == "spreading") {
          o.kind = PropagationOptions::Kind::spreading;
        } else if (kind != "propagation") {
          throw std::invalid_argument("kind '" + kind +
                                      "' is not known; take propagation or spreading");
        }
        o.alpha = alpha;
        o.max_iterations = max_iter;
        o.tolerance = tol;
        o.top_k = top_k;
        o.min_confidence = min_confidence;
        o.threads = threads;
        o.progress = progress_callback(progress);
        const auto y = values(classes);
        Propagation result;
        {
          const py::gil_scoped_release nogil;
          result = propagate_labels(graph, y, o);
        }
        return py::make_tuple(std::move(result.prediction), result.iterations, result.converged);
      },
      py::arg("offsets"), py::arg("columns"), py::arg("weights"), py::arg("classes"), py::kw_only(),
      py::arg("kind") = "propagation", py::arg("alpha") = 0.2f, py::arg("max_iter") = 1000,
      py::arg("tol") = 1e-3, py::arg("top_k") = 5, py::arg("min_confidence") = 0.0f,
      py::arg("threads") = 0, py::arg("progress") = py::none());
}

}  // namespace knowmap::python
