"""Whole UMAP, neighbours included: seconds and memory by size, ours beside umap-learn with a seed and without.

    python tests/bench/umap_scale.py --peer-python peers/bin/python --rows embeddings.npy --sizes 1000 10000
    python tests/bench/umap_scale.py --rows generated --sizes 1000000                      # ours alone, made-up rows

Every fit is a process of its own. umap-learn first fits 5,000 rows, so that numba's compiling is not counted; ours is
not warmed. Rows beyond those of the file are refused; "generated" makes them from 20 latent dimensions, 384 wide.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import harness

WAYS = ("ours", "seeded", "unseeded")


def generated(rows: int) -> Any:
    """Rows of intrinsic dimension 20 in 200 clouds, 384 wide, of length 1."""
    import numpy as np

    rng = np.random.default_rng(0)
    to_wide = rng.normal(size=(20, 384)).astype(np.float32)
    centres = rng.normal(size=(200, 20)).astype(np.float32)
    out = np.empty((rows, 384), np.float32)
    for begin in range(0, rows, 50_000):
        end = min(rows, begin + 50_000)
        latent = centres[rng.integers(0, 200, end - begin)] + 0.5 * rng.normal(size=(end - begin, 20))
        part = np.tanh(latent.astype(np.float32) @ to_wide / 4)
        out[begin:end] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return out


def child(way: str, file: Path, rows: int) -> None:
    """One fit; prints its seconds as JSON."""
    import numpy as np

    X = np.array(np.load(file, mmap_mode="r")[:rows])
    if len(X) != rows:
        raise SystemExit(f"{file} holds {len(X):,} rows, not {rows:,}")
    if way == "ours":
        import knowmap as km

        def fit() -> Any:
            return km.UMAP(metric="cosine", random_state=42).fit_transform(X)
    else:

        import umap

        warnings.filterwarnings("ignore")
        umap.UMAP(metric="cosine", random_state=0).fit(X[:5000])
        if way == "unseeded":
            umap.UMAP(metric="cosine").fit(X[:5000])

        def fit() -> Any:
            return umap.UMAP(metric="cosine", random_state=42 if way == "seeded" else None).fit_transform(X)

    start = time.perf_counter()
    map_ = fit()
    seconds = time.perf_counter() - start
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith("VmHWM")) * 1024  # fmt: skip
    print(json.dumps({"seconds": seconds, "peak": peak, "finite": bool(np.isfinite(map_).all())}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, help=".npy of float32 rows, or 'generated'")
    parser.add_argument("--sizes", type=int, nargs="+", required=True)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="default: all that --peer-python allows")
    parser.add_argument("--peer-python", help="the interpreter of the peers' environment")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        child(sys.argv[at + 1], Path(sys.argv[at + 2]), int(sys.argv[at + 3]))
        return 0
    args = parser.parse_args()
    machine = harness.print_machine()
    ways = args.ways or (WAYS if args.peer_python else ("ours",))
    table, figures, failed = [], [], 0
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as folder:
        file = Path(args.rows)
        if args.rows == "generated":
            import numpy as np

            file = Path(folder) / "rows.npy"
            np.save(file, generated(max(args.sizes)))
        for size in args.sizes:
            for way in ways:
                python = sys.executable if way == "ours" else args.peer_python
                try:
                    found = harness.measure(
                        [python, __file__, "--child", way, str(file), str(size)], peer=way != "ours"
                    )
                    told = found.last_json()
                    if not told["finite"]:
                        raise SystemExit(f"{way}: the map of {size:,} rows is not finite")
                except SystemExit as failure:  # what was measured before it must not be lost
                    print(failure, file=sys.stderr, flush=True)
                    failed += 1
                    table.append([f"{size:,}", way, "failed", ""])
                    continue
                seconds, peak = told["seconds"], told["peak"]
                figures.append({"rows": size, "way": way, "seconds": seconds, "peak_bytes": peak})
                table.append([f"{size:,}", way, f"{seconds:.2f}", harness.mebibytes(peak)])
                print(*table[-1], flush=True)
                harness.write_json(args.out, {"machine": machine, "rows": args.rows, "figures": figures})
    print()
    harness.print_table(["rows", "", "seconds", "peak of the process"], table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
