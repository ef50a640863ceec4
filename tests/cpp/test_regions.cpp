// Regions: nested, named once, the same on any number of threads, and named by
// the words that were planted in them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include "knowmap/error.hpp"
#include "knowmap/labeler.hpp"
#include "label/earlier_names.hpp"
#include "support/random.hpp"

namespace knowmap {
namespace {

double draw(std::uint64_t item, std::uint64_t step) {
  return unit(random_bits(7, RandomStage::sample, item, step));
}

/// A collection with a clump on the map for each subject.
struct Collection {
  Matrix map;
  Matrix embedding;
  std::vector<std::string> texts;
  std::vector<std::string> titles;

  static std::vector<std::string_view> views(const std::vector<std::string>& strings) {
    return {strings.begin(), strings.end()};
  }
  std::vector<RegionLevel> name(const RegionOptions& options = {}) const {
    return name_regions(map, embedding, views(texts), views(titles), options);
  }
};

constexpr std::size_t kDim = 16;

/// `write(subject, i)` makes the texts; subjects lie on a circle.
template <class Write>
Collection planted(std::size_t n, std::size_t subjects, const Write& write) {
  Collection c;
  c.map = Matrix(n, 2);
  c.embedding = Matrix(n, kDim);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t s = i % subjects;
    const double angle = 6.2831853 * static_cast<double>(s) / static_cast<double>(subjects);
    const double r = 0.8 * std::sqrt(draw(i, 0)), a = 6.2831853 * draw(i, 1);
    c.map(i, 0) = static_cast<float>(10 * std::cos(angle) + r * std::cos(a));
    c.map(i, 1) = static_cast<float>(10 * std::sin(angle) + r * std::sin(a));
    for (std::size_t d = 0; d < kDim; ++d) {
      c.embedding(i, d) = static_cast<float>((d == s % kDim ? 3 : 0) + draw(i, 2 + d) - 0.5);
    }
    c.texts.push_back(write(s, i));
    c.titles.push_back("Article " + std::to_string(i));
  }
  return c;
}

const std::vector<std::string> kNouns{"chess", "volcano", "violin", "glacier", "orchid", "turbine"};
const std::vector<std::string> kFiller{"structure", "season",  "journey", "meaning", "shadow",
                                       "corner",    "balance", "garden",  "signal",  "weather"};

std::string english(std::size_t s, std::size_t i) {
  return "The " + kNouns[s] + " was described in a book about the " +
         kFiller[bounded(random_bits(1, RandomStage::sample, i), 10)] + " and the " +
         kFiller[bounded(random_bits(2, RandomStage::sample, i), 10)] + ". It is known for the " +
         kNouns[s] + ".";
}

RegionOptions sized(std::vector<std::size_t> level_sizes) {
  RegionOptions options;
  options.level_sizes = std::move(level_sizes);
  return options;
}

std::set<std::string> names_of(const RegionLevel& level) {
  std::set<std::string> names;
  for (const Region& region : level.regions) names.insert(region.name);
  return names;
}

/// As a reader counts: what blanks part, but not "&".
std::size_t words_in(const std::string& name) {
  std::istringstream parts(name);
  std::size_t words = 0;
  for (std::string part; parts >> part;) words += part != "&";
  return words;
}

void expect_sound(const std::vector<RegionLevel>& levels, std::size_t n) {
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const RegionLevel& level = levels[l];
    ASSERT_EQ(level.assignment.size(), n);
    std::vector<std::size_t> sizes(level.regions.size());
    std::set<std::string> names;
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_GE(level.assignment[i], 0);
      ASSERT_LT(static_cast<std::size_t>(level.assignment[i]), level.regions.size());
      const auto r = static_cast<std::size_t>(level.assignment[i]);
      ++sizes[r];
      if (l > 0) {
        EXPECT_EQ(level.regions[r].parent, levels[l - 1].assignment[i]);
      }
    }
    for (std::size_t r = 0; r < level.regions.size(); ++r) {
      const Region& region = level.regions[r];
      EXPECT_EQ(region.size, sizes[r]);
      EXPECT_GT(region.size, 0u);
      EXPECT_FALSE(region.name.empty());
      EXPECT_TRUE(names.insert(region.name).second) << "twice: " << region.name;
      EXPECT_LE(words_in(region.name), 4u) << region.name;
      EXPECT_FALSE(region.exemplars.empty());
      for (const std::int64_t row : region.exemplars) {
        EXPECT_EQ(level.assignment[static_cast<std::size_t>(row)], static_cast<std::int32_t>(r));
      }
      if (l == 0) {
        EXPECT_EQ(region.parent, -1);
      }
      std::int32_t above = region.parent;
      for (std::size_t up = l; up > 0; --up) {
        EXPECT_NE(region.name, levels[up - 1].regions[static_cast<std::size_t>(above)].name);
        above = levels[up - 1].regions[static_cast<std::size_t>(above)].parent;
      }
    }
  }
}

