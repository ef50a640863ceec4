"""The neighbour graph of a store whose rows do not fit into the memory allowed.

    python tests/bench/neighbors_of_store.py --rows 500000 --dims 768 --share 0.6

A store of made-up rows (tests/bench/neighbors.py) is written; then a process that may take `share` of the rows' float32
size beyond what it holds when it starts (RLIMIT_DATA) is asked for the graph: first of the rows read into memory, which
has to fail, then of the store. Recall is told by the engine, on rows drawn at random. Not run in CI.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import harness

UNIT = 20_000


def make(folder: Path, rows: int, dims: int, storage: str) -> None:
    """Writes the store, a unit at a time."""
    import neighbors
    import numpy as np

    import knowmap as km

    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        neighbors.make_rows(rows, dims, Path(beside, "rows.npy"))
        made = np.load(Path(beside, "rows.npy"), mmap_mode="r")
        store = km.CheckpointStore(folder, "w")
        store.begin_rows({"model": "made up"}, dims, storage)
        for begin in range(0, rows, UNIT):
            part = np.array(made[begin : begin + UNIT])
            store.commit_rows(begin, part, np.zeros(len(part), np.uint64))


def ask(folder: Path, allowed: int, whole: bool) -> None:
    """One graph under the limit; prints a line of JSON."""
    import knowmap as km

    store = km.CheckpointStore(folder, "r")
    store.read_rows(0, 1)
    km.knn_graph(store.read_rows(0, 1000))  # threads and libraries have their memory now
    held = {line.split()[0]: int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("Vm")}  # fmt: skip
    limit = held["VmData:"] * 1024 + allowed
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    start = time.perf_counter()
    try:
        graph = km.knn_graph(store.read_rows(0, store.rows_held) if whole else store, exact=False)
    except MemoryError:
        print(json.dumps({"failed": "MemoryError"}))
        return
    print(json.dumps({"seconds": time.perf_counter() - start, "recall": graph.recall, "before": held["VmRSS:"] * 1024}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--storage", default="float32", choices=("float32", "float16", "int8"))
    parser.add_argument("--share", type=float, default=0.6, help="of the rows' float32 size that may be taken")
    parser.add_argument("--folder", type=Path, help="where the store is written (default: a temporary folder)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        folder = Path(args.child[1])
        if args.child[0] == "make":
            make(folder, args.rows, args.dims, args.storage)
        else:
            ask(folder, int(args.child[2]), args.child[0] == "whole")
        return 0
    harness.print_machine()
    size = 4 * args.rows * args.dims
    allowed = int(size * args.share)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="knowmap-bench-") as temporary:
        folder = Path(temporary, "store")
        like = ["--rows", str(args.rows), "--dims", str(args.dims), "--storage", args.storage, "--child"]
        harness.measure([sys.executable, __file__, *like, "make", folder])
        print(f"{args.rows:,} × {args.dims} ({harness.mebibytes(size)} as float32), stored as {args.storage}; allowed: "
              f"{harness.mebibytes(allowed)}", flush=True)  # fmt: skip
        whole = harness.measure([sys.executable, __file__, *like, "whole", folder, str(allowed)]).last_json()
        print(f"read into memory: {whole.get('failed', 'it fits, so the limit shows nothing')}", flush=True)
        found = harness.measure([sys.executable, __file__, *like, "store", folder, str(allowed)])
        told = found.last_json()
        if "failed" in told:
            print(f"of the store: {told['failed']}")
            return 1
        grown = found.peak_bytes - told["before"]
        print(f"of the store: {told['seconds']:.1f} s, recall {told['recall']:.4f}, {harness.mebibytes(grown)} taken, "
              f"{grown / size:.2f} of the rows' size")  # fmt: skip
    return 0 if "failed" in whole else 1


if __name__ == "__main__":
    sys.exit(main())
