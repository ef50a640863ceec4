#include "common.hpp"
#include "knowmap/version.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace knowmap::python;
  m.doc() = "knowmap's C++ engine; use the classes of the package `knowmap`.";
  m.attr("__version__") = knowmap::version();
  register_errors(m);
  register_tokenizer(m);
  register_checkpoint_store(m);
  register_embedder(m);
  register_row_source(m);
  register_knn(m);
  register_umap(m);
  register_labeler(m);
  register_label_graph(m);
  register_regions(m);
  register_pipeline(m);
}
