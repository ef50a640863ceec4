"""Fetches the files of a model from the Hugging Face hub, through huggingface_hub: just those that the engine reads."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from knowmap._core import ModelError

# Small files of the repository's root; they tell which others there are.
_DESCRIPTIONS = ["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json",
                 "config_sentence_transformers.json", "sentence_*_config.json", "model.safetensors.index.json"]
# A module's own folder (modules.json names them): Pooling has a config, Dense weights too, a transformer all of it.
_OF_MODULE = ["config.json", "tokenizer.json", "tokenizer_config.json", "sentence_*_config.json",
              "model.safetensors", "model.safetensors.index.json"]
# Kinds of modules that have weights, and those that have the tokenizer.
_WITH_WEIGHTS = ("Transformer", "StaticEmbedding", "Dense", "LayerNorm")
_WITH_TOKENIZER = ("Transformer", "StaticEmbedding")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def fetch(repository: str, *, revision: str | None = None) -> Path:
    """The folder, in huggingface_hub's cache, of a repository ("owner/name") at a revision (None = its main branch).

    What is in the cache is not fetched again; a connection that breaks is taken up where it broke, and weights that
    came are compared with the hash that the hub gives. Without a network, or with ``HF_HUB_OFFLINE=1``, the cache alone
    is looked at. Only safetensors are fetched: weights that are there as pickles alone are refused. Raises
    `ModelError`.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError:
        raise ModelError(f"'{repository}' is no folder here, and huggingface_hub, which fetches models, is not "
                         f"installed: pip install huggingface_hub") from None

    def snapshot(patterns: list[str], at: str | None) -> Path:
        return Path(huggingface_hub.snapshot_download(repository, revision=at, allow_patterns=patterns))

    blobs = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs"
    known = {blob.name for blob in blobs.glob("*")}
    try:
        folder = snapshot(_DESCRIPTIONS, revision)
        # From here on the commit that was found, lest another come between: a snapshot's folder is named by it.
        modules = _modules(folder)
        snapshot([str(m.place / file) for m in modules for file in _OF_MODULE], folder.name)
        shards = [shard for m in modules for shard in _shards(folder, m.place)]
        if shards:
            snapshot(shards, folder.name)
        _check_hashes(folder, known)
    except ModelError:
        raise
    except Exception as error:  # many kinds: the client's own, its HTTP library's, the system's
        raise ModelError(_explain(repository, revision, error)) from error
    missing = _missing(folder, modules)
    if missing:
        try:
            files = huggingface_hub.list_repo_files(repository, revision=folder.name)
        except Exception:  # offline; what is missing can be said all the same
            files = []
        raise ModelError(_refusal(repository, folder, missing, files))
    return folder


def _check_hashes(folder: Path, known: set[str]) -> None:
    """Compares large files that are new in the cache with their SHA-256, by which it names them."""
    for file in (path for path in folder.rglob("*") if path.is_symlink()):
        blob = file.resolve()
        if blob.name in known or not re.fullmatch("[0-9a-f]{64}", blob.name):
            continue
        with blob.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != blob.name:
            file.unlink()
            blob.unlink()
            raise ModelError(f"'{file}' was damaged on its way from the hub: its SHA-256 is {found}, not {blob.name}. "
                             f"It has been taken away; run it again")


@dataclass(frozen=True)
class _Module:
    """A line of modules.json: the folder inside the repository, and what it is ("Transformer", "Pooling", …)."""

    place: PurePosixPath
    kind: str


def _modules(folder: Path) -> list[_Module]:
    file = folder / "modules.json"
    if not file.is_file():
        return [_Module(PurePosixPath(), "Transformer")]
    try:
        modules = [_Module(PurePosixPath(line["path"]), str(line.get("type", "")).rpartition(".")[2])
                   for line in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"'{file}' is no list of modules with a path each: {error}") from error
    for module in modules:
        if module.place.is_absolute() or ".." in module.place.parts:
            raise ModelError(f"'{file}' names a folder outside of the model: '{module.place}'")
    return modules


