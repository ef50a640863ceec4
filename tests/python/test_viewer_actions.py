"""Every action of the map page at desktop and phone size, light and dark, and with a quarter of a million points."""

from __future__ import annotations

import io
import os
import random
import re
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from knowmap.build import KnowledgeMap
from knowmap.regions import name_regions
from knowmap.render import Column, Level, Neighbors, Region, render_html
from knowmap.tables import Collection
from viewer_page import HOSTILE, OpenMap, assert_apart, opened

AXE = Path(__file__).parents[2] / "python" / "viewer" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP = {"viewport": {"width": 1200, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SETTINGS = [
    pytest.param(size | {"color_scheme": scheme}, id=f"{name}-{scheme}")
    for name, size in (("desktop", DESKTOP), ("phone", PHONE))
    for scheme in ("light", "dark")
]
SVG = "{http://www.w3.org/2000/svg}"


def open_tab(tab: OpenMap, name: str) -> None:
    tab.page.click(f"#tab-{name}")
    assert tab.page.get_attribute(f"#tab-{name}", "aria-selected") == "true"


# Contrast of a text with what is painted behind it (its own background or the nearest one around it, a name's halo on
# the map), and the least that WCAG AA asks for. axe-core leaves it open where elements are stacked by position.
CONTRAST = """selectors => selectors.map(selector => {
    const parsed = color => color.match(/[\\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, k) => c * a + under[k] * (1 - a));
    const light = color => {
        const [r, g, b] = color.map(c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const element = document.querySelector(selector);
    if (element === null) return null;
    const style = getComputedStyle(element);
    const layers = [];
    for (let up = element; up; up = up.parentElement) {
        const [r, g, b, a = 1] = parsed(getComputedStyle(up).backgroundColor);
        layers.push([r, g, b, a]);
        if (a === 1) break;
    }
    const halo = parseFloat(style.webkitTextStrokeWidth) >= 3;
    const ground = halo ? parsed(style.webkitTextStrokeColor)
        : layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
    const [a, b] = [light(over(parsed(style.color), ground)), light(ground)];
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    return {ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), wanted: large ? 3 : 4.5};
})"""


def violations(tab: OpenMap) -> list:
    """What axe-core finds, and what it leaves to be looked at that does not hold either."""
    if not AXE.exists():
        pytest.fail(f"{AXE} is missing: cd python/viewer && npm ci")
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(AXE.read_text(encoding="utf-8") + "; true")
    for _ in range(5):
        found = tab.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete'], preload: false})")
        bad = [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found["violations"]]
        bad += [(open_["id"], [node["html"][:120] for node in open_["nodes"]])
                for open_ in found["incomplete"] if open_["id"] != "color-contrast"]
        unsure = [node for open_ in found["incomplete"] if open_["id"] == "color-contrast" for node in open_["nodes"]]
        measured = tab.evaluate(CONTRAST, [node["target"][0] for node in unsure])
        if None not in measured:  # else a name on the map has gone meanwhile: the page was not at rest
            return bad + [("color-contrast", node["html"][:120], seen["ratio"])
                          for node, seen in zip(unsure, measured, strict=True) if seen["ratio"] < seen["wanted"]]
        tab.settle()
    pytest.fail("the page does not come to rest")


def walk(tab: OpenMap, world: dict, check) -> None:
    """Search, filter by label, by confidence and by a number, colour, article, region: each seen to do its work."""
    n = len(world["x"])
    label, _, length, confidence = (np.asarray(column.values) for column in world["columns"])
    page = tab.page

    # Search in titles and texts.
    page.fill("#search", "article 123")
    title_hits = [i for i, title in enumerate(world["titles"]) if "article" in title.lower() and "123" in title]
    texts = [i for i, text in enumerate(world["snippets"]) if "article" in text.lower() and "123" in text]
    tab.until("n => knowmap.shown() === n", len({*title_hits, *texts}), seconds=30)
    assert page.locator("#hits li").count() == min(60, len({*title_hits, *texts}))
    check("search")
    page.fill("#search", "first lines of article 17")  # every word, in text or title
    both = [f"{title} {text}".lower() for title, text in zip(world["titles"], world["snippets"], strict=True)]
    hits = sum(all(word in words for word in ("first", "lines", "of", "article", "17")) for words in both)
    assert hits > sum("article" in text and "17" in text for text in world["snippets"]), "of country 17 as well"
    tab.until("n => knowmap.shown() === n", hits, seconds=30)
    assert re.search(rf"{hits:,} texts? found", page.inner_text("#status"))
    assert page.locator("#hits mark").first.inner_text().lower() == "first"
    page.click("#clear-search")
    tab.until("n => knowmap.shown() === n", n)

    # Filter by label, and by confidence as well; then by a number column alone.
    open_tab(tab, "filters")
    page.locator("summary", has_text="Label").click()
    page.locator("#filters .entry", has_text="label 2").click()
    assert tab.count() == (label == 2).sum()
    page.locator("summary", has_text="Confidence").click()
    page.get_by_label("Confidence, lowest value").fill("0.8")
    page.keyboard.press("Enter")
    assert tab.count() == ((label == 2) & (confidence.astype(np.float32) >= 0.8)).sum()
    assert page.locator("#chips .chip").count() == 2
    check("filters")
    page.get_by_label("Remove the filter label 2").click()
    assert tab.count() == (confidence.astype(np.float32) >= 0.8).sum()
    page.click("#clear-filter")
    assert tab.count() == n
    page.locator("summary", has_text="Length").click()
    handle = page.get_by_label("Length, highest", exact=True)
    handle.focus()
    handle.evaluate("e => { e.value = 500; e.dispatchEvent(new Event('input')); }")
    high = np.nanmin(length) + (np.nanmax(length) - np.nanmin(length)) / 2
    assert abs(tab.count() - (length <= high).sum()) <= 1
    page.click("#clear-filter")

    # Colours: each kind of column.
    open_tab(tab, "colors")
    for name in ("Confidence", "Countries", "Label"):
        page.select_option("#color-by", label=name)
        assert page.locator("#colors .gradient").count() == (name == "Confidence")
    check("colours")

    # Regions by the outline, articles by their region, neighbours by their article.
    open_tab(tab, "regions")
    page.locator("#regions .entry").first.click()
    tab.settle()
    assert page.locator("#panel h2").inner_text().startswith("Continent")
    check("region")
    page.locator("#panel .articles button").first.click()
    tab.settle()
    row = world["titles"].index(page.locator("#panel h2").inner_text())
    near = world["neighbors"].rows[row]
    assert page.locator("#panel .articles .entry-name").all_inner_texts() == [world["titles"][i] for i in near]
    assert page.locator("#panel .bars .bar").count() >= 1
    tab.until("!!document.querySelector('#panel .snippet')")
    link = page.locator("#panel a")
    assert link.get_attribute("href") == world["urls"][row]
    assert set(link.get_attribute("rel").split()) == {"noopener", "noreferrer"}
    x, y = tab.position(row)
    panel = page.locator("#panel").bounding_box()
    assert 0 < x < page.viewport_size["width"] and 0 < y < page.viewport_size["height"]
    assert not (panel["x"] < x < panel["x"] + panel["width"] and panel["y"] < y < panel["y"] + panel["height"])
    check("article")
    page.click("#close-panel")


def press(tab: OpenMap, button: str) -> None:
    """A button of the view's card, which a narrow screen folds away."""
    if not tab.page.locator(button).is_visible():
        tab.page.click("#more")
    tab.page.click(button)


def reach(tab: OpenMap, world: dict) -> None:
    """The map under a finger: an article and a name are touched where they are drawn; names lie apart at every zoom."""
    page = tab.page
    press(tab, "#reset")
    tab.settle()
    label = next(label for label in tab.labels() if label["level"] == 0)
    rect = label["rect"]
    # Continents are empty in the middle, where their names are.
    page.mouse.click((rect["left"] + rect["right"]) / 2, (rect["top"] + rect["bottom"]) / 2)
    assert page.locator("#panel h2").inner_text() == label["text"]
    page.click("#close-panel")
    x, y = float(world["x"][99]), float(world["y"][99])
    tab.evaluate("([x, y]) => knowmap.view.set({x, y, zoom: 9})", [x, y])
    tab.settle()
    page.mouse.click(*tab.position(99))
    assert page.locator("#panel h2").inner_text() == world["titles"][99]
    page.click("#close-panel")
    for zoom in (0, 1, 1.7, 2.5, 4):
        tab.evaluate("view => knowmap.view.set(view)", {"x": 119, "y": -50, "zoom": zoom})
        tab.settle()
        labels = tab.labels()
        assert_apart(labels)
        assert len(labels) > 0 or zoom > 2


def share(tab: OpenMap, world: dict) -> None:
    """A link leads to the same view, and can be copied."""
    page = tab.page
    open_tab(tab, "filters")
    page.locator("#filters details[open] summary", has_text="Label").click()  # anew: the walk left it open
    page.locator("summary", has_text="Label").click()
    page.locator("#filters .entry", has_text="label 2").click()
    tab.evaluate("knowmap.view.set({x: 105, y: -45, zoom: 2.5}); knowmap.open(42)")
    tab.settle()
    tab.until("location.hash.includes('article=id-42') && location.hash.includes('is.Label=')")
    link, shown, view = (tab.evaluate(of) for of in ("location.hash", "knowmap.shown()", "knowmap.view.get()"))
    page.click("#panel-link")
    tab.until("document.querySelector('#announcement').textContent === 'Link copied'")
    copied = tab.evaluate("navigator.clipboard.readText()")
    page.click("#close-panel")
    page.click("#clear-filter")
    press(tab, "#reset")
    tab.settle()
    tab.evaluate("hash => { location.hash = hash; }", copied.partition("#")[2])
    tab.until("n => knowmap.shown() === n", shown)
    tab.settle()
    assert tab.evaluate("knowmap.view.get()") == pytest.approx(view, abs=0.01)
    assert "#" + copied.partition("#")[2] == link
    assert page.locator("#panel h2").inner_text() == world["titles"][42]
    page.click("#close-panel")
    page.click("#clear-filter")


def pictures(tab: OpenMap, world: dict) -> None:
    """Those for a paper hold what is seen."""
    tab.evaluate("knowmap.view.set({x: 119, y: -50, zoom: 2.5})")
    tab.settle()
    drawing = ElementTree.fromstring(saved(tab, svg=True, extent="view"))
    dots = "".join(path.get("d") for path in drawing.iter(f"{SVG}path")).count("M")
    assert 100 < dots < len(world["x"]), "the view's points, as vectors"
    picture = np.asarray(Image.open(io.BytesIO(saved(tab, svg=False, extent="all"))).convert("RGB")).astype(int)
    assert picture.shape[1] == 2200 and (picture[0, 0] == 255).all()
    assert (picture.max(axis=2) - picture.min(axis=2) > 30).mean() > 0.01


def by_keys(tab: OpenMap, world: dict) -> None:
    """Into the map, to an article, to its neighbour and back, without a pointer."""
    page = tab.page
    page.focus("#map")
    page.keyboard.press("0")
    tab.settle()
    page.keyboard.press("+")
    tab.settle()
    tab.until("document.querySelector('#announcement').textContent.startsWith('Zoom 1.0. In view: ')")
    page.keyboard.press("Enter")
    title = page.locator("#panel h2").inner_text()
    assert title in world["titles"] and tab.evaluate("document.activeElement.textContent") == title
    for _ in range(40):
        page.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.closest('.articles') !== null"):
            break
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").inner_text() != title
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden() and tab.evaluate("document.activeElement.id") == "map"


def walk_with_axe(tab: OpenMap, world: dict) -> dict[str, list]:
    """`walk`, then what two buttons open; gives what axe-core finds to mend, by state."""
    found = {}

    def check(state: str) -> None:
        if bad := violations(tab):
            found[state] = bad

    check("at first")
    walk(tab, world, check)
    for button, state in (("#save", "saving"), ("#help", "help")):
        press(tab, button)
        check(state)
        tab.page.keyboard.press("Escape")
    return found


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_action_and_no_accessibility_violation(browser, map_file, world, setting):
    with opened(browser, map_file, **setting) as tab:
        found = walk_with_axe(tab, world)
        assert found == {}
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.page.viewport_size["width"]


@pytest.mark.parametrize("setting", SETTINGS if os.environ.get("KNOWMAP_VIEWER") == "full" else SETTINGS[:1])
def test_every_action_with_a_quarter_of_a_million_points(browser, big, setting):
    """And axe-core finds nothing to mend in any state on the way. KNOWMAP_VIEWER=full: in all four settings."""
    file, world = big
    with opened(browser, file, permissions=["clipboard-read", "clipboard-write"], **setting) as tab:
        found = walk_with_axe(tab, world)
        reach(tab, world)
        by_keys(tab, world)
        share(tab, world)
        if setting in (SETTINGS[0].values[0], SETTINGS[3].values[0]):  # they are the same in light and dark
            pictures(tab, world)
        assert found == {}
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.page.viewport_size["width"]


def test_permalink_leads_to_the_same_view(browser, map_file, world):
    with opened(browser, map_file) as tab:
        tab.page.fill("#search", "article 1")
        tab.page.keyboard.press("Escape")  # the list of hits would lie over the card
        tab.page.select_option("#color-by", label="Length")
        tab.page.get_by_label("Length, lowest value").fill("1000")
        tab.page.keyboard.press("Enter")
        open_tab(tab, "filters")
        tab.page.locator("summary", has_text="Kind").click()
        tab.page.locator("#filters .entry", has_text="alpha").click()
        tab.page.locator("#filters .entry", has_text="None").click()
        tab.until("knowmap.shown() < 1000")
        tab.evaluate("knowmap.open(42); knowmap.view.set({x: 105, y: -45, zoom: 2.5})")
        tab.settle()
        tab.until("location.hash.includes('article=') && location.hash.includes('view=')")
        link, shown = tab.evaluate("location.hash"), tab.evaluate("knowmap.shown()")
    with opened(browser, map_file, hash=link) as tab:
        tab.until("n => knowmap.shown() === n", shown)
        assert tab.evaluate("knowmap.view.get()") == pytest.approx({"x": 105, "y": -45, "zoom": 2.5}, abs=0.01)
        assert tab.page.locator("#panel h2").inner_text() == world["titles"][42]
        assert tab.page.input_value("#search") == "article 1"
        assert tab.page.input_value("#color-by") == "2"
        chips = tab.page.locator("#chips .chip").all_inner_texts()
        assert [re.sub(r"\s*×$", "", chip) for chip in chips] == ["alpha", "No Kind", "Length 1000–4999"]
    with opened(browser, map_file, hash="#region.1=Country%205") as tab:
        assert tab.page.locator("#panel h2").inner_text() == "Country 5"
    hostile = ("#view=NaN,1e999,x&color=%3Cimg%3E&is.Label=%3Cscript%3E&in.Length=a..b&article=%23-1&row=-1&region.0=x"
               "&row=1e3")
    with opened(browser, map_file, hash=hostile) as tab:
        assert tab.evaluate("knowmap.shown()") == len(world["x"])
        assert tab.page.locator("#panel").is_hidden()


def test_copied_link_is_the_permalink(browser, map_file):
    with opened(browser, map_file, permissions=["clipboard-read", "clipboard-write"]) as tab:
        tab.evaluate("knowmap.view.set({x: 110, y: -50, zoom: 2})")
        tab.page.click("#copy-link")
        tab.until("document.querySelector('#announcement').textContent === 'Link copied'")
        assert "#view=110" in tab.evaluate("navigator.clipboard.readText()")


def saved(tab: OpenMap, *, svg: bool, extent: str, name: str | None = "a-made-up-world") -> bytes:
    press(tab, "#save")
    tab.page.check("#save-svg" if svg else "#save-png")
    tab.page.check(f"#save-{extent}")
    if not svg:
        tab.page.select_option("#save-width", "2200")
    with tab.page.expect_download() as download:
        tab.page.click("#save-now")
    assert name is None or download.value.suggested_filename == f"{name}.{'svg' if svg else 'png'}"
    return Path(download.value.path()).read_bytes()


def test_pictures_for_a_paper(browser, map_file, world):
    n = len(world["x"])
    with opened(browser, map_file, color_scheme="dark") as tab:
        tab.page.select_option("#color-by", label="Kind")
        drawing = ElementTree.fromstring(saved(tab, svg=True, extent="all"))
        dots = "".join(path.get("d") for path in drawing.iter(f"{SVG}path"))
        assert dots.count("M") == n, "every point is in it, and as a vector"
        words = ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]
        assert {f"Continent {k}" for k in range(6)} <= set(words)
        assert {"Kind", "alpha", "beta", f"{n:,} articles"} <= set(words), "the legend"
        # As much of a long name as this machine's font leaves room for.
        cut = [word.removesuffix("…") for word in words if word.startswith("</script>")]
        assert cut and all(HOSTILE.startswith(word) and len(word) > 12 for word in cut), "texts as texts"
        names = {element.tag for element in drawing.iter()}
        assert names <= {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "path", "circle", "text", "tspan")}
        assert drawing.find(f"{SVG}rect").get("fill") == "#fff", "paper is white, whatever the screen"

        tab.page.select_option("#color-by", label="Length")
        tab.evaluate("knowmap.view.set({x: 119, y: -50, zoom: 2})")
        tab.settle()
        drawing = ElementTree.fromstring(saved(tab, svg=True, extent="view"))
        dots = "".join(path.get("d") for path in drawing.iter(f"{SVG}path"))
        assert 100 < dots.count("M") < n / 2, "only what is in view"
        assert drawing.find(f"{SVG}linearGradient") is not None

        picture = np.asarray(Image.open(io.BytesIO(saved(tab, svg=False, extent="all"))).convert("RGB")).astype(int)
        assert picture.shape[1] == 2200
        assert (picture[0, 0] == 255).all()
        assert (picture.max(axis=2) - picture.min(axis=2) > 30).mean() > 0.01, "with points in it"


