"""How soon Ctrl-C is answered: from the signal to KeyboardInterrupt in the caller's code, and to the command's words.

    python tests/bench/interrupt.py --articles articles.parquet

A process runs one stage over and over; it is sent SIGINT at random moments of it, and notes when the exception was in
its hands (the clock is the system's, so the two processes read the same). The command is asked in the same way, and
its stderr is read for the message; that it ends is its interpreter's own work and is shown beside. Exit code 1 where
an answer took longer than a tenth of a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

BAR = 0.1

# A stage, on real texts, long enough to be met anywhere; each runs for ever.
_STAGES = {
    "embed": "e = km.Embedder(model); run = lambda: e.encode(texts, progress=False)",
    "tokenize": "e = km.Embedder(model); run = lambda: e.tokenize(texts * 20)",
    "neighbours, exact": "X = rng.normal(size=(20000, 384)); run = lambda: km.knn_graph(X, exact=True)",
    "neighbours, approximate": "X = rng.normal(size=(60000, 128)); run = lambda: km.knn_graph(X, exact=False)",
    "layout": "X = rng.normal(size=(5000, 32)); p = km.UmapProjector(n_epochs=20000); run = lambda: p.fit_transform(X)",
    "regions": "C = rng.normal(size=(len(texts), 2)).astype('f4'); X = rng.normal(size=(len(texts), 64)).astype('f4');"
    " run = lambda: km.name_regions(C, texts, titles=texts, embedding=X)",
}
_PROGRAM = """
import json, sys, time
import numpy as np
import knowmap as km
rng = np.random.default_rng(0)
model, texts = sys.argv[1], json.load(open(sys.argv[2]))
{stage}
print("ready", flush=True)
while True:
    try:
        while True:
            run()
    except KeyboardInterrupt:
        print(time.perf_counter(), flush=True)
"""


def stage_answers(setup: str, model: str, texts: Path, times: int, longest: float) -> list[float]:
    """Seconds from the signal to the exception, at `times` random moments of the stage."""
    program = _PROGRAM.format(stage=setup)
    child = subprocess.Popen(
        [sys.executable, "-c", program, model, str(texts)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    answers = []
    try:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise SystemExit(f"the stage did not start: {setup}")
        for _ in range(times):
            time.sleep(random.uniform(0.05, longest))
            asked = time.perf_counter()
            child.send_signal(signal.SIGINT)
            answers.append(float(child.stdout.readline()) - asked)
    finally:
        child.kill()
        child.wait()
    return answers


def command_answers(articles: Path, model: str, times: int) -> tuple[list[float], list[float]]:
    """The same for `knowmap embed`: seconds until its message, and until its process has ended."""
    said, ended = [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
            store = Path(scratch) / "store"
            command = [sys.executable, "-m", "knowmap", "embed", str(articles), "--model", model, "--out", str(store)]
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            assert child.stderr is not None
            os.set_blocking(child.stderr.fileno(), False)
            heard = b""
            while b"Embedding" not in heard:  # the bar: the engine is at work
                select.select([child.stderr], [], [], 1)
                heard += child.stderr.read() or b""
            time.sleep(random.uniform(0.5, 2.0))
            asked, heard = time.perf_counter(), b""
            child.send_signal(signal.SIGINT)
            while b"knowmap: stopp" not in heard and child.poll() is None:
                select.select([child.stderr], [], [], 0.01)
                heard += child.stderr.read() or b""
            said.append(time.perf_counter() - asked)
            child.wait()
            ended.append(time.perf_counter() - asked)
    return said, ended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True, help="Parquet with a column `text`")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--times", type=int, default=20, help="signals to each stage")
    parser.add_argument("--stages", nargs="+", choices=[*_STAGES, "command"], default=[*_STAGES, "command"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    import pyarrow.parquet as pq

    random.seed(0)
    result: dict[str, Any] = {"machine": harness.print_machine(), "seconds": {}}
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
        texts = Path(scratch) / "texts.json"
        texts.write_text(json.dumps(pq.read_table(args.articles, columns=["text"]).column(0).to_pylist()[:4000]))
        for name in args.stages:
            if name == "command":
                said, ended = command_answers(args.articles, args.model, max(5, args.times // 4))
                result["seconds"] |= {"command, its message": said, "command, its end": ended}
            else:
                result["seconds"][name] = stage_answers(_STAGES[name], args.model, texts, args.times, 1.0)
            print(f"{name}: done", flush=True)
    rows, passed = [], True
    for name, seconds in result["seconds"].items():
        judged = name != "command, its end"
        passed &= not judged or max(seconds) <= BAR
        verdict = harness.verdict(max(seconds) <= BAR) if judged else ""
        rows.append([name, len(seconds), f"{harness.median(seconds) * 1e3:.0f}", f"{max(seconds) * 1e3:.0f}", verdict])
    harness.print_table(["Ctrl-C in", "times", "median ms", "longest ms", f"≤ {BAR * 1e3:.0f} ms"], rows)
    harness.write_json(args.out, result)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