std::string all_of(const std::vector<RegionLevel>& levels) {
  std::string all;
  for (const RegionLevel& level : levels) {
    for (const Region& r : level.regions) {
      all += r.name + "|" + std::to_string(r.x) + "," + std::to_string(r.y) + "|" +
             std::to_string(r.size) + "|" + std::to_string(r.parent) + "|";
      for (const auto& p : r.phrases) all += p + ";";
      for (const auto e : r.exemplars) all += std::to_string(e) + ",";
      all += "\n";
    }
    for (const auto a : level.assignment) all += std::to_string(a) + " ";
  }
  return all;
}

TEST(EarlierNames, GoToTheRegionThatIsMostLikeTheOneThatHadThem) {
  // Before: one region of 92, in which one of 29 lies. Now the upper one has 48 rows, of
  // which the 29 are more than half; the lower one has stayed.
  const auto region = [](const std::string& name, std::size_t size, std::int32_t parent) {
    Region made;
    made.name = name;
    made.size = size;
    made.parent = parent;
    return made;
  };
  std::vector<RegionLevel> earlier(2);
  earlier[0].regions = {region("Cities", 92, -1)};
  earlier[0].assignment.assign(92, 0);
  earlier[1].regions = {region("Countries", 29, 0), region("Fish", 63, 0)};
  earlier[1].assignment.assign(92, 1);
  std::fill_n(earlier[1].assignment.begin(), 29, 0);
  std::vector<RegionLevel> now(2);
  now[0].regions = {region("", 48, -1), region("", 44, -1)};
  now[0].assignment.assign(92, 1);
  std::fill_n(now[0].assignment.begin(), 48, 0);
  now[1].regions = {region("", 29, 0), region("", 19, 0), region("", 44, 1)};
  now[1].assignment.assign(92, 2);
  std::fill_n(now[1].assignment.begin(), 48, 1);
  std::fill_n(now[1].assignment.begin(), 29, 0);
  const auto kept = label::earlier_names(now, earlier, {});
  EXPECT_EQ(kept[1][0].name, "Countries");
  EXPECT_TRUE(kept[1][0].is_same());
  EXPECT_EQ(kept[0][0].name, "Cities");
  // A region that is the same on two levels has its name on the upper one.
  now[0].regions = {region("", 29, -1), region("", 63, -1)};
  now[0].assignment = earlier[1].assignment;
  now[1].regions = {region("", 29, 0), region("", 63, 1)};
  now[1].assignment = earlier[1].assignment;
  const auto twice = label::earlier_names(now, earlier, {});
  EXPECT_EQ(twice[0][0].name, "Countries");
  EXPECT_NE(twice[1][0].name, "Countries");
}

TEST(Regions, PlantedSubjectsAreFoundAndNamed) {
  const Collection c = planted(600, kNouns.size(), english);
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{kNouns.size()};
  const auto levels = c.name(options);
  expect_sound(levels, 600);
  ASSERT_EQ(levels.size(), 1u);
  ASSERT_EQ(levels[0].regions.size(), kNouns.size());
  for (std::size_t i = 0; i < 600; ++i) {
    EXPECT_EQ(levels[0].assignment[i], levels[0].assignment[i % kNouns.size()]);
  }
  for (std::size_t s = 0; s < kNouns.size(); ++s) {
    const Region& region = levels[0].regions[static_cast<std::size_t>(levels[0].assignment[s])];
    std::string wanted = kNouns[s];
    wanted[0] = static_cast<char>(wanted[0] - 'a' + 'A');
    EXPECT_EQ(region.name, wanted);
    ASSERT_FALSE(region.phrases.empty());
    EXPECT_EQ(region.phrases[0], kNouns[s]);
    const double angle = 6.2831853 * static_cast<double>(s) / static_cast<double>(kNouns.size());
    EXPECT_NEAR(region.x, 10 * std::cos(angle), 0.8);
    EXPECT_NEAR(region.y, 10 * std::sin(angle), 0.8);
  }
}

