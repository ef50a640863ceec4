#include "common.hpp"
#include "knowmap/error.hpp"
#include "knowmap/labeler.hpp"
#include "namer.hpp"

namespace knowmap::python {

namespace {

RegionOptions region_options(const py::dict& params, const std::vector<RegionLevel>& earlier,
                             const std::vector<std::int64_t>& earlier_rows,
                             const py::object& progress) {
  RegionOptions o;
  for (const auto& [name, value] : params) {
    const auto key = name.cast<std::string>();
    if (key == "level_sizes") {
      o.level_sizes = value.cast<std::vector<std::size_t>>();
    } else if (key == "min_region_size") {
      o.min_region_size = value.cast<std::size_t>();
    } else if (key == "n_phrases") {
      o.n_phrases = value.cast<std::size_t>();
    } else if (key == "n_exemplars") {
      o.n_exemplars = value.cast<std::size_t>();
    } else if (key == "threads") {
      o.threads = value.cast<int>();
    } else {
      throw std::invalid_argument("there is no region option '" + key + "'");
    }
  }
  o.earlier = earlier;
  o.earlier_rows = earlier_rows;
  o.progress = progress_callback(progress);
  return o;
}

py::tuple rename(std::vector<RegionLevel> levels, const py::sequence& texts,
                 const py::sequence& titles, const py::function& namer, const py::object& warn) {
  const Texts text_views(texts);
  const Texts title_views(titles);
  PythonNamer python_namer(namer);
  std::size_t renamed = 0;
  try {
    renamed = rename_regions(levels, text_views.views(), title_views.views(),
                             std::ref(python_namer), warning_callback(warn));
  } catch (const CancelledError&) {
    python_namer.rethrow_interrupt();
    throw;
  }
  return py::make_tuple(std::move(levels), renamed);
}

}  // namespace

void register_regions(py::module_& m) {
  // Pickles as the tuple of its fields.
  py::class_<Region>(m, "Region")
      .def_readonly("name", &Region::name)
      .def_readonly("phrases", &Region::phrases)
      .def_readonly("exemplars", &Region::exemplars)
      .def_readonly("x", &Region::x)
      .def_readonly("y", &Region::y)
      .def_readonly("size", &Region::size)
      .def_readonly("parent", &Region::parent)
      .def_readonly("confidence", &Region::confidence)
      .def_readonly("cell", &Region::cell)
      .def("__repr__",
           [](const Region& r) {
             return "Region('" + r.name + "', size=" + std::to_string(r.size) + ")";
           })
      .def(py::pickle(
          [](const Region& r) {
            return py::make_tuple(r.name, r.phrases, r.exemplars, r.x, r.y, r.size, r.parent,
                                  r.confidence, r.cell);
          },
          [](const py::tuple& t) {
            return Region{t[0].cast<std::string>(),
                          t[1].cast<std::vector<std::string>>(),
                          t[2].cast<std::vector<std::int64_t>>(),
                          t[3].cast<float>(),
                          t[4].cast<float>(),
                          t[5].cast<std::size_t>(),
                          t[6].cast<std::int32_t>(),
                          t[7].cast<float>(),
                          t[8].cast<std::int32_t>()};
          }));
  py::class_<RegionLevel>(m, "RegionLevel")
      .def_readonly("regions", &RegionLevel::regions)
      .def_property_readonly("assignment",
                             [](const RegionLevel& level) { return to_numpy(level.assignment); })
      .def(py::pickle(
          [](const RegionLevel& level) {
            return py::make_tuple(level.regions, to_numpy(level.assignment));
          },
          [](const py::tuple& t) {
            const auto rows = t[1].cast<IntArray>();
            return RegionLevel{t[0].cast<std::vector<Region>>(),
                               {rows.data(), rows.data() + rows.size()}};
          }));

  m.def(
      "name_regions",
      [](const FloatArray& map, const FloatArray& embedding, const py::sequence& texts,
         const py::sequence& titles, const py::dict& params,
         const std::vector<RegionLevel>& earlier, const std::vector<std::int64_t>& earlier_rows,
         const py::object& progress) {
        const Texts text_views(texts);
        const Texts title_views(titles);
        const RegionOptions o = region_options(params, earlier, earlier_rows, progress);
        const auto map_view = matrix_view(map);
        const auto rows = matrix_view(embedding);
        const py::gil_scoped_release nogil;
        return name_regions(map_view, rows, text_views.views(), title_views.views(), o);
      },
      py::arg("map"), py::arg("embedding"), py::arg("texts"), py::arg("titles"),
      py::arg("params") = py::dict(), py::kw_only(),
      py::arg("earlier") = std::vector<RegionLevel>{},
      py::arg("earlier_rows") = std::vector<std::int64_t>{}, py::arg("progress") = py::none());
  m.def(
      "name_grid",
      [](const FloatArray& map, const FloatArray& embedding, const py::sequence& texts,
         const py::sequence& titles, std::size_t rows, std::size_t columns,
         const std::vector<RegionLevel>& levels, const py::dict& params,
         const py::object& progress) {
        const Texts text_views(texts);
        const Texts title_views(titles);
        const RegionOptions o = region_options(params, {}, {}, progress);
        const auto map_view = matrix_view(map);
        const auto space = matrix_view(embedding);
        const py::gil_scoped_release nogil;
        return name_grid(map_view, space, text_views.views(), title_views.views(), rows, columns,
                         levels, o);
      },
      py::arg("map"), py::arg("embedding"), py::arg("texts"), py::arg("titles"), py::arg("rows"),
      py::arg("columns"), py::kw_only(), py::arg("levels") = std::vector<RegionLevel>{},
      py::arg("params") = py::dict(), py::arg("progress") = py::none());
  m.def("rename_regions", &rename, py::arg("levels"), py::arg("texts"), py::arg("titles"),
        py::arg("namer"), py::arg("warn") = py::none());
}

}  // namespace knowmap::python
