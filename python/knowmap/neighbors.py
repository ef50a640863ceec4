"""Nearest neighbours, exact or approximate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.progress import Callback, callback


def knn_graph(X: ArrayLike, n_neighbors: int = 15, metric: str = "cosine", *, exact: bool | None = None,
              random_state: int = 0, n_jobs: int = 0,
              progress: bool | Callback = False) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest other rows of each row: indices (n, k) int32 and distances (n, k) float32, nearest first.

    The row itself is left out; -1 and infinity fill up where there are fewer rows. metric: "cosine", "euclidean",
    "inner_product" (1 - a·b). exact: None chooses by size. The same bytes on any number of threads. Raises ValueError
    on NaN and infinity.
    """
    with callback(progress) as report:
        return _core.knn_graph(X, n_neighbors=n_neighbors, metric=metric, exact=exact, random_state=random_state,
                               threads=n_jobs, progress=report)


def knn_query(X: ArrayLike, queries: ArrayLike, n_neighbors: int = 15, metric: str = "cosine", *, n_jobs: int = 0,
              progress: bool | Callback = False) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The rows of X nearest to each query, always exact; equal rows are found too."""
    with callback(progress) as report:
        return _core.knn_query(X, queries, n_neighbors=n_neighbors, metric=metric, threads=n_jobs, progress=report)
