#include "umap/options.hpp"

#include <cmath>
#include <sstream>
#include <stdexcept>

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
  require(o.threads >= 0, "threads", o.threads, "0 (one for each core) or more");
}

}  // namespace knowmap::umap
