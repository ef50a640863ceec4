"""Regions and their names beside BERTopic's topics, on the same embeddings; and a grid of named cells.

    python tests/bench/regions.py --articles articles.parquet --store map --peer-python peers/bin/python

Four fifths of the articles make regions, with as many of them as BERTopic finds topics, and the labels hidden; the rest
is placed in them. Measures, all higher is better:

    purity     share of the held-out articles whose label is that of most articles in their region
    coherence  NPMI of the pairs of a region's first ten phrases, over whole texts; mean over regions
    diversity  share of distinct phrases among those of all regions

Then the levels of a map of all articles beside k-means with as many parts, on the map and on the embeddings: share of
articles whose label is that of most in their region (nothing is held out). And pairs of names that say nearly the same,
singular and plural, at one level or above one another.

Phrases count as found in a text by their words, plural or singular. Exit code 1 where ours is below BERTopic's in one
of them, or takes more than a tenth of its time.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.cluster import KMeans

import knowmap as km

LEVELS = (10, 37, 140)
EMPTY = re.compile(r"\b(various|misc|miscellaneous|other|others|diverse|general|assorted|unknown)\b", re.IGNORECASE)


def stem(word: str) -> str:
    """An English plural's singular, roughly."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class Index:
    """In which texts each run of one to three words stands."""

    def __init__(self, texts: Sequence[str], wanted: set[tuple[str, ...]]) -> None:
        self.rows: dict[tuple[str, ...], set[int]] = {phrase: set() for phrase in wanted}
        self.n = len(texts)
        for i, text in enumerate(texts):
            words = [stem(w) for w in re.findall(r"\w+", text.lower())]
            for length in (1, 2, 3, 4):
                for at in range(len(words) - length + 1):
                    found = self.rows.get(tuple(words[at : at + length]))
                    if found is not None:
                        found.add(i)

    def npmi(self, a: tuple[str, ...], b: tuple[str, ...]) -> float:
        """Normalised pointwise mutual information of two phrases, -1 … 1."""
        both = len(self.rows[a] & self.rows[b]) / self.n
        if both == 0:
            return -1.0
        if both == 1:
            return 1.0
        apart = len(self.rows[a]) / self.n * (len(self.rows[b]) / self.n)
        return float(np.log(both / apart) / -np.log(both))


def words_of(phrase: str) -> tuple[str, ...]:
    """A phrase as the index knows it."""
    return tuple(stem(w) for w in re.findall(r"\w+", phrase.lower()))


def describe(lists: Sequence[Sequence[str]], index: Index) -> dict[str, float]:
    """Coherence and diversity of lists of phrases."""
    keys = [[words_of(p) for p in phrases] for phrases in lists]
    coherence = [np.mean([index.npmi(a, b) for a, b in itertools.combinations(k, 2)]) for k in keys if len(k) > 1]
    said = [k for phrases in keys for k in phrases]
    return {"coherence": float(np.mean(coherence)), "diversity": len(set(said)) / len(said)}


def purity(groups: NDArray[Any], labels: NDArray[Any], placed: NDArray[Any], truth: NDArray[Any]) -> float:
    """Share of placed rows (-1 = not placed) whose label is that of most rows of their group."""
    most = {g: collections.Counter(labels[groups == g]).most_common(1)[0][0] for g in set(groups.tolist()) if g >= 0}
    return float(np.mean([g in most and most[g] == t for g, t in zip(placed.tolist(), truth, strict=True)]))


def beside_k_means(levels: Sequence[Any], coordinates: NDArray[Any], rows: NDArray[Any], labels: NDArray[Any],
                   judged: NDArray[np.bool_]) -> list[list[Any]]:
    """Regions, and the share of articles that their majority's label is right for: ours, k-means' on map and rows."""

    def own(groups: NDArray[Any]) -> float:
        return purity(groups[judged], labels[judged], groups[judged], labels[judged])

    table = []
    for level in levels:
        k = len(level.regions)
        means = [KMeans(k, n_init=3, random_state=0).fit_predict(given) for given in (coordinates, rows)]
        table.append([k, own(level.assignment), *(own(groups) for groups in means)])
    return table


