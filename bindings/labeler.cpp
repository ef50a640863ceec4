#include "labeler.hpp"

#include "knowmap/pipeline.hpp"

namespace knowmap::python {

py::tuple top_arrays(const TopClasses& top) {
  return py::make_tuple(to_numpy(top.classes.clone()), to_numpy(top.shares.clone()));
}

namespace {

LabelSets label_sets(const py::array_t<std::int64_t>& offsets, const IntArray& classes) {
  return {{offsets.data(), offsets.data() + offsets.size()},
          {classes.data(), classes.data() + classes.size()}};
}

}  // namespace

void register_labeler(py::module_& m) {
  py::class_<LabelPrediction>(m, "LabelPrediction")
      .def_property_readonly("labels", [](const LabelPrediction& p) { return to_numpy(p.labels); })
      .def_property_readonly("confidence",
                             [](const LabelPrediction& p) { return to_numpy(p.confidence); })
      .def_property_readonly("margin", [](const LabelPrediction& p) { return to_numpy(p.margin); })
      .def_property_readonly("top", [](const LabelPrediction& p) { return top_arrays(p.top); });

  const auto set_arrays = [](const MultiLabelPrediction& p) {
    return py::make_tuple(to_numpy(p.labels.offsets), to_numpy(p.labels.classes),
                          to_numpy(p.confidence), top_arrays(p.top));
  };
  // For one call on voters, as `voters` answers them.
  const auto by_voters = [](auto call, auto make) {
    return
        [call, make](const KnnLabeler& self, const IntArray& indices, const FloatArray& distances) {
          const KnnGraph graph = graph_of(indices, distances);
          auto result = [&] {
            const py::gil_scoped_release nogil;
            return call(self, graph);
          }();
          return make(std::move(result));
        };
  };
  // For one call on rows without the GIL; `make` turns the result into Python's.
  const auto on_rows = [](auto call, auto make) {
    return [call, make](const KnnLabeler& self, const FloatArray& rows) {
      const auto view = matrix_view(rows);
      auto result = [&] {
        const py::gil_scoped_release nogil;
        return call(self, view);
      }();
      return make(std::move(result));
    };
  };
  py::class_<KnnLabeler>(m, "KnnLabeler")
      .def(py::init([](const py::dict& params, const py::object& weight_function) {
             KnnLabelerOptions o = labeler_options(params);
             o.progress = progress_callback(py::none());
             set_weight_function(o, weight_function);
             return std::make_unique<KnnLabeler>(std::move(o));
           }),
           py::arg("params"), py::arg("weight_function") = py::none())
      .def("fit",
           [](KnnLabeler& self, const FloatArray& data, const IntArray& classes) {
             const auto view = matrix_view(data);
             const std::span<const std::int32_t> y(classes.data(),
                                                   static_cast<std::size_t>(classes.size()));
             const py::gil_scoped_release nogil;
             self.fit(view, y);
           })
      .def("fit_sets",
           [](KnnLabeler& self, const FloatArray& data, const py::array_t<std::int64_t>& offsets,
              const IntArray& classes) {
             const auto view = matrix_view(data);
             const LabelSets sets = label_sets(offsets, classes);
             const py::gil_scoped_release nogil;
             self.fit_sets(view, sets);
           })
      .def("predict", on_rows([](const KnnLabeler& l, auto rows) { return l.predict(rows); },
                              [](LabelPrediction&& p) { return std::move(p); }))
      .def("predict_sets",
           on_rows([](const KnnLabeler& l, auto rows) { return l.predict_sets(rows); }, set_arrays))
      .def("predict_by",
           by_voters([](const KnnLabeler& l, const KnnGraph& v) { return l.predict_by(v); },
                     [](LabelPrediction&& p) { return std::move(p); }))
      .def("predict_sets_by",
           by_voters([](const KnnLabeler& l, const KnnGraph& v) { return l.predict_sets_by(v); },
                     set_arrays))
      .def("classes_of",
           [](const KnnLabeler& self, const IntArray& rows) {
             const LabelSets sets =
                 self.classes_of({rows.data(), static_cast<std::size_t>(rows.size())});
             return py::make_tuple(to_numpy(sets.offsets), to_numpy(sets.classes));
           })
      .def("predict_proba",
           on_rows([](const KnnLabeler& l, auto rows) { return l.predict_proba(rows); },
                   [](Matrix&& shares) { return to_numpy(std::move(shares)); }))
      .def("predict_top",
           [](const KnnLabeler& self, const FloatArray& rows, std::size_t k) {
             const auto view = matrix_view(rows);
             py::gil_scoped_release nogil;
             const TopClasses top = self.predict_top(view, k);
             const py::gil_scoped_acquire gil;
             return top_arrays(top);
           })
      .def("voters", on_rows(
                         [](const KnnLabeler& l, auto rows) {
                           KnnGraph graph = l.voters(rows);
                           Matrix weights = l.voter_weights(graph);
                           return std::pair(std::move(graph), std::move(weights));
                         },
                         [](std::pair<KnnGraph, Matrix>&& found) {
                           return py::make_tuple(to_numpy(std::move(found.first.indices)),
                                                 to_numpy(std::move(found.first.distances)),
                                                 to_numpy(std::move(found.second)));
                         }))
      .def("save", [](const KnnLabeler& self, const std::filesystem::path& file,
                      const std::vector<std::string>& names) { save_labeler(self, file, names); })
      .def_static("load",
                  [](const std::filesystem::path& file) {
                    SavedLabeler saved = load_labeler(file);
                    return py::make_tuple(std::move(saved.labeler), saved.class_names);
                  })
      .def("state", [](const KnnLabeler& self) { return labeler_state(self.state()); })
      .def_static("from_state", &labeler_from_state)
      .def_property_readonly(
          "options", [](const KnnLabeler& self) { return options_dict(self.state().options); })
      .def_property_readonly("n_features",
                             [](const KnnLabeler& self) { return self.state().data.cols(); })
      .def_property_readonly("n_classes", &KnnLabeler::n_classes)
      .def_property_readonly("multi_label", &KnnLabeler::multi_label)
      .def_property_readonly("calibration", [](const KnnLabeler& self) {
        const LabelCalibration& c = self.calibration();
        return py::make_tuple(c.threshold, c.coverage, c.error);
      });
}

}  // namespace knowmap::python
