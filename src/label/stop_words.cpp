#include "label/stop_words.hpp"

#include <string>
#include <unordered_map>

namespace knowmap::label {

namespace {

struct Words {
  Language language;
  unsigned classes;
  std::string_view words;
};

// Written for this purpose: words of grammar, and words that encyclopedias and
// news use about everything.
constexpr Words kWords[] = {
    {Language::english, kStop | kDeterminer,
     "a an the this that these those its his her their our my your any each every some another "
     "no both either neither"},
    {Language::english, kStop | kVerbal | kCopula, "is was are were"},
    {Language::english, kStop | kVerbal,
     "be been being am has have had having do does did done will would shall should can could may "
     "might must cannot not to also he she it they we who whom which that often usually widely "
     "generally commonly sometimes primarily mainly mostly largely typically especially "
     "particularly originally currently formerly formally officially traditionally historically "
     "previously recently relatively very highly approximately considered regarded described "
     "defined characterized characterised still never always ever became become becomes becoming "
     "get gets got so too more most less least well quite rather almost nearly more not best "
     "i you then when where while how why"},
    {Language::english, kStop | kLink, "of"},
    {Language::english, kStop | kAnd, "and or &"},
    {Language::english, kStop,
     "in on at by for from with without within into onto upon about above below under over "
     "between among amongst during before after since until till through throughout across "
     "against along around behind beyond near toward towards via per as than but nor if because "
     "although though whereas whether unless there here him them us me himself herself itself "
     "themselves what whose all such only own same other others one two three four five six "
     "seven eight nine ten eleven twelve hundred thousand million billion first second third "
     "fourth fifth last next many much few several various numerous certain different similar "
     "like unlike using based including include includes included contain contains containing "
     "consist consists consisting comprise comprises comprising known called named referred "
     "refers refer used uses use born died made make makes making found founded formed form "
     "given gave give taken took take takes seen see came come comes went go goes began begun "
     "begin started start led leads lead leading held hold holds won wins received spent served "
     "worked played wrote written said says say located situated related associated derived "
     "developed produced published released established created introduced discovered developed "
     "famous notable prominent important major minor main principal chief significant large "
     "larger largest small smaller smallest big great greatest greater high higher highest low "
     "lower lowest long longer longest short new newer old older oldest early earlier earliest "
     "late later latest modern recent current former previous present original early good better "
     "bad common popular influential successful considered total general particular special "
     "specific especially today now once again away out up down off however therefore thus hence "
     "etc eg ie et al e.g i.e ca circa c b d r st nd rd th vs pp ed eds jr sr mr mrs ms dr "
     "became alongside due despite according together apart instead even just yet already "
     "respectively eventually subsequently finally s t don doesn didn isn wasn won ll ve re m "
     "became remained remains remain became according noted best-known well-known so-called "
     "sq mi km mi² km² kg ft lb lbs belonging living native natives southwest southeast northwest "
     "northeast coast inhabited spoken written bordered "
     "having along ago half able likely possible following follows followed means meaning meant "
     "refer usually january february march april may june july august september october november "
     "december monday tuesday wednesday thursday friday saturday sunday"},
    {Language::english, kWeak,
     "part parts number numbers name names time times year years day days century centuries "
     "decade decades month months thing things way ways place places work works life lives person "
     "people man men woman women member members group groups side sides end ends list lists use "
     "example examples term terms word words world type types kind kinds form forms sort class "
     "level area areas region regions line lines point points set sets case cases age ages period "
     "periods era size amount degree rate range order orders position role roles result results "
     "effect process system systems unit units structure method study studies field fields "
     "subject topic topics event events career death birth son daughter father mother wife "
     "husband brother sister child children family families parent home house head body bodies "
     "hand top base center centre north south east west northern southern eastern western central "
     "upper middle side english american british french german european international national "
     "public popular individual state states place places capital capitals population populations "
     "million series version character characters title titles article articles page addition "
     "reference source feature features property properties characteristic variety object objects "
     "material materials action activity activities practice idea ideas concept concepts history "
     "story fact development research society union figure figures leader leaders creation "
     "collection award awards success influence power control change production product products "
     "service services program project approach "
     "model standard value measure test need help support attention knowledge information data "
     "skill quality ability relationship relation difference purpose reason cause function "
     "formula notion notions principle principles item items entity entities beginning removal "
     "duty "
     "duties response staff condition conditions operation operations discharge aspect aspects "
     "individuals phenomenon phenomena situation situations surface "
     "reign border borders personnel bill bills tail tails view views "
     "majority rest origin site location community style stage step element component "
     "length width height weight distance total inhabitant inhabitants people's human humans "
     "real full true single double simple complex basic natural physical traditional ancient "
     "official political social cultural economic military religious classical medieval"},
    {Language::english, kWeak | kTransparent,
     "type kind form species genus group branch class member family series set part sort variety "
     "range collection study field style piece subspecies breed category subset subfield "
     "example order name term word one"},
    {Language::english, kWeak,
     "wikipedia solid nationalist application applications impact impacts division divisions "
     "difficulty difficulties domain domains performance performances selection selections inc ltd "
     "llc corp co plc"},
    {Language::english, kEmpty,
     "disambiguation various other others miscellaneous misc general generic different several "
     "diverse unknown "
     "unnamed untitled etc stuff thing things topics topic mixed assorted"},

    {Language::spanish, kStop | kDeterminer,
     "el la los las un una unos unas este esta estos estas ese esa esos esas aquel aquella su sus "
     "mi mis tu tus nuestro nuestra cada cualquier algún alguna algunos algunas ningún ninguna lo"},
    {Language::spanish, kStop | kVerbal | kCopula, "es fue era son eran fueron"},
    {Language::spanish, kStop | kVerbal,
     "ser sido siendo está están estaba estaban estar estado ha han había habían haber hay he sea "
     "sean será serán sería se le les me te nos no también muy más menos que quien quienes cual "
     "cuales cuyo cuya cuyos cuyas donde cuando como tan tanto ya aún todavía siempre nunca puede "
     "pueden podía podían poder debe deben suele suelen fuera fuese él ella ellos ellas yo usted"},
    {Language::spanish, kStop | kLink, "de del"},
    {Language::spanish, kStop | kAnd, "y e o u"},
    {Language::spanish, kStop,
     "a al en con sin por para sobre entre hacia hasta desde durante mediante según contra tras "
     "ante bajo pero sino aunque porque pues si ni esto eso ello aquello otro otra otros otras "
     "mismo misma mismos mismas todo toda todos todas uno dos tres cuatro cinco seis siete ocho "
     "nueve diez once doce cien mil millones millón primer primera primero primeros primeras "
     "segundo segunda tercer tercera tercero último última últimos últimas mucho mucha muchos "
     "muchas poco pocos pocas varios varias diversos diversas numerosos numerosas cierto cierta "
     "ciertos ciertas diferente diferentes distinto distintos distintas tal tales así además "
     "incluso solo sólo después antes luego entonces ahora hoy aquí allí mientras actualmente "
     "generalmente principalmente especialmente aproximadamente comúnmente normalmente "
     "conocido conocida conocidos conocidas llamado llamada llamados llamadas denominado "
     "denominada nombre nombres nacido nacida nació murió fallecido fallecida considerado "
     "considerada considerados consideradas usado usada utilizado utilizada utilizados hecho "
     "realizado situado situada situados ubicado ubicada formado formada compuesto basado basada "
     "debido sido tiene tienen tenía tuvo tener hace hacer hizo hacia dio da dan fueron ganó "
     "recibió escribió publicó publicado publicada desarrolló desarrollado creado creada dirigida "
     "dirigido mayor mayores menor menores mejor mejores gran grande grandes pequeño pequeña "
     "pequeños nuevo nueva nuevos nuevas antiguo antigua antiguos antiguas alto alta bajo baja "
     "largo larga importante importantes principal principales famoso famosa destacado destacada "
     "general común comunes moderno moderna actual actuales anterior parte partes vez veces forma "
     "formas través alrededor dentro fuera cerca lejos ejemplo junto cuyo etc c v s a.c d.c "
     "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
     "lunes martes miércoles jueves viernes sábado domingo"},
    {Language::spanish, kWeak,
     "año años siglo siglos día días mes meses década tiempo época período periodo vida muerte "
     "nacimiento hijo hija padre madre hermano hermana esposa familia persona personas hombre "
     "hombres mujer mujeres gente mundo lugar lugares zona zonas región área norte sur este oeste "
     "número números tipo tipos clase grupo grupos conjunto serie miembro miembros obra obras "
     "trabajo trabajos cosa cosas manera modo término términos palabra palabras título uso lado km "
     "fin final principio origen caso casos hecho punto línea nivel sistema proceso método "
     "estructura historia carrera papel ciudad país estado población capital habitantes "
     "español española españoles francés francesa inglés inglesa estadounidense estadounidenses "
     "alemán alemana italiano italiana europeo europea internacional nacional humano humana "
     "social político política militar especie género familia orden nombre medio cabo cuenta "
     "gracias relación efecto resultado actividad desarrollo estudio campo base cuerpo centro"},
    {Language::spanish, kStop,
     "limita limitan abarca abarcan cuenta cuentan posee poseen consiste consisten encuentra "
     "encuentran usa usan utiliza utilizan pertenece pertenecen comprende comprenden incluye "
     "incluyen aquellos aquellas detrás cuarto cuarta quinto quinta sexto sexta séptimo séptima "
     "octavo octava noveno décimo breve breves noreste noroeste sureste sudeste suroeste sudoeste "
     "nororiental estimada limitado rodeado dedicado dedicada capaz posible posibles cual veinte "
     "treinta cuarenta cincuenta mitad ambos ambas sí entonces jamás quizá quizás respecto dicho "
     "dicha dichos dichas propio propia propios propias único única varios frecuente frecuentes "
     "habitual habituales presente presentes siguiente siguientes"},
    {Language::spanish, kStop,
     "refiere refieren referirse proviene provienen deriva derivan procede proceden trata tratan "
     "habla hablan hablado hablada hablados habladas pesar escrito escrita escritos escritas "
     "rodeada rodeados limitada creados creadas fundado fundada fundados fundadas"},
    {Language::spanish, kWeak,
     "wikipedia actualidad puesto puestos tramo tramos "
     "concepto conceptos sentido sentidos elemento elementos característica características "
     "individuo individuos principios acción acciones fenómeno fenómenos aspecto aspectos "
     "propiedad propiedades cualidad cualidades realidad idea ideas significado significados "
     "práctica prácticas técnica técnicas acto actos condición condiciones producto productos "
     "objeto objetos material materiales valor valores usos situación situaciones artículo "
     "artículos referencia referencias enciclopedia edición cuestión asunto tema temas influencia "
     "mediados finales comienzos inicios edad edades orilla orillas sede cargo cargos longitud "
     "extensión superficie altitud altura tamaño corriente corrientes movimiento movimientos "
     "conocimiento conocimientos técnico técnicos espacio espacios servicio servicios medios "
     "modelo modelos teoría función análisis método métodos cambio cambios estados nivel niveles "
     "parte función lenguaje disciplina disciplinas artístico artísticos artística artísticas "
     "económico económicos económica científico científicos científica público pública fundador "
     "fundadores figura figuras personaje personajes líder líderes éxito premio premios título "
     "títulos nombre apellido versión versiones número cantidad porción ejemplos aplicación "
     "aplicaciones uso frontera fronteras límite límites costa costas interior exterior"},
    {Language::spanish, kWeak | kTransparent,
     "tipo clase forma especie género grupo rama conjunto serie miembro familia variedad parte "
     "estudio estilo orden uno una nombre término"},
    {Language::spanish, kEmpty,
     "desambiguación polisémico polisémica varios varias otros otras otro otra miscelánea general "
     "diversos diversas "
     "desconocido cosas diferentes"},

    {Language::french, kStop | kDeterminer,
     "le la les l' un une des du ce cet cette ces son sa ses leur leurs mon ma mes notre nos votre "
     "vos chaque tout toute tous toutes quelque quelques aucun aucune plusieurs au aux"},
    {Language::french, kStop | kVerbal | kCopula, "est était fut sont étaient furent"},
    {Language::french, kStop | kVerbal,
     "être été étant a ont avait avaient avoir ayant eut sera seront serait soit se s' ne n' pas "
     "il elle ils elles on je j' tu nous vous qui que qu' dont où lequel laquelle lesquels y en "
     "aussi très plus moins bien souvent parfois toujours jamais encore déjà peut peuvent pouvait "
     "doit doivent fait font généralement principalement notamment également c' m' t' lui leur "
     "ainsi considéré considérée considérés considérées"},
    {Language::french, kStop | kLink, "de d' du des"},
    {Language::french, kStop | kAnd, "et ou"},
    {Language::french, kStop,
     "à dans par pour avec sans sous sur entre vers chez depuis pendant durant jusqu' jusque "
     "lors lorsque lorsqu' puisque puisqu' quand comme car mais donc or ni si parce après avant "
     "contre selon malgré parmi autour cela ceci celui celle ceux celles même mêmes autre autres "
     "deux trois quatre cinq six sept huit neuf dix onze douze cent mille million millions "
     "premier première premiers premières second seconde deuxième troisième dernier dernière "
     "derniers dernières beaucoup peu certains certaines certain certaine divers diverses "
     "nombreux nombreuses différents différentes tel telle tels telles seul seule seulement alors "
     "puis ensuite enfin aujourd'hui aujourd'hui ici là maintenant presque environ quelqu' "
     "connu connue connus connues appelé appelée appelés appelées nommé nommée dit dite dits né "
     "née nés mort morte décédé décédée utilisé utilisée utilisés utilisées situé située situés "
     "situées formé formée composé composée basé basée issu issue publié publiée créé créée "
     "réalisé réalisée sorti sortie devient devenu devenue désigne désignent désigné trouve "
     "trouvent permet permettant comprend comprenant constitue possède grand grande grands "
     "grandes petit petite petits petites nouveau nouvelle nouveaux nouvelles ancien ancienne "
     "anciens anciennes haut haute bas basse long longue meilleur meilleure important importante "
     "importants importantes principal principale principaux principales célèbre célèbres "
     "général générale moderne actuel actuelle actuellement partie parties fois forme formes "
     "exemple ensemble grâce ailleurs cours afin plutôt surtout trop etc c s av apr j-c "
     "janvier février mars avril mai juin juillet août septembre octobre novembre décembre "
     "lundi mardi mercredi jeudi vendredi samedi dimanche quoi ref nécessaire"},
    {Language::french, kWeak,
     "an ans année années siècle siècles jour jours mois décennie temps époque période vie mort "
     "naissance fils fille père mère frère sœur soeur épouse famille personne personnes homme "
     "hommes femme femmes gens monde lieu lieux zone région nord sud est ouest nombre nombres nom "
     "noms type types genre sorte classe groupe groupes série membre membres œuvre œuvres oeuvre "
     "travail travaux chose choses manière façon terme termes mot mots titre usage côté fin début "
     "km "
     "origine cas fait point ligne niveau système processus méthode structure histoire carrière "
     "rôle ville pays état population capitale habitants français française françaises anglais "
     "anglaise américain américaine américains allemand allemande italien italienne européen "
     "européenne international internationale national nationale humain humaine social sociale "
     "politique militaire espèce espèces ordre effet résultat activité développement étude "
     "domaine base corps centre suite partir mise prise place unité objet ensemble britannique "
     "britanniques personnalité"},
    {Language::french, kStop,
     "non oui vers compte comptent possèdent situe situent retrace appartient appartiennent "
     "consiste consistent utilise utilisent contient contiennent représente représentent existe "
     "existent porte portent compris comprise capable capables possible possibles vingt trente "
     "quarante cinquante moitié propre propres unique uniques présent présents présente suivant "
     "suivants suivante fréquent habituel quelle quels quelles dès outre via puisse afin quatrième "
     "cinquième sixième septième huitième nord-est nord-ouest sud-est sud-ouest septentrional "
     "prend prennent provient proviennent dérive dérivent désigner façonne façonnent parlé parlée "
     "parlés parlées écrit écrite écrits écrites constitué constituée constitués constituées fondé "
     "fondée fondés fondées créés créées formés formées composés composées nommés nommées entouré "
     "entourée officiellement rarement actuellement initialement couramment particulièrement"},
    {Language::french, kWeak,
     "wikipédia wikipedia accès accueil volet volets milieu milieux large sommet "
     "notion notions principe principes action actions sens phénomène phénomènes surface propriété "
     "propriétés aspect aspects élément éléments caractéristique caractéristiques concept concepts "
     "idée idées individu individus pratique pratiques technique techniques procédé procédés "
     "condition conditions produit produits objets valeur valeurs situation situations extension "
     "échelle service services relation relations public publics publique discipline disciplines "
     "nature symbole symboles statut siège rive rives sous-ensemble apparition masse face table "
     "société sociétés organisation organisations mouvement mouvements espace espaces modèle "
     "modèles fonction fonctions théorie changement changements connaissance connaissances "
     "fondateur fondateurs figure figures personnage personnages chef chefs succès prix version "
     "versions quantité application applications frontière frontières limite limites côte côtes "
     "intérieur extérieur âge âges longueur largeur hauteur altitude taille variante variantes "
     "article articles référence références scientifique scientifiques économique économiques "
     "technique artistique artistiques professionnel professionnels moyen moyens sorte appareil "
     "événement événements matière matières affection traitement esprit esprits bois pièce pièces "
     "établissement établissements entité entités"},
    {Language::french, kWeak | kTransparent,
     "type sorte forme espèce genre groupe branche classe ensemble série membre famille variété "
     "partie étude style ordre un une nom terme"},
    {Language::french, kEmpty,
     "homonymie polysémique polysémie divers diverses autre autres plusieurs général inconnu "
     "choses différents différentes "
     "varié variés"},
};

using Table = std::unordered_map<std::string_view, std::array<std::uint16_t, kLanguages>>;

Table make_table() {
  Table table;
  for (const Words& entry : kWords) {
    std::size_t at = 0;
    while (at < entry.words.size()) {
      std::size_t end = entry.words.find(' ', at);
      if (end == std::string_view::npos) end = entry.words.size();
      if (end > at) {
        auto& classes = table[entry.words.substr(at, end - at)];
        classes[static_cast<std::size_t>(entry.language)] |=
            static_cast<std::uint16_t>(entry.classes);
      }
      at = end + 1;
    }
  }
  return table;
}

}  // namespace

std::array<std::uint16_t, kLanguages> word_classes(std::string_view folded) {
  static const Table table = make_table();
  const auto found = table.find(folded);
  return found == table.end() ? std::array<std::uint16_t, kLanguages>{} : found->second;
}

}  // namespace knowmap::label