def near_repeats(levels: Sequence[Any]) -> list[tuple[str, str]]:
    """Names whose words are the same but for number, at one level or one above the other."""
    seen = []
    for depth, level in enumerate(levels):
        keys = [frozenset(words_of(region.name)) for region in level.regions]
        seen += [(a.name, b.name) for (a, x), (b, y) in itertools.combinations(
            zip(level.regions, keys, strict=True), 2) if x == y]
        for region, key in zip(level.regions, keys, strict=True):
            up, at = depth, region
            while at.parent >= 0 and up > 0:
                up, at = up - 1, levels[up - 1].regions[at.parent]
                if key == frozenset(words_of(at.name)):
                    seen.append((at.name, region.name))
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True, help="Parquet with text, title and a label")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", help="folder of a store with their embeddings, e.g. a finished map's")
    source.add_argument("--rows", type=Path, help="or the embeddings, .npy")
    parser.add_argument("--label", default="subject")
    parser.add_argument("--without", action="append", default=["Uncategorized"], help="labels not judged by")
    parser.add_argument("--peer-python", type=Path, help="a Python that has BERTopic; else --peer-json")
    parser.add_argument("--peer-json", type=Path, help="what an earlier run of peer_bertopic.py wrote")
    parser.add_argument("--grid", type=int, default=39, help="cells a side")
    parser.add_argument("--show", action="store_true", help="print all names")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    machine = harness.print_machine()
    table = pq.read_table(args.articles, columns=["text", "title", args.label])
    texts, titles, labels = (table.column(c).to_pylist() for c in ("text", "title", args.label))
    labels = np.asarray(labels, dtype=object)
    store = km.CheckpointStore(args.store, "r") if args.store else None
    rows = store.read_rows(0, store.rows_held) if store else np.load(args.rows)
    number = np.arange(len(rows))
    fit, held = number[number % 5 != 0], number[number % 5 == 0]
    judged = held[[label not in args.without for label in labels[held]]]

    with tempfile.TemporaryDirectory() as folder:
        out = args.peer_json or Path(folder) / "peer.json"
        if args.peer_json is None:
            np.save(Path(folder) / "fit.npy", fit)
            np.save(Path(folder) / "held.npy", held)
            np.save(Path(folder) / "rows.npy", rows)
            given = [Path(folder) / f"{name}.npy" for name in ("rows", "fit", "held")]
            script = Path(__file__).with_name("peer_bertopic.py")
            harness.measure([args.peer_python, script, args.articles, *given, out], peer=True)
        peer = json.loads(out.read_text(encoding="utf-8"))
    topics = len(peer["words"])

    fit_texts, fit_titles = [texts[i] for i in fit], [titles[i] for i in fit]
    start = time.perf_counter()
    projector = km.UmapProjector(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=42)
    coordinates = projector.fit_transform(rows[fit])
    mapped = time.perf_counter() - start
    level = km.name_regions(coordinates, fit_texts, titles=fit_titles, embedding=rows[fit], level_sizes=[topics],
                            n_phrases=10)[0]
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    # As an article that comes later is placed: by the regions of its nearest neighbours.
    placer = km.KnnLabeler(15, unlabeled=None).fit(rows[fit], level.assignment)
    placed, sure, _ = placer.predict_with_confidence(rows[held])
    place_seconds = time.perf_counter() - start

    lists = [r.phrases for r in level.regions]
    peer_lists = list(peer["words"].values())
    index = Index(texts, {words_of(p) for phrases in [*lists, *peer_lists] for p in phrases})
    at = {row: i for i, row in enumerate(held.tolist())}
    judged_at = [at[row] for row in judged.tolist()]
    mask = np.array([label not in args.without for label in labels[fit]])
    ours = describe(lists, index) | {
        "purity": purity(level.assignment[mask], labels[fit][mask], placed[judged_at], labels[judged]),
        "placed": 1.0, "seconds": seconds, "map_seconds": mapped, "place_seconds": place_seconds,
        "regions": len(level.regions)}
    peer_topics, peer_placed = np.asarray(peer["topics"]), np.asarray(peer["placed"])[judged_at]
    where = peer_placed >= 0
    # As many articles left out as BERTopic leaves: those whose neighbours agree least.
    surest = np.argsort(-sure[judged_at], kind="stable")[: int(where.sum())]
    ours["purity_of_placed"] = purity(level.assignment[mask], labels[fit][mask], placed[judged_at][surest],
                                      labels[judged][surest])
    theirs = describe(peer_lists, index) | {
        "purity": purity(peer_topics[mask], labels[fit][mask], peer_placed, labels[judged]),
        "purity_of_placed": purity(peer_topics[mask], labels[fit][mask], peer_placed[where], labels[judged][where]),
        "placed": float(where.mean()), "seconds": peer["fit_seconds"], "place_seconds": peer["place_seconds"],
        "regions": topics}
    passed = (all(ours[m] >= theirs[m] for m in ("purity", "coherence", "diversity"))
              and ours["seconds"] <= theirs["seconds"] / 10)
    harness.print_table(
        ["", "regions", "purity", "articles placed", "coherence (NPMI)", "diversity", "seconds", "placing, s"],
        [["knowmap", ours["regions"], f"{ours['purity']:.3f}; of the surest as many "
          f"{ours['purity_of_placed']:.3f}", "100 %", f"{ours['coherence']:.3f}",
          f"{ours['diversity']:.3f}", f"{seconds:.2f}", f"{place_seconds:.2f}"],
         [f"BERTopic {peer['version']}", topics, f"{theirs['purity']:.3f}; of those placed "
          f"{theirs['purity_of_placed']:.3f}", f"{theirs['placed']:.0%}", f"{theirs['coherence']:.3f}",
          f"{theirs['diversity']:.3f}", f"{theirs['seconds']:.2f}", f"{theirs['place_seconds']:.2f}"]])

    whole = projector.fit_transform(rows)
    start = time.perf_counter()
    grid = km.name_grid(whole, texts, titles=titles, embedding=rows, rows=args.grid, columns=args.grid)
    grid_seconds = time.perf_counter() - start
    known = np.array([label not in args.without for label in labels])
    levels = km.name_regions(whole, texts, titles=titles, embedding=rows, level_sizes=LEVELS)
    means = beside_k_means(levels, whole, rows, labels, known)
    harness.print_table(["regions", "knowmap", "k-means on the map", "k-means on the embeddings"],
                        [[k, *(f"{p:.3f}" for p in of)] for k, *of in means])
    repeats = near_repeats(levels)
    print(f"names that nearly repeat one another: {repeats or 'none'}\n")
    names = [r.name for r in grid.regions]
    cells = {"cells": args.grid**2, "with_articles": len(names), "named": sum(bool(n) for n in names),
             "numbered": sum(n.startswith("Region ") for n in names), "distinct": len({n.lower() for n in names}),
             "empty_phrases": sum(bool(EMPTY.search(n)) for n in names), "seconds": grid_seconds}
    harness.print_table(["grid", "cells with articles", "named", "distinct", "empty phrases", "seconds"],
                        [[f"{args.grid} x {args.grid}", len(names), f"{cells['named'] - cells['numbered']}",
                          cells["distinct"], cells["empty_phrases"], f"{grid_seconds:.2f}"]])
    passed &= cells["named"] - cells["numbered"] == len(names) == cells["distinct"] and cells["empty_phrases"] == 0
    if args.show:
        for name, phrases in zip((r.name for r in level.regions), lists, strict=True):
            print(f"{name}: {', '.join(phrases)}")
        print(*names, sep="; ")
        for part in levels:
            print("\n", *(r.name for r in part.regions), sep="; ")
    harness.write_json(args.out, {"machine": machine, "ours": ours, "peer": theirs, "grid": cells, "k_means": means,
                                  "near_repeats": repeats, "passed": passed})
    print(harness.verdict(passed))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
