"""How many names stay where articles are added to a map.

    python tests/bench/names_stay.py --articles articles.parquet --store map

A map is made of a part of the articles, drawn at random, then of all of them, going on from the first in its layout,
division and names, as `build_map` does. Beside it one that is laid out anew and told of the first one's regions
(`earlier`), and one that knows of nothing (`anew`). What going on costs is in the last columns: the share of articles
whose subject is that of most of their region, and how many of the 15 nearest in the embedding are so on the map.
With --new-subject the articles added are all of one subject that the first map had none of.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pyarrow.parquet as pq

import knowmap as km

GROWTH = (0.05, 0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True, help="the Parquet that the store was made from")
    parser.add_argument("--store", required=True, help="folder of a store, e.g. a finished map's")
    parser.add_argument("--new-subject", metavar="NAME", help="e.g. Sports")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    machine = harness.print_machine()
    table = pq.read_table(args.articles, columns=["text", "title", "subject"])
    texts, titles, subjects = (np.array(table.column(c).to_pylist(), dtype=object) for c in table.column_names)
    store = km.CheckpointStore(args.store, "r")
    rows = store.read_rows(0, store.rows_held)
    order = np.random.default_rng(0).permutation(len(rows))
    if args.new_subject:
        order = order[np.argsort(subjects[order] == args.new_subject, kind="stable")]
    first_maps = {growth: round(len(rows) / (1 + growth)) for growth in GROWTH}
    if args.new_subject:
        first_maps = {args.new_subject: int((subjects != args.new_subject).sum())}

    def projector() -> Any:
        return km.UmapProjector(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=42)

    def regions(held: np.ndarray, coordinates: np.ndarray, earlier: Any = ()) -> list[Any]:
        return km.name_regions(coordinates, texts[held].tolist(), titles=titles[held].tolist(), embedding=rows[held],
                               earlier=list(earlier))

    def purity(level: Any, of: np.ndarray) -> float:
        known = of != "Uncategorized"
        _, numbers = np.unique(of.astype(str), return_inverse=True)
        counts = np.zeros((len(level.regions), numbers.max() + 1))
        np.add.at(counts, (level.assignment[known], numbers[known]), 1)
        return counts.max(axis=1).sum() / known.sum()

    def kept_near(held: np.ndarray, coordinates: np.ndarray) -> float:
        there = km.knn_graph(rows[held], n_neighbors=15, metric="cosine", exact=True)[0]
        here = km.knn_graph(coordinates, n_neighbors=15, metric="euclidean", exact=True)[0]
        return float(np.mean([len(set(a) & set(b)) / 15 for a, b in zip(there, here, strict=True)]))

    result: dict[str, Any] = {"machine": machine, "growth": {}}
    lines, costs = [], []
    for growth, before in first_maps.items():
        said = growth if isinstance(growth, str) else f"+{growth:.0%}"
        first = projector().fit_transform(rows[order[:before]])
        old = regions(order[:before], first)
        begin = np.full((len(order), 2), np.nan, np.float32)
        begin[:before] = first
        maps = {"anew": projector().fit_transform(rows[order]),
                "goes_on": projector().fit_transform(rows[order], earlier=begin)}
        kinds = {"goes_on": regions(order, maps["goes_on"], old), "told": regions(order, maps["anew"], old),
                 "anew": regions(order, maps["anew"])}
        levels = []
        for depth, level in enumerate(old):
            names = np.array([region.name for region in level.regions], dtype=object)
            row = {"regions": len(names)}
            for kind, made in kinds.items():
                new = made[depth]
                now = np.array([region.name for region in new.regions], dtype=object)
                row[f"regions_{kind}"] = len(now)
                row[f"names_{kind}"] = len(set(names) & set(now)) / len(names)
                same = now[new.assignment[:before]] == names[level.assignment]
                row[f"articles_{kind}"] = float(same.mean())
                row[f"purity_{kind}"] = purity(new, subjects[order])
            levels.append(row)
            shares = [f"{row[f'{what}_{kind}']:.0%}" for what in ("names", "articles") for kind in kinds]
            lines.append([said, depth, f"{row['regions']} → {row['regions_goes_on']}", *shares,
                          *[f"{row[f'purity_{kind}']:.3f}" for kind in kinds]])
        near = {kind: kept_near(order, places) for kind, places in maps.items()}
        costs.append([said, *[f"{share:.4f}" for share in near.values()]])
        result["growth"][said] = {"levels": levels, "neighbours_kept": near}
    harness.print_table(["articles", "level", "regions", "names that stay", "told", "anew",
                         "articles under the same name", "told", "anew", "purity", "told", "anew"], lines)
    harness.print_table(["articles", "neighbours kept: anew", "goes on"], costs)
    harness.write_json(args.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
