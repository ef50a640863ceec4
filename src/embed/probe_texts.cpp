#include "embed/probe_texts.hpp"

namespace knowmap {

std::span<const std::string_view> probe_texts() {
  static constexpr std::string_view kTexts[] = {
      "Basalt\nBasalt is a dark, fine-grained rock that forms where lava rich in iron and "
      "magnesium "
      "cools quickly. Most of the ocean floor consists of it. Columns with five or six sides "
      "appear "
      "where a thick flow shrinks as it cools, and they can be seen on many coasts.",
      "Ada Lovelace\nAugusta Ada King, Countess of Lovelace (10 December 1815 – 27 November 1852), "
      "was an English mathematician. Her notes on the Analytical Engine contain a method for "
      "computing Bernoulli numbers, often called the first published program.",
      "The match ended 3–2 after extra time. The home side had led twice, but conceded a penalty "
      "in "
      "the 89th minute; a header from a corner kick decided it in front of 41,000 spectators, and "
      "the visitors went on to win the cup for the first time since 1978.",
      "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. In plants it "
      "happens in chloroplasts, whose membranes hold chlorophyll. The light reactions split water; "
      "the Calvin cycle then fixes carbon with the enzyme RuBisCO.",
      "A fugue opens with a short subject in one voice, which the other voices take up in turn. "
      "Episodes between the entries develop its motifs, and near the end a stretto may let the "
      "entries overlap. Keyboard collections of the eighteenth century show the form at its "
      "height.",
      "The supreme court held that the statute was void for vagueness. In a concurring opinion, "
      "one "
      "justice argued that the legislature had delegated its power without an intelligible "
      "principle; the dissent replied that the ruling left lower courts without guidance.",
      "In 1683 the city was besieged for two months. Relief came from the north-west with cavalry, "
      "and the retreat of the besieging army marked a turning point. Later treaties moved the "
      "frontier several hundred kilometres to the east.",
      "Inflation fell to 2.1 per cent in March, below what analysts had expected. The central bank "
      "kept its rate at 4.75 per cent and said that wages, not energy prices, would guide its next "
      "steps. Bond yields dropped; shares of exporters rose.",
      "HTTP is a request–response protocol. A client sends a method such as GET or POST, a path, "
      "headers and perhaps a body; the server answers with a status code. Version 2 carries "
      "several "
      "streams over one connection, version 3 replaces TCP with QUIC.",
      "The patient, a 54-year-old woman, had chest pain and shortness of breath. An ECG showed ST "
      "elevation in leads II, III and aVF; troponin was 3.2 ng/mL. She received aspirin and "
      "heparin "
      "and had a stent placed in the right coronary artery.",
      "Recipe: soak 250 g of chickpeas overnight, boil them for an hour, then blend with tahini, "
      "the "
      "juice of two lemons, garlic, salt and a little cold water. Serve with olive oil, paprika "
      "and "
      "warm bread.",
      "Let G be a finite group and p a prime that divides its order. Then G has an element of "
      "order "
      "p. Proof: count the tuples (g1, …, gp) whose product is the identity, and let the cyclic "
      "group of order p act on them by rotation.",
      "The red-crowned crane breeds in the wetlands of north-east Asia. Adults stand about 1.5 m "
      "tall and weigh up to 10 kg. Pairs dance with bows, leaps and calls in unison. Fewer than "
      "4,000 birds remain in the wild.",
      "Her second novel follows three generations of a fishing family on an island that is slowly "
      "being abandoned. Critics praised its restraint, though some found the middle part slow. It "
      "was shortlisted for two prizes and translated into fourteen languages.",
      "Kilimanjaro",
      "Parliament is bicameral. The lower house has 150 members, elected for five years by "
      "proportional representation; the upper house represents the provinces. A bill becomes law "
      "once both have passed it and the president has signed it.",
      "Why does my train ticket cost more on Fridays, and can I change it after I have paid?",
      "The telescope's primary mirror has 18 segments of gold-coated beryllium and a diameter of "
      "6.5 "
      "metres. It observes in the infrared from a point 1.5 million kilometres from Earth, where a "
      "shield keeps its instruments below 50 kelvin.",
      "El tango nació a finales del siglo XIX en los puertos del Río de la Plata, de la mezcla de "
      "habaneras, milongas y candombes. El bandoneón, un instrumento de origen alemán, le dio su "
      "sonido característico.",
      "La Loire est le plus long fleuve de France : elle parcourt 1 006 kilomètres avant de se "
      "jeter "
      "dans l'océan Atlantique. Ses rives comptent de nombreux châteaux de la Renaissance et des "
      "vignobles réputés.",
      "Der Wald besteht vor allem aus Buchen und Fichten. Nach den trockenen Sommern starben viele "
      "Bäume ab; die Förster pflanzen seither Eichen und Douglasien, die Wärme besser vertragen.",
      "東京は日本の首都であり、世界最大級の都市圏を形成している。1868年に江戸から改称された。",
      "Байкал — самое глубокое озеро на Земле, его глубина достигает 1642 метров.",
      "Contents 1 Early life 2 Career 2.1 Film 2.2 Television 3 Awards 4 Personal life 5 See also "
      "6 References 7 External links ISBN 978-3-16-148410-0 doi:10.1000/182 (archived 2009-05-04)",
  };
  return kTexts;
}

}  // namespace knowmap
