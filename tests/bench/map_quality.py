"""Quality of our maps beside umap-learn's, on the same rows, over several seeds of each.

    python tests/bench/map_quality.py --peer-python peers/bin/python --store map --articles articles.parquet
    python tests/bench/map_quality.py --peer-python peers/bin/python --set digits      # or patches, or rows.npy

The rows come from a store, from a .npy file beside the articles' table, or from scikit-learn: its digits (euclidean),
or 3,000 patches of 8 x 8 pixels of its two photographs. Exact neighbours in float64 are the truth; NumPy, SciPy and
scikit-learn measure. The bar of each measure: umap-learn's mean less one standard deviation. Exit code 1 where a bar
is missed or thread counts differ.
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
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_sample_images
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import knowmap as km

NEIGHBORS = 15


class Measures:
    """The truth about the rows, found once; then figures for each map of them."""

    def __init__(
        self, rows: NDArray[np.float32], labels: NDArray[Any], metric: str, triplets: int, sample: int
    ) -> None:
        self.rows = rows.astype(np.float64)
        self.labels, self.metric = labels, metric
        n = len(rows)
        self.widths = [k for k in (15, 50, 150) if k < n]
        most = self.widths[-1]
        self.neighbors = np.empty((n, most), np.int64)
        for begin in range(0, n, 1000):
            apart = pairwise_distances(self.rows[begin : begin + 1000], self.rows, metric=metric)
            apart[np.arange(len(apart)), np.arange(begin, begin + len(apart))] = np.inf
            self.neighbors[begin : begin + 1000] = np.argsort(apart, axis=1, kind="stable")[:, :most]
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, n, (2 * triplets, 3))
        distinct = (drawn[:, 0] != drawn[:, 1]) & (drawn[:, 0] != drawn[:, 2]) & (drawn[:, 1] != drawn[:, 2])
        self.triplets = drawn[distinct][:triplets]
        self.to_second, self.to_third = self._sides(self.rows, metric)
        self.sample = np.sort(rng.choice(n, min(n, sample), replace=False))

    def _sides(self, x: NDArray[np.float64], metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances from each triplet's first to its second and third."""
        if metric == "cosine":
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
        a, b, c = self.triplets.T
        return np.linalg.norm(x[a] - x[b], axis=1), np.linalg.norm(x[a] - x[c], axis=1)

    def of(self, xy: NDArray[np.float32]) -> dict[str, float]:
        """All figures of a map (n, 2); higher is better."""
        xy = xy.astype(np.float64)
        near = NearestNeighbors(n_neighbors=self.widths[-1]).fit(xy).kneighbors(return_distance=False)
        figures = {}
        for k in self.widths:
            kept = [
                len(np.intersect1d(p[:k], q[:k], assume_unique=True))
                for p, q in zip(near, self.neighbors, strict=True)
            ]
            figures[f"{k}-neighbour preservation"] = float(np.mean(kept) / k)
        second, third = self._sides(xy, "euclidean")
        figures["random-triplet accuracy"] = float(np.mean((second < third) == (self.to_second < self.to_third)))
        figures["Spearman of distances"] = float(spearmanr(second, self.to_second).statistic)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        figures["2-D label accuracy"] = float(
            cross_val_score(KNeighborsClassifier(NEIGHBORS), xy, self.labels, cv=folds).mean()
        )
        figures["trustworthiness"] = float(
            trustworthiness(self.rows[self.sample], xy[self.sample], n_neighbors=NEIGHBORS, metric=self.metric)
        )
        return figures


def load(args: argparse.Namespace) -> tuple[NDArray[np.float32], NDArray[Any], str]:
    """Rows, their labels, the metric."""
    if args.set == "digits":
        X, y = load_digits(return_X_y=True)
        return X.astype(np.float32), y, "euclidean"
    if args.set == "patches":
        rng = np.random.default_rng(0)
        rows, labels = [], []
        for which, image in enumerate(load_sample_images().images):
            for _ in range(1500):
                top, left = rng.integers(0, image.shape[0] - 8), rng.integers(0, image.shape[1] - 8)
                rows.append(image[top : top + 8, left : left + 8].ravel() / 255)
                labels.append(which)
        return np.asarray(rows, np.float32), np.asarray(labels), "euclidean"
    labels = np.asarray(pq.read_table(args.articles, columns=[args.label]).column(0).to_pylist())
    if args.set is not None:
        rows = np.load(args.set)
    else:
        store = km.CheckpointStore(args.store, "r")
        rows = store.read_rows(0, store.rows_held)
    if len(labels) != len(rows):
        raise SystemExit(f"there are {len(rows):,} rows, but {len(labels):,} articles")
    return rows, labels, "cosine"


def mean_sd(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="the interpreter of the peers' environment")
    parser.add_argument("--store", help="folder of a store, e.g. a finished map's")
    parser.add_argument("--set", help="'digits', 'patches', or a .npy of rows, instead of a store")
    parser.add_argument("--articles", type=Path, help="the Parquet that the rows were made from")
    parser.add_argument("--label", default="subject", help="column of labels (default: subject)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each (default: 5)")
    parser.add_argument("--first-seed", type=int, default=1, help="ours begin here (default: 1)")
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
    rows, labels, metric = load(args)
    n = min(args.limit or len(rows), len(rows))
    drawn = np.linspace(0, len(rows) - 1, n).astype(int)
    rows, labels = rows[drawn], labels[drawn]
    peer_seeds = list(range(1, args.seeds + 1))
    seeds = [args.first_seed + i for i in range(args.seeds)]

    def ours(seed: int, threads: int = 0) -> NDArray[np.float32]:
        return km.UmapProjector(
            n_neighbors=15, min_dist=0.1, metric=metric, random_state=seed, n_jobs=threads
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
            "--metric",
            metric,
            "--seeds",
        ]
        peer_seconds = harness.measure([*command, *map(str, peer_seeds)], peer=True).last_json()["seconds"]
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

    measures = Measures(rows, labels, metric, args.triplets, args.sample)
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
