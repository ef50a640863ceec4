"""The map page, as a person meets it: in a browser, from disk, without a network."""

from __future__ import annotations

import io
import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from knowmap import render
from knowmap.render import Column, Level, Region, render_html, render_html_string
from viewer_page import HOSTILE, HOSTILE_ROW, OpenMap, launch, opened, synthetic_map

AXE = Path(__file__).parents[2] / "python" / "viewer" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def world() -> dict:
    return synthetic_map()


@pytest.fixture(scope="module")
def map_file(world, tmp_path_factory) -> Path:
    return render_html(tmp_path_factory.mktemp("map") / "map.html", **world)


@pytest.fixture
def tab(browser, map_file):
    with opened(browser, map_file) as tab:
        yield tab


def pixels(tab: OpenMap) -> np.ndarray:
    """What the canvas shows, without the cards and names over it."""
    hide = "on => { for (const e of document.querySelectorAll('.card, #labels')) e.style.opacity = on ? 0 : ''; }"
    tab.evaluate(hide, True)
    shot = tab.page.screenshot()
    tab.evaluate(hide, False)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def coloured(picture: np.ndarray) -> int:
    """How many pixels are far from any grey: points that stand out."""
    return int((picture.max(axis=2) - picture.min(axis=2) > 40).sum())


def far_point(tab: OpenMap, world: dict) -> int:
    """A point whose nearest neighbour is far enough away that the pointer can only mean this one."""
    where = np.array([tab.position(i) for i in range(400)])
    everything = np.array(
        tab.evaluate(
            "n => Array.from({length: n}, (_, i) => { const p = knowmap.screenPosition(i); return [p.x, p.y]; })",
            len(world["x"]),
        )
    )
    free = (where[:, 0] > 420) & (where[:, 0] < 1100) & (where[:, 1] > 40) & (where[:, 1] < 760)
    distance = np.linalg.norm(everything[None] - where[:, None], axis=2)
    distance[np.arange(len(where)), np.arange(len(where))] = np.inf
    return int(np.argmax(np.where(free, distance.min(axis=1), -1)))


# ---- In the browser -------------------------------------------------------------------------------------------------


def test_points_are_drawn(tab, world):
    assert tab.evaluate("knowmap.n") == len(world["x"])
    assert tab.page.title() == world["name"]
    picture = pixels(tab)
    background = picture[5, -5]
    assert (np.abs(picture - background).max(axis=2) > 30).sum() > len(world["x"])
    # Every point lies where screenPosition says.
    for row in range(0, 300, 7):
        x, y = (round(value) for value in tab.position(row))
        assert np.abs(picture[y - 1 : y + 2, x - 1 : x + 2] - background).max() > 20, (
            f"no point drawn at that of row {row}"
        )


def test_hover_shows_title_and_values(tab, world):
    row = far_point(tab, world)
    tab.page.mouse.move(*tab.position(row))
    tab.until("!document.querySelector('#tooltip').hidden")
    text = tab.page.inner_text("#tooltip")
    assert world["titles"][row] in text
    assert f"First lines of article {row}" in text
    assert "Continent" in text and "Country" in text
    tab.page.mouse.move(1190, 5)
    tab.until("document.querySelector('#tooltip').hidden")


def test_click_pins_the_details_and_regions_lead_on(tab, world):
    row = far_point(tab, world)
    tab.page.mouse.click(*tab.position(row))
    panel = tab.page.locator("#panel")
    assert panel.is_visible()
    assert panel.locator("h2").inner_text() == world["titles"][row]
    link = panel.locator("a")
    assert link.get_attribute("href") == world["urls"][row]
    assert set(link.get_attribute("rel").split()) == {"noopener", "noreferrer"}

    panel.get_by_role("button", name=re.compile("^Country")).click()
    assert panel.locator("h2").inner_text().startswith("Country")
    assert HOSTILE in panel.inner_text(), "key phrases are shown as they are"
    panel.get_by_role("button", name=re.compile("^Continent")).click()
    assert panel.locator("h2").inner_text().startswith("Continent")
    panel.locator(".exemplars button").first.click()
    assert panel.locator("h2").inner_text() in world["titles"]
    tab.settle()
    tab.page.keyboard.press("Escape")
    assert panel.is_hidden()


