"""Nearest neighbours, exact or approximate."""

from __future__ import annotations

import math
import os
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.progress import Callback, callback
from knowmap.rows import opened, rows_or_source


class KnnGraph(tuple[NDArray[np.int32], NDArray[np.float32]]):
    """indices (n, k) int32 and distances (n, k) float32, nearest first: a pair, with `recall` beside it.

    recall: 1.0 where all pairs were looked at, else estimated on rows drawn at random; None where none was asked for.
    """

    recall: float | None

    def __new__(cls, indices: NDArray[np.int32], distances: NDArray[np.float32], recall: float) -> KnnGraph:
        """Puts the pair together; a recall of NaN was not estimated."""
        pair = super().__new__(cls, (indices, distances))
        pair.recall = None if math.isnan(recall) else recall
        return pair

    @property
    def indices(self) -> NDArray[np.int32]:
        """Row numbers (n, k)."""
        return self[0]

    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances (n, k)."""
        return self[1]


def knn_graph(X: Any, n_neighbors: int = 15, metric: str = "cosine", *, p: float = 2.0,
              exact: bool | None = None, random_state: int = 0, target_recall: float = 0.97, device: str = "cpu",
              n_jobs: int = 0, progress: bool | Callback = False) -> KnnGraph:
    """The nearest other rows of each row: `indices, distances = knn_graph(X)`, and `knn_graph(X).recall`.

    X (n, d): float32, float16, int8 and uint8 are taken as they are, other numbers are converted to float32. Or, read
    by ranges and so of any size, a mapped array, a `CheckpointStore`, the path of a store or of an .npy file: a quarter
    of float32's size is held (cosine, euclidean, inner_product, correlation). The bytes are the same in each case.

    The row itself is left out; -1 and infinity fill up where there are fewer rows. metric: "cosine", "euclidean",
    "inner_product" (1 - a·b), "correlation", "manhattan", "chebyshev", "minkowski" (exponent p), "canberra",
    "braycurtis", "hamming", "jaccard", or "precomputed" (X holds the distances, (n, n)). exact: None looks at all pairs
    up to 20,000 rows. target_recall: the approximate search goes on while its estimate is below, where four partitions
    don't suffice with all pairs of up to 150,000 rows, and above with up to eight partitions; 0 takes no estimate.
    device: "cpu", or "cuda", "cuda:1", "mps", "auto", where all pairs are looked at by matrix products. The same bytes
    on any number of threads. Raises ValueError on NaN and infinity.
    """
    with callback(progress) as report:
        return KnnGraph(*_core.knn_graph(rows_or_source(opened(X), metric), n_neighbors=n_neighbors, metric=metric, p=p,
                                         exact=exact, random_state=random_state, target_recall=target_recall,
                                         device=device, threads=n_jobs, progress=report))


def knn_query(X: Any, queries: ArrayLike, n_neighbors: int = 15, metric: str = "cosine", *, p: float = 2.0,
              device: str = "cpu", n_jobs: int = 0, progress: bool | Callback = False
              ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The rows of X (as for `knn_graph`) nearest to each query (m, d), always exact; equal rows are found too."""
    with callback(progress) as report:
        return _core.knn_query(rows_or_source(opened(X), metric), queries, n_neighbors=n_neighbors, metric=metric, p=p,
                               device=device, threads=n_jobs, progress=report)


class KnnIndex:
    """Rows that answer for new ones: built once, asked often; saved as one HDF5 file.

    X (n, d) is copied. Parameters are those of `knn_graph`; metric "precomputed" is refused. Up to 20,000 rows, or with
    exact=True, every query looks at all rows; otherwise at those around the leaders nearest to it, as many as reach
    target_recall on rows drawn at random. `recall` is that estimate, `shape` is (n, d).
    """

    def __init__(self, X: ArrayLike, n_neighbors: int = 15, metric: str = "cosine", *, p: float = 2.0,
                 exact: bool | None = None, random_state: int = 0, target_recall: float = 0.97, n_jobs: int = 0,
                 progress: bool | Callback = False) -> None:
        """Builds the index."""
        with callback(progress) as report:
            self._core = _core.KnnIndex(X, n_neighbors=n_neighbors, metric=metric, p=p, exact=exact,
                                        random_state=random_state, target_recall=target_recall, threads=n_jobs,
                                        progress=report)

    @property
    def recall(self) -> float:
        """The share of true neighbours that queries find, estimated; 1.0 where all rows are looked at."""
        return self._core.recall

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._core.shape

    def query(self, queries: ArrayLike, n_neighbors: int | None = None, *, n_jobs: int = 0,
              progress: bool | Callback = False) -> KnnGraph:
        """The rows nearest to each query (m, d): indices (m, k), distances (m, k). Equal rows are found too.

        Each row's answer is the same whatever the other queries, and on any number of threads.
        """
        with callback(progress) as report:
            return KnnGraph(*self._core.query(queries, n_neighbors=n_neighbors or 0, threads=n_jobs, progress=report))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one HDF5 file, the rows included."""
        self._core.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """What `save` wrote; answers the same to the bit. Raises CheckpointError where the file is damaged."""
        index = cls.__new__(cls)
        index._core = _core.KnnIndex.load(path)
        return index
