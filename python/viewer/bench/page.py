"""Frame times of the whole map page with a quarter of a million (or any number of) points, in the software renderer.

    python python/viewer/bench/page.py [points] [--profile]

The map is a full one: three levels of named regions, titles, ids, links, a label, a vote, a confidence, neighbours and
votes; no texts. It pans to and fro at three zooms. Exit code 1 where a frame takes more than 100 ms, or the file of a
quarter of a million points 40 MB.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from compare import FLAGS
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from knowmap.render import Column, Level, Neighbors, Region, Votes, render_html

MOST_MS, MOST_MB = 100, 40
SIZES = (10, 60, 400)  # regions by level
ZOOMS = (0, 2, 4)  # doublings from the view of the whole map
ACTIONS = {
    "search, first key": "search('number 12')",
    "search, next key": "search('number 123')",
    "search emptied": "search('')",
    "filter by label": "document.querySelector('#color-control .entry').click()",
    "filter taken back": "document.querySelector('#color-control .entry').click()",
    "colour by a number": "(select.value = 2, select.dispatchEvent(new Event('change')))",
    "open an article": "knowmap.open(1234)",
    "open the regions": "document.querySelector('#tab-regions').click()",
    "open a region": "document.querySelector('#regions .entry').click()",
}
SYLLABLES = ["an", "ba", "cor", "del", "en", "fi", "gra", "hu", "is", "ka", "lo", "men", "no", "or", "per", "qua", "ri"]


def full_map(n: int) -> dict[str, Any]:
    """What `render_html` is given: regions in regions, each a cloud of points."""
    rng = np.random.default_rng(1)
    parent = [np.full(SIZES[0], -1), *(rng.integers(0, above, size) for above, size in pairwise(SIZES))]
    centres: list[NDArray[np.float64]] = [rng.uniform(-10, 10, (SIZES[0], 2))]
    for up, spread in zip(parent[1:], (2.0, 0.5), strict=True):
        centres.append(centres[-1][up] + rng.normal(0, spread, (len(up), 2)))
    finest = rng.integers(0, SIZES[-1], n)
    where = centres[-1][finest] + rng.normal(0, 0.12, (n, 2))
    codes = [finest]
    for up in reversed(parent[1:]):
        codes.insert(0, up[codes[0]])

    def words(most: int) -> str:
        some = ("".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(rng.integers(1, most)))
        return " ".join(some).title()

    levels = []
    for depth, (code, up) in enumerate(zip(codes, parent, strict=True)):
        sizes = np.bincount(code, minlength=SIZES[depth])
        levels.append(Level(f"Level {depth}", code, [
            Region(k, f"{words(3)} {k}", *centres[depth][k], int(sizes[k]), None if up[k] < 0 else int(up[k]),
                   [words(3) for _ in range(8)],
                   [int(i) for i in np.flatnonzero(code == k)[:5]], confidence=float(rng.random()))
            for k in range(SIZES[depth])]))
    near = rng.integers(0, n, (n, 10))
    return {
        "x": where[:, 0], "y": where[:, 1],
        "titles": [f"{words(4)} number {i}" for i in range(n)],
        "ids": range(n),
        "urls": [f"https://en.wikipedia.org/wiki?curid={i}" for i in range(n)],
        "columns": [
            Column("Label", "category", codes[0], [f"label {k}" for k in range(SIZES[0])], role="label"),
            Column("Neighbours' vote", "category", codes[0], [f"label {k}" for k in range(SIZES[0])], role="vote"),
            Column("Confidence", "number", rng.random(n), role="confidence"),
        ],
        "levels": levels,
        "neighbors": Neighbors(near, np.sort(rng.random((n, 10)), axis=1)[:, ::-1]),
        "votes": Votes(rng.integers(0, SIZES[0], (n, 5)), rng.random((n, 5))),
    }


def told(times: list[float]) -> str:
    return (f"median {statistics.median(times):.0f}, 95th hundredth {np.quantile(times, 0.95):.0f}, "
            f"worst {max(times):.0f} ms a frame")


def pan(page: Page, zoom: float) -> list[float]:
    """Frame times at a zoom, in doublings from the view of the whole map."""
    page.evaluate("zoom => knowmap.view.set({...knowmap.view.get(), zoom})", zoom)
    page.evaluate("knowmap.settled()")
    return page.evaluate("knowmap.frameTimes(120)")


def profile(page: Page) -> Counter[str]:
    """Milliseconds by function while panning."""
    session = page.context.new_cdp_session(page)
    session.send("Profiler.enable")
    session.send("Profiler.start")
    page.evaluate("knowmap.frameTimes(120)")
    found = session.send("Profiler.stop")["profile"]
    names = {node["id"]: node["callFrame"]["functionName"] or "(anonymous)" for node in found["nodes"]}
    spent: Counter[str] = Counter()
    for node, micros in zip(found["samples"], found["timeDeltas"], strict=True):
        spent[names[node]] += micros / 1000
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=int, nargs="?", default=250_000)
    parser.add_argument("--profile", action="store_true", help="what the page's functions cost while panning")
    args = parser.parse_args()

    world = full_map(args.points)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        file = render_html(Path(folder) / "map.html", **world)
        written = time.perf_counter() - start
        megabytes = file.stat().st_size / 1e6
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(300_000)
        page.goto(file.as_uri())
        page.evaluate("knowmap.ready")
        shown = page.evaluate("performance.now()")
        page.evaluate("knowmap.settled()")
        complete = page.evaluate("performance.now()")
        print(f"{args.points:,} points, {megabytes:.1f} MB, written in {written:.1f} s; "
              f"shown after {shown / 1000:.1f} s, with every point after {complete / 1000:.1f} s", flush=True)
        worst = 0.0
        for zoom in ZOOMS:
            times = pan(page, zoom)
            worst = max(worst, *times)
            print(f"panning at zoom {zoom}: {told(times)}", flush=True)
        if args.profile:
            for name, milliseconds in profile(page).most_common(20):
                print(f"  {milliseconds:8.0f} ms {name}")
        page.evaluate("knowmap.view.set({...knowmap.view.get(), zoom: 0})")
        for name, action in ACTIONS.items():
            took = page.evaluate(
                """() => {
                     const select = document.querySelector('#color-by');
                     const box = document.querySelector('#search');
                     const search = (query) => {
                       box.value = query;
                       box.dispatchEvent(new Event('input'));
                     };
                     const start = performance.now();
                     ACTION;
                     return performance.now() - start;
                   }""".replace("ACTION", action)
            )
            page.evaluate("knowmap.settled()")
            print(f"{name}: {took:.0f} ms", flush=True)
        browser.close()
    passed = worst <= MOST_MS and megabytes / args.points * 250_000 < MOST_MB
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
