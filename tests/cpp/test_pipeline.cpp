#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"
#include "pipeline/stage_codec.hpp"
#include "tiny_model.hpp"

namespace knowmap {
namespace {

using testing::TemporaryFolder;
using testing::TinyBert;

class Pipeline : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyBert().write(folder_ / "model");
    for (int i = 0; i < 60; ++i) {
      std::string text;
      for (int j = 0; j <= i % 13; ++j)
        text += std::string(1, static_cast<char>('a' + (i * j) % 5)) + " ";
      owned_.push_back(text + std::to_string(i));
      classes_.push_back(i % 3);
    }
    texts_.assign(owned_.begin(), owned_.end());
  }

  Embedder embedder(Precision precision = Precision::float32) const {
    EmbedderOptions options;
    options.device = "cpu";
    options.precision = precision;
    return Embedder::load(folder_ / "model", options);
  }
  CheckpointStore store() const { return CheckpointStore(folder_ / "store"); }
  MapInput input() const { return {texts_, {}, classes_}; }
  static std::set<std::string> reused(const KnowledgeMap& map) {
    return {map.reused.begin(), map.reused.end()};
  }

  TemporaryFolder folder_;
  std::vector<std::string> owned_;
  std::vector<std::string_view> texts_;
  std::vector<std::int32_t> classes_;
};

TEST_F(Pipeline, TheSecondRunTakesEveryStageFromTheStore) {
  Embedder model = embedder();
  CheckpointStore held = store();
  const KnowledgeMap first = build_map(input(), model, held);
  EXPECT_TRUE(first.reused.empty());
  ASSERT_EQ(first.coordinates.rows(), texts_.size());
  ASSERT_EQ(first.labels.labels.size(), texts_.size());

  const ResumeReport resumed = embed_into_store(model, texts_, held);
  EXPECT_EQ(resumed.rows_kept, texts_.size());
  EXPECT_EQ(resumed.rows_computed, 0u);
  const KnowledgeMap second = map_from_store(input(), held);
  EXPECT_EQ(reused(second), (std::set<std::string>{"neighbors", "layout", "labels", "regions"}));
  EXPECT_EQ(std::memcmp(first.coordinates.data(), second.coordinates.data(),
                        first.coordinates.size() * sizeof(float)),
            0);
  EXPECT_EQ(first.labels.labels, second.labels.labels);
  ASSERT_EQ(first.levels.size(), second.levels.size());
  for (std::size_t l = 0; l < first.levels.size(); ++l) {
    EXPECT_EQ(first.levels[l].assignment, second.levels[l].assignment);
    for (std::size_t r = 0; r < first.levels[l].regions.size(); ++r) {
      EXPECT_EQ(first.levels[l].regions[r].name, second.levels[l].regions[r].name);
      EXPECT_EQ(first.levels[l].regions[r].phrases, second.levels[l].regions[r].phrases);
    }
  }
}

TEST_F(Pipeline, OnlyWhatChangedIsMadeAgain) {
  Embedder model = embedder();
  CheckpointStore held = store();
  build_map(input(), model, held);

  std::vector<std::int32_t> others(classes_);
  others[5] = 0;
  EXPECT_EQ(reused(map_from_store({texts_, {}, others}, held)),
            (std::set<std::string>{"neighbors", "layout", "regions"}));

  MapOptions spread;
  spread.umap.min_dist = 0.3f;
  EXPECT_EQ(reused(map_from_store({texts_, {}, others}, held, spread)),
            (std::set<std::string>{"neighbors", "labels"}));

  MapOptions layout;
  layout.through = MapOptions::Through::layout;
  EXPECT_TRUE(map_from_store(input(), held, layout).levels.empty());
}

/// Texts of five kinds, so that the map has more regions than two.
class NamedPipeline : public Pipeline {
 protected:
  void SetUp() override {
    Pipeline::SetUp();
    owned_.clear();
    classes_.clear();
    for (int i = 0; i < 100; ++i) {
      const std::string letter(1, static_cast<char>('a' + i % 5));
      std::string text;
      for (int j = 0; j < 5 + i / 5 % 3; ++j) text += letter + " ";
      owned_.push_back(text + std::to_string(i));
      classes_.push_back(i % 5);
    }
    texts_.assign(owned_.begin(), owned_.end());
    options_.umap.n_neighbors = 8;
    options_.regions.level_sizes = {5};
    options_.regions.min_region_size = 8;
  }
  MapOptions options_;
};

std::vector<std::string> names_of(const KnowledgeMap& map) {
  std::vector<std::string> names;
  for (const RegionLevel& level : map.levels) {
    for (const Region& region : level.regions) names.push_back(region.name);
  }
  return names;
}

