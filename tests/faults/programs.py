"""The programs that the fault tests run: those of ctest, or of a build that is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FULL = os.environ.get("KNOWMAP_FAULTS") == "full"
STRACE = shutil.which("strace")


def _find(name: str) -> str:
    if folder := os.environ.get("KNOWMAP_STORE_PROGRAMS"):
        return str(Path(folder) / name)
    built = Path(__file__).parents[2].glob(f"build/*/tests/faults/{name}")
    latest = max(built, key=lambda file: file.stat().st_mtime, default=Path("/nowhere"))
    return str(latest)


WRITER, FLIPS = _find("store_writer"), _find("store_flips")
PROBE, SHIM = _find("libstore_probe.so"), _find("libstore_shim.so")


def needs(*files: str, strace: bool = False) -> pytest.MarkDecorator:
    there = all(Path(file).is_file() for file in files) and (STRACE is not None or not strace)
    return pytest.mark.skipif(not there, reason="needs a build of tests/faults (`make build-faults`)"
                              + (" and strace" if strace else ""))