def test_by_keyboard_alone(tab_by_keys, world):
    tab = tab_by_keys
    page = tab.page
    page.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "map"
    page.keyboard.press("+")
    tab.settle()
    assert page.locator("#crosshair").is_visible()
    tab.until("document.querySelector('#announcement').textContent.startsWith('Zoom 1.0. In view: ')")
    page.keyboard.press("Enter")
    title = page.locator("#panel h2").inner_text()
    assert title in world["titles"]
    assert tab.evaluate("document.activeElement.textContent") == title, "the focus follows"
    for _ in range(40):
        page.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.closest('.articles') !== null"):
            break
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").inner_text() != title
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    assert tab.evaluate("document.activeElement.id") == "map", "and comes back"
    page.keyboard.press("?")
    assert page.locator("#help-dialog").is_visible()
    page.keyboard.press("Escape")
    page.focus("#tab-colors")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.id") == "tab-regions"
    page.keyboard.press("Tab")  # the button that closes the card
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#regions .outline .outline").first.is_visible()


@pytest.fixture
def tab_by_keys(browser, map_file):
    with opened(browser, map_file) as tab:
        yield tab


def attacks(n: int) -> list[str]:
    """Markup, script, entities, bidirectional controls, invisible and broken characters, very long texts."""
    rng = random.Random(5)
    seeds = [
        HOSTILE, "<svg/onload=fetch('//evil.example')>", "\"><iframe src=javascript:alert(1)>", "--><!--",
        "<!--<script>", "]]></script>", "{{title}}{{data}}", "${alert(1)}", "`;alert(1)//", "\\u003cscript\\u003e",
        "&lt;b&gt;&#x3c;",
        "<a href='javascript:alert(1)'>x</a>", "<style>*{display:none}</style>", "<base href=//evil.example>",
        "<meta http-equiv=refresh content='0;url=//evil.example'>", "\u202egnp.exe", "\u2066\u202ba\u2069", "a\u2028b",
        "\x00\x01\x1b[31m", "\ud800", "\udfff\ud83d", "e" + "\u0301" * 300, "\u200b\ufeff", "العربية‏ <b>", "𝓕𝓪𝓷𝓬𝔂<b>",
        "__proto__", "constructor", "onerror=alert(1)", "<math><mi//xlink:href='data:x,<script>'>", "';--", "\t\n\r ",
        "<img src=x onerror=alert(1)>" * 3000, "W" * 100_000, "\u202e" * 100_000, "<" * 100_000,
    ]
    made = list(seeds)
    while len(made) < n:
        made.append("".join(rng.choice(seeds)[:200] for _ in range(rng.randint(1, 3))))
    return made


