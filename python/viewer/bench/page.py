"""Frame times of the whole map page with a quarter of a million (or any number of) points, in the software renderer.

python python/viewer/bench/page.py [points]
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from compare import FLAGS
from playwright.sync_api import sync_playwright

from knowmap.render import Column, Level, Neighbors, Region, Votes, render_html

ACTIONS = {
    "search, first key": "search('number 12')",
    "search, next key": "search('number 123')",
    "search emptied": "search('')",
    "filter by label": "document.querySelector('#color-control .entry').click()",
    "filter taken back": "document.querySelector('#color-control .entry').click()",
    "colour by a number": "(select.value = 1, select.dispatchEvent(new Event('change')))",
    "open an article": "knowmap.open(1234)",
    "open a region": "document.querySelector('#regions .entry').click()",
}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 250_000
    rng = np.random.default_rng(1)
    cluster = rng.integers(0, 60, n)
    centres = rng.uniform(-10, 10, (60, 2))
    where = centres[cluster] + rng.normal(0, 0.5, (n, 2))
    regions = [Region(k, f"Region {k}", *centres[k], int((cluster == k).sum())) for k in range(60)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        file = render_html(
            Path(folder) / "map.html",
            x=where[:, 0],
            y=where[:, 1],
            titles=[f"Article number {i}" for i in range(n)],
            ids=range(n),
            columns=[
                Column("Cluster", "category", cluster, [f"cluster {k}" for k in range(60)], role="label"),
                Column("Confidence", "number", rng.random(n), role="confidence"),
            ],
            levels=[Level("Regions", cluster, regions)],
            neighbors=Neighbors(rng.integers(0, n, (n, 10)), rng.random((n, 10))),
            votes=Votes(rng.integers(0, 60, (n, 5)), rng.random((n, 5))),
        )
        written = time.perf_counter() - start
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(file.as_uri())
        page.evaluate("knowmap.ready")
        shown = page.evaluate("performance.now()")
        page.evaluate("knowmap.settled()")
        complete = page.evaluate("performance.now()")
        times = page.evaluate("knowmap.frameTimes(120)")
        print(
            f"{n:,} points, {file.stat().st_size / 1e6:.1f} MB, written in {written:.1f} s; "
            f"shown after {shown / 1000:.1f} s, with every point after {complete / 1000:.1f} s"
        )
        print(
            f"panning: median {statistics.median(times):.0f} ms, "
            f"95th hundredth {np.quantile(times, 0.95):.0f} ms, worst {max(times):.0f} ms a frame"
        )
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
            print(f"{name}: {took:.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