def test_search_finds_marks_and_flies(tab, world):
    everything = coloured(pixels(tab))
    tab.page.fill("#search", "angstrom CAFE")
    assert tab.page.inner_text("#status") == "1 title found"
    assert tab.page.locator("#hits li").all_inner_texts() == ["Ångström and Café"]
    tab.settle()
    assert coloured(pixels(tab)) < everything / 10, "all but the hit step back"
    tab.page.keyboard.press("Enter")
    tab.settle()
    assert tab.evaluate("knowmap.view.get().zoom") > 2
    x, y = tab.position(42)
    assert 352 < x < 1200 and 0 < y < 800, "the hit lies beside the cards"
    assert tab.page.locator("#panel h2").inner_text() == "Ångström and Café"


def test_search_list_by_keyboard(tab):
    tab.page.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.page.keyboard.type("article 12")
    options = tab.page.locator("#hits li")
    assert options.first.inner_text().startswith("Article 12 ")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowDown")
    chosen = tab.page.locator("#hits li[aria-selected=true]")
    assert chosen.count() == 1
    assert tab.page.get_attribute("#search", "aria-activedescendant") == chosen.get_attribute("id") == "hit-1"
    title = chosen.inner_text()
    tab.page.keyboard.press("Enter")
    assert tab.page.locator("#hits").is_hidden()
    assert tab.page.locator("#panel h2").inner_text() == title
    tab.page.fill("#search", "no such title anywhere")
    assert tab.page.inner_text("#status") == "Nothing found"
    tab.page.click("#clear-search")
    assert tab.page.input_value("#search") == ""


def assert_apart(labels: list[dict]) -> None:
    for a, b in combinations(labels, 2):
        apart = (
            a["rect"]["right"] <= b["rect"]["left"]
            or b["rect"]["right"] <= a["rect"]["left"]
            or a["rect"]["bottom"] <= b["rect"]["top"]
            or b["rect"]["bottom"] <= a["rect"]["top"]
        )
        assert apart, f"{a['text']} and {b['text']} overlap"


def test_names_grow_finer_with_zoom_and_never_overlap(tab):
    far = tab.labels()
    assert {label["text"] for label in far if label["level"] == 0} == {f"Continent {k}" for k in range(6)}
    assert_apart(far)

    seen = {label["text"] for label in far}
    for step in (1.2, 1.8, 2.4):
        tab.evaluate("zoom => knowmap.view.set({x: 119, y: -50, zoom})", step)
        tab.settle()
        labels = tab.labels()
        assert_apart(labels)
        assert len({label["text"] for label in labels}) == len(labels), "no name twice in a view"
        cards = tab.evaluate(
            "[...document.querySelectorAll('.keep-clear')]"
            ".map(e => e.getBoundingClientRect().toJSON()).filter(r => r.width)"
        )
        for card in cards:
            for label in labels:
                assert_apart([label, {"text": "a card", "rect": card}])
        seen |= {label["text"] for label in labels}
    assert {label["text"] for label in labels} >= {f"Country {k}" for k in range(4)}, "near, the finer names show"
    assert len(seen) > len(far)


def test_click_on_a_name_opens_its_region(tab):
    label = next(label for label in tab.labels() if label["level"] == 0)
    rect = label["rect"]
    # Continents are empty in the middle, where their names are.
    tab.page.mouse.click((rect["left"] + rect["right"]) / 2, (rect["top"] + rect["bottom"]) / 2)
    assert tab.page.locator("#panel h2").inner_text() == label["text"]
    tab.settle()


def test_colour_by_changes_legend_and_points(tab):
    entries = tab.page.locator("#legend .entry-name")
    assert set(entries.all_inner_texts()) == {"alpha", "beta", HOSTILE, "None"}
    before = pixels(tab)
    tab.page.select_option("#color-by", label="Regions: Continents")
    assert set(entries.all_inner_texts()) == {f"Continent {k}" for k in range(6)}
    tab.settle()
    assert (pixels(tab) != before).any(axis=2).sum() > 1000
    tab.page.select_option("#color-by", label="Length")
    assert entries.count() == 0
    assert tab.page.locator("#legend .gradient").is_visible()
    low, high = (
        float(text.replace(",", "")) for text in tab.page.locator("#legend .gradient-ends span").all_inner_texts()
    )
    assert 100 <= low < 300 and 4800 < high <= 5000


def test_legend_filters(tab):
    everything = coloured(pixels(tab))
    alpha = tab.page.get_by_role("button", name="alpha")
    alpha.click()
    assert alpha.get_attribute("aria-pressed") == "true"
    tab.settle()
    assert 0 < coloured(pixels(tab)) < 0.7 * everything
    tab.page.get_by_role("button", name="Show all").click()
    assert alpha.get_attribute("aria-pressed") == "false"
    tab.settle()
    assert coloured(pixels(tab)) > 0.9 * everything


