"""The pictures of docs/images, from a map's page.

    python python/viewer/bench/pictures.py map/map.html docs/images
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compare import FLAGS
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ARTICLE = "Plate tectonics"
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


def article(page: Page) -> None:
    page.fill("#search", ARTICLE)
    page.keyboard.press("Enter")
    page.click("#clear-search")


def filters(page: Page) -> None:
    page.click("#tab-filters")
    page.locator("summary", has_text="Confidence").click()
    page.get_by_label("Confidence, lowest value").fill("0.9")
    page.keyboard.press("Enter")


def region(page: Page) -> None:
    page.click("#tab-regions")
    page.locator("#regions .entry:visible").nth(4).click()


SHOTS: dict[str, tuple[dict[str, Any], Callable[[Page], None]]] = {
    "map": (DESKTOP, lambda page: None),
    "viewer-article": (DESKTOP, article),
    "viewer-filters": (DESKTOP, filters),
    "viewer-region-dark": (DESKTOP | {"color_scheme": "dark"}, region),
    "viewer-phone": (PHONE, article),
    "viewer-phone-dark": (PHONE | {"color_scheme": "dark"}, lambda page: None),
}


def main(file: Path, out: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (options, act) in SHOTS.items():
            page = browser.new_context(**options).new_page()
            page.goto(file.resolve().as_uri())
            page.evaluate("knowmap.ready")
            page.evaluate("knowmap.settled()")
            act(page)
            page.wait_for_timeout(500)
            page.evaluate("knowmap.settled()")
            page.evaluate("document.activeElement.blur()")
            page.mouse.move(2, 2)
            page.wait_for_timeout(300)
            shot = out / f"{name}.png"
            page.screenshot(path=shot)
            Image.open(shot).convert("RGB").save(shot, optimize=True)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
