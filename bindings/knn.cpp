#include "knowmap/knn.hpp"

#include <memory>
#include <optional>

#include "common.hpp"
#include "knowmap/pipeline.hpp"

namespace knowmap::python {

namespace {

KnnOptions options(std::size_t n_neighbors, const std::string& metric, double p,
                   std::optional<bool> exact, std::uint64_t seed, const std::string& device,
                   int threads, const py::object& progress) {
  KnnOptions o;
  o.n_neighbors = n_neighbors;
  o.metric = metric_from_name(metric);
  o.p = p;
  if (exact) o.search = *exact ? KnnOptions::Search::exact : KnnOptions::Search::approximate;
  o.seed = seed;
  o.device = device;
  o.threads = threads;
  o.progress = progress_callback(progress);
  return o;
}

py::tuple arrays(KnnGraph&& graph) {
  return py::make_tuple(to_numpy(std::move(graph.indices)), to_numpy(std::move(graph.distances)));
}

MatrixView<const float> rows_of_argument(const FloatArray& array) { return matrix_view(array); }
const RowSource& rows_of_argument(const RowSource& source) { return source; }

/// `knn_graph` and `knn_query` of an array, or of a source of rows.
template <class Rows>
void define_searches(py::module_& m) {
  m.def(
      "knn_graph",
      [](const Rows& data, std::size_t n_neighbors, const std::string& metric, double p,
         std::optional<bool> exact, std::uint64_t random_state, double target_recall,
         const std::string& device, int threads, const py::object& progress) {
        KnnOptions o =
            options(n_neighbors, metric, p, exact, random_state, device, threads, progress);
        o.target_recall = target_recall;
        const auto& rows = rows_of_argument(data);
        KnnGraph graph;
        {
          const py::gil_scoped_release nogil;
          graph = knn_graph(rows, o);
        }
        const double recall = graph.recall;
        return arrays(std::move(graph)) + py::make_tuple(recall);
      },
      py::arg("data"), py::kw_only(), py::arg("n_neighbors") = 15, py::arg("metric") = "cosine",
      py::arg("p") = 2.0, py::arg("exact") = py::none(), py::arg("random_state") = 0,
      py::arg("target_recall") = KnnOptions{}.target_recall, py::arg("device") = "cpu",
      py::arg("threads") = 0, py::arg("progress") = py::none());
  m.def(
      "knn_query",
      [](const Rows& data, const FloatArray& queries, std::size_t n_neighbors,
         const std::string& metric, double p, const std::string& device, int threads,
         const py::object& progress) {
        const KnnOptions o = options(n_neighbors, metric, p, true, 0, device, threads, progress);
        const auto& rows = rows_of_argument(data);
        const auto query_view = matrix_view(queries);
        KnnGraph graph;
        {
          const py::gil_scoped_release nogil;
          graph = knn_query(rows, query_view, o);
        }
        return arrays(std::move(graph));
      },
      py::arg("data"), py::arg("queries"), py::kw_only(), py::arg("n_neighbors") = 15,
      py::arg("metric") = "cosine", py::arg("p") = 2.0, py::arg("device") = "cpu",
      py::arg("threads") = 0, py::arg("progress") = py::none());
}

}  // namespace

void register_knn(py::module_& m) {
  define_searches<RowSource>(m);
  define_searches<FloatArray>(m);
  py::class_<KnnIndex>(m, "KnnIndex")
      .def(py::init([](const FloatArray& data, std::size_t n_neighbors, const std::string& metric,
                       double p, std::optional<bool> exact, std::uint64_t random_state,
                       double target_recall, int threads, const py::object& progress) {
             KnnOptions o =
                 options(n_neighbors, metric, p, exact, random_state, "cpu", threads, progress);
             o.target_recall = target_recall;
             const auto view = matrix_view(data);
             const py::gil_scoped_release nogil;
             return std::make_unique<KnnIndex>(view, o);
           }),
           py::arg("data"), py::kw_only(), py::arg("n_neighbors") = 15,
           py::arg("metric") = "cosine", py::arg("p") = 2.0, py::arg("exact") = py::none(),
           py::arg("random_state") = 0, py::arg("target_recall") = KnnOptions{}.target_recall,
           py::arg("threads") = 0, py::arg("progress") = py::none())
      .def(
          "query",
          [](const KnnIndex& self, const FloatArray& queries, std::size_t n_neighbors, int threads,
             const py::object& progress) {
            const KnnQueryOptions o{n_neighbors, threads, progress_callback(progress)};
            const auto view = matrix_view(queries);
            KnnGraph graph;
            {
              const py::gil_scoped_release nogil;
              graph = self.query(view, o);
            }
            const double recall = graph.recall;
            return arrays(std::move(graph)) + py::make_tuple(recall);
          },
          py::arg("queries"), py::kw_only(), py::arg("n_neighbors") = 0, py::arg("threads") = 0,
          py::arg("progress") = py::none())
      .def_property_readonly("recall", [](const KnnIndex& self) { return self.state().recall; })
      .def_property_readonly("shape",
                             [](const KnnIndex& self) {
                               return py::make_tuple(self.state().data.rows(),
                                                     self.state().data.cols());
                             })
      .def("save", &save_index, py::arg("path"))
      .def_static("load", &load_index, py::arg("path"));
}

}  // namespace knowmap::python