TEST(Regions, SortsOfPeopleInThePlural) {
  const std::vector<std::string> kinds{"physicist", "painter", "novelist"};
  const Collection c = planted(300, 3, [&](std::size_t s, std::size_t i) {
    const std::vector<std::string> lands{"American", "German", "Danish", "Greek"};
    return "Person " + std::to_string(i) + " (born 1900) was " + (i % 4 == 0 ? "an " : "a ") +
           lands[i / 3 % 4] + " " + kinds[s] +
           ", known for many works. She was born in a small town.";
  });
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{3};
  const auto levels = c.name(options);
  const std::set<std::string> names = names_of(levels[0]);
  EXPECT_EQ(names, (std::set<std::string>{"Novelists", "Painters", "Physicists"}));
}

TEST(Regions, NestedAtEveryLevel) {
  const Collection c = planted(2000, kNouns.size(), english);
  for (const auto& sizes : {std::vector<std::size_t>{}, {2, 6, 20}, {1, 1, 5}, {3, 1000}}) {
    RegionOptions options;
    options.level_sizes = sizes;
    const auto levels = c.name(options);
    expect_sound(levels, 2000);
    if (!sizes.empty()) {
      ASSERT_EQ(levels.size(), sizes.size());
      for (std::size_t l = 0; l < sizes.size(); ++l) {
        EXPECT_LE(levels[l].regions.size(), sizes[l]);
      }
    }
  }
}

TEST(Regions, LeastSize) {
  const Collection c = planted(1500, kNouns.size(), english);
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{500};
  options.min_region_size = 40;
  const auto levels = c.name(options);
  EXPECT_GT(levels[0].regions.size(), 6u);
  for (const Region& region : levels[0].regions) EXPECT_GE(region.size, 40u);
}

TEST(Regions, ThreadsDoNotMatter) {
  const Collection c = planted(3000, kNouns.size(), english);
  std::string first;
  for (const int threads : {1, 2, 4, 7}) {
    RegionOptions options;
    options.threads = threads;
    const std::string now = all_of(c.name(options));
    if (first.empty()) first = now;
    EXPECT_EQ(now, first) << threads << " threads";
  }
}

TEST(Regions, SpanishAndFrenchGrammarIsNoName) {
  struct Case {
    std::string before, after;
    std::vector<std::string> nouns, names;
  };
  for (const Case& language : {Case{"Se trata de un libro que fue escrito sobre el ",
                                    " y sobre la vida de los que lo son",
                                    {"ajedrez", "volcán", "violín"},
                                    {"Ajedrez", "Violín", "Volcán"}},
                               Case{"C'est un livre qui a été écrit sur l'",
                                    " et sur la vie de ceux qui le sont",
                                    {"échiquier", "orchidée", "avion"},
                                    {"Avion", "Orchidée", "Échiquier"}}}) {
    const Collection c = planted(300, 3, [&](std::size_t s, std::size_t) {
      return language.before + language.nouns[s] + language.after + ".";
    });
    RegionOptions options;
    options.level_sizes = std::vector<std::size_t>{3};
    const std::set<std::string> names = names_of(c.name(options)[0]);
    EXPECT_EQ(names, std::set<std::string>(language.names.begin(), language.names.end()));
  }
}

TEST(Regions, ProperNounsKeepTheirCapitals) {
  const Collection c = planted(200, 2, [](std::size_t s, std::size_t) {
    return std::string("There was a war of the ") + (s == 0 ? "Roman Empire" : "coffee house") +
           " and it was long. The outcome of it is told.";
  });
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{2};
  const std::set<std::string> names = names_of(c.name(options)[0]);
  EXPECT_EQ(names, (std::set<std::string>{"Coffee house", "Roman Empire"}));
}

TEST(Regions, EmptyPhrasesYearsAndNumbersAreNoNames) {
  const Collection c = planted(200, 2, [](std::size_t s, std::size_t) {
    return std::string("Various other things 1984 2001 miscellaneous general 42 ") +
           (s == 0 ? "sundial" : "waterwheel");
  });
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{2};
  const std::set<std::string> names = names_of(c.name(options)[0]);
  EXPECT_EQ(names, (std::set<std::string>{"Sundial", "Waterwheel"}));
}

