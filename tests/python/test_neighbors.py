"""Neighbours: what Python adds to the engine, which tests/cpp checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import knowmap as km


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows above 0 on a curved sheet."""
    rng = np.random.default_rng(0)
    return (np.sin(rng.standard_normal((3000, 5)) @ rng.standard_normal((5, 24)) / 2) + 1.5).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan", "chebyshev", "canberra",
                                    "braycurtis", "minkowski", "hamming"])  # fmt: skip
def test_distances_are_those_of_scikit_learn(rows: np.ndarray, metric: str) -> None:
    x = np.round(rows[:400]) if metric == "hamming" else rows[:400]
    more = {"p": 3} if metric == "minkowski" else {}
    peer = NearestNeighbors(n_neighbors=8, algorithm="brute", metric=metric, **more).fit(x.astype(np.float64))
    wanted, _ = peer.kneighbors()
    graph = km.knn_graph(x, 8, metric, **more)
    np.testing.assert_allclose(graph.distances, wanted, rtol=1e-5, atol=1e-6)
    assert graph.recall == 1.0


def test_a_graph_is_a_pair_that_tells_its_recall(rows: np.ndarray) -> None:
    indices, distances = graph = km.knn_graph(rows, 10, exact=False, target_recall=0.9)
    assert indices is graph.indices and distances is graph.distances
    assert indices.dtype == np.int32 and distances.dtype == np.float32
    assert graph.recall is not None and 0.9 <= graph.recall <= 1
    assert km.knn_graph(rows, 10, exact=False, target_recall=0).recall is None
    truth = km.knn_graph(rows, 10, exact=True).indices
    found = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(indices.tolist(), truth.tolist(), strict=True)])
    assert abs(found - graph.recall) < 0.03


def test_other_numbers_and_precomputed_distances(rows: np.ndarray) -> None:
    whole = np.round(rows[:300] * 40).astype(np.int8)
    for same in (whole, whole.astype(np.float16), whole.astype(np.float64)):
        np.testing.assert_array_equal(km.knn_graph(same, 5).indices,
                                      km.knn_graph(whole.astype(np.float32), 5).indices)  # fmt: skip
    distances = np.linalg.norm(rows[:50, None] - rows[None, :50], axis=2)
    np.testing.assert_array_equal(km.knn_graph(distances, 4, "precomputed").indices,
                                  km.knn_graph(rows[:50], 4, "euclidean").indices)  # fmt: skip
    with pytest.raises(ValueError, match="square"):
        km.knn_graph(rows, 4, "precomputed")
    with pytest.raises(ValueError, match="mahalanobis"):
        km.knn_graph(rows, 4, "mahalanobis")


@pytest.fixture(scope="module")
def store(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> km.CheckpointStore:
    """The rows in shards of 700."""
    made = km.CheckpointStore(tmp_path_factory.mktemp("rows") / "store")
    made.begin_rows({"model": "none"}, rows.shape[1])
    for begin in range(0, len(rows), 700):
        part = rows[begin : begin + 700]
        made.commit_rows(begin, part, np.zeros(len(part), np.uint64))
    return made


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_store_and_files_give_the_same_bytes(rows: np.ndarray, store: km.CheckpointStore, tmp_path: Path,
                                               metric: str) -> None:  # fmt: skip
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "half.npy", rows.astype(np.float16))
    wanted = km.knn_graph(rows, 6, metric, exact=False)
    for source in (store, store.folder, str(store.folder), tmp_path / "rows.npy",
                   np.load(tmp_path / "rows.npy", mmap_mode="r")):  # fmt: skip
        for a, b in zip(wanted, km.knn_graph(source, 6, metric, exact=False, n_jobs=3), strict=True):
            np.testing.assert_array_equal(a, b)
    half = rows.astype(np.float16)
    wanted = km.knn_graph(half.astype(np.float32), 6, metric, exact=False)
    for source in (half, tmp_path / "half.npy"):
        for a, b in zip(wanted, km.knn_graph(source, 6, metric, exact=False), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(km.knn_query(rows, rows[:9], 4, metric), km.knn_query(store, rows[:9], 4, metric), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_source_is_refused(rows: np.ndarray, store: km.CheckpointStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store"):
        km.knn_graph(tmp_path / "nothing.txt")
    with pytest.raises(ValueError, match="manhattan"):
        km.knn_graph(store, metric="manhattan", exact=False)
    gap = km.CheckpointStore(tmp_path / "gap")
    gap.begin_rows({"model": "none"}, rows.shape[1])
    gap.commit_rows(10, rows[:10], np.zeros(10, np.uint64))
    with pytest.raises(km.CheckpointError, match="10 of 20"):
        km.knn_graph(gap)


@pytest.mark.parametrize("exact", [None, False])
def test_an_index_answers_the_same_after_save_and_load(rows: np.ndarray, tmp_path: Path, exact: bool | None) -> None:
    index = km.KnnIndex(rows[:2800], 6, exact=exact)
    assert index.shape == (2800, 24)
    answer = index.query(rows[2800:])
    assert answer.recall == index.recall
    index.save(tmp_path / "index.h5")
    again = km.KnnIndex.load(tmp_path / "index.h5")
    for a, b in zip(answer, again.query(rows[2800:]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert index.query(rows[2800:2801], 3).indices.tolist() == [answer.indices[0, :3].tolist()]
    data = bytearray((tmp_path / "index.h5").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "index.h5").write_bytes(data)
    with pytest.raises(km.CheckpointError):
        km.KnnIndex.load(tmp_path / "index.h5")