def _shards(folder: Path, place: PurePosixPath) -> list[str]:
    """Paths in the repository of the files of weights that an index names; none where there is no index."""
    index = folder / place / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"'{index}' is no index of weights: {error}") from error
    for name in names:
        if not isinstance(name, str) or PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"'{index}' names {name!r} as a file of weights; that must be a plain name that ends in "
                             f".safetensors")
    return [str(place / name) for name in names]


def _missing(folder: Path, modules: list[_Module]) -> list[str]:
    """Files without which the engine can't run the model, by their paths in the repository."""
    missing = []
    for module in modules:
        held = folder / module.place
        if module.kind in _WITH_WEIGHTS and not (held / "model.safetensors").is_file():
            missing += [shard for shard in _shards(folder, module.place) or [str(module.place / "model.safetensors")]
                        if not (folder / shard).is_file()]
        if module.kind in _WITH_TOKENIZER and not (held / "tokenizer.json").is_file():
            missing.append(str(module.place / "tokenizer.json"))
    return missing


def _refusal(repository: str, folder: Path, missing: list[str], files: list[str]) -> str:
    places = {PurePosixPath(file).parent for file in missing if file.endswith(".safetensors")}
    pickles = [file for file in files if file.endswith(_PICKLED) and PurePosixPath(file).parent in places]
    if pickles:
        return (f"'{repository}' has weights as pickles ({', '.join(pickles[:3])}), which can run code when they are "
                f"read; knowmap reads safetensors only. Take a revision that has {missing[0]}, or convert the model: "
                f"SentenceTransformer('{repository}').save_pretrained('folder') writes safetensors; give that folder")
    way = ("AutoTokenizer.from_pretrained(name).save_pretrained('folder') writes one"
           if missing[0].endswith("tokenizer.json") else "so it is no model that knowmap can run")
    return f"'{repository}' (commit {folder.name}) has no {', '.join(missing[:3])}; {way}"


def _explain(repository: str, revision: str | None, error: Exception) -> str:
    """What went wrong, and the way out, in one line."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, errors.GatedRepoError):
        return (f"'{repository}' is gated: ask for access at {page}, then log in with `hf auth login` or set HF_TOKEN")
    if isinstance(error, errors.RepositoryNotFoundError):
        return (f"there is no folder '{repository}' here and no such model on the hub ({page}), or it is private: "
                f"check the name, or log in with `hf auth login` or HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return f"'{repository}' has no revision '{revision}' on the hub; a branch, a tag or a commit is one"
    if isinstance(error, errors.LocalEntryNotFoundError):
        of = f" at revision '{revision}'" if revision else ""
        cache = os.fspath(constants.HF_HUB_CACHE)
        if constants.HF_HUB_OFFLINE:
            return (f"'{repository}'{of} is not in the cache ({cache}), or not all of it, and HF_HUB_OFFLINE forbids "
                    f"asking the hub; unset it once to fetch the model, or give a folder")
        cause = _first_line(error.__cause__ or error)
        return (f"'{repository}'{of} is not in the cache ({cache}), or not all of it, and the hub "
                f"({constants.ENDPOINT}) could not be asked: {cause}. Run it again when it can be reached: what was "
                f"fetched is kept")
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return (f"'{repository}' does not fit on the disk of the cache ({os.fspath(constants.HF_HUB_CACHE)}): make "
                f"room, or set HF_HOME to a folder on another disk, and run it again: what was fetched is kept")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (f"the cache ({os.fspath(constants.HF_HUB_CACHE)}) cannot be written: {_first_line(error)}. Set HF_HOME "
                f"to a folder that can, or give a folder that holds the model")
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = f"HTTP {status}: {_first_line(error)}" if status else _first_line(error)
    return (f"'{repository}' could not be fetched from the hub ({constants.ENDPOINT}): {said}. Run it again: files "
            f"that were fetched are kept")


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(error).__name__
