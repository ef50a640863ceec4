"""The neighbour graph beside pynndescent and hnswlib: wall and CPU seconds, recall against exact float64 neighbours.

    python tests/bench/neighbors.py --peer-python PEER_PYTHON --data rows.npy
    python tests/bench/neighbors.py --peer-python PEER_PYTHON --rows 200000 --dims 768

Without --data, rows are made with an intrinsic dimension of 20. Each measured call runs in its own process, after an
untimed call on a few rows (numba compiles there). `knowmap-file` is given the file instead of an array, `knowmap@0.999`
asks for that recall. The peak is the resident memory of the process, the input in it, less what the interpreter and its
libraries held before, over the input's size. Not run in CI.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

K = 15
SAMPLE = 1000


def make_rows(n: int, d: int, path: Path) -> None:
    """Rows on a curved sheet of 20 dimensions around 200 centres, written block by block."""
    rng = np.random.default_rng(0)
    turn = rng.standard_normal((20, d)).astype(np.float32)
    centres = rng.standard_normal((200, 20)).astype(np.float32)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for begin in range(0, n, 50_000):
        count = min(50_000, n - begin)
        low = centres[rng.integers(200, size=count)] + 0.5 * rng.standard_normal((count, 20)).astype(np.float32)
        rows[begin : begin + count] = np.sin(low @ turn / 2)
    rows.flush()


def truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sampled rows and the similarity of their K-th neighbour, in float64."""
    rows = np.load(path, mmap_mode="r")
    sample = np.sort(np.random.default_rng(1).choice(len(rows), min(SAMPLE, len(rows)), replace=False))

    def unit(block: np.ndarray) -> np.ndarray:
        block = block.astype(np.float64)
        return block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-300)

    queries = unit(rows[sample])
    best = np.full((len(sample), 0), -np.inf)
    for begin in range(0, len(rows), 8192):
        scores = queries @ unit(rows[begin : begin + 8192]).T
        inside = (sample >= begin) & (sample < begin + scores.shape[1])
        scores[np.flatnonzero(inside), sample[inside] - begin] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = -np.partition(-both, K - 1, axis=1)[:, :K]
    return sample, best.min(axis=1)


def recall(path: Path, indices: np.ndarray, sample: np.ndarray, last: np.ndarray) -> float:
    """The share of the sampled rows' true neighbours among those found; of equally near ones any will do."""
    rows = np.load(path, mmap_mode="r")
    hits = 0
    for i, least in zip(sample, last, strict=True):
        others = [j for j in dict.fromkeys(indices[i].tolist()) if j not in (i, -1)][:K]
        near = rows[others].astype(np.float64)
        own = rows[i].astype(np.float64)
        cosine = near @ own / (np.linalg.norm(near, axis=1) * np.linalg.norm(own))
        hits += int((cosine >= least - 1e-12).sum())
    return hits / (K * len(sample))


def child(engine: str, path: Path, out: Path, threads: int) -> None:
    """One engine's graph, timed; prints a line of JSON."""
    few = np.array(np.load(path, mmap_mode="r")[:2000])
    rows = few
    told = None
    if engine.startswith("knowmap"):
        import knowmap as km

        wanted = {"target_recall": float(engine.split("@")[1])} if "@" in engine else {}

        def run(x: np.ndarray) -> np.ndarray:
            nonlocal told
            graph = km.knn_graph(path if engine.endswith("file") and x is rows else x, K, exact=False, n_jobs=threads,
                                 **wanted)
            told = graph.recall
            return graph.indices
    elif engine.startswith("pynndescent"):
        from pynndescent import NNDescent

        def run(x: np.ndarray) -> np.ndarray:
            more = {}
            if engine.endswith("umap"):  # what umap-learn asks for
                more = {
                    "n_trees": min(64, 5 + round(len(x) ** 0.5 / 20)),
                    "n_iters": max(5, round(math.log2(len(x)))),
                    "max_candidates": 60,
                }
            index = NNDescent(x, n_neighbors=K + 1, metric="cosine", n_jobs=threads, random_state=1, **more)
            return index.neighbor_graph[0]
    else:
        import hnswlib

        def run(x: np.ndarray) -> np.ndarray:
            index = hnswlib.Index(space="cosine", dim=x.shape[1])
            index.init_index(max_elements=len(x), ef_construction=100, M=16)
            index.set_num_threads(threads)
            index.add_items(x)
            index.set_ef(60)
            return index.knn_query(x, k=K + 1)[0].astype(np.int32)

    def memory(which: str) -> int:  # not ru_maxrss: that is the parent's at least
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(which)) * 1024

    run(few)
    held = memory("VmRSS")
    rows = np.load(path, mmap_mode="r" if engine.endswith("file") else None)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    indices = run(rows)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    np.save(out, indices)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = memory("VmHWM") - held
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak, "input": rows.nbytes, "told": told}))


def main() -> None:
    """Measures every engine on one set and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a .npy file of float32 rows")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--engines", default="knowmap,pynndescent,pynndescent-umap,hnswlib")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], args.data, Path(args.child[1]), args.threads)
        return
    from harness import measure, print_machine, print_table

    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        path = args.data or Path(folder, "rows.npy")
        if args.data is None:
            make_rows(args.rows, args.dims, path)
        sample, last = truth(path)
        table, failed = [], 0
        for engine in args.engines.split(","):
            ours = engine.startswith("knowmap")
            out = Path(folder, "indices.npy")
            try:
                runs = [
                    measure([sys.executable if ours else args.peer_python, __file__, "--data", path,
                             "--threads", str(args.threads), "--child", engine, out], peer=not ours).last_json()
                    for _ in range(args.repeats)
                ]  # fmt: skip
            except SystemExit as failure:  # the others' figures must not be lost
                print(failure, file=sys.stderr, flush=True)
                table.append([engine, "failed", "", "", "", ""])
                failed += 1
                continue
            best = min(runs, key=lambda r: r["wall"])
            table.append([engine, f"{best['wall']:.2f}", f"{best['cpu']:.2f}",
                          f"{recall(path, np.load(out), sample, last):.4f}",
                          "" if best["told"] is None else f"{best['told']:.4f}",
                          f"{best['peak'] / best['input']:.2f}"])  # fmt: skip
            print(*table[-1], flush=True)
        print(f"{path.name}: {np.load(path, mmap_mode='r').shape}, cosine, {K} neighbours, {args.threads} threads\n")
        print_table(["", "wall s", "CPU s", "recall", "as told", "peak / input"], table)
    if failed:
        raise SystemExit(f"{failed} engines failed")


if __name__ == "__main__":
    main()
