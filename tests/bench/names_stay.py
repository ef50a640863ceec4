"""How many names stay where articles are added to a map.

    python tests/bench/names_stay.py --articles articles.parquet --store map

A map is made of a part of the articles, drawn at random, then of all of them, laid out and divided anew; the second is
told of the first (`earlier`), as `build_map` tells it. Beside it the same without being told, and one told whose map is
the first one's, updated (`UmapProjector.update`).
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
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    machine = harness.print_machine()
    table = pq.read_table(args.articles, columns=["text", "title"])
    texts, titles = (np.array(table.column(c).to_pylist(), dtype=object) for c in ("text", "title"))
    store = km.CheckpointStore(args.store, "r")
    rows = store.read_rows(0, store.rows_held)
    order = np.random.default_rng(0).permutation(len(rows))

    def projector() -> Any:
        return km.UmapProjector(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=42)

    def regions(held: np.ndarray, coordinates: np.ndarray, earlier: Any = ()) -> list[Any]:
        return km.name_regions(coordinates, texts[held].tolist(), titles=titles[held].tolist(), embedding=rows[held],
                               earlier=list(earlier))

    result: dict[str, Any] = {"machine": machine, "growth": {}}
    lines = []
    for growth in GROWTH:
        before = round(len(rows) / (1 + growth))
        first = projector().fit(rows[order[:before]])
        old = regions(order[:before], first.embedding_)
        anew = projector().fit_transform(rows[order])
        kinds = {"told": regions(order, anew, old), "alone": regions(order, anew)}
        kinds["updated"] = regions(order, first.update(rows[order[before:]]).embedding_, old)
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
            levels.append(row)
            shares = [f"{row[f'{what}_{kind}']:.0%}" for what in ("names", "articles") for kind in kinds]
            lines.append([f"+{growth:.0%}", depth, f"{row['regions']} → {row['regions_told']}", *shares])
        result["growth"][growth] = levels
    harness.print_table(["articles", "level", "regions", "names that stay", "not told", "map updated",
                         "articles under the same name", "not told", "map updated"], lines)
    harness.write_json(args.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