FOREIGN = "document.querySelectorAll('script, iframe, img, object, embed, base, style').length"


def as_shown(text: str, longest: int) -> str:
    """What a reader should see of a text: one line, without what controls or reorders, cut with an ellipsis."""
    reorders = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    seen = "".join(
        c for c in text[: 2 * longest]
        if c.isspace() or not (unicodedata.category(c) == "Cc" or unicodedata.bidirectional(c) in reorders)
    )
    seen = " ".join(seen.split())
    if len(seen) > longest:
        seen = seen[: longest - 1].rstrip() + "…"
    return "".join("?" if 0xD800 <= ord(c) < 0xE000 else c for c in seen)  # halves of characters are none


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> tuple[Path, list[str], np.ndarray]:
    """A map whose every text is an attack; and where its articles lie."""
    n = 1000
    evil = attacks(n)
    angle = np.linspace(0, 60, n)
    where = np.c_[angle * np.cos(angle), angle * np.sin(angle)]
    world = {
        "x": where[:, 0], "y": where[:, 1], "titles": evil, "snippets": evil[::-1],
        "urls": [("javascript:", "data:", "", "https://a/")[i % 4] + text[:50] for i, text in enumerate(evil)],
        "ids": evil, "name": evil[0], "description": evil[2],
        "columns": [Column(evil[1], "category", np.arange(n) // 100, evil[:10], role="label"),
                    Column(evil[3], "number", angle), Column(evil[1], "category", np.arange(n), evil)],
        "levels": [Level(evil[4], np.arange(n) // 10, [
            Region(k, evil[k], *where[10 * k], 10, phrases=evil[k : k + 5], exemplars=[10 * k, evil[k]])
            for k in range(100)])],
        "neighbors": Neighbors((np.arange(n)[:, None] + np.arange(1, 6)) % n),
    }  # fmt: skip
    return render_html(tmp_path_factory.mktemp("evil") / "evil.html", **world), evil, where


