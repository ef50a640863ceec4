"""What test_viewer.py needs besides its assertions: a made-up map, and a browser to open it in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright

from knowmap.render import Column, Level, Neighbors, Region

# WebGL in software, so that the tests draw on any machine; no network of the browser's own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]

HOSTILE = "</script><img src=x onerror=alert(1)>"
HOSTILE_ROW = 17


def launch(playwright: Playwright) -> Browser:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail(
            "the map's browser tests need Chromium: install the Debian package 'chromium' (apt-get install chromium)"
        )
    return playwright.chromium.launch(executable_path=chromium, args=FLAGS)


def synthetic_map(n: int = 3_000, seed: int = 7) -> dict[str, Any]:
    """Six continents of four countries each; every point belongs to one of each."""
    rng = np.random.default_rng(seed)
    continents, parts = 6, 4
    angle = np.linspace(0, 2 * np.pi, continents, endpoint=False)
    centres = 20 * np.c_[np.cos(angle), np.sin(angle)]
    corners = 2.6 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    country = rng.integers(0, continents * parts, n)
    continent = country // parts
    where = centres[continent] + corners[country % parts] + rng.normal(0, 0.7, (n, 2)) + [100, -50]

    titles = [f"Article {i} of country {c}" for i, c in enumerate(country)]
    titles[HOSTILE_ROW] = HOSTILE
    titles[42] = "Ångström and Café"
    urls = [f"https://example.org/{i}" for i in range(n)]
    urls[HOSTILE_ROW] = "javascript:alert(1)"
    snippets = [f"First lines of article {i}. " * 3 for i in range(n)]
    snippets[HOSTILE_ROW] = HOSTILE

    def region(k: int, name: str, members: np.ndarray, parent: int | None) -> Region:
        x, y = where[members].mean(axis=0)
        rows = [int(i) for i in np.flatnonzero(members)[:3]]
        return Region(
            k, name, float(x), float(y), int(members.sum()), parent, [f"phrase of {name}", HOSTILE], [*rows, "A title"]
        )

    coarse = [region(10 + k, f"Continent {k}", continent == k, None) for k in range(continents)]
    fine = [region(k, f"Country {k}", country == k, 10 + k // parts) for k in range(continents * parts)]
    length = rng.uniform(100, 5000, n).astype(np.float32)
    length[5] = np.nan
    kind = rng.integers(-1, 3, n)
    label = np.where(rng.random(n) < 0.9, continent, rng.integers(0, continents, n))
    label[3] = -1
    # Neighbours: ten of the same country, the nearest first.
    near = np.full((n, 10), -1)
    for c in range(continents * parts):
        members = np.flatnonzero(country == c)
        for k in range(min(10, len(members) - 1)):
            near[members, k] = np.roll(members, -(k + 1))
    similarity = np.linspace(0.95, 0.5, 10)[None].repeat(n, 0)
    return {
        "x": where[:, 0],
        "y": where[:, 1],
        "titles": titles,
        "snippets": snippets,
        "urls": urls,
        "ids": [f"id-{i}" for i in range(n)],
        "columns": [
            Column("Label", "category", label, [f"label {k}" for k in range(continents)], role="label"),
            Column("Kind", "category", kind, ["alpha", "beta", HOSTILE]),
            Column("Length", "number", length),
            Column("Confidence", "number", np.round(rng.uniform(0.2, 1, n), 2), role="confidence"),
        ],
        "neighbors": Neighbors(near, similarity),
        "levels": [Level("Continents", continent + 10, coarse), Level("Countries", country, fine)],
        "name": "A made-up world",
        "description": "Tests only",
    }


@dataclass
class OpenMap:
    """A map in a browser tab, with everything the tab complained about or asked the network for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def until(self, script: str, argument: Any = None, seconds: float = 60) -> Any:
        """Wait until the script's value is true. Playwright's own waiting needs eval, which the policy forbids."""
        return eventually(lambda: self.page.evaluate(script, argument), f"{script!r} to become true", seconds)

    def labels(self) -> list[dict[str, Any]]:
        return self.evaluate("knowmap.visibleLabels()")

    def position(self, row: int) -> tuple[float, float]:
        at = self.evaluate("i => knowmap.screenPosition(i)", row)
        return at["x"], at["y"]

    def count(self) -> int:
        """How many articles pass the filters and the search, as the page itself says."""
        return int(self.page.inner_text("#count").split()[0].replace(",", ""))

    def settle(self) -> None:
        """Wait until the view has stopped moving and the resting picture is drawn."""
        self.evaluate("knowmap.settled()")


def assert_apart(labels: list[dict]) -> None:
    for a, b in combinations(labels, 2):
        apart = (
            a["rect"]["right"] <= b["rect"]["left"]
            or b["rect"]["right"] <= a["rect"]["left"]
            or a["rect"]["bottom"] <= b["rect"]["top"]
            or b["rect"]["bottom"] <= a["rect"]["top"]
        )
        assert apart, f"{a['text']} and {b['text']} overlap"


def eventually(probe: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} seconds for {what}")
        time.sleep(0.05)
    return value


@contextmanager
def opened(
    browser: Browser, file: Path, *, ready: bool = True, init_script: str | None = None, hash: str = "",
    **context_options: Any
) -> Iterator[OpenMap]:
    options = {"viewport": {"width": 1200, "height": 800}, "color_scheme": "light", "offline": True, **context_options}
    context = browser.new_context(**options)
    try:
        if init_script:
            context.add_init_script(init_script)
        page = context.new_page()
        page.set_default_timeout(90_000)  # a busy machine is slow, not wrong
        opened_map = OpenMap(page)
        page.on("console", lambda message: opened_map.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: opened_map.errors.append(str(error)))
        page.on("dialog", lambda dialog: (opened_map.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: opened_map.requests.append(request.url))
        page.goto(file.as_uri() + hash)
        if ready:
            opened_map.evaluate("knowmap.ready")
            opened_map.settle()
        yield opened_map
        asked = [url for url in opened_map.requests if not url.startswith(("file:", "data:", "blob:"))]
        assert asked == [], "the page asked the network for something"
        assert opened_map.errors == [], "the page complained"
    finally:
        context.close()
