#include "knowmap/checkpoint_store.hpp"

#include "common.hpp"

namespace knowmap::python {

namespace {

CheckpointStore::Mode mode_from_name(const std::string& name) {
  if (name == "r") return CheckpointStore::Mode::read;
  if (name == "a") return CheckpointStore::Mode::write;
  if (name == "w") return CheckpointStore::Mode::fresh;
  throw std::invalid_argument("mode '" + name +
                              "' is not known; take r (read), a (go on) or w (start afresh)");
}

py::object to_python(const StageArray& array) {
  return std::visit(
      [&](const auto& values) -> py::object {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<T, std::string>) {
          return py::cast(values);
        } else {
          py::array flat = to_numpy(values);
          if (array.shape.size() == 2) return flat.attr("reshape")(array.shape[0], array.shape[1]);
          return flat;
        }
      },
      array.values);
}

std::span<const std::uint64_t> hashes_of(const HashArray& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

}  // namespace

void register_checkpoint_store(py::module_& m) {
  m.def("content_hash", [](const Fingerprint& content) { return content_hash(content); });
  m.def("content_hash", [](const py::bytes& content) {
    return content_hash(static_cast<std::string_view>(content));
  });
  py::class_<VerifyReport>(m, "VerifyReport")
      .def_readonly("shards", &VerifyReport::shards)
      .def_readonly("rows", &VerifyReport::rows)
      .def_readonly("stages", &VerifyReport::stages)
      .def_readonly("damaged", &VerifyReport::damaged)
      .def_readonly("leftovers", &VerifyReport::leftovers);

  const auto nogil = py::call_guard<py::gil_scoped_release>();
  py::class_<CheckpointStore>(m, "CheckpointStore")
      .def(py::init([](const std::filesystem::path& folder, const std::string& mode) {
             const CheckpointStore::Mode parsed = mode_from_name(mode);
             const py::gil_scoped_release release;
             return std::make_unique<CheckpointStore>(folder, parsed);
           }),
           py::arg("folder"), py::arg("mode") = "a")
      .def("close", &CheckpointStore::close, nogil,
           "Gives the lock back; every other use raises from then on.")
      .def_property_readonly("closed", &CheckpointStore::closed)
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__",
           [](CheckpointStore& self, const py::args&) {
             const py::gil_scoped_release release;
             self.close();
           })
      .def_property_readonly("folder", &CheckpointStore::folder)
      // These read shards' headers.
      .def_property_readonly("dimension", py::cpp_function(&CheckpointStore::dimension, nogil))
      .def_property_readonly("rows_fingerprint",
                             py::cpp_function(&CheckpointStore::rows_fingerprint, nogil))
      .def_property_readonly("storage", py::cpp_function(
                                            [](const CheckpointStore& self) {
                                              return std::string(row_storage_name(self.storage()));
                                            },
                                            nogil))
      .def_property_readonly("rows_held", &CheckpointStore::rows_held)
      .def_property_readonly("ranges",
                             [](const CheckpointStore& self) {
                               std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
                               for (const RowRange r : self.ranges())
                                 out.emplace_back(r.begin, r.end);
                               return out;
                             })
      .def(
          "begin_rows",
          [](CheckpointStore& self, const Fingerprint& fingerprint, std::uint64_t dimension,
             const std::string& storage) {
            const RowStorage parsed = row_storage_from_name(storage);
            const py::gil_scoped_release release;
            self.begin_rows(fingerprint, dimension, parsed);
          },
          py::arg("fingerprint"), py::arg("dimension"), py::arg("storage") = "float32",
          "Says what the rows to be committed are; refuses a store of others.")
      .def(
          "commit_rows",
          [](CheckpointStore& self, std::uint64_t begin, const FloatArray& rows,
             const HashArray& text_hashes) {
            const auto view = matrix_view(rows);
            const py::gil_scoped_release release;
            self.commit_rows({begin, begin + view.rows}, view, hashes_of(text_hashes));
          },
          py::arg("begin"), py::arg("rows"), py::arg("text_hashes"),
          "Commits rows (n, dimension) from `begin` on, durable when it returns.")
      .def(
          "update_rows",
          [](CheckpointStore& self, const HashArray& indices, const FloatArray& rows,
             const HashArray& text_hashes) {
            const auto view = matrix_view(rows);
            const py::gil_scoped_release release;
            self.update_rows(hashes_of(indices), view, hashes_of(text_hashes));
          },
          py::arg("indices"), py::arg("rows"), py::arg("text_hashes"),
          "Puts rows into the places of those held; `indices` ascend.")
      .def(
          "drop_rows",
          [](CheckpointStore& self, std::uint64_t begin, std::uint64_t end) {
            const py::gil_scoped_release release;
            self.drop_rows({begin, end});
          },
          py::arg("begin"), py::arg("end"), "Removes the shards that hold any of these rows.")
      .def(
          "text_hashes",
          [](const CheckpointStore& self, std::uint64_t begin, std::uint64_t end) {
            std::vector<std::uint64_t> hashes;
            {
              const py::gil_scoped_release release;
              hashes = self.text_hashes({begin, end});
            }
            return to_numpy(std::move(hashes));
          },
          py::arg("begin"), py::arg("end"), "uint64: what the rows' texts hash to.")
      .def(
          "read_rows",
          [](const CheckpointStore& self, std::uint64_t begin, std::uint64_t end) {
            Matrix rows;
            {
              const py::gil_scoped_release release;
              rows = self.read_rows({begin, end});
            }
            return to_numpy(std::move(rows));
          },
          py::arg("begin"), py::arg("end"), "Rows [begin, end) as float32 (rows, dimension).")
      .def("stages", &CheckpointStore::stages, nogil)
      .def(
          "get_stage",
          [](const CheckpointStore& self, const std::string& stage) -> py::object {
            std::optional<StageResult> result;
            {
              const py::gil_scoped_release release;
              result = self.get_stage(stage);
            }
            if (!result) return py::none();
            py::dict arrays;
            for (const auto& [name, array] : *result) arrays[py::str(name)] = to_python(array);
            return arrays;
          },
          py::arg("stage"), "The latest result of a stage as arrays by name, or None.")
      .def("verify", &CheckpointStore::verify, nogil)
      .def("repair", &CheckpointStore::repair, nogil)
      .def(
          "export_hdf5",
          [](const CheckpointStore& self, const std::filesystem::path& file,
             const std::vector<std::string>& ids) { self.export_hdf5(file, ids); },
          py::arg("file"), py::arg("ids") = std::vector<std::string>{}, nogil)
      .def("export_npy", &CheckpointStore::export_npy, py::arg("file"), nogil)
      .def("export_view", &CheckpointStore::export_view, py::arg("file"), nogil)
      .def("write_manifest", &CheckpointStore::write_manifest, nogil);
}

}  // namespace knowmap::python
