"""The map page, as a person meets it: in a browser, from disk, without a network."""

from __future__ import annotations

import io
import json
import re
import zlib
from base64 import b64decode
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from knowmap import render
from knowmap.render import Column, Level, Neighbors, Region, Votes, render_html, render_html_string
from viewer_page import HOSTILE, HOSTILE_ROW, OpenMap, assert_apart, opened


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


def test_click_pins_the_details_and_they_lead_on(tab, world):
    row = far_point(tab, world)
    tab.page.mouse.click(*tab.position(row))
    panel = tab.page.locator("#panel")
    assert panel.is_visible()
    assert panel.locator("h2").inner_text() == world["titles"][row]
    link = panel.locator("a")
    link.wait_for()
    assert link.get_attribute("href") == world["urls"][row]
    assert set(link.get_attribute("rel").split()) == {"noopener", "noreferrer"}

    near = world["neighbors"].rows[row]
    assert panel.locator(".articles .entry-name").all_inner_texts() == [world["titles"][i] for i in near]
    assert panel.locator(".articles .entry-count").first.inner_text() == "0.95"
    votes = Counter(int(world["columns"][0].values[i]) for i in near if world["columns"][0].values[i] >= 0)
    names, shares = (panel.locator(part).all_inner_texts() for part in (".bar-name", ".bar-share"))
    said = {f"label {k}": f"{round(100 * v / votes.total())}%" for k, v in votes.items()}
    assert dict(zip(names, shares, strict=True)) == said

    panel.locator(".articles button").nth(2).click()
    tab.settle()
    assert panel.locator("h2").inner_text() == world["titles"][near[2]]
    panel.get_by_role("button", name="Back to what was shown before").click()
    assert panel.locator("h2").inner_text() == world["titles"][row]
    tab.settle()
    tab.page.keyboard.press("Escape")
    assert panel.is_hidden()


def test_a_region_says_what_it_holds(tab, world):
    tab.page.mouse.click(*tab.position(far_point(tab, world)))
    panel = tab.page.locator("#panel")
    panel.get_by_role("button", name=re.compile("^Country")).click()
    name = panel.locator("h2").inner_text()
    country = next(region for region in world["levels"][1].regions if region.name == name)
    assert f"{country.size} articles" in panel.inner_text()
    assert panel.locator(".phrase").all_inner_texts() == list(country.phrases), "key phrases are shown as they are"
    exemplars = [world["titles"][e] if isinstance(e, int) else e for e in country.exemplars]
    assert panel.locator(".articles .entry-name").all_inner_texts() == exemplars[:3]
    tab.settle()
    members = world["levels"][1].assignment == country.id
    inside = [tab.position(int(i)) for i in np.flatnonzero(members)[:40]]
    assert sum(350 < x < 900 and 0 < y < 800 for x, y in inside) > 30, "the region fills what the cards leave free"

    panel.locator(".phrase").first.click()
    tab.until("document.querySelector('#status').textContent.includes('Nothing found')")
    tab.page.click("#clear-search")
    panel.get_by_role("button", name=re.compile("^Continent")).click()
    assert panel.locator("h2").inner_text() == f"Continent {country.parent - 10}"
    parts = panel.locator(".regions-list .entry-name").all_inner_texts()
    assert set(parts) == {f"Country {4 * (country.parent - 10) + k}" for k in range(4)}
    panel.locator(".articles button").first.click()
    assert panel.locator("h2").inner_text() in world["titles"]


def test_votes_are_those_that_were_counted(browser, tmp_path):
    """Where only some articles are labelled, the voters are not the neighbours."""
    label = Column("Label", "category", [0, 1, -1], ["art", "war"], role="label")
    votes = Votes([[0, 1], [1, -1], [1, 0]], [[0.75, 0.25], [1, 0], [0.6, 0.4]])
    file = render_html(tmp_path / "m.html", x=[0, 1, 2], y=[0.0] * 3, titles=list("abc"), columns=[label], votes=votes)
    with opened(browser, file) as tab:
        tab.evaluate("knowmap.open(2)")
        assert tab.page.locator(".bar-name").all_inner_texts() == ["war", "art"]
        assert tab.page.locator(".bar-share").all_inner_texts() == ["60%", "40%"]
        tab.page.locator("button.bar").first.click()
        assert tab.count() == 1, "a vote leads to the articles of that label"