TEST(Regions, AnyScript) {
  const std::vector<std::string> scripts{"人工知能は機械学習の研究である",
                                         "Шахматы — логическая настольная игра",
                                         "الشطرنج لعبة لوحية إستراتيجية",
                                         "หมากรุกเป็นเกมกระดาน",
                                         "शतरंज एक बोर्ड खेल है",
                                         "체스는 두 사람이 하는 게임이다",
                                         "\xff\xfe\x80 broken \xc3 bytes \xed\xa0\x80",
                                         "😀😀 👩‍👩‍👧 🏳️‍🌈",
                                         "</script><img onerror=alert(1)>",
                                         "\u202eevil\u202c \u0000 \u200b"};
  Collection c = planted(400, 10, [&](std::size_t s, std::size_t) { return scripts[s]; });
  for (std::size_t i = 0; i < 400; ++i) c.titles[i] = scripts[i % 10].substr(0, 7);
  expect_sound(c.name(), 400);
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{10, 20};
  const auto levels = c.name(options);
  expect_sound(levels, 400);
  for (const Region& r : levels[0].regions) {
    EXPECT_EQ(r.name.find("\u202e"), std::string::npos);
    EXPECT_EQ(r.name.find('\xff'), std::string::npos);
  }
}

TEST(Regions, FewRows) {
  for (std::size_t n = 0; n < 12; ++n) {
    const Collection c = planted(n, 3, english);
    const auto levels = c.name();
    expect_sound(levels, n);
    EXPECT_EQ(levels.empty(), n == 0);
    RegionOptions options;
    options.level_sizes = std::vector<std::size_t>{1, 2, 3};
    expect_sound(c.name(options), n);
  }
}

TEST(Regions, NothingToTellApart) {
  const std::size_t n = 700;
  Collection c;
  c.map = Matrix(n, 2, 1.0f);  // all in one place
  c.embedding = Matrix(n, 4, 0.0f);
  c.texts.assign(n, "the same text about a lighthouse");
  c.titles.assign(n, "Same");
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{1, 4, 12};
  expect_sound(c.name(), n);
  expect_sound(c.name(options), n);
  c.texts.assign(n, "");
  expect_sound(c.name(options), n);
  c.titles.clear();
  const auto levels = c.name(options);
  expect_sound(levels, n);
  EXPECT_EQ(levels[0].regions[0].name.rfind("Region ", 0), 0u);
}

TEST(Regions, TitlesWhereTextsSayNothing) {
  Collection c = planted(100, 2, [](std::size_t, std::size_t) { return std::string(); });
  for (std::size_t i = 0; i < 100; ++i)
    c.titles[i] = (i % 2 ? "Lantern " : "Compass ") + std::to_string(i);
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{2};
  const std::set<std::string> names = names_of(c.name(options)[0]);
  EXPECT_EQ(names, (std::set<std::string>{"Compass", "Lantern"}));
}

TEST(Regions, WithoutEmbedding) {
  Collection c = planted(600, kNouns.size(), english);
  c.embedding = Matrix();
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{6};
  const auto levels = c.name(options);
  expect_sound(levels, 600);
  EXPECT_EQ(levels[0].regions.size(), 6u);
}

TEST(Regions, HugeTextsAndWords) {
  Collection c = planted(40, 2, english);
  c.texts[3] = std::string(1 << 20, 'x');
  c.texts[4].clear();
  for (int i = 0; i < 200000; ++i) c.texts[4] += "word ";
  c.texts[5] = std::string(100000, '\n');
  c.titles[6] = std::string(100000, 'T');
  expect_sound(c.name(), 40);
}

TEST(Regions, RefusesMistakes) {
  Collection c = planted(50, 2, english);
  const auto texts = Collection::views(c.texts);
  const auto titles = Collection::views(c.titles);
  EXPECT_THROW(name_regions(c.embedding, c.embedding, texts, titles), std::invalid_argument);
  EXPECT_THROW(name_regions(c.map, c.embedding, std::span(texts).first(3), titles),
               std::invalid_argument);
  EXPECT_THROW(name_regions(c.map, c.embedding, texts, std::span(titles).first(3)),
               std::invalid_argument);
  EXPECT_THROW(name_regions(c.map, c.embedding.view().slice(0, 3), texts, titles),
               std::invalid_argument);
  RegionOptions options;
  options.level_sizes = std::vector<std::size_t>{5, 2};
  EXPECT_THROW(c.name(options), std::invalid_argument);
  options.level_sizes = std::vector<std::size_t>{0};
  EXPECT_THROW(c.name(options), std::invalid_argument);
  c.embedding(7, 3) = std::numeric_limits<float>::infinity();
  EXPECT_THROW(c.name(), std::invalid_argument);
  c.embedding = Matrix();
  c.map(7, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(c.name(), std::invalid_argument);
}

TEST(Regions, TellsProgressAndCancels) {
  const Collection c = planted(4000, kNouns.size(), english);
  RegionOptions options;
  std::uint64_t last = 0, total = 0;
  options.progress = [&](const Progress& p) {
    EXPECT_GE(p.done, last);
    last = p.done;
    total = p.total;
    EXPECT_EQ(p.stage, "label");
    return true;
  };
  c.name(options);
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, 5u * 4000);
  options.progress = [](const Progress&) { return false; };
  EXPECT_THROW(c.name(options), CancelledError);
}

