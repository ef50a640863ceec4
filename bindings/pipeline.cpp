#include "knowmap/pipeline.hpp"

#include <optional>

#include "labeler.hpp"
#include "namer.hpp"
#include "pipeline/text_hash.hpp"

namespace knowmap::python {

UmapOptions umap_options(const py::dict& params);

namespace {

py::tuple graph_arrays(const KnnGraph& graph) {
  return py::make_tuple(to_numpy(graph.indices.clone()), to_numpy(graph.distances.clone()));
}

}  // namespace

void register_pipeline(py::module_& m) {
  py::class_<ResumeReport>(m, "ResumeReport")
      .def_readonly("rows_kept", &ResumeReport::rows_kept)
      .def_readonly("rows_dropped", &ResumeReport::rows_dropped)
      .def_readonly("rows_computed", &ResumeReport::rows_computed)
      .def_readonly("embed", &ResumeReport::embed)
      .def_property_readonly("text_hashes",
                             [](const ResumeReport& self) { return to_numpy(self.text_hashes); });

  m.def(
      "embed_into_store",
      [](Embedder& embedder, const py::sequence& texts, CheckpointStore& store,
         const std::string& storage, std::uint64_t commit_rows, double commit_seconds, bool replace,
         const std::optional<py::function>& before_rows, const py::object& progress) {
        const Texts views(texts);
        StoreOptions options;
        options.storage = row_storage_from_name(storage);
        options.commit_rows = commit_rows;
        options.commit_seconds = commit_seconds;
        options.replace_rows = replace;
        if (before_rows) {
          options.before_rows = [&before_rows] {
            const py::gil_scoped_acquire gil;
            (*before_rows)();
          };
        }
        options.progress = progress_callback(progress);
        const py::gil_scoped_release nogil;
        return embed_into_store(embedder, views.views(), store, options);
      },
      py::arg("embedder"), py::arg("texts"), py::arg("store"), py::kw_only(),
      py::arg("storage") = "float32", py::arg("commit_rows") = 0,
      py::arg("commit_seconds") = StoreOptions{}.commit_seconds, py::arg("replace") = false,
      py::arg("before_rows") = py::none(), py::arg("progress") = py::none());

  m.def(
      "text_hashes",
      [](const py::sequence& texts) {
        const Texts views(texts);
        std::vector<std::uint64_t> hashes;
        {
          const py::gil_scoped_release nogil;
          hashes = text_hashes(views.views());
        }
        return to_numpy(std::move(hashes));
      },
      py::arg("texts"), "uint64: what a store knows the texts by.");

  py::class_<KnowledgeMap>(m, "KnowledgeMap")
      .def_property_readonly(
          "coordinates", [](const KnowledgeMap& map) { return to_numpy(map.coordinates.clone()); })
      .def_readonly("levels", &KnowledgeMap::levels)
      .def_readonly("grid", &KnowledgeMap::grid)
      .def_readonly("labels", &KnowledgeMap::labels)
      .def_property_readonly("recall", [](const KnowledgeMap& map) { return map.neighbors.recall; })
      .def_property_readonly("neighbors",
                             [](const KnowledgeMap& map) { return graph_arrays(map.neighbors); })
      .def_property_readonly("voters",
                             [](const KnowledgeMap& map) { return graph_arrays(map.voters); })
      .def_readonly("reused", &KnowledgeMap::reused);

  m.def(
      "map_from_store",
      [](const py::sequence& texts, const py::sequence& titles, const IntArray& classes,
         CheckpointStore& store, const HashArray& text_hashes, const py::dict& umap,
         std::size_t label_neighbors, float min_confidence, const py::dict& labels,
         const std::vector<std::size_t>& level_sizes, const std::optional<py::function>& namer,
         const std::string& namer_key, const py::object& warn,
         const std::pair<std::size_t, std::size_t>& grid, bool layout_only, bool anew, int threads,
         const py::object& progress) {
        const Texts text_views(texts);
        const Texts title_views(titles);
        MapOptions o;
        if (layout_only) o.through = MapOptions::Through::layout;
        o.anew = anew;
        o.umap = umap_options(umap);
        py::dict label_params = labels.attr("copy")();  // the default is one object for all calls
        if (!label_params.contains("metric")) {
          label_params["metric"] = std::string(metric_name(o.umap.metric));
        }
        if (!label_params.contains("calibrate")) label_params["calibrate"] = true;
        o.labels = labeler_options(label_params);
        o.labels.n_neighbors = label_neighbors;
        o.labels.min_confidence = min_confidence;
        o.regions.level_sizes = level_sizes;
        std::optional<PythonNamer> python_namer;
        if (namer) o.namer = std::ref(python_namer.emplace(*namer));
        o.namer_key = namer_key;
        o.warn = warning_callback(warn);
        std::tie(o.grid_rows, o.grid_columns) = grid;
        o.threads = threads;
        o.progress = progress_callback(progress);
        const MapInput input{text_views.views(),
                             title_views.views(),
                             {classes.data(), static_cast<std::size_t>(classes.size())},
                             {text_hashes.data(), static_cast<std::size_t>(text_hashes.size())}};
        try {
          const py::gil_scoped_release nogil;
          return map_from_store(input, store, o);
        } catch (const CancelledError&) {
          if (python_namer) python_namer->rethrow_interrupt();
          throw;
        }
      },
      py::arg("texts"), py::arg("titles"), py::arg("classes"), py::arg("store"), py::kw_only(),
      py::arg("text_hashes") = HashArray(0), py::arg("umap") = py::dict(),
      py::arg("label_neighbors") = 15, py::arg("min_confidence") = 0.0f,
      py::arg("labels") = py::dict(), py::arg("level_sizes") = std::vector<std::size_t>{},
      py::arg("namer") = py::none(), py::arg("namer_key") = "", py::arg("warn") = py::none(),
      py::arg("grid") = std::pair<std::size_t, std::size_t>(0, 0), py::arg("layout_only") = false,
      py::arg("anew") = false, py::arg("threads") = 0, py::arg("progress") = py::none());
}

}  // namespace knowmap::python
