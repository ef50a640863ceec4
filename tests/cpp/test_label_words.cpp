// Reading words, folding, singulars, definitions.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "label/corpus.hpp"
#include "label/definition.hpp"
#include "label/names.hpp"
#include "label/text_words.hpp"

namespace knowmap::label {
namespace {

/// Words with "," or "." before those that a gap precedes.
std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> all;
  WordReader reader(text);
  std::string_view word;
  Gap gap = Gap::space;
  while (reader.next(word, gap)) {
    const std::string mark = gap == Gap::sentence ? "." : gap == Gap::soft ? "," : "";
    all.push_back(mark + std::string(word));
  }
  return all;
}

using Strings = std::vector<std::string>;

TEST(WordReader, SentencesCommasNumbers) {
  EXPECT_EQ(words("Chess is old. It has 64 squares, two sides"),
            (Strings{".Chess", "is", "old", ".It", "has", ",squares", ",two", "sides"}));
  EXPECT_EQ(words("the 20th-century novel"), (Strings{".the", ",novel"}));
  EXPECT_EQ(words("well-known COVID-19"), (Strings{".well-known", "COVID-19"}));
  EXPECT_EQ(words(""), Strings{});
  EXPECT_EQ(words("1984 -- !!"), Strings{});
}

TEST(WordReader, Apostrophes) {
  EXPECT_EQ(words("Newton's laws"), (Strings{".Newton", "laws"}));
  EXPECT_EQ(words("l’eau d'Orient"), (Strings{".l’", "eau", "d'", "Orient"}));
  EXPECT_EQ(words("O'Brien don't"), (Strings{".O'Brien", "don't"}));
  EXPECT_EQ(words("in 'quotes'"), (Strings{".in", ",quotes"}));
}

TEST(WordReader, Scripts) {
  EXPECT_EQ(words("人工知能"), (Strings{".人", "工", "知", "能"}));
  EXPECT_EQ(words("Ćwierć żółć"), (Strings{".Ćwierć", "żółć"}));
  EXPECT_EQ(words("\xff\xc3"), Strings{});
  EXPECT_EQ(words("a\xff"
                  "b"),
            (Strings{".a", ",b"}));
}

TEST(Fold, CaseAndComposition) {
  EXPECT_EQ(fold("Émile"), "émile");
  EXPECT_EQ(fold("E\u0301mile"), "émile");
  EXPECT_EQ(fold("L’"), "l'");
}

TEST(Capitalized, FirstLetterOnly) {
  EXPECT_EQ(capitalized("noble gases"), "Noble gases");
  EXPECT_EQ(capitalized("échecs"), "Échecs");
  EXPECT_EQ(capitalized("iPhone"), "iPhone");
  EXPECT_EQ(capitalized(""), "");
}

TEST(Clean, HidesNothing) {
  EXPECT_EQ(clean("a\n\t b\u202e c\u200b"), "a b c");
  EXPECT_EQ(clean("\xff ok \xc3"), "ok");
}

TEST(ShortTitle, FourWordsThatSaySomething) {
  EXPECT_EQ(short_title("Mercury (planet)"), "Mercury");
  // Words of grammar count, but don't end what is cut.
  EXPECT_EQ(short_title("A history of the struggle for the freedom of trade"), "A history");
  EXPECT_EQ(short_title("Alpha beta of gamma delta and epsilon"), "Alpha beta of gamma");
  EXPECT_EQ(short_title("Rock-and-roll & the blues of Memphis"), "Rock-and-roll & the blues");
  EXPECT_EQ(short_title("History of the 20th century"), "History");
  EXPECT_EQ(short_title("Things Fall Apart"), "Things Fall Apart");
  EXPECT_EQ(short_title("Apollo 11"), "Apollo 11");
  EXPECT_EQ(short_title("1984"), "");
  EXPECT_EQ(short_title("Various"), "");
  EXPECT_EQ(short_title("Other topics"), "");
}

TEST(CountWords, AsAReaderCounts) {
  EXPECT_EQ(count_words("Plants & chemical elements"), 3u);
  EXPECT_EQ(count_words("Wars of independence"), 3u);
  EXPECT_EQ(count_words("Rock-and-roll"), 1u);
  EXPECT_EQ(count_words("l'eau – été"), 2u);
  EXPECT_EQ(count_words(""), 0u);
  EXPECT_FALSE(is_short("Cinema of the United States"));
  EXPECT_TRUE(is_short("House of Wisdom (Baghdad, in the ninth century)"));
}

TEST(Singulars, EnglishSpanishFrench) {
  EXPECT_EQ(singulars("emperors", Language::english)[0], "emperor");
  EXPECT_EQ(singulars("galaxies", Language::english)[0], "galaxy");
  EXPECT_EQ(singulars("churches", Language::english)[0], "church");
  EXPECT_TRUE(singulars("physics", Language::english).empty());
  EXPECT_TRUE(singulars("species", Language::english).empty());
  EXPECT_EQ(singulars("canciones", Language::spanish)[0], "canción");
  EXPECT_EQ(singulars("animaux", Language::french)[0], "animal");
}

/// Heads and phrases that a text's definition gives.
std::vector<std::string> definition(const std::string& text, const std::string& grammar) {
  std::vector<std::string_view> texts;
  const std::string all = text + " " + grammar;
  for (int i = 0; i < 4; ++i) texts.push_back(all);
  Workers workers(1);
  Monitor monitor({}, "label", 1, "rows");
  const Corpus corpus = read_corpus(texts, {}, workers, monitor);
  std::vector<Span> found;
  find_definition(corpus, 0, found);
  std::vector<std::string> said;
  for (const Span span : found) {
    std::string phrase;
    for (std::size_t i = span.begin; i < span.begin + span.length; ++i) {
      if (!phrase.empty()) phrase += ' ';
      phrase += corpus.spellings[corpus.text(0)[i].spelling];
    }
    said.push_back(phrase);
  }
  return said;
}

TEST(Definition, English) {
  const std::string grammar =
      "It is of the kind that was there and it has been so for all of them.";
  EXPECT_EQ(definition("Ada Stone was a Danish physicist who lived there.", grammar),
            (Strings{"physicist", "Danish physicist"}));
  EXPECT_EQ(definition("Leeds is a city in Yorkshire.", grammar), (Strings{"city"}));
  EXPECT_EQ(definition("Ada was a physicist, painter and writer of her time.", grammar),
            (Strings{"physicist", "painter", "writer"}));
  EXPECT_EQ(definition("The oak is a species of tree.", grammar), (Strings{"species", "tree"}));
  EXPECT_EQ(definition("Noble gases are elements with low reactivity.", grammar),
            (Strings{"elements"}));
  EXPECT_EQ(definition("Running through the wood at night.", ""), Strings{});
}

TEST(Definition, SpanishAndFrench) {
  EXPECT_EQ(definition("Hiparco fue un astrónomo griego que vivió en la isla.",
                       "Es de los que no lo son y se le da a la de las otras por el mar."),
            (Strings{"astrónomo", "astrónomo griego"}));
  EXPECT_EQ(definition("Android est un système d'exploitation mobile qui est pour la table.",
                       "Il est de ceux qui ne le sont pas et dans la vie des autres par les eaux."),
            (Strings{"système", "système d' exploitation"}));
}

}  // namespace
}  // namespace knowmap::label