TEST(Regions, ConfidenceTellsHowFarTheNameTells) {
  const Collection c = planted(900, kNouns.size(), english);
  RegionOptions options = sized({6});
  const auto levels = c.name(options);
  for (const Region& region : levels[0].regions) {
    EXPECT_NEAR(region.confidence, 1, 0.02) << region.name;  // all here, nobody else
  }
  const Collection half = planted(900, 2, [](std::size_t s, std::size_t i) {
    return s == 0 ? std::string("The lantern was lit by the harbour.")
                  : std::string("The meadow was mown by the ") +
                        (i % 4 == 1 ? "mill." : "lantern of the mill.");
  });
  RegionOptions two = sized({2});
  const auto two_levels = half.name(two);
  for (const Region& region : two_levels[0].regions) {
    EXPECT_GT(region.confidence, 0.4f);
    EXPECT_LE(region.confidence, 1.0f);
  }
}

TEST(Regions, NamesStayWhenArticlesAreAdded) {
  const Collection before = planted(600, kNouns.size(), english);
  RegionOptions options = sized({3, 6});
  auto earlier = before.name(options);
  for (std::size_t l = 0; l < 2; ++l) {
    for (std::size_t r = 0; r < earlier[l].regions.size(); ++r) {
      earlier[l].regions[r].name =
          "Kept " + std::string(1, static_cast<char>('a' + l)) + std::string(r + 1, 'x');
    }
  }
  const Collection after = planted(720, kNouns.size(), english);
  options.earlier = earlier;
  const auto levels = after.name(options);
  expect_sound(levels, 720);
  EXPECT_EQ(names_of(levels[1]), names_of(earlier[1]));
  for (std::size_t i = 0; i < 600; ++i) {
    EXPECT_EQ(levels[1].regions[static_cast<std::size_t>(levels[1].assignment[i])].name,
              earlier[1].regions[static_cast<std::size_t>(earlier[1].assignment[i])].name);
  }
  // In another order, some gone.
  std::vector<std::int64_t> now(600);
  for (std::size_t i = 0; i < 600; ++i) {
    now[i] = i % 10 == 0 ? -1 : static_cast<std::int64_t>(i);
  }
  options.earlier_rows = now;
  EXPECT_EQ(names_of(after.name(options)[1]), names_of(earlier[1]));
  now[1] = 720;
  EXPECT_THROW(after.name(options), std::invalid_argument);
  options.earlier_rows = std::span(now).first(3);
  EXPECT_THROW(after.name(options), std::invalid_argument);
}

TEST(Regions, OtherRegionsGetNamesOfTheirOwn) {
  // The earlier regions cut across today's: none is the same, no name is kept.
  const Collection c = planted(600, kNouns.size(), english);
  RegionLevel across;
  across.regions.resize(2);
  across.regions[0].name = "Left";
  across.regions[1].name = "Right";
  for (std::size_t i = 0; i < 600; ++i) across.assignment.push_back(i / 6 % 2 == 0 ? 0 : 1);
  RegionOptions options = sized({6});
  const std::vector<RegionLevel> earlier{across};
  options.earlier = earlier;
  const auto names = names_of(c.name(options)[0]);
  EXPECT_FALSE(names.contains("Left"));
  EXPECT_FALSE(names.contains("Right"));
}