std::size_t names_of_both(const std::vector<std::string>& before,
                          const std::vector<std::string>& after) {
  return static_cast<std::size_t>(
      std::count_if(after.begin(), after.end(), [&](const std::string& name) {
        return std::find(before.begin(), before.end(), name) != before.end();
      }));
}

TEST_F(NamedPipeline, ANamerIsAskedOnceAndItsFailuresAreTold) {
  Embedder model = embedder();
  CheckpointStore held = store();
  MapOptions options = options_;
  const auto built_in = names_of(build_map(input(), model, held, options));
  ASSERT_GE(built_in.size(), 3u);

  std::size_t asked = 0;
  std::vector<std::string> warnings;
  options.namer_key = "counting";
  options.warn = [&](std::string_view message) { warnings.emplace_back(message); };
  options.namer = [&](const NamingRequest& request) -> std::string {
    ++asked;
    if (request.region == 0) throw std::runtime_error("no answer");
    if (request.region == 1) return "various";
    return "Ruritania " + std::to_string(request.region);
  };
  const KnowledgeMap named = map_from_store(input(), held, options);
  EXPECT_EQ(asked, built_in.size());
  EXPECT_EQ(warnings.size(), 2u);
  EXPECT_EQ(reused(named), (std::set<std::string>{"neighbors", "layout", "labels", "regions"}));
  auto expected = built_in;
  for (std::size_t r = 2; r < expected.size(); ++r) expected[r] = "Ruritania " + std::to_string(r);
  EXPECT_EQ(names_of(named), expected);

  // What it failed at or answered badly is asked again, the rest is not.
  asked = 0;
  options.namer = [&](const NamingRequest& request) {
    ++asked;
    return "Utopia " + std::to_string(request.region);
  };
  expected[0] = "Utopia 0";
  expected[1] = "Utopia 1";
  EXPECT_EQ(names_of(map_from_store(input(), held, options)), expected);
  EXPECT_EQ(asked, 2u);

  // Then the store has them all: with the namer, and without it by its key.
  for (const bool with : {true, false}) {
    if (!with) options.namer = {};
    const KnowledgeMap again = map_from_store(input(), held, options);
    EXPECT_EQ(names_of(again), expected);
    EXPECT_TRUE(reused(again).contains("region_names"));
  }
  EXPECT_EQ(asked, 2u);
  options.namer_key = "";
  EXPECT_EQ(names_of(map_from_store(input(), held, options)), built_in);
  warnings.clear();
  options.namer_key = "unheard of";
  EXPECT_EQ(names_of(map_from_store(input(), held, options)), built_in);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(NamedPipeline, ANamerThatEndsTheRunLosesNoAnswer) {
  Embedder model = embedder();
  CheckpointStore held = store();
  MapOptions options = options_;
  options.namer_key = "cut";
  options.namer = [&](const NamingRequest& request) -> std::string {
    if (request.region == 2) throw CancelledError("enough");
    return "Arcadia " + std::to_string(request.region);
  };
  EXPECT_THROW(build_map(input(), model, held, options), CancelledError);
  std::vector<std::size_t> asked;
  options.namer = [&](const NamingRequest& request) {
    asked.push_back(request.region);
    return "Utopia " + std::to_string(request.region);
  };
  const auto names = names_of(map_from_store(input(), held, options));
  ASSERT_GE(names.size(), 3u);
  EXPECT_EQ(names[0], "Arcadia 0");
  EXPECT_EQ(names[1], "Arcadia 1");
  EXPECT_EQ(asked.size(), names.size() - 2);
}

TEST_F(NamedPipeline, NamesStayWhereTextsAreAddedAndTheNamerIsNotAskedAgain) {
  Embedder model = embedder();
  CheckpointStore held = store();
  MapOptions options = options_;
  options.namer_key = "numbers";
  std::size_t asked = 0;
  options.namer = [&](const NamingRequest&) { return "Ruritania " + std::to_string(++asked); };
  const auto before = names_of(build_map(input(), model, held, options));
  ASSERT_EQ(asked, before.size());

  // One more text in front moves every row; the regions are the same ones.
  owned_.insert(owned_.begin(), owned_[7] + " a");
  classes_.insert(classes_.begin(), 0);
  texts_.assign(owned_.begin(), owned_.end());
  const auto after = names_of(build_map(input(), model, held, options));
  const std::size_t kept = names_of_both(before, after);
  EXPECT_GE(kept, 4u);  // of 5
  EXPECT_EQ(asked, before.size() + after.size() - kept);

  // The same texts with other options are another map, named from its own texts.
  options.namer = {};
  options.namer_key = "";
  options.regions.n_phrases = 7;
  const auto fresh = names_of(map_from_store(input(), held, options));
  for (const std::string& name : fresh) EXPECT_FALSE(name.starts_with("Ruritania ")) << name;
}

bool same_bytes(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_F(NamedPipeline, WhereTextsAreAddedTheMapGoesOnFromTheEarlierOne) {
  Embedder model = embedder();
  CheckpointStore held = store();
  const Matrix before = build_map(input(), model, held, options_).coordinates.clone();
  // In front, so that every row is another one; and one text that is there twice.
  owned_.insert(owned_.begin(), {"e e e 1000", owned_[3], "a a a 1001"});
  classes_.insert(classes_.begin(), {4, classes_[3], 0});
  texts_.assign(owned_.begin(), owned_.end());
  const KnowledgeMap after = build_map(input(), model, held, options_);
  EXPECT_EQ(after.reused, std::vector<std::string>{});
  double moved = 0, extent = 0;
  for (std::size_t i = 0; i < before.rows(); ++i) {
    if (i == 3) continue;  // either of the two
    for (std::size_t d = 0; d < 2; ++d) {
      moved += std::abs(static_cast<double>(after.coordinates(i + 3, d) - before(i, d)));
      extent = std::max(extent, std::abs(static_cast<double>(before(i, d) - before(0, d))));
    }
  }
  EXPECT_LT(moved / static_cast<double>(before.size()), 0.1 * extent);
  EXPECT_EQ(reused(map_from_store(input(), held, options_)),
            (std::set<std::string>{"neighbors", "layout", "labels", "regions"}));

  // Anew it is the map of a folder that never held another, to the bit.
  CheckpointStore other(folder_ / "other");
  const KnowledgeMap alone = build_map(input(), model, other, options_);
  MapOptions anew = options_;
  anew.anew = true;
  const KnowledgeMap again = map_from_store(input(), held, anew);
  EXPECT_EQ(reused(again), (std::set<std::string>{"neighbors", "labels"}));
  EXPECT_TRUE(same_bytes(again.coordinates, alone.coordinates));
  EXPECT_FALSE(same_bytes(again.coordinates, after.coordinates));
  ASSERT_EQ(again.levels.size(), alone.levels.size());
  EXPECT_EQ(again.levels[0].assignment, alone.levels[0].assignment);
  EXPECT_EQ(names_of(again), names_of(alone));
  for (const MapOptions& then : {anew, options_}) {
    EXPECT_EQ(reused(map_from_store(input(), held, then)),
              (std::set<std::string>{"neighbors", "layout", "labels", "regions"}));
  }
}

TEST_F(NamedPipeline, AMapThatGoesOnEndsTheSameWhereItWasCutOff) {
  Embedder model = embedder();
  const auto added = [&] {
    owned_.push_back("c c c 1000");
    classes_.push_back(2);
    texts_.assign(owned_.begin(), owned_.end());
  };
  const auto owned = owned_;
  const auto classes = classes_;
  CheckpointStore whole = store();
  build_map(input(), model, whole, options_);
  added();
  const KnowledgeMap expected = build_map(input(), model, whole, options_);
  for (const std::string last : {"layout", "label"}) {  // is where it ends
    owned_ = owned;
    classes_ = classes;
    texts_.assign(owned_.begin(), owned_.end());
    CheckpointStore cut(folder_ / last);
    build_map(input(), model, cut, options_);
    added();
    MapOptions ends = options_;
    ends.progress = [&](const Progress& progress) { return progress.stage != last; };
    EXPECT_THROW(build_map(input(), model, cut, ends), CancelledError);
    const KnowledgeMap after = map_from_store(input(), cut, options_);
    EXPECT_TRUE(same_bytes(after.coordinates, expected.coordinates)) << last;
    EXPECT_EQ(after.levels[0].assignment, expected.levels[0].assignment) << last;
    EXPECT_EQ(names_of(after), names_of(expected)) << last;
  }
}

TEST_F(NamedPipeline, AMapThatWentOnStaysWhereOtherOptionsChange) {
  Embedder model = embedder();
  CheckpointStore held = store();
  for (const float leveling : {0.0f, 1.0f}) {
    options_.umap.density_leveling = leveling;
    build_map(input(), model, held, options_);
    owned_.push_back("c c c 100" + std::to_string(owned_.size()));
    classes_.push_back(2);
    texts_.assign(owned_.begin(), owned_.end());
    const KnowledgeMap before = build_map(input(), model, held, options_);
    MapOptions voters = options_;
    voters.labels.n_neighbors = 20;  // one graph serves map and votes
    const KnowledgeMap after = map_from_store(input(), held, voters);
    EXPECT_TRUE(after.reused.empty());
    double moved = 0, extent = 0;
    for (std::size_t i = 0; i < before.coordinates.size(); ++i) {
      const auto from = static_cast<double>(before.coordinates.data()[i]);
      moved += std::abs(static_cast<double>(after.coordinates.data()[i]) - from);
      extent = std::max(extent, std::abs(from - static_cast<double>(before.coordinates(0, i % 2))));
    }
    // Spread evenly, a hundred rows change places by little.
    EXPECT_LT(moved / static_cast<double>(before.coordinates.size()),
              (leveling > 0 ? 0.25 : 0.05) * extent);
    if (leveling == 0) {
      EXPECT_EQ(names_of(after), names_of(before));
    }
    EXPECT_EQ(reused(map_from_store(input(), held, voters)),
              (std::set<std::string>{"neighbors", "layout", "labels", "regions"}));
  }
}

TEST_F(NamedPipeline, NamesThatStayedAreNotAskedForAgainWhereARunWasCutOff) {
  Embedder model = embedder();
  CheckpointStore held = store();
  MapOptions options = options_;
  options.namer_key = "numbers";
  std::size_t asked = 0;
  options.namer = [&](const NamingRequest&) { return "Ruritania " + std::to_string(++asked); };
  const auto before = names_of(build_map(input(), model, held, options));
  for (int i = 0; i < 30; ++i) {  // new ground, so that there is a region to ask about
    owned_.push_back(std::string(i % 2 == 0 ? "e d e d e d " : "d e d e d e ") + "2" +
                     std::to_string(i));
    classes_.push_back(4);
  }
  texts_.assign(owned_.begin(), owned_.end());
  options.regions.level_sizes = {6};
  MapOptions cut = options;
  cut.namer = [](const NamingRequest&) -> std::string { throw CancelledError("enough"); };
  asked = 100;
  EXPECT_THROW(build_map(input(), model, held, cut), CancelledError);
  const auto after = names_of(map_from_store(input(), held, options));
  const std::size_t kept = names_of_both(before, after);
  EXPECT_GE(kept, 3u);
  EXPECT_EQ(asked, 100 + after.size() - kept);
}

TEST_F(NamedPipeline, AMapOfOtherTextsOrLaidOutOtherwiseIsNotGoneOnWith) {
  Embedder model = embedder();
  CheckpointStore held = store();
  build_map(input(), model, held, options_);
  const auto is_anew = [&](const MapOptions& options, const std::string& folder) {
    StoreOptions replace;
    replace.replace_rows = true;
    const KnowledgeMap made = build_map(input(), model, held, options, replace);
    CheckpointStore alone(folder_ / folder);
    const KnowledgeMap expected = build_map(input(), model, alone, options);
    const bool same = same_bytes(made.coordinates, expected.coordinates);
    if (same && folder == "others") {
      EXPECT_EQ(names_of(made), names_of(expected));
      EXPECT_EQ(made.levels[0].assignment, expected.levels[0].assignment);
    }
    return same;
  };
  owned_.push_back("c c c 1000");
  classes_.push_back(2);
  texts_.assign(owned_.begin(), owned_.end());
  MapOptions wider = options_;
  wider.umap.min_dist = 0.4f;
  EXPECT_TRUE(is_anew(wider, "wider"));
  // More than half of the texts are others.
  for (std::size_t i = 0; i < 60; ++i) owned_[i] += " b";
  texts_.assign(owned_.begin(), owned_.end());
  EXPECT_TRUE(is_anew(wider, "others"));
  for (std::size_t i = 60; i < 90; ++i) owned_[i] += " b";
  texts_.assign(owned_.begin(), owned_.end());
  EXPECT_FALSE(is_anew(wider, "fewer"));
}

TEST_F(Pipeline, ChangedAppendedAndRemovedTexts) {
  Embedder model = embedder();
  CheckpointStore held = store();
  embed_into_store(model, texts_, held);

  owned_.push_back("e d c b a");
  texts_.assign(owned_.begin(), owned_.end());
  const ResumeReport appended = embed_into_store(model, texts_, held);
  EXPECT_EQ(appended.rows_kept, 60u);
  EXPECT_EQ(appended.rows_computed, 1u);

  owned_[60] = "another";
  texts_.assign(owned_.begin(), owned_.end());
  const ResumeReport changed = embed_into_store(model, texts_, held);
  EXPECT_EQ(changed.rows_dropped, 1u);
  EXPECT_EQ(changed.rows_kept, 60u);

  Matrix rows(61, 20);
  held.read_rows({0, 61}, rows);
  const Matrix expected = model.encode(texts_);
  EXPECT_EQ(std::memcmp(rows.data(), expected.data(), rows.size() * sizeof(float)), 0);

  EXPECT_EQ(embed_into_store(model, std::span(texts_).first(60), held).rows_dropped, 1u);
  EXPECT_EQ(held.rows_held(), 60u);
}

TEST_F(Pipeline, AStoreOfAnotherModelOrOfOtherTextsIsRefused) {
  Embedder model = embedder();
  CheckpointStore held = store();
  embed_into_store(model, texts_, held);
  Embedder other = embedder(Precision::bfloat16);
  EXPECT_THROW(embed_into_store(other, texts_, held), CheckpointError);
  texts_[7] = "changed";
  try {
    map_from_store(input(), held);
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find("row 7"), std::string::npos);
  }
  EXPECT_THROW(map_from_store({std::span(texts_).first(10), {}, {}}, held), CheckpointError);
}

TEST_F(Pipeline, ARowNeverVotesForItself) {
  Embedder model = embedder();
  CheckpointStore held = store();
  // Twins in pairs; the first of each pair is alone in its class, so its own
  // vote is the only one that could name it.
  for (int i = 0; i < 60; i += 2) owned_[i + 1] = owned_[i];
  texts_.assign(owned_.begin(), owned_.end());
  std::vector<std::int32_t> classes(60, 0);
  classes[10] = 1;
  MapOptions options;
  options.labels.n_neighbors = 1;
  options.labels.metric = Metric::cosine;
  const auto all_known = build_map({texts_, {}, classes}, model, held, options).labels;
  EXPECT_EQ(all_known.labels[10], 0);
  classes[3] = -1;  // one row unknown: the known rows are searched instead
  const auto some_known = map_from_store({texts_, {}, classes}, held, options).labels;
  EXPECT_EQ(some_known.labels[10], 0);
}

TEST_F(Pipeline, WrongInputIsNamed) {
  Embedder model = embedder();
  CheckpointStore held = store();
  embed_into_store(model, texts_, held);
  EXPECT_THROW(map_from_store({}, held), std::invalid_argument);
  EXPECT_THROW(map_from_store({texts_, std::span(texts_).first(3), {}}, held),
               std::invalid_argument);
  EXPECT_THROW(map_from_store({texts_, {}, std::span(classes_).first(3)}, held),
               std::invalid_argument);
  std::fill(classes_.begin(), classes_.end(), -1);
  EXPECT_THROW(map_from_store(input(), held), std::invalid_argument);
}

TEST(StageCodec, ResultsThatDoNotFitTogetherAreRefused) {
  const RegionLevel level{{{"name", {"a", "b"}, {1}, 0.5f, 1.5f, 2, -1}}, {0, 0, -1}};
  StageResult good = encode_regions({level});
  ASSERT_EQ(decode_regions(good).front().regions.front().phrases, level.regions[0].phrases);
  const auto refused = [&](const std::string& name, StageArray::Values values) {
    StageResult bad = good;
    bad[name].values = std::move(values);
    EXPECT_THROW(decode_regions(bad), CheckpointError) << name;
  };
  refused("assignment", std::vector<std::int32_t>{0, 1, 0});
  refused("parents", std::vector<std::int32_t>{0});
  refused("phrases_offsets", std::vector<std::int64_t>{0, 3});
  refused("phrases_offsets", std::vector<std::int64_t>{1, 2});
  refused("sizes", std::vector<std::int32_t>{2});
  refused("regions_per_level", std::vector<std::int32_t>{2});
  good.erase("names");
  EXPECT_THROW(decode_regions(good), CheckpointError);

  KnnGraph graph{{2, 1, 5}, {2, 1, 0.0f}};
  EXPECT_THROW(decode_graph(encode_graph(graph)), CheckpointError);
}

TEST(StageCodec, AGraphComesBackWithItsRecall) {
  KnnGraph graph{{3, 1, 0}, {3, 1, 0.5f}};
  graph.recall = 0.9875;
  StageResult stored = encode_graph(graph);
  EXPECT_EQ(decode_graph(stored).recall, 0.9875);
  stored.erase("recall");  // a store of before
  EXPECT_TRUE(std::isnan(decode_graph(stored).recall));
}

}  // namespace
}  // namespace knowmap
