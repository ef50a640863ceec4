"""Quality of our maps beside umap-learn's, on the same rows, over several seeds of each.

    python tests/bench/map_quality.py --peer-python peers/bin/python --store map --articles articles.parquet

The rows come from a store; exact cosine neighbours in float64 are the truth; NumPy and scikit-learn measure. The bar of
each measure: umap-learn's mean less one standard deviation. Exit code 1 where a bar is missed or thread counts differ.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import knowmap as km

NEIGHBORS = 15


class Measures:
    """The truth about the rows, found once; then figures for each map of them."""

    def __init__(self, rows: NDArray[np.float32], subjects: NDArray[Any], triplets: int, sample: int) -> None:
        x = rows.astype(np.float64)
        self.unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        self.subjects = subjects
        n = len(rows)
        self.neighbors = np.empty((n, NEIGHBORS), np.int64)
        for begin in range(0, n, 1000):
            likeness = self.unit[begin : begin + 1000] @ self.unit.T
            likeness[np.arange(len(likeness)), np.arange(begin, begin + len(likeness))] = -np.inf
            self.neighbors[begin : begin + 1000] = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBORS]
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, n, (2 * triplets, 3))
        distinct = (drawn[:, 0] != drawn[:, 1]) & (drawn[:, 0] != drawn[:, 2]) & (drawn[:, 1] != drawn[:, 2])
        self.triplets = drawn[distinct][:triplets]
        a, b, c = self.triplets.T
        self.nearer = np.einsum("ij,ij->i", self.unit[a], self.unit[b]) > np.einsum(
            "ij,ij->i", self.unit[a], self.unit[c]
        )
        self.sample = np.sort(rng.choice(n, min(n, sample), replace=False))

    def of(self, xy: NDArray[np.float32]) -> dict[str, float]:
        """All figures of a map (n, 2); higher is better."""
        xy = xy.astype(np.float64)
        near = NearestNeighbors(n_neighbors=NEIGHBORS).fit(xy).kneighbors(return_distance=False)
        kept = np.mean(
            [len(np.intersect1d(p, q, assume_unique=True)) for p, q in zip(near, self.neighbors, strict=True)]
        )
        a, b, c = self.triplets.T
        nearer = ((xy[a] - xy[b]) ** 2).sum(1) < ((xy[a] - xy[c]) ** 2).sum(1)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        subject = cross_val_score(KNeighborsClassifier(NEIGHBORS), xy, self.subjects, cv=folds).mean()
        return {
            "15-neighbour preservation": float(kept / NEIGHBORS),
            "random-triplet accuracy": float(np.mean(nearer == self.nearer)),
            "2-D subject accuracy": float(subject),
            "trustworthiness": float(
                trustworthiness(self.unit[self.sample], xy[self.sample], n_neighbors=NEIGHBORS, metric="cosine")
            ),
        }


def mean_sd(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="the interpreter of the peers' environment")
    parser.add_argument("--store", required=True, help="folder of a store, e.g. a finished map's")
    parser.add_argument("--articles", type=Path, required=True, help="the Parquet that the store was made from")
    parser.add_argument("--label", default="subject", help="column of labels (default: subject)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each (default: 5)")
    parser.add_argument("--triplets", type=int, default=100_000)
    parser.add_argument(
        "--sample", type=int, default=3000, help="rows that trustworthiness is measured on (default: 3000)"
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="thread counts that must agree (default: 1 2)"
    )
    parser.add_argument("--limit", type=int, help="only so many rows, evenly drawn")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    store = km.CheckpointStore(args.store, "r")
    subjects = np.asarray(pq.read_table(args.articles, columns=[args.label]).column(0).to_pylist())
    if len(subjects) != store.rows_held:
        raise SystemExit(f"the store holds {store.rows_held:,} rows, but there are {len(subjects):,} articles")
    n = min(args.limit or len(subjects), len(subjects))
    drawn = np.linspace(0, len(subjects) - 1, n).astype(int)
    rows, subjects = store.read_rows(0, len(subjects))[drawn], subjects[drawn]
    seeds = list(range(1, args.seeds + 1))

    def ours(seed: int, threads: int = 0) -> NDArray[np.float32]:
        return km.UmapProjector(
            n_neighbors=15, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=threads
        ).fit_transform(rows)

    print(f"{n:,} rows of {rows.shape[1]}; seeds {seeds}", flush=True)
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as temporary:
        scratch = Path(temporary)
        np.save(scratch / "rows.npy", rows)
        command = [
            args.peer_python,
            Path(__file__).with_name("peer_umap.py"),
            scratch / "rows.npy",
            scratch / "maps.npy",
            "--seeds",
        ]
        peer_seconds = harness.measure([*command, *map(str, seeds)], peer=True).last_json()["seconds"]
        peer_maps = np.load(scratch / "maps.npy")
    print(f"umap-learn fitted: {', '.join(f'{s:.1f}' for s in peer_seconds)} s", flush=True)

    our_maps, our_seconds = [], []
    for seed in seeds:
        start = time.perf_counter()
        our_maps.append(ours(seed))
        our_seconds.append(time.perf_counter() - start)
    print(f"ours fitted: {', '.join(f'{s:.1f}' for s in our_seconds)} s", flush=True)
    digests = {threads: hashlib.sha256(ours(seeds[0], threads).tobytes()).hexdigest() for threads in args.threads}
    same = len(set(digests.values()) | {hashlib.sha256(our_maps[0].tobytes()).hexdigest()}) == 1

    measures = Measures(rows, subjects, args.triplets, args.sample)
    figures = {"ours": [measures.of(m) for m in our_maps], "umap-learn": [measures.of(m) for m in peer_maps]}
    print()
    table, result, passed = [], {}, same
    for name in figures["ours"][0]:
        our_mean, our_sd = mean_sd([f[name] for f in figures["ours"]])
        mean, sd = mean_sd([f[name] for f in figures["umap-learn"]])
        bar = mean - sd
        passed &= our_mean >= bar
        result[name] = {"ours": [our_mean, our_sd], "umap-learn": [mean, sd], "bar": bar, "over_bar": our_mean - bar}
        table.append(
            [
                name,
                f"{our_mean:.4f} ± {our_sd:.4f}",
                f"{mean:.4f} ± {sd:.4f}",
                f"{bar:.4f}",
                f"{our_mean - bar:+.4f}",
                harness.verdict(our_mean >= bar),
            ]
        )
    (our_mean, our_sd), (mean, sd) = mean_sd(our_seconds), mean_sd(peer_seconds)
    table.append(
        [
            "fit seconds (numba's compiling not counted)",
            f"{our_mean:.2f} ± {our_sd:.2f}",
            f"{mean:.2f} ± {sd:.2f}",
            "",
            "",
            "",
        ]
    )
    harness.print_table(["", "knowmap", "umap-learn", "bar", "over it", ""], table)
    counts = ", ".join(map(str, args.threads))
    print(f"bytes of seed {seeds[0]} on {counts} thread(s): {'the same' if same else 'DIFFERENT'}")
    harness.write_json(
        args.out,
        {
            "machine": machine,
            "rows": n,
            "seeds": seeds,
            "measures": result,
            "figures": figures,
            "seconds": {"ours": our_seconds, "umap-learn": peer_seconds},
            "same_bytes": same,
            "digests": digests,
            "passed": passed,
        },
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