def test_a_thousand_attacks_are_shown_as_text(browser, hostile):
    file, evil, where = hostile
    n = len(evil)
    assert file.stat().st_size < 6_000_000, "a text of 100 KB does not go into the page whole"
    with opened(browser, file) as tab:
        before = tab.evaluate(FOREIGN)
        tab.until("knowmap.open(0), !!document.querySelector('#panel .snippet')")
        shown = tab.evaluate(
            """() => Array.from({length: knowmap.n}, (_, i) => {
                 knowmap.open(i);
                 const panel = document.querySelector('#panel-body');
                 const tags = new Set([...panel.querySelectorAll('*')].map(e => e.localName));
                 const names = [...panel.querySelectorAll('*')].flatMap(e => e.getAttributeNames());
                 const handlers = names.filter(a => a.startsWith('on'));
                 return {title: panel.querySelector('h2').textContent, tags: [...tags], handlers,
                         snippet: panel.querySelector('.snippet')?.textContent ?? '',
                         near: [...panel.querySelectorAll('.articles .entry-name')].map(e => e.textContent),
                         isolated: [...panel.querySelectorAll('h2, .snippet, .entry-name')].every(e =>
                           e.dir === 'auto' || e.querySelector('[dir=auto]')),
                         links: [...panel.querySelectorAll('a')].map(a => a.protocol)};
               })"""
        )
        known = {"p", "h2", "h3", "ul", "li", "dl", "dt", "dd", "button", "span", "a"}
        titles = [as_shown(text, 500) or "Untitled" for text in evil]
        assert sum(not text.isascii() for text in titles) > 200 and max(map(len, titles)) == 500
        for i, seen in enumerate(shown):
            assert seen["title"] == titles[i]
            assert seen["snippet"] == as_shown(evil[n - 1 - i], 280)
            assert seen["near"] == [titles[(i + k) % n] for k in range(1, 6)]
            assert set(seen["tags"]) <= known and seen["handlers"] == [] and seen["isolated"]
            assert set(seen["links"]) <= {"https:", "http:"}
        # What the pointer is told: the same texts, cut shorter (counted in halves of characters there).
        tab.page.click("#close-panel")
        for i in range(0, n, 23):
            tab.evaluate("([x, y]) => knowmap.view.set({x, y, zoom: 9})", where[i].tolist())
            tab.page.mouse.move(*tab.position(i))
            tab.page.mouse.move(*(at + 1 for at in tab.position(i)))
            tab.until("!document.querySelector('#tooltip').hidden")
            head, text = tab.evaluate("""() => ['.tooltip-title', 'p'].map(part =>
                document.querySelector(`#tooltip ${part}`)?.textContent ?? '')""")
            for said, whole, longest in ((head, titles[i], 160), (text, as_shown(evil[n - 1 - i], 280), 200)):
                assert said == whole or (said[-1] == "…" and whole.startswith(said[:-1]) and len(said) > longest - 60)
        # Names on the map, legend, filters, outline, search: the same texts elsewhere.
        for name in ("filters", "regions", "colors"):
            open_tab(tab, name)
        tab.page.locator("#tab-filters").click()
        tab.page.locator("summary").first.click()
        tab.page.locator("#regions .entry").first.dispatch_event("click")
        tab.page.fill("#search", "<script")
        tab.until("document.querySelector('#hits').childElementCount > 0")
        tab.settle()
        assert tab.evaluate(FOREIGN) == before