TEST(Regions, TheMapIsDividedAsBefore) {
  // The earlier map had subjects 0 and 3, which lie across the circle, 1 and 4, and 2 and 5 in
  // one region each: nobody would divide this map so who had not seen that one.
  const Collection c = planted(600, kNouns.size(), english);
  const RegionOptions alone = sized({3, 6});
  auto earlier = c.name(alone);
  RegionLevel& top = earlier[0];
  top.regions.assign(3, {});
  for (std::size_t r = 0; r < 3; ++r) top.regions[r].name = "Opposite " + std::string(r + 1, 'x');
  for (std::size_t i = 0; i < 600; ++i) {
    top.assignment[i] = static_cast<std::int32_t>(i % 3);
    earlier[1].regions[static_cast<std::size_t>(earlier[1].assignment[i])].parent =
        top.assignment[i];
  }
  RegionOptions options = alone;
  options.earlier = earlier;
  const auto told = c.name(options);
  expect_sound(told, 600);
  EXPECT_EQ(told[1].assignment, c.name(alone)[1].assignment);
  std::set<std::set<std::size_t>> with;  // subjects that share a region
  for (const std::int32_t region : {0, 1, 2}) {
    std::set<std::size_t> subjects;
    for (std::size_t i = 0; i < 600; ++i) {
      if (told[0].assignment[i] == region) subjects.insert(i % 6);
    }
    with.insert(subjects);
  }
  EXPECT_EQ(with, (std::set<std::set<std::size_t>>{{0, 3}, {1, 4}, {2, 5}}));
  EXPECT_EQ(names_of(told[0]), names_of(top));
}

TEST(Regions, EarlierLevelsThatAreNotNestedGuideToo) {
  const Collection c = planted(600, kNouns.size(), english);
  const auto alone = c.name(sized({3, 6}));
  auto earlier = alone;
  for (std::size_t i = 0; i < 600; ++i) {  // two regions in halves that the map does not part
    if (earlier[1].assignment[i] == 0 && c.map(i, 0) > c.map(0, 0)) earlier[1].assignment[i] = 1;
  }
  RegionOptions options = sized({3, 6});
  for (Region& region : earlier[1].regions) region.parent = -1;
  options.earlier = earlier;
  EXPECT_EQ(c.name(options)[0].assignment, alone[0].assignment);
  // Rows that are all gone, and rows in no region, guide nothing.
  const std::vector<std::int64_t> gone(600, -1);
  options.earlier_rows = gone;
  auto told = c.name(options);
  ASSERT_EQ(told.size(), alone.size());
  EXPECT_EQ(told[0].assignment, alone[0].assignment);
  for (RegionLevel& level : earlier) level.assignment.assign(600, -1);
  options.earlier = earlier;
  options.earlier_rows = {};
  told = c.name(options);
  ASSERT_EQ(told.size(), alone.size());
  EXPECT_EQ(told[1].assignment, alone[1].assignment);
}

TEST(Regions, NewGroundMakesNewRegions) {
  // Of six subjects the earlier map had four; the others come with as many articles each.
  const Collection c = planted(1200, kNouns.size(), english);
  Collection before = planted(0, kNouns.size(), english);
  std::vector<std::int64_t> now;
  std::vector<std::size_t> held;
  for (std::size_t i = 0; i < 1200; ++i) {
    if (i % 6 < 4) held.push_back(i);
  }
  before.map = Matrix(held.size(), 2);
  before.embedding = Matrix(held.size(), kDim);
  for (std::size_t j = 0; j < held.size(); ++j) {
    const std::size_t i = held[j];
    std::copy_n(c.map.row(i), 2, before.map.row(j));
    std::copy_n(c.embedding.row(i), kDim, before.embedding.row(j));
    before.texts.push_back(c.texts[i]);
    before.titles.push_back(c.titles[i]);
    now.push_back(static_cast<std::int64_t>(i));
  }
  const auto earlier = before.name(sized({4}));
  ASSERT_EQ(earlier[0].regions.size(), 4u);
  RegionOptions options = sized({6});
  options.earlier = earlier;
  options.earlier_rows = now;
  for (const int threads : {1, 3}) {
    options.threads = threads;
    const auto told = c.name(options);
    expect_sound(told, 1200);
    ASSERT_EQ(told[0].regions.size(), 6u);
    for (std::size_t i = 6; i < 1200; ++i) {
      EXPECT_EQ(told[0].assignment[i], told[0].assignment[i % 6]) << i;
    }
    for (const std::string& name : names_of(earlier[0])) {
      EXPECT_TRUE(names_of(told[0]).contains(name)) << name;
    }
  }
}