def test_who_voted_is_listed_where_only_some_are_labelled(browser, tmp_path):
    label = Column("Label", "category", [0, 1, -1], ["art", "<b>war"], role="label")
    votes = Votes([[0, 1], [1, -1], [1, 0]], [[0.75, 0.25], [1, 0], [0.6, 0.4]])
    voters = Neighbors([[1, -1], [0, -1], [1, 0]], [[0.5, 0], [0.5, 0], [0.875, 0.25]])
    parts = {"x": [0, 1, 2], "y": [0.0] * 3, "titles": list("abc"), "columns": [label], "votes": votes}
    with opened(browser, render_html(tmp_path / "m.html", **parts, voters=voters)) as tab:
        tab.evaluate("knowmap.open(2)")
        lines = tab.page.locator("#panel .voters .entry")
        said = [[line.locator(f".entry-{part}").inner_text() for part in ("name", "label", "count")]
                for line in lines.all()]
        assert said == [["b", "<b>war", "0.87"], ["a", "art", "0.25"]]
        lines.first.click()
        assert tab.page.locator("#panel h2").inner_text() == "b"
        assert tab.page.locator("#panel .voters .entry-name").all_inner_texts() == ["a"]
    with opened(browser, render_html(tmp_path / "n.html", **parts)) as tab:
        tab.evaluate("knowmap.open(2)")
        assert tab.page.locator("#panel .voters").count() == 0


def test_names_in_a_view_do_not_nearly_repeat_one_another(browser, tmp_path):
    """A part that is all of its region has no name of its own beside it; nor one whose words stand in that above it."""
    where = np.array([0.0, 0.1, 0.2, 3.0, 3.1, 5.0, 5.1, 8.0])
    coarse = [Region(0, "Plants & chemical elements", 0.1, 0, 3), Region(1, "Kings", 3, 0, 2),
              Region(2, "Rivers", 5, 0, 2), Region(3, "Alone", 8, 0, 1)]
    fine = [Region(0, "Chemical elements", 0.1, 1, 2, 0), Region(1, "Plants in pots", 0.2, -1, 1, 0),
            Region(2, "Monarchs", 3, 1, 2, 1), Region(3, "King", 5, 1, 1, 2), Region(4, "Lakes", 5.1, -1, 1, 2),
            Region(5, "By itself", 8, 1, 1, 3)]
    levels = [Level("Large", [0, 0, 0, 1, 1, 2, 2, 3], coarse), Level("Small", [0, 0, 1, 2, 2, 3, 4, 5], fine)]
    file = render_html(tmp_path / "m.html", x=where, y=[0.0, 1, -1, 0, 1, 1, -1, 0], titles=list("abcdefgh"),
                       levels=levels)
    with opened(browser, file) as tab:
        names = {label["text"] for label in tab.labels()}
        assert {"Plants & chemical elements", "Kings", "Rivers"} <= names
        assert not names & {"Chemical elements", "Monarchs", "By itself", "King"}
        tab.page.click("#tab-regions")
        entries = tab.page.locator("#regions .entry").all_text_contents()
        assert not any("Monarchs" in entry or "By itself" in entry for entry in entries)
        assert any("Chemical elements" in entry for entry in entries)


def test_a_query_may_be_split_over_title_and_text(browser, tmp_path):
    file = render_html(tmp_path / "m.html", x=[0.0, 1, 2], y=[0.0, 1, 2], titles=["Mercury", "Venus", "Mercury orbit"],
                       snippets=["A planet near the sun", "A planet with clouds", "Nothing"])
    with opened(browser, file) as tab:
        tab.page.fill("#search", "mercury PLANET")
        tab.until("document.querySelector('#status').textContent === '1 text found'")
        assert tab.page.locator("#hits .hit-title").all_inner_texts() == ["Mercury"]
        assert tab.page.locator("#hits mark").inner_text() == "planet"
        tab.page.fill("#search", "mercury orbit")
        tab.until("document.querySelector('#status').textContent === '1 title found'")


def test_a_compact_page_is_the_same_map(browser, tmp_path, world):
    file = render_html(tmp_path / "m.html", **world, compact=True)
    with opened(browser, file) as tab:
        assert tab.evaluate("knowmap.n") == len(world["x"])
        for row in range(0, 3000, 500):
            tab.evaluate("([x, y]) => knowmap.view.set({x, y, zoom: 0})", [world["x"][row], world["y"][row]])
            x, y = tab.position(row)
            assert abs(x - 600) < 0.1 and abs(y - 400) < 0.1, "a tenth of a pixel of the whole map"
        assert tab.page.locator("#colors .entry-name").count() == 7
        tab.page.select_option("#color-by", label="Length")
        low, high = (float(tab.page.locator("#colors .number").nth(k).input_value()) for k in (0, 1))
        lengths = world["columns"][2].values
        assert (low, high) == pytest.approx((np.nanmin(lengths), np.nanmax(lengths)), rel=1e-3)
        assert "1 without a value" in tab.page.inner_text("#colors")
        tab.evaluate("knowmap.open(42)")
        assert tab.page.locator("#panel h2").inner_text() == "Ångström and Café"
        assert tab.page.locator("#panel .articles").count() == 0
    assert file.stat().st_size < len(render_html_string(**world))


