"""The same bytes on any number of threads, for repeats, after save and load, and by instruction set."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import knowmap as km


def made_rows(n: int = 2600) -> np.ndarray:
    """Rows on a curved sheet; enough of them that the layout's threads go through a barrier."""
    rng = np.random.default_rng(3)
    return np.sin(rng.standard_normal((n, 6)) @ rng.standard_normal((6, 40)) / 2).astype(np.float32)


def digest(*arrays: np.ndarray) -> str:
    """One hash of all bytes."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def test_threads_with_every_kind_of_map() -> None:
    rows = made_rows(2400)
    classes = np.arange(len(rows)) % 3
    ways = [({"densmap": True, "output_dens": True}, None), ({"density_leveling": 0.7}, None), ({}, classes),
            ({"target_metric": "euclidean"}, rows[:, 0]), ({"n_components": 3, "init": "pca"}, None)]  # fmt: skip
    for params, y in ways:
        told = set()
        for jobs in (1, 2, 3, 4, 7):
            projector = km.UMAP(n_epochs=12, n_jobs=jobs, **params).fit(rows, y)
            told.add(digest(projector.embedding_, projector.transform(rows[:50])))
        assert len(told) == 1, params


def test_threads_above_fifty_thousand_rows() -> None:
    rows = np.random.default_rng(5).standard_normal((50_500, 5)).astype(np.float32)
    graph = km.knn_graph(rows, 14, "euclidean", exact=False)
    told = {digest(km.UMAP(n_epochs=4, precomputed_knn=graph, n_jobs=jobs).fit_transform(rows))
            for jobs in (1, 2, 3, 4, 7)}
    assert len(told) == 1


def test_threads_repeats_split_transforms_and_saved_maps(tmp_path: Path) -> None:
    rows = made_rows()
    old, new = rows[:2300], rows[2300:]
    graphs, maps, placed = set(), set(), set()
    for jobs in (1, 2, 3, 4, 7, 2):
        graphs.add(digest(*km.knn_graph(rows, exact=False, n_jobs=jobs)))
        projector = km.UMAP(metric="cosine", n_epochs=25, n_jobs=jobs).fit(old)
        maps.add(digest(projector.embedding_))
        placed.add(digest(projector.transform(new)))
        placed.add(digest(np.concatenate([projector.transform(new[:1]), projector.transform(new[1:])])))
        projector.save(tmp_path / "map.h5")
        again = km.UMAP.load(tmp_path / "map.h5", old)
        maps.add(digest(again.embedding_))
        placed.add(digest(again.transform(new)))
        if jobs == 7:
            order = np.random.default_rng(0).permutation(len(new))
            shuffled = projector.transform(new[order])
            placed.add(digest(shuffled[np.argsort(order)]))
    assert len(graphs) == len(maps) == len(placed) == 1


def test_embeddings(model_folder: Path, articles: dict[str, list[dict[str, str]]]) -> None:
    rng = np.random.default_rng(5)
    # Of all lengths: single words, whole articles, two joined to more than the model takes, a text without a word.
    texts = [a["extract"] for a in articles["en"][::160]][:56]
    texts += ["Basalt", "", texts[0] + texts[1] + texts[2] + texts[3], "one two three four five six seven"]
    order = rng.permutation(len(texts))
    back = np.argsort(order)
    for precision in ("float32", "bfloat16", "int8"):
        found, chosen = {}, set()
        for threads in (1, 2, 3, 4, 7):
            embedder = km.Embedder(model_folder, device="cpu", precision=precision, threads=threads)
            chosen.add(json.dumps(dict(embedder.fingerprint), sort_keys=True) + embedder.precision)
            found[f"{threads} threads"] = digest(embedder.encode(texts, progress=False))
            shuffled = embedder.encode([texts[i] for i in order], progress=False)
            found[f"{threads} threads, shuffled"] = digest(shuffled[back])
        alone = np.concatenate([embedder.encode([text], progress=False) for text in texts[::4]])
        assert digest(alone) == digest(embedder.encode(texts, progress=False)[::4]), f"{precision}, one text at a time"
        if precision != "int8":  # which needs all layers in memory
            streamed = km.Embedder(model_folder, device="cpu", precision=precision, threads=2, residency="streamed")
            found["layer by layer"] = digest(streamed.encode(texts, progress=False))
        assert len(set(found.values())) == 1, (precision, found)
        assert len(chosen) == 1, (precision, chosen)


def figures() -> dict[str, str]:
    """Hashes of what is to be compared, on the instruction set of this process."""
    rows = made_rows()
    found = {f"approximate {m}": digest(*km.knn_graph(rows, exact=False, metric=m)) for m in ("cosine", "euclidean")}
    graph = km.knn_graph(rows, 14, "euclidean", exact=False)
    return found | {"map": digest(km.UMAP(n_epochs=25, precomputed_knn=graph).fit_transform(rows))}


def test_instruction_sets() -> None:
    told = {}
    for name in ("generic", "avx2", "avx512"):
        child = subprocess.run([sys.executable, __file__], env=os.environ | {"KNOWMAP_MAX_ISA": name},
                               capture_output=True, text=True, check=True)  # fmt: skip
        told[name] = json.loads(child.stdout)
    # Integers decide who is a neighbour, and sums in double in a fixed order how far.
    for metric in ("cosine", "euclidean"):
        assert len({t[f"approximate {metric}"] for t in told.values()}) == 1
    # The layout's steps round the same with AVX2 and AVX-512; without either they round otherwise (docs/umap.md).
    assert told["avx2"]["map"] == told["avx512"]["map"]


if __name__ == "__main__":
    print(json.dumps(figures()))
