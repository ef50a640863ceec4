"""Our embeddings beside sentence-transformers' in float32, and beside themselves in other batches.

    python tests/bench/embed_equality.py --peer-python peers/bin/python --articles articles.parquet --out equality.json

The texts are drawn by a fixed seed. Lowest cosine of ours in float32 and in bfloat16; then the same texts one by one,
in sevens, shuffled, backwards, on other thread counts and in little memory: the bytes must not change. Exit code 1
where they do, or a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import knowmap as km
from knowmap import models

BARS = {"float32": 0.99999, "bfloat16": 0.9998}


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Of each row with its like, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.einsum("ij,ij->i", a, b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def other_ways(texts: list[str], model: str, precision: str) -> dict[str, NDArray[np.float32]]:
    """The same rows, met in other batches."""
    embedder = km.Embedder(model, device="cpu", precision=precision)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = np.empty((len(texts), embedder.dimension), np.float32)
    shuffled[order] = embedder.encode([texts[i] for i in order], progress=False)
    ways = {
        "one by one": np.concatenate([embedder.encode([t], progress=False) for t in texts]),
        "in sevens": np.concatenate(
            [embedder.encode(texts[i : i + 7], progress=False) for i in range(0, len(texts), 7)]
        ),
        "shuffled": shuffled,
        "backwards": embedder.encode(texts[::-1], progress=False)[::-1],
    }
    for threads in (1, 2, 3):
        other = km.Embedder(model, device="cpu", precision=precision, threads=threads)
        ways[f"{threads} thread{'s' * (threads > 1)}"] = other.encode(texts, progress=False)
    little = km.Embedder(model, device="cpu", precision=precision, memory_limit=256 << 20)
    ways["in 256 MiB"] = little.encode(texts, progress=False)
    return ways


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="the interpreter of the peers' environment")
    parser.add_argument("--articles", type=Path, required=True, help="Parquet with a column of texts")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="a model's folder, or its name")
    parser.add_argument("--limit", type=int, default=1000, help="how many texts (default: 1000)")
    parser.add_argument("--only-cosine", action="store_true", help="leave out the other batches, eight times the work")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    everything = pq.read_table(args.articles, columns=["text"]).column(0).to_pylist()
    drawn = np.random.default_rng(0).choice(len(everything), min(args.limit, len(everything)), replace=False)
    texts = [everything[i] for i in np.sort(drawn)]
    folder = str(models.resolve(args.model))
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as temporary:
        scratch = Path(temporary)
        (scratch / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        command = [
            args.peer_python,
            Path(__file__).with_name("peer_embed.py"),
            scratch / "texts.json",
            scratch / "rows.npy",
        ]
        said = harness.measure([*command, "--model", folder], peer=True).last_json()
        theirs = np.load(scratch / "rows.npy")
    print(
        f"{len(texts):,} texts; sentence-transformers: {said['dtype']}, at most {said['max_seq_length']} tokens, "
        f"{said['seconds']:.1f} s\n",
        flush=True,
    )

    result: dict[str, Any] = {"machine": machine, "texts": len(texts), "precisions": {}}
    table, equal, passed = [], [], True
    for precision, bar in BARS.items():
        embedder = km.Embedder(folder, device="cpu", precision=precision)
        start = time.perf_counter()
        rows = embedder.encode(texts, progress=False)
        seconds = time.perf_counter() - start
        alike = cosines(rows, theirs)
        ways = {
            name: int(np.sum((other.view(np.uint32) != rows.view(np.uint32)).any(axis=1)))
            for name, other in ({} if args.only_cosine else other_ways(texts, folder, precision)).items()
        }
        fits = bool(alike.min() >= bar) and not any(ways.values())
        passed &= fits
        table.append(
            [
                precision,
                f"{alike.min():.8f}",
                f"{np.median(alike):.8f}",
                f"{np.abs(rows - theirs).max():.1e}",
                f"≥ {bar}",
                f"{seconds:.1f}",
                harness.verdict(alike.min() >= bar),
            ]
        )
        equal.append([precision, *("equal" if count == 0 else f"{count} ROWS DIFFER" for count in ways.values())])
        result["precisions"][precision] = {
            "lowest_cosine": float(alike.min()),
            "median_cosine": float(np.median(alike)),
            "bar": bar,
            "seconds": seconds,
            "largest_difference": float(np.abs(rows - theirs).max()),
            "rows_that_differ": ways,
        }
    result["passed"] = passed

    harness.print_table(["ours", "lowest cosine", "median", "largest difference", "bar", "seconds", ""], table)
    if not args.only_cosine:
        print("Bytes of each row, beside all texts in one call:\n")
        harness.print_table(["ours", *ways], equal)
    harness.write_json(args.out, result)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