TEST(Regions, ARegionThatIsMostlyNewIsNotNamedByTheFewOfBefore) {
  // Forty of the articles on chess were there before, under a name that says nothing of them.
  const Collection c = planted(600, kNouns.size(), english);
  RegionLevel few;
  few.regions.resize(1);
  few.regions[0].name = "Zebras";
  std::vector<std::int64_t> now;
  for (std::size_t i = 0; i < 240; i += 6) {
    now.push_back(static_cast<std::int64_t>(i));
    few.assignment.push_back(0);
  }
  const std::vector<RegionLevel> earlier{few};
  RegionOptions options = sized({6});
  options.earlier = earlier;
  options.earlier_rows = now;
  EXPECT_FALSE(names_of(c.name(options)[0]).contains("Zebras"));
}

TEST(Regions, ANameThatStillFitsStays) {
  // Each text has two nouns of its subject, the second in most of them.
  const std::vector<std::string> second{"gambit", "crater", "bow", "crevasse", "petal", "rotor"};
  const Collection c = planted(600, kNouns.size(), [&](std::size_t s, std::size_t i) {
    return english(s, i) + (i / 6 % 8 == 0 ? "" : " So is the " + second[s] + ".");
  });
  RegionOptions options = sized({6});
  const auto alone = c.name(options);
  // Regions of before held two of today's each: by one half they are the same, no more.
  RegionLevel pairs;
  pairs.assignment = alone[0].assignment;
  for (std::int32_t& region : pairs.assignment) region /= 2;
  pairs.regions.resize(3);
  pairs.regions[0].name = "Zebras";
  const Region& then = alone[0].regions[2];
  for (const std::string& phrase : then.phrases) {
    if (std::any_of(second.begin(), second.end(),
                    [&](const std::string& noun) { return phrase.starts_with(noun); })) {
      pairs.regions[1].name = phrase;
    }
  }
  ASSERT_FALSE(pairs.regions[1].name.empty());
  const std::vector<RegionLevel> earlier{pairs};
  options.earlier = earlier;
  const auto told = c.name(options);
  expect_sound(told, 600);
  EXPECT_TRUE(names_of(told[0]).contains(pairs.regions[1].name));
  EXPECT_FALSE(names_of(alone[0]).contains(pairs.regions[1].name));
  EXPECT_FALSE(names_of(told[0]).contains("Zebras")) << "it says nothing of any region";
}

TEST(Grid, CellsAreNamedOnceAndKnowTheirRegion) {
  const Collection c = planted(1200, kNouns.size(), english);
  RegionOptions options = sized({6});
  const auto levels = c.name(options);
  const RegionLevel grid = name_grid(c.map, c.embedding, Collection::views(c.texts),
                                     Collection::views(c.titles), 9, 7, levels);
  std::vector<std::size_t> held(grid.regions.size());
  for (const std::int32_t cell : grid.assignment) ++held[static_cast<std::size_t>(cell)];
  std::set<std::int32_t> cells;
  for (std::size_t r = 0; r < grid.regions.size(); ++r) {
    const Region& cell = grid.regions[r];
    EXPECT_EQ(cell.size, held[r]);
    EXPECT_TRUE(cells.insert(cell.cell).second);
    EXPECT_GE(cell.cell, 0);
    EXPECT_LT(cell.cell, 63);
    EXPECT_FALSE(cell.name.empty());
    ASSERT_GE(cell.parent, 0);
    EXPECT_LT(cell.parent, 6);
    EXPECT_NE(cell.name, levels[0].regions[static_cast<std::size_t>(cell.parent)].name);
    EXPECT_LE(words_in(cell.name), 4u);
  }
  EXPECT_EQ(names_of(grid).size(), grid.regions.size());
  // Rows of one cell lie together, cells in order of y, then x.
  for (std::size_t i = 0; i < 1200; ++i) {
    for (std::size_t j = 0; j < i; j += 97) {
      const std::int32_t a = grid.regions[static_cast<std::size_t>(grid.assignment[i])].cell;
      const std::int32_t b = grid.regions[static_cast<std::size_t>(grid.assignment[j])].cell;
      if (a / 7 < b / 7) {
        EXPECT_LT(c.map(i, 1), c.map(j, 1));
      }
      if (a % 7 < b % 7) {
        EXPECT_LT(c.map(i, 0), c.map(j, 0));
      }
    }
  }
}

