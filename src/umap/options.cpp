#include "umap/options.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

namespace knowmap::umap {

namespace {

template <class T>
void require(bool good, const char* name, T value, const char* range) {
  if (good) return;
  std::ostringstream message;
  message << name << " must be " << range << ", not " << value;
  throw std::invalid_argument(message.str());
}

}  // namespace

void check_options(const UmapOptions& o) {
  require(o.n_neighbors >= 2 && o.n_neighbors <= 1u << 20, "n_neighbors", o.n_neighbors,
          "from 2 to 1048576");
  require(o.n_components >= 1 && o.n_components <= 64, "n_components", o.n_components,
          "from 1 to 64");
  require(o.n_epochs <= 1u << 20, "n_epochs", o.n_epochs, "from 0 (chosen by size) to 1048576");
  require(std::isfinite(o.p) && o.p >= 1, "p", o.p, "1 or above");
  require(std::isfinite(o.target_p) && o.target_p >= 1, "target_p", o.target_p, "1 or above");
  require(std::isfinite(o.learning_rate) && o.learning_rate > 0, "learning_rate", o.learning_rate,
          "above 0");
  require(std::isfinite(o.spread) && o.spread > 0, "spread", o.spread, "above 0");
  require(std::isfinite(o.min_dist) && o.min_dist >= 0 && o.min_dist <= o.spread, "min_dist",
          o.min_dist, "from 0 to spread");
  require(std::isfinite(o.a) && o.a >= 0, "a", o.a, "0 (fitted) or above");
  require(std::isfinite(o.b) && o.b >= 0, "b", o.b, "0 (fitted) or above");
  require((o.a > 0) == (o.b > 0), "b", o.b, "given together with a, or neither");
  require(o.set_op_mix_ratio >= 0 && o.set_op_mix_ratio <= 1, "set_op_mix_ratio",
          o.set_op_mix_ratio, "from 0 to 1");
  require(std::isfinite(o.local_connectivity) && o.local_connectivity >= 0, "local_connectivity",
          o.local_connectivity, "0 or above");
  require(std::isfinite(o.repulsion_strength) && o.repulsion_strength >= 0, "repulsion_strength",
          o.repulsion_strength, "0 or above");
  require(o.negative_sample_rate <= 10000, "negative_sample_rate", o.negative_sample_rate,
          "from 0 to 10000");
  require(o.target_weight >= 0 && o.target_weight <= 1, "target_weight", o.target_weight,
          "from 0 to 1");
  require(o.target_n_neighbors != 1 && o.target_n_neighbors <= 1u << 20, "target_n_neighbors",
          o.target_n_neighbors, "0 (n_neighbors) or from 2 to 1048576");
  require(std::isfinite(o.dens_lambda) && o.dens_lambda >= 0, "dens_lambda", o.dens_lambda,
          "0 or above");
  require(o.dens_frac >= 0 && o.dens_frac <= 1, "dens_frac", o.dens_frac, "from 0 to 1");
  require(std::isfinite(o.dens_var_shift) && o.dens_var_shift >= 0, "dens_var_shift",
          o.dens_var_shift, "0 or above");
  require(std::isnan(o.disconnection_distance) || o.disconnection_distance >= 0,
          "disconnection_distance", o.disconnection_distance, "0 or above");
  require(o.density_leveling >= 0 && o.density_leveling <= 1, "density_leveling",
          o.density_leveling, "from 0 to 1");
  require(!(o.serial && o.densmap), "serial", o.serial, "false with densmap");
  for (std::size_t s = 0; s < o.snapshot_epochs.size(); ++s) {
    require(s == 0 || o.snapshot_epochs[s] > o.snapshot_epochs[s - 1], "snapshot_epochs",
            o.snapshot_epochs[s], "rising");
  }
  require(o.threads >= 0, "threads", o.threads, "0 (one for each core) or more");
}

namespace {

/// Calls visit(name, field) for every option that is kept.
template <class Options, class Visit>
void each_option(Options& o, const Visit& visit) {
  visit("n_neighbors", o.n_neighbors);
  visit("n_components", o.n_components);
  visit("n_epochs", o.n_epochs);
  visit("learning_rate", o.learning_rate);
  visit("min_dist", o.min_dist);
  visit("spread", o.spread);
  visit("a", o.a);
  visit("b", o.b);
  visit("set_op_mix_ratio", o.set_op_mix_ratio);
  visit("local_connectivity", o.local_connectivity);
  visit("repulsion_strength", o.repulsion_strength);
  visit("negative_sample_rate", o.negative_sample_rate);
  visit("seed", o.seed);
  visit("transform_seed", o.transform_seed);
  visit("target_weight", o.target_weight);
  visit("target_n_neighbors", o.target_n_neighbors);
  visit("densmap", o.densmap);
  visit("dens_lambda", o.dens_lambda);
  visit("dens_frac", o.dens_frac);
  visit("dens_var_shift", o.dens_var_shift);
  visit("output_dens", o.output_dens);
  visit("unique", o.unique);
  visit("density_leveling", o.density_leveling);
  visit("serial", o.serial);
}

}  // namespace

nlohmann::json options_to_json(const UmapOptions& options) {
  nlohmann::json json = nlohmann::json::object();
  each_option(options, [&](const char* name, const auto& field) { json[name] = field; });
  json["metric"] = std::string(metric_name(options.metric));
  json["p"] = options.p;
  json["target_p"] = options.target_p;
  json["target_metric"] = std::string(metric_name(options.target_metric));
  json["init"] = static_cast<int>(options.init);
  // JSON has neither NaN nor infinity.
  if (!std::isnan(options.disconnection_distance)) {
    json["disconnection_distance"] =
        std::isinf(options.disconnection_distance) ? -1.0f : options.disconnection_distance;
  }
  return json;
}

UmapOptions options_from_json(const nlohmann::json& json) {
  UmapOptions o;
  each_option(o, [&](const char* name, auto& field) { json.at(name).get_to(field); });
  o.metric = metric_from_name(json.at("metric").get<std::string>());
  o.target_metric = metric_from_name(json.at("target_metric").get<std::string>());
  // Maps saved before these were kept had the default.
  o.p = json.value("p", o.p);
  o.target_p = json.value("target_p", o.target_p);
  const int init = json.at("init").get<int>();
  require(init >= 0 && init <= 2, "init", init, "from 0 to 2");
  o.init = static_cast<UmapOptions::Init>(init);
  if (json.contains("disconnection_distance")) {
    const float distance = json["disconnection_distance"].get<float>();
    o.disconnection_distance = distance < 0 ? std::numeric_limits<float>::infinity() : distance;
  }
  check_options(o);
  return o;
}

}  // namespace knowmap::umap
