"""Frame time and size of the libraries that could draw the map's points.

    cd python/viewer/bench && npm install --legacy-peer-deps --no-package-lock && python compare.py

Each candidate draws the same 250,000 points at 1280 x 800 in headless Chromium's software renderer and pans. Two builds
of the page are opened: one under the map's content security policy, one with `unsafe-eval` added, because a
library that compiles its draw calls from strings works only in the second.
"""

import gzip
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]
PAGE = """<!doctype html><meta charset=utf-8>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'{more};
    style-src 'unsafe-inline'; img-src data: blob:">
<style>html,body{{margin:0;height:100%;overflow:hidden}}canvas{{display:block}}</style><body>
<script type=module>{code}</script>"""


def bundle(name: str) -> str:
    command = [
        "npx",
        "esbuild",
        f"{name}.js",
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
        "--log-level=error",
    ]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout.replace(
        "</script", "<\\/script"
    )


def frame_times(browser, code: str, more: str, query: str = "") -> list[float] | str:
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(PAGE.format(code=code, more=more))
        file.flush()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        try:
            page.goto(f"file://{file.name}{query}")
            for _ in range(90):  # wait_for_function would itself need unsafe-eval
                page.wait_for_timeout(500)
                if times := page.evaluate("window.result"):
                    return times
            raise TimeoutError("no result in 45 seconds")
        except Exception as error:
            return f"does not run: {(errors or [str(error)])[0][:120]}"
        finally:
            page.close()


def main() -> None:
    empty = len(bundle("points"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in sys.argv[1:] or ("ours", "deckgl", "regl"):
            code = bundle(name)
            size = f"{(len(code) - empty) / 1000:.0f} kB, {len(gzip.compress(code.encode())) / 1000:.0f} kB gzipped"
            for policy, more in (
                ("strict", ""),
                (
                    "with unsafe-eval",
                    " 'unsafe-eval' 'wasm-unsafe-eval' blob:; worker-src blob:; connect-src data: blob:",
                ),
            ):
                times = frame_times(browser, code, more)
                if not isinstance(times, str):
                    times = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
                print(f"{name:8} {size:32} {policy:17} {times}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
