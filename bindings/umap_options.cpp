#include <functional>
#include <map>
#include <type_traits>

#include "common.hpp"
#include "knowmap/umap.hpp"

namespace knowmap::python {

namespace {

UmapOptions::Init init_from_name(const std::string& name) {
  if (name == "spectral") return UmapOptions::Init::spectral;
  if (name == "pca") return UmapOptions::Init::pca;
  if (name == "random") return UmapOptions::Init::random;
  // A warm start for umap-learn's eigensolver; ours needs none.
  if (name == "tswspectral") return UmapOptions::Init::spectral;
  throw std::invalid_argument(
      "init '" + name + "' is not known; take spectral, tswspectral, pca, random or an array");
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
      {"p", number(o.p)},
      {"target_p", number(o.target_p)},
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
      {"transform_seed", number(o.transform_seed)},
      {"target_weight", number(o.target_weight)},
      {"target_n_neighbors", number(o.target_n_neighbors)},
      {"target_metric",
       [&](const py::handle& v) { o.target_metric = metric_from_name(v.cast<std::string>()); }},
      {"densmap", number(o.densmap)},
      {"dens_lambda", number(o.dens_lambda)},
      {"dens_frac", number(o.dens_frac)},
      {"dens_var_shift", number(o.dens_var_shift)},
      {"output_dens", number(o.output_dens)},
      {"unique", number(o.unique)},
      {"disconnection_distance",
       [&](const py::handle& v) {
         if (!v.is_none()) o.disconnection_distance = v.cast<float>();
       }},
      {"density_leveling", number(o.density_leveling)},
      {"serial", number(o.serial)},
      {"snapshot_epochs", number(o.snapshot_epochs)},
      {"n_jobs", number(o.threads)},
      {"device", number(o.device)},
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

}  // namespace knowmap::python