TEST(Grid, FewRowsAndMistakes) {
  const Collection one = planted(1, 1, english);
  const auto texts = Collection::views(one.texts);
  const RegionLevel grid = name_grid(one.map, {}, texts, {}, 39, 39);
  ASSERT_EQ(grid.regions.size(), 1u);
  EXPECT_FALSE(grid.regions[0].name.empty());
  EXPECT_TRUE(name_grid({}, {}, {}, {}, 3, 3).regions.empty());
  EXPECT_THROW(name_grid(one.map, {}, texts, {}, 0, 3), std::invalid_argument);
  EXPECT_THROW(name_grid(one.map, {}, texts, {}, 1 << 20, 1 << 20), std::invalid_argument);
  const std::vector<RegionLevel> other{RegionLevel{{}, {0, 0}}};
  EXPECT_THROW(name_grid(one.map, {}, texts, {}, 3, 3, other), std::invalid_argument);
}

TEST(Rename, GoodAnswersCountAndBadOnesAreTold) {
  const Collection c = planted(600, kNouns.size(), english);
  RegionOptions options = sized({2, 6});
  auto levels = c.name(options);
  const auto built_in = levels;
  std::vector<std::string> told;
  std::size_t asked = 0;
  const std::size_t taken = rename_regions(
      levels, Collection::views(c.texts), Collection::views(c.titles),
      [&](const NamingRequest& request) -> std::string {
        EXPECT_FALSE(request.name.empty());
        EXPECT_FALSE(request.titles.empty());
        EXPECT_EQ(request.parent.empty(), request.level == 0);
        switch (asked++) {
          case 0:
            return "first place";
          case 1:
            return "First  Place";  // taken
          case 2:
            throw std::runtime_error("no answer");
          case 3:
            return "Various other topics";
          case 4:
            return "alpha beta gamma delta epsilon";
          case 5:
            return "First place";  // the parent's, or taken above
          case 6:
            return "";
          default:
            return "Fine name\n";
        }
      },
      [&](std::string_view message) { told.emplace_back(message); });
  EXPECT_EQ(asked, 8u);
  EXPECT_EQ(levels[0].regions[0].name, "First place");
  EXPECT_EQ(levels[0].regions[1].name, built_in[0].regions[1].name);
  EXPECT_EQ(levels[1].regions[0].name, built_in[1].regions[0].name);
  EXPECT_EQ(levels[1].regions[5].name, "Fine name");
  EXPECT_GE(taken, 2u);
  EXPECT_GE(told.size(), 4u);
  EXPECT_NE(told[1].find("no answer"), std::string::npos);
  EXPECT_THROW(rename_regions(levels, {}, {}, Namer()), std::invalid_argument);
  EXPECT_THROW(
      rename_regions(levels, {}, {},
                     [](const NamingRequest&) -> std::string { throw CancelledError("stop"); }),
      CancelledError);
}

/// Whatever a namer answers, leaves out or fails at: no region has a name of one above.
TEST(Rename, NoNameTwiceFromTopToBottom) {
  const Collection c = planted(600, kNouns.size(), english);
  const auto built_in = c.name(sized({2, 4, 6}));
  std::vector<std::string> known;
  for (const RegionLevel& level : built_in) {
    for (const Region& region : level.regions) known.push_back(region.name);
  }
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto levels = built_in;
    std::uint64_t asked = 0;
    rename_regions(levels, Collection::views(c.texts), Collection::views(c.titles),
                   [&](const NamingRequest& request) -> std::string {
                     const std::uint64_t bits = random_bits(seed, RandomStage::sample, ++asked);
                     switch (bits % 5) {
                       case 0:
                         return "";
                       case 1:
                         return std::string(request.name);
                       case 2:
                         throw std::runtime_error("no answer");
                       case 3:
                         return "Name " + std::to_string(bits / 5 % 3);
                       default:
                         return known[bits / 5 % known.size()];  // another's, its part's
                     }
                   });
    expect_sound(levels, 600);
  }
  // A part that keeps its name keeps it from the region above.
  auto levels = built_in;
  const auto& part = levels[1].regions[0];
  const auto parent = static_cast<std::size_t>(part.parent);
  std::string told;
  rename_regions(
      levels, Collection::views(c.texts), {},
      [&](const NamingRequest& request) -> std::string {
        return request.level == 0 && request.region == parent ? part.name : "";
      },
      [&](std::string_view message) { told += message; });
  EXPECT_EQ(levels[0].regions[parent].name, built_in[0].regions[parent].name);
  EXPECT_NE(told.find("a region within it has it"), std::string::npos) << told;
}

}  // namespace
}  // namespace knowmap