def test_light_and_dark(browser, map_file):
    with opened(browser, map_file, color_scheme="dark") as tab:
        assert pixels(tab)[5, -5].max() < 60
        tab.page.get_by_role("button", name="Use light colours").click()
        tab.settle()
        assert pixels(tab)[5, -5].min() > 200
        assert tab.page.get_by_role("button", name="Use dark colours").is_visible()


def test_keyboard_wheel_and_buttons_move_the_view(tab):
    view = lambda: tab.evaluate("knowmap.view.get()")  # noqa: E731
    start = view()
    tab.page.locator("#map").focus()
    tab.page.keyboard.press("+")
    tab.settle()
    assert view()["zoom"] == pytest.approx(start["zoom"] + 1, abs=0.01)
    tab.page.keyboard.press("ArrowRight")
    tab.settle()
    assert view()["x"] > start["x"]
    tab.page.get_by_role("button", name="Zoom out").click()
    tab.settle()
    assert view()["zoom"] == pytest.approx(start["zoom"], abs=0.01)
    before = view()
    tab.page.mouse.move(700, 400)
    tab.page.mouse.wheel(0, -300)
    tab.until("zoom => knowmap.view.get().zoom > zoom + 0.1", before["zoom"])
    tab.settle()
    before = view()
    tab.page.mouse.down()
    tab.page.mouse.move(800, 450, steps=4)
    tab.page.mouse.up()
    tab.settle()
    assert view()["x"] < before["x"] and view()["y"] > before["y"], "the map follows the hand"
    tab.page.get_by_role("button", name="Show the whole map").click()
    tab.settle()
    assert view() == pytest.approx(start, abs=0.05)


def test_hostile_texts_stay_texts(tab):
    assert HOSTILE not in tab.evaluate("document.documentElement.outerHTML")
    tab.page.fill("#search", "</script>")
    assert tab.page.locator("#hits li").all_inner_texts() == [HOSTILE]
    tab.page.keyboard.press("Enter")
    tab.settle()
    assert tab.page.locator("#panel h2").inner_text() == HOSTILE
    assert tab.page.locator("#panel a").count() == 0, "a link that is not to the web is no link"
    tab.page.mouse.move(*tab.position(HOSTILE_ROW))
    tab.until("!document.querySelector('#tooltip').hidden")
    assert HOSTILE in tab.page.inner_text("#tooltip")
    assert tab.page.locator("img").count() == 0


def test_policy_forbids_what_the_page_does_not_do(browser, map_file):
    with opened(browser, map_file) as tab:
        tab.evaluate("""() => {
            window.ran = false;
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
        }""")
        assert tab.evaluate("window.ran") is False
        tab.until("() => true")
        assert any("Content Security Policy" in error for error in tab.errors)
        tab.errors.clear()


@pytest.mark.parametrize("size", [(320, 640), (390, 844)])
def test_phone(browser, map_file, size):
    with opened(
        browser, map_file, viewport={"width": size[0], "height": size[1]}, has_touch=True, is_mobile=True
    ) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
        tab.page.fill("#search", "angstrom")
        tab.page.keyboard.press("Enter")
        tab.settle()
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
        panel = tab.page.locator("#panel").bounding_box()
        x, y = tab.position(42)
        assert 0 < x < size[0] and 0 < y < panel["y"], "the article found is not under the panel"
        outside = tab.evaluate(
            """[...document.querySelectorAll('.card, button, input, select')].filter(e => {
                 const r = e.getBoundingClientRect();
                 return r.width > 0 && (r.left < 0 || r.right > innerWidth);
               }).map(e => e.id || e.className)"""
        )
        assert outside == []


def test_without_webgl_the_page_says_so(browser, map_file):
    no_webgl = "HTMLCanvasElement.prototype.getContext = () => null;"
    with opened(browser, map_file, ready=False, init_script=no_webgl) as tab:
        alert = tab.page.get_by_role("alert")
        assert alert.is_visible()
        assert "WebGL" in alert.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(browser, map_file, scheme):
    if not AXE.exists():
        pytest.fail(f"{AXE} is missing: cd python/viewer && npm ci")
    with opened(browser, map_file, color_scheme=scheme) as tab:
        tab.page.mouse.click(*tab.position(0))
        tab.page.fill("#search", "article 1")
        tab.evaluate(AXE.read_text(encoding="utf-8") + "; true")
        result = tab.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        assert [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in result["violations"]] == []


