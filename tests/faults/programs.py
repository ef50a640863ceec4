"""The programs that the fault tests run: those of ctest, or of a build that is there."""

from __future__ import annotations

import os
import shutil
import sys
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


# On a Linux whose root runs them, all of them can be run: what is missing there is a fault of the setting-up, and not
# to be passed over in silence. So says `make faults`, and ctest.
STRICT = os.environ.get("KNOWMAP_FAULTS") in ("full", "strict") and sys.platform == "linux" and os.geteuid() == 0


def skip(reason: str) -> None:
    (pytest.fail if STRICT else pytest.skip)(reason)


def needs(*files: str, strace: bool = False) -> pytest.MarkDecorator:
    there = all(Path(file).is_file() for file in files) and (STRACE is not None or not strace)
    if STRICT and not there:
        missing = [file for file in files if not Path(file).is_file()] + ["strace"] * (strace and STRACE is None)
        raise FileNotFoundError(f"{', '.join(missing)} missing: `make build-faults` builds, packages.txt names strace")
    return pytest.mark.skipif(not there, reason="needs a build of tests/faults (`make build-faults`)"
                              + (" and strace" if strace else ""))
