#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/earlier_map.hpp"
#include "pipeline/named_regions.hpp"
#include "pipeline/stage_codec.hpp"
#include "pipeline/text_hash.hpp"

namespace knowmap {

namespace {

/// The shortest text that reads back as the same number.
std::string text(float value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

template <class T>
std::string hash_of(std::span<const T> numbers) {
  return content_hash(
      std::string_view(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()));
}

std::string hash_of(std::span<const std::string_view> texts) {
  const auto hashes = text_hashes(texts);
  return hash_of(std::span<const std::uint64_t>(hashes));
}

void check_input(const MapInput& input, const CheckpointStore& store,
                 std::span<const std::uint64_t> hashes) {
  const std::size_t n = input.texts.size();
  if (n == 0) throw std::invalid_argument("there are no texts to map");
  if (!input.titles.empty() && input.titles.size() != n) {
    throw std::invalid_argument(std::to_string(input.titles.size()) + " titles do not fit " +
                                std::to_string(n) + " texts");
  }
  if (hashes.size() != n) {
    throw std::invalid_argument(std::to_string(hashes.size()) + " hashes of texts do not fit " +
                                std::to_string(n) + " texts");
  }
  if (!input.classes.empty() && input.classes.size() != n) {
    throw std::invalid_argument(std::to_string(input.classes.size()) + " classes do not fit " +
                                std::to_string(n) + " texts");
  }
  const auto held = store.ranges();
  const bool whole =
      store.rows_held() == n && !held.empty() && held.front().begin == 0 && held.back().end == n;
  if (!whole) {
    throw CheckpointError(store.folder().string() + " holds " + std::to_string(store.rows_held()) +
                          " rows, the collection has " + std::to_string(n) +
                          " texts; embed them first");
  }
  const auto stored = store.text_hashes({0, n});
  const auto [a, b] = std::mismatch(stored.begin(), stored.end(), hashes.begin());
  if (a != stored.end()) {
    throw CheckpointError(store.folder().string() + " was embedded from other texts: row " +
                          std::to_string(a - stored.begin()) +
                          " is the first that differs; embed them again");
  }
}

/// One run: the stages in their order, each taken from the store or made.
class MapRun {
 public:
  MapRun(const MapInput& input, CheckpointStore& store, const MapOptions& options)
      : input_(input), store_(store), options_(options), text_hashes_(input.text_hashes) {
    if (text_hashes_.empty()) text_hashes_ = own_hashes_ = text_hashes(input.texts);
    check_input(input, store, text_hashes_);
    options_.umap.threads = options_.labels.threads = options_.regions.threads = options.threads;
    options_.umap.progress = options_.labels.progress = options_.regions.progress =
        options.progress;
    rows_key_ = {{"rows", content_hash(*store.rows_fingerprint())},
                 {"texts", hash_of(text_hashes_)},
                 {"engine", version()}};
  }

  KnowledgeMap run() {
    map_.neighbors = stage<KnnGraph>("neighbors", graph_key(), encode_graph, decode_graph,
                                     [&] { return knn_graph(rows(), graph_options()); });
    lay_out();
    if (options_.through == MapOptions::Through::regions) label();
    if (!store_.read_only()) store_.write_manifest();
    return std::move(map_);
  }

 private:
  void label() {
    if (!input_.classes.empty()) {
      vote_labels();
    }
    if (options_.umap.n_components != 2) return;
    find_regions();
    if (options_.grid_rows > 0 || options_.grid_columns > 0) find_grid();
  }

  /// A map that is there already is gone on with where texts were added to it.
  void lay_out() {
    layout_made_from_ = layout_key();
    if (const auto held = held_result("layout", layout_made_from_)) {
      map_.coordinates = decode_coordinates(*held);
      return;
    }
    std::optional<EarlierMap> earlier;
    if (!options_.anew) earlier = earlier_map(store_, layout_made_from_, text_hashes_);
    UmapOptions umap = options_.umap;
    umap.keep_rows = UmapOptions::KeepRows::none;  // nothing is transformed here
    UmapProjector projector(umap);
    UmapData data;
    data.rows = rows();
    data.graph = &map_.neighbors;
    if (earlier) {
      data.earlier = earlier->places;
      layout_made_from_[kGoesOnFrom] = earlier->hash;
    }
    map_.coordinates = projector.fit(data).clone();
    if (store_.read_only()) return;
    StageResult result = with_texts(encode_coordinates(map_.coordinates), text_hashes_);
    if (umap.density_leveling > 0) {
      result[kUnleveled] = encode_coordinates(projector.unleveled()).at("coordinates");
    }
    store_.put_stage("layout", layout_made_from_, result);
  }

  /// The held result of a stage made from `key`, which becomes the whole of its key: with what
  /// it goes on from. Nothing where there is none (or a writer has just replaced it).
  std::optional<StageResult> held_result(const char* stage, Fingerprint& key) {
    const auto whole = held_key(store_, stage, key, options_.anew);
    std::optional<StageResult> result;
    if (whole) result = store_.get_stage(stage, *whole);
    if (!result) return result;
    key = *whole;
    map_.reused.emplace_back(stage);
    return result;
  }

  void find_grid() {
    Fingerprint key = regions_made_from_;
    key["grid"] =
        std::to_string(options_.grid_rows) + " x " + std::to_string(options_.grid_columns);
    std::string names;  // of the regions, which no cell may have
    for (const RegionLevel& level : map_.levels) {
      for (const Region& region : level.regions) names += region.name + "\n";
    }
    key["names"] = content_hash(names);
    if (const auto held = store_.get_stage(kGridStage, key)) {
      map_.reused.emplace_back(kGridStage);
      map_.grid = decode_grid(*held);
      return;
    }
    map_.grid = name_grid(map_.coordinates, rows(), input_.texts, input_.titles, options_.grid_rows,
                          options_.grid_columns, map_.levels, options_.regions);
    store_.put_stage(kGridStage, key, encode_grid(map_.grid));
  }

  void find_regions() {
    Fingerprint& key = regions_made_from_ = regions_key();
    std::optional<StageResult> result = held_result(kRegionsStage, key);
    if (result) {
      map_.levels = decode_regions(*result);
    } else {
      EarlierRegions earlier;
      if (!options_.anew) {
        earlier = earlier_regions(store_, key.at("format"), text_hashes_, options_.namer_key);
      }
      RegionOptions regions = options_.regions;
      if (!earlier.levels.empty()) {
        regions.earlier = earlier.levels;
        regions.earlier_rows = earlier.rows;
        key[kGoesOnFrom] = earlier.hash;
      }
      map_.levels = name_regions(map_.coordinates, rows(), input_.texts, input_.titles, regions);
      result = with_stayed(with_texts(encode_regions(map_.levels), text_hashes_), earlier,
                           options_.namer_key);
      if (!store_.read_only()) store_.put_stage(kRegionsStage, key, *result);
    }
    if (!options_.namer && options_.namer_key.empty()) return;
    const RegionNaming naming{options_.namer, options_.namer_key, options_.warn};
    const auto stayed = stayed_names(*result, options_.namer_key);
    if (name_by_namer(map_.levels, key, naming, stayed, input_.texts, input_.titles, store_)) {
      map_.reused.emplace_back(kRegionNamesStage);
    }
  }

  template <class T>
  T stage(const char* name, const Fingerprint& key, StageResult (*encode)(const T&),
          T (*decode)(const StageResult&), const std::function<T()>& make) {
    if (const auto held = store_.get_stage(name, key)) {
      // To a reader the search for voters is a part of the labels.
      if (std::string_view(name) != "voters") map_.reused.emplace_back(name);
      return decode(*held);
    }
    T made = make();
    if (!store_.read_only()) store_.put_stage(name, key, encode(made));
    return made;
  }

  /// The embeddings, read when a stage first needs them.
  MatrixView<const float> rows() {
    if (!rows_) {
      rows_.emplace(input_.texts.size(), store_.dimension());
      store_.read_rows({0, input_.texts.size()}, *rows_);
    }
    return rows_->view();
  }

  KnnOptions graph_options() const {
    KnnOptions knn;
    // One graph serves the map and the votes.
    knn.n_neighbors = std::max(options_.umap.n_neighbors - 1, options_.labels.n_neighbors);
    knn.metric = options_.umap.metric;
    knn.seed = options_.umap.seed;
    knn.threads = options_.threads;
    knn.device = options_.umap.device;
    knn.progress = options_.progress;
    return knn;
  }

  Fingerprint graph_key() const {
    const KnnOptions knn = graph_options();
    Fingerprint key = rows_key_;
    key["n_neighbors"] = std::to_string(knn.n_neighbors);
    key["metric"] = metric_name(knn.metric);
    key["seed"] = std::to_string(knn.seed);
    if (knn.device != "cpu") key["device"] = knn.device;  // all pairs are looked at there
    return key;
  }

  Fingerprint layout_key() const {
    const UmapOptions& u = options_.umap;
    return {{"neighbors", content_hash(graph_key())},
            {"model", content_hash(*store_.rows_fingerprint())},
            {"metric", std::string(metric_name(u.metric))},
            {"n_neighbors", std::to_string(u.n_neighbors)},
            {"n_components", std::to_string(u.n_components)},
            {"n_epochs", std::to_string(u.n_epochs)},
            {"learning_rate", text(u.learning_rate)},
            {"init", std::to_string(static_cast<int>(u.init))},
            {"min_dist", text(u.min_dist)},
            {"spread", text(u.spread)},
            {"a", text(u.a)},
            {"b", text(u.b)},
            {"set_op_mix_ratio", text(u.set_op_mix_ratio)},
            {"local_connectivity", text(u.local_connectivity)},
            {"repulsion_strength", text(u.repulsion_strength)},
            {"negative_sample_rate", std::to_string(u.negative_sample_rate)},
            {"seed", std::to_string(u.seed)},
            {"densmap", u.densmap ? text(u.dens_lambda) + " " + text(u.dens_frac) + " " +
                                        text(u.dens_var_shift)
                                  : "no"},
            {"disconnection_distance", text(u.disconnection_distance)},
            {"density_leveling", text(u.density_leveling)},
            {"serial", u.serial ? "yes" : "no"},
            {"engine", version()}};
  }

  Fingerprint voters_key() const {
    const KnnLabelerOptions& l = options_.labels;
    return {{"neighbors", content_hash(graph_key())},
            {"classes", hash_of(input_.classes)},
            {"n_neighbors", std::to_string(l.n_neighbors)},
            {"metric", std::string(metric_name(l.metric))}};
  }

  Fingerprint labels_key() const {
    const KnnLabelerOptions& l = options_.labels;
    Fingerprint key = voters_key();
    key["format"] = "2";
    key["weights"] = std::to_string(static_cast<int>(l.weights));
    key["top_k"] = std::to_string(l.top_k);
    key["calibrate"] = std::to_string(static_cast<int>(l.calibrate));
    key["min_confidence"] = text(l.min_confidence);
    key["max_distance"] = text(l.max_distance);
    key["target_error"] = text(l.target_error);
    return key;
  }

  Fingerprint regions_key() const {
    const RegionOptions& r = options_.regions;
    std::string sizes;
    for (const std::size_t size : r.level_sizes) sizes += std::to_string(size) + " ";
    return {{"layout", content_hash(layout_made_from_)},
            {"format", "4"},
            {"titles", hash_of(input_.titles)},
            {"level_sizes", sizes},
            {"min_region_size", std::to_string(r.min_region_size)},
            {"n_phrases", std::to_string(r.n_phrases)},
            {"n_exemplars", std::to_string(r.n_exemplars)},
            {"engine", version()}};
  }

  /// Each row's vote by its nearest other rows of known class. Where every row
  /// is known, the graph already holds them; otherwise the known rows are
  /// searched, a known row's own vote left out.
  void vote_labels() {
    const auto& classes = input_.classes;
    if (*std::max_element(classes.begin(), classes.end()) < 0) {
      throw std::invalid_argument("no row has a known class, so there is nothing to vote");
    }
    const bool all_known =
        std::all_of(classes.begin(), classes.end(), [](std::int32_t c) { return c >= 0; });
    const bool same_metric = options_.labels.metric == options_.umap.metric;
    const bool neighbors_vote = all_known && same_metric;
    if (!neighbors_vote) {
      map_.voters = stage<KnnGraph>("voters", voters_key(), encode_graph, decode_graph,
                                    [&] { return search_known(); });
    }
    map_.labels = stage<LabelPrediction>("labels", labels_key(), encode_labels, decode_labels, [&] {
      KnnLabelerOptions labels = options_.labels;
      return neighbors_vote ? label_by_graph(first_columns(map_.neighbors, labels.n_neighbors),
                                             classes, labels)
                            : label_by_graph(map_.voters, classes, labels);
    });
  }

  static KnnGraph first_columns(const KnnGraph& graph, std::size_t k) {
    k = std::min(k, graph.n_neighbors());
    KnnGraph out{{graph.size(), k}, {graph.size(), k}};
    for (std::size_t i = 0; i < graph.size(); ++i) {
      std::copy_n(graph.indices.row(i), k, out.indices.row(i));
      std::copy_n(graph.distances.row(i), k, out.distances.row(i));
    }
    return out;
  }

  KnnGraph search_known() {
    const MatrixView<const float> all = rows();
    std::vector<std::int32_t> known;
    for (std::size_t i = 0; i < all.rows; ++i) {
      if (input_.classes[i] >= 0) known.push_back(static_cast<std::int32_t>(i));
    }
    Matrix voters(known.size(), all.cols);
    for (std::size_t i = 0; i < known.size(); ++i) {
      std::copy_n(all.row(static_cast<std::size_t>(known[i])), all.cols, voters.row(i));
    }
    KnnOptions knn;
    knn.n_neighbors = options_.labels.n_neighbors + 1;  // one more: the row itself
    knn.metric = options_.labels.metric;
    knn.threads = options_.threads;
    knn.progress = options_.progress;
    const KnnGraph found = knn_query(voters, all, knn);
    const std::size_t k = options_.labels.n_neighbors;
    KnnGraph out{{all.rows, k, -1}, {all.rows, k, std::numeric_limits<float>::infinity()}};
    for (std::size_t i = 0; i < all.rows; ++i) {
      std::size_t filled = 0;
      for (std::size_t j = 0; j < found.n_neighbors() && filled < k; ++j) {
        const std::int32_t at = found.indices(i, j);
        if (at < 0) break;
        const std::int32_t row = known[static_cast<std::size_t>(at)];
        if (static_cast<std::size_t>(row) == i) continue;
        out.indices(i, filled) = row;
        out.distances(i, filled++) = found.distances(i, j);
      }
    }
    return out;
  }

  const MapInput& input_;
  CheckpointStore& store_;
  MapOptions options_;
  std::span<const std::uint64_t> text_hashes_;
  std::vector<std::uint64_t> own_hashes_;
  Fingerprint rows_key_;
  Fingerprint layout_made_from_, regions_made_from_;  // with what they go on from
  std::optional<Matrix> rows_;
  KnowledgeMap map_;
};

}  // namespace

KnowledgeMap map_from_store(const MapInput& input, CheckpointStore& store,
                            const MapOptions& options) {
  return MapRun(input, store, options).run();
}

KnowledgeMap build_map(const MapInput& input, Embedder& embedder, CheckpointStore& store,
                       const MapOptions& options, const StoreOptions& storing) {
  StoreOptions into = storing;
  if (!into.progress) into.progress = options.progress;
  const ResumeReport embedded = embed_into_store(embedder, input.texts, store, into);
  MapInput hashed = input;
  hashed.text_hashes = embedded.text_hashes;
  return map_from_store(hashed, store, options);
}

}  // namespace knowmap
