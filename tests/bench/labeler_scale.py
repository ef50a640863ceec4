"""Time and memory of `KnnLabeler` by rows: fit (calibrated), predict, save and load.

    python tests/bench/labeler_scale.py --rows 250000 1000000

Rows are made up: 400 clouds in 384 dimensions, a label each, which overlap. Each size is a process of its own, whose
peak is read from outside; what the interpreter and the libraries take is told apart. Exit code 1 where the memory of
the largest is more than a tenth above a straight line through 0 and the smallest.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import harness

CLASSES, DIMS, ASKED = 400, 384, 20_000


def child(n: int) -> dict[str, float]:
    """One size, in a process of its own."""
    import numpy as np

    import knowmap as km

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIMS)).astype(np.float32)

    def made(m: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, CLASSES, m)
        rows = np.empty((m, DIMS), np.float32)
        for begin in range(0, m, 10_000):
            part = labels[begin : begin + 10_000]
            rows[begin : begin + 10_000] = centres[part] + 2.5 * rng.standard_normal((len(part), DIMS), np.float32)
        return rows, labels

    if n == 0:
        made(ASKED)
        return {}
    rows, labels = made(n)
    asked, truth = made(ASKED)
    marks = [time.perf_counter()]
    labeler = km.KnnLabeler(15, calibrate=True).fit(rows, labels)
    marks.append(time.perf_counter())
    said = labeler.predict(asked)
    marks.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as folder:
        labeler.save(Path(folder) / "labels.h5")
        marks.append(time.perf_counter())
        del labeler
        again = km.KnnLabeler.load(Path(folder) / "labels.h5")
        marks.append(time.perf_counter())
    assert (again.predict(asked[:1000]) == said[:1000]).all()
    seconds = {name: b - a for name, a, b in zip(("fit", "predict", "save", "load"), marks, marks[1:], strict=False)}
    return seconds | {"accuracy": float((said == truth).mean())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(child(args.child)))
        return 0
    machine = harness.print_machine()
    base = harness.measure([sys.executable, __file__, "--child", "0"]).peak_bytes
    result, lines = [], []
    for n in args.rows:
        run = harness.measure([sys.executable, __file__, "--child", str(n)])
        told = run.last_json() | {"rows": n, "peak_bytes": run.peak_bytes,
                                  "times_rows": (run.peak_bytes - base) / (4 * n * DIMS)}
        result.append(told)
        lines.append([f"{n:,}", *(f"{told[name]:.1f}" for name in ("fit", "predict", "save", "load")),
                      harness.mebibytes(run.peak_bytes), f"{told['times_rows']:.2f}", f"{told['accuracy']:.3f}"])
    harness.print_table([f"rows × {DIMS}", "fit, s", f"predict {ASKED:,}, s", "save, s", "load, s", "peak",
                         "its part above the libraries', in sizes of the rows given", "accuracy"], lines)
    passed = result[-1]["times_rows"] <= 1.1 * result[0]["times_rows"]
    print(harness.verdict(passed))
    harness.write_json(args.out, {"machine": machine, "base_bytes": base, "sizes": result, "passed": passed})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
