"""Frame times of the whole map page with a quarter of a million (or any number of) points, in the software renderer.

python python/viewer/bench/page.py [points]
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from compare import FLAGS
from playwright.sync_api import sync_playwright

from knowmap.render import Column, Level, Region, render_html


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 250_000
    rng = np.random.default_rng(1)
    cluster = rng.integers(0, 60, n)
    centres = rng.uniform(-10, 10, (60, 2))
    where = centres[cluster] + rng.normal(0, 0.5, (n, 2))
    regions = [Region(k, f"Region {k}", *centres[k], int((cluster == k).sum())) for k in range(60)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = render_html(
            Path(folder) / "map.html",
            x=where[:, 0],
            y=where[:, 1],
            titles=[f"Article number {i}" for i in range(n)],
            columns=[Column("Cluster", "category", cluster, [f"cluster {k}" for k in range(60)])],
            levels=[Level("Regions", cluster, regions)],
        )
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(file.as_uri())
        page.evaluate("knowmap.ready.then(() => knowmap.settled())")
        shown = page.evaluate("performance.now()")
        times = page.evaluate("knowmap.frameTimes(60)")
        found = page.evaluate(
            """async () => {
                 const box = document.querySelector('#search');
                 const search = (query) => {
                   const start = performance.now();
                   box.value = query;
                   box.dispatchEvent(new Event('input'));
                   return performance.now() - start;
                 };
                 return [search('number 12'), search('number 123')];
               }"""
        )
        browser.close()
        print(f"{n:,} points, {file.stat().st_size / 1e6:.1f} MB; shown after {shown / 1000:.1f} s")
        print(
            f"panning: median {statistics.median(times):.0f} ms, "
            f"95th hundredth {np.quantile(times, 0.95):.0f} ms, worst {max(times):.0f} ms a frame"
        )
        print(f"search: first key {found[0]:.0f} ms, next {found[1]:.0f} ms")


if __name__ == "__main__":
    main()