def test_attacks_in_a_saved_picture(browser, hostile):
    file, evil, _ = hostile
    with opened(browser, file) as tab:
        drawing = ElementTree.fromstring(saved(tab, svg=True, extent="all", name=None))  # else it is no XML
        tags = ("svg", "title", "rect", "path", "circle", "text", "tspan", "linearGradient", "stop", "defs")
        assert {element.tag for element in drawing.iter()} <= {f"{SVG}{tag}" for tag in tags}
        for element in drawing.iter():
            for name, value in element.attrib.items():
                assert not name.startswith("on") and "href" not in name and "script" not in value
        # Every word of it is one of the texts', or the page's own.
        said = " ".join([*(as_shown(text, 500) for text in evil), "None", "Untitled", "1,000 articles", "more"])
        words = [part for text in drawing.iter(f"{SVG}text") for part in text.itertext() if part.strip()]
        assert len(words) > 20
        for part in words:
            for word in part.split():
                assert word.rstrip("…") in said or re.fullmatch(r"[\d,.–+]+", word), word
        assert drawing.findtext(f"{SVG}title") == as_shown(evil[0], 500)


def test_the_policy_holds_on_a_hostile_map(browser, hostile):
    file, *_ = hostile
    with opened(browser, file) as tab:
        broken = tab.evaluate(
            """async () => {
                 const broken = [];
                 document.addEventListener('securitypolicyviolation', (e) => broken.push(e.effectiveDirective));
                 window.ran = 0;
                 const host = document.createElement('div');
                 host.innerHTML = '<img src="data:image/png;base64,xx" onerror="ran++"><svg onload="ran++"></svg>'
                   + '<iframe src="data:text/html,x"></iframe><a id="evil" href="javascript:ran++">x</a>'
                   + '<style>body { display: none }</style><form action="https://evil.example"><button></button></form>';
                 document.body.append(host);
                 const script = document.createElement('script');
                 script.textContent = 'ran++';
                 host.append(script);
                 document.querySelector('#evil').click();
                 host.querySelector('button').click();
                 await fetch('https://evil.example/').catch(() => {});
                 await new Promise(done => setTimeout(done, 300));
                 const shown = getComputedStyle(document.body).display;
                 host.remove();
                 return {broken: [...new Set(broken)], ran: window.ran, shown};
               }"""
        )
        assert broken["ran"] == 0 and broken["shown"] != "none"
        assert {"script-src-elem", "script-src-attr", "style-src-elem", "connect-src", "frame-src",
                "form-action"} <= set(broken["broken"])
        assert tab.errors and all("Content Security Policy" in e or "evil.example" in e for e in tab.errors)
        tab.errors.clear()
        tab.requests[:] = [url for url in tab.requests if "evil.example" not in url]