def test_frame_times_are_measurable(tab):
    times = tab.evaluate("knowmap.frameTimes(5)")
    assert len(times) == 5 and all(time >= 0 for time in times)


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_maps(browser, tmp_path, n):
    file = render_html(tmp_path / "tiny.html", x=np.zeros(n), y=np.zeros(n), titles=["Only one"] * n)
    with opened(browser, file) as tab:
        assert tab.evaluate("knowmap.n") == n
        assert tab.page.locator("#legend").is_hidden()


# ---- render.py ------------------------------------------------------------------------------------------------------


def payload_of(page: str) -> dict:
    return json.loads(re.search(r'id="knowmap-data">(.*?)</script>', page, re.S).group(1))


def test_string_and_file_are_the_same_page(world, map_file):
    page = render_html_string(**world)
    assert page == map_file.read_text(encoding="utf-8")
    assert payload_of(page)["titles"][HOSTILE_ROW] == HOSTILE
    assert "third-party-licences" in page and "Permission is hereby granted" in page


def test_no_text_can_end_its_element():
    page = render_html_string(x=[0.0], y=[0.0], titles=["<b>&\u2028\u2029\ud800\u202eevil\x00"], name="<i>&")
    raw = re.search(r'id="knowmap-data">(.*?)</script>', page, re.S).group(1)
    assert not set("<>&\u2028\u2029") & set(raw)
    assert "<title>&lt;i&gt;&amp;</title>" in page
    assert payload_of(page)["titles"][0].startswith("<b>&")
    assert "\u202e" not in payload_of(page)["titles"][0]


def test_quarter_of_a_million_points_stay_small(tmp_path):
    n = 250_000
    rng = np.random.default_rng(0)
    k = rng.integers(0, 500, n)
    regions = [Region(i, f"Region {i}", 0.0, 0.0, 500) for i in range(500)]
    file = render_html(
        tmp_path / "big.html",
        x=rng.normal(size=n),
        y=rng.normal(size=n),
        titles=[f"Article number {i}" for i in range(n)],
        columns=[Column("Cluster", "category", k, [str(i) for i in range(500)])],
        levels=[Level("Regions", k, regions)],
    )
    assert file.stat().st_size < 15_000_000


def test_wrong_input_is_refused_with_a_way_out(tmp_path):
    good = {"x": [0.0, 1.0], "y": [0.0, 1.0], "titles": ["a", "b"]}

    def refused(message: str, **change) -> None:
        target = tmp_path / "map.html"
        target.write_text("older map")
        with pytest.raises(ValueError, match=message):
            render_html(target, **{**good, **change})
        assert target.read_text() == "older map"
        assert [file.name for file in tmp_path.iterdir()] == ["map.html"]

    refused("titles has 1 entries but x has 2", titles=["a"])
    refused("y has 3 entries", y=[0.0, 1.0, 2.0])
    refused("snippets has 3 entries", snippets=["a", "b", "c"])
    refused("x of row 1 is nan.*drop these rows", x=[0.0, float("nan")])
    refused("y of row 0 is inf", y=[float("inf"), 0.0])
    refused("shape", x=[[0.0], [1.0]])
    refused("code 2 in row 1", columns=[Column("c", "category", [0, 2], ["a", "b"])])
    refused("without names", columns=[Column("c", "category", [0, 0])])
    refused("column 'c' has 3 entries", columns=[Column("c", "number", [0, 1, 2])])
    refused("of kind 'words'", columns=[Column("c", "words", [0, 1])])
    refused("row 1 into region 9", levels=[Level("l", [0, 9], [Region(0, "r", 0, 0, 1)])])
    refused("different id", levels=[Level("l", [0, 0], [Region(0, "r", 0, 0, 1), Region(0, "s", 0, 0, 1)])])
    refused("row 7 as an exemplar", levels=[Level("l", [0, 0], [Region(0, "r", 0, 0, 1, exemplars=[7])])])


def test_missing_template_names_the_build_command(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "_TEMPLATE", tmp_path / "nothing.html")
    with pytest.raises(FileNotFoundError, match="npm run build"):
        render_html(tmp_path / "map.html", x=[0.0], y=[0.0], titles=["a"])
    assert not (tmp_path / "map.html").exists()


def test_region_ids_need_not_be_row_numbers():
    level = Level("l", [700, -1, 3], [Region(3, "three", 0, 0, 1), Region(700, "seven hundred", 0, 0, 1)])
    page = render_html_string(x=[0.0, 1, 2], y=[0.0, 1, 2], titles=["a", "b", "c"], levels=[level])
    assert payload_of(page)["levels"][0]["codes"] == {"type": "u8", "data": "AgAB"}