def test_regions_beside_are_those_of_the_neighbours(browser, tmp_path):
    level = Level("l", [0, 0, 1, 1, 2, 2], [Region(k, f"R{k}", k, 0, 2) for k in range(3)])
    near = Neighbors([[1, 2], [4, 2], [0, 3], [0, 2], [5, -1], [4, -1]])
    file = render_html(
        tmp_path / "m.html", x=range(6), y=[0.0] * 6, titles=list("abcdef"), levels=[level], neighbors=near
    )
    with opened(browser, file) as tab:
        tab.page.click("#tab-regions")
        tab.page.locator("#regions .entry").first.click()
        assert tab.page.locator("#panel .regions-list .entry-name").all_inner_texts() == ["R1", "R2"]


def test_search_finds_marks_and_flies(tab, world):
    everything = coloured(pixels(tab))
    tab.page.fill("#search", "angstrom CAFE")
    tab.until("document.querySelector('#status').textContent === '1 title found'")
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
    tab.until("document.querySelector('#status').textContent === 'Nothing found'")
    tab.page.click("#clear-search")
    assert tab.page.input_value("#search") == ""


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


@pytest.mark.parametrize("width", [1200, 390])
def test_a_coarsest_name_moves_aside(browser, tmp_path, width):
    """Five large regions around one place: each is named all the same, near it; a smaller level's names give way."""
    rng = np.random.default_rng(5)
    n, names = 500, [f"Region of kind {k}" for k in range(5)]
    where, code = rng.uniform(-10, 10, (n, 2)), np.arange(n) % 5
    levels = [Level("Large", code, [Region(k, name, 0.01 * k, 0.0, n // 5, None) for k, name in enumerate(names)]),
              Level("Small", code, [Region(k, f"Part {k}", 0.01 * k, 0.0, n // 5 - 1, k) for k in range(5)])]
    file = render_html(tmp_path / "m.html", x=where[:, 0], y=where[:, 1], titles=["t"] * n, levels=levels)
    with opened(browser, file, viewport={"width": width, "height": 800}) as tab:
        labels = tab.labels()
        assert {label["text"] for label in labels if label["level"] == 0} == set(names)
        assert_apart(labels)
        x, y = tab.evaluate("(() => { const {width, height} = document.querySelector('#map').getBoundingClientRect();"
                            "return [width / 2, height / 2]; })()")
        for label in labels:
            rect = label["rect"]
            assert abs((rect["left"] + rect["right"]) / 2 - x) < width / 2 and abs(rect["top"] - y) < 200


def test_click_on_a_name_opens_its_region(tab):
    label = next(label for label in tab.labels() if label["level"] == 0)
    rect = label["rect"]
    # Continents are empty in the middle, where their names are.
    tab.page.mouse.click((rect["left"] + rect["right"]) / 2, (rect["top"] + rect["bottom"]) / 2)
    assert tab.page.locator("#panel h2").inner_text() == label["text"]
    tab.settle()


def test_colour_by_changes_legend_and_points(tab, world):
    entries = tab.page.locator("#colors .entry-name")
    assert set(entries.all_inner_texts()) == {*(f"label {k}" for k in range(6)), "None"}
    before = pixels(tab)
    tab.page.select_option("#color-by", label="Continents")
    assert set(entries.all_inner_texts()) == {f"Continent {k}" for k in range(6)}
    tab.settle()
    assert (pixels(tab) != before).any(axis=2).sum() > 1000
    tab.page.select_option("#color-by", label="Length")
    assert entries.count() == 0
    assert tab.page.locator("#colors .gradient").is_visible()
    low, high = (float(tab.page.locator("#colors .number").nth(k).input_value()) for k in (0, 1))
    lengths = world["columns"][2].values
    assert (low, high) == pytest.approx((np.nanmin(lengths), np.nanmax(lengths)), rel=1e-3)
    assert "1 without a value" in tab.page.inner_text("#colors")


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
    tab.until("document.querySelector('#status').textContent === '1 title found'")
    assert tab.page.locator("#hits li").all_inner_texts()[0] == HOSTILE
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


def test_a_resting_map_shows_every_point_as_a_graphics_card_would(browser, tmp_path):
    """In software the points come chunk by chunk into a picture that is kept; 150,000 are three chunks."""
    n = 150_000
    rng = np.random.default_rng(3)
    codes = np.zeros(n, int)
    column = Column("c", "category", codes, ["all"])
    file = render_html(
        tmp_path / "m.html", x=rng.uniform(0, 2, n), y=rng.uniform(0, 1, n), titles=[""] * n, columns=[column]
    )
    with opened(browser, file) as tab:
        picture = pixels(tab)[300:500, 500:1100]
        covered_share = (np.abs(picture - [250, 250, 248]).max(axis=2) > 12).mean()
        assert covered_share > 0.58, "a chunk alone, or a sample, would leave most of the ground bare"
        tab.page.keyboard.press("/")
        tab.page.mouse.move(800, 400)
        tab.settle()
        again = pixels(tab)[300:500, 500:700]
        assert (np.abs(again - picture[:, :200]).max(axis=2) > 12).mean() < 0.02, "rings and tips leave it as it is"


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


def texts_of(packed: dict) -> list[str]:
    return json.loads(zlib.decompress(b64decode(packed["data"])))


def test_texts_links_and_ids_are_packed_and_checked():
    page = render_html_string(
        x=[0.0, 1, 2], y=[0.0, 1, 2], titles=["a", "b", "c"], snippets=["x" * 50, "</script>\u202e", None],
        text_length=10, urls=["https://a.example/?q=<b>", "javascript:alert(1)", "data:text/html,x"], ids=[1, 2, "<"],
    )
    payload = payload_of(page)
    assert texts_of(payload["snippets"]) == ["x" * 9 + "…", "</script>", ""]
    assert texts_of(payload["urls"]) == ["https://a.example/?q=<b>", "", ""]
    assert texts_of(payload["ids"]) == ["1", "2", "<"]


def test_neighbours_are_three_bytes_each():
    near = Neighbors([[1, 2], [0, -1], [1, 0]], [[0.5, 0], [1, np.nan], [2, -1]])
    packed = payload_of(render_html_string(x=[0.0, 1, 2], y=[0.0, 1, 2], titles=["a", "b", "c"], neighbors=near))[
        "neighbors"
    ]
    assert (packed["k"], packed["width"]) == (2, 3)
    assert list(b64decode(packed["rows"]["data"])) == [2, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0]
    assert list(b64decode(packed["similarity"]["data"])) == [128, 0, 255, 0, 255, 0]


def test_quarter_of_a_million_points_stay_small(tmp_path):
    """As a real map of that size: random neighbours, which do not compress, titles, ids and links; no texts."""
    n = 250_000
    rng = np.random.default_rng(0)
    k = rng.integers(0, 500, n)
    regions = [Region(i, f"Region {i}", 0.0, 0.0, 500) for i in range(500)]
    file = render_html(
        tmp_path / "big.html",
        x=rng.normal(size=n),
        y=rng.normal(size=n),
        titles=[f"Article number {i} of many" for i in range(n)],
        urls=[f"https://en.wikipedia.org/wiki/Article_number_{i}_of_many" for i in range(n)],
        ids=[str(i) for i in range(n)],
        columns=[
            Column("Label", "category", k, [str(i) for i in range(500)], role="label"),
            Column("Vote", "category", k, [str(i) for i in range(500)], role="vote"),
            Column("Confidence", "number", rng.random(n), role="confidence"),
        ],
        levels=[Level("Regions", k, regions), Level("Small", k, regions), Level("Smallest", k, regions)],
        neighbors=Neighbors(rng.integers(0, n, (n, 15)), rng.random((n, 15))),
        votes=Votes(rng.integers(0, 500, (n, 5)), rng.random((n, 5))),
    )
    assert file.stat().st_size < 40_000_000


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
    refused("neighbors.rows has 1 entries", neighbors=Neighbors([[1]]))
    refused("holds 2 in row 1, but there are 2 rows", neighbors=Neighbors([[1], [2]]))
    refused("integers of shape", neighbors=Neighbors([[0.5], [1.0]]))
    refused("votes need a category column", votes=Votes([[0], [0]], [[1], [1]]))
    label = Column("c", "category", [0, 0], ["a"], role="label")
    refused("holds 1 in row 1, but there are 1 labels", columns=[label], votes=Votes([[0], [1]], [[1], [1]]))
    refused("similarity has shape", neighbors=Neighbors([[1], [0]], [[1, 1], [1, 1]]))
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