def test_addresses_tell_apart_what_is_named_alike(browser, tmp_path):
    """Ids that look like anything, ids given twice, and columns of one name."""
    ids = ["#2", "2", "a&b=c", "twice", "twice", ""]
    n = len(ids)
    columns = [Column("Kind", "category", np.arange(n) % 2, ["even", "odd"]),
               Column("Kind", "category", np.arange(n) % 3, ["zero", "one", "two"]),
               Column("Kind~2", "category", np.arange(n) // 3, ["low", "high"]),
               Column("Kind", "number", np.arange(n))]
    file = render_html(tmp_path / "m.html", x=np.arange(n), y=np.zeros(n), titles=[f"t{i}" for i in range(n)],
                       ids=ids, columns=columns)
    link = ""
    with opened(browser, file) as tab:
        tab.until("knowmap.open(0), document.querySelector('#panel .kind').textContent.includes('#2')")
        for row in range(n):
            tab.evaluate("row => knowmap.open(row)", row)
            tab.until("before => location.hash !== before", link)
            link = tab.evaluate("location.hash")
            tab.evaluate("row => knowmap.open(row)", (row + 1) % n)
            tab.until("link => location.hash !== link", link)
            tab.evaluate("link => { location.hash = link; }", link)
            tab.until("title => document.querySelector('#panel h2').textContent === title", f"t{row}")
        tab.page.click("#close-panel")
        open_tab(tab, "filters")
        for k, name in enumerate(("odd", "two", "high")):
            tab.page.locator("#filters summary").nth(k).click()
            tab.page.locator("#filters details").nth(k).locator(".entry", has_text=name).click()
        open_tab(tab, "colors")
        tab.page.select_option("#color-by", index=1)
        tab.until("location.hash.includes('color=') && location.hash.includes('high')")
        link = tab.evaluate("location.hash")
        assert tab.count() == 1
    with opened(browser, file, hash=link) as tab:
        chips = tab.page.locator("#chips .chip").all_inner_texts()
        assert [re.sub(r"\s*×$", "", chip) for chip in chips] == ["odd", "two", "high"]
        assert tab.count() == 1 and tab.page.input_value("#color-by") == "1"


def test_a_hand_that_rests_is_no_slow_frame(browser, big):
    """How many points a moving map draws is learnt from its frames, not from the time between two movements."""
    file, world = big
    n = len(world["x"])
    slow = """async () => {
        for (let k = 0; k < 12; k++) {
            knowmap.view.set({x: 100 + k % 2});
            await new Promise(done => setTimeout(done, 130));
        }
        return knowmap.drawnMoving();
    }"""
    with opened(browser, file) as tab:
        tab.evaluate("knowmap.frameTimes(40)")
        before = tab.evaluate("knowmap.drawnMoving()")
        assert 5_000 <= before < n
        # A movement every 130 ms would halve the number each time, if the pauses counted, down to the least, 5,000.
        assert max(tab.evaluate(slow) for _ in range(3)) > 5_000
    card = """
        const real = WebGL2RenderingContext.prototype.getParameter;
        WebGL2RenderingContext.prototype.getParameter = function (name) {
            const answer = real.call(this, name);
            return name === 0x9246 || name === this.RENDERER ? 'A Graphics Card 9000' : answer;
        };"""
    with opened(browser, file, init_script=card) as tab:
        assert tab.evaluate(slow) == n, "a graphics card draws every point in every frame"


@contextmanager
def in_notebook(browser, made: KnowledgeMap, folder):
    """What `_repr_html_` gives, in a page as a notebook's; no complaint and no request may come of it."""
    notebook = folder / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8><body>{made._repr_html_()}", encoding="utf-8")
    context = browser.new_context(viewport={"width": 1000, "height": 700}, offline=True)
    try:
        page = context.new_page()
        complaints, asked = [], []
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(notebook.as_uri())
        frame = next(frame for frame in page.frames if frame != page.main_frame)
        frame.evaluate("knowmap.ready.then(() => knowmap.settled())")
        yield page, frame
        assert complaints == []
        assert [url for url in asked if not url.startswith(("file:", "about:", "data:", "blob:"))] == []
    finally:
        context.close()


def test_shows_itself_in_a_notebook(browser, world, tmp_path):
    """No right to the notebook's origin, no network, and it works."""
    held = Collection(world["snippets"], world["titles"], world["ids"], None, world["urls"], {})
    made = KnowledgeMap(held, np.c_[world["x"], world["y"]].astype(np.float32), [], name="A map's \"name\"")
    with in_notebook(browser, made, tmp_path) as (page, frame):
        frame.fill("#search", "angstrom")
        frame.press("#search", "Enter")
        frame.evaluate("knowmap.settled()")
        assert frame.inner_text("#panel h2") == "Ångström and Café"
        assert not frame.locator("#copy-link").is_visible(), "a frame has no address to share"
        frame.click("#theme")
        assert frame.evaluate("document.documentElement.dataset.theme") == "dark"
        assert frame.evaluate("self.origin") == "null"
        with page.expect_download() as download:
            frame.click("#save")
            frame.click("#save-now")
        assert download.value.suggested_filename.endswith(".svg")


@pytest.mark.skipif(os.environ.get("KNOWMAP_VIEWER") != "full", reason="KNOWMAP_VIEWER=full: a quarter of a million")
def test_a_quarter_of_a_million_in_a_notebook(browser, big, tmp_path):
    _, world = big
    held = Collection(world["snippets"], world["titles"], world["ids"], None, world["urls"], {})
    places = np.c_[world["x"], world["y"]].astype(np.float32)
    levels = name_regions(places, world["titles"], level_sizes=[6, 24])
    made = KnowledgeMap(held, places, levels, name="A made-up world")
    assert len(made) == 250_000 and len(made._repr_html_()) < 18_000_000
    with in_notebook(browser, made, tmp_path) as (_, frame):
        assert int(frame.inner_text("#count").split()[0].replace(",", "")) == 250_000
        names = {region.name for level in levels for region in level.regions}
        assert {label["text"] for label in frame.evaluate("knowmap.visibleLabels()")} & names
        frame.fill("#search", "angstrom")
        frame.press("#search", "Enter")
        frame.evaluate("knowmap.settled()")
        assert frame.inner_text("#panel h2") == "Ångström and Café"
        frame.fill("#search", "")
        frame.evaluate("knowmap.view.set({x: 119, y: -50, zoom: 2.5}); knowmap.settled()")
        assert frame.evaluate("knowmap.view.get().zoom") == pytest.approx(2.5, abs=0.01)
        took = sorted(frame.evaluate("knowmap.frameTimes(60)"))[30]
        print(f"{took:.0f} ms a frame in a notebook, {len(made._repr_html_()) / 1e6:.1f} MB")
        assert took <= 100
