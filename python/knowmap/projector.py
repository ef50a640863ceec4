"""`UmapProjector`: vectors to a map."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.estimator import Estimator
from knowmap.progress import Callback, callback


class UmapProjector(Estimator):
    """UMAP with umap-learn's parameter names and scikit-learn's conventions; also importable as `UMAP`.

    The same bytes for one `random_state` on any number of threads; `n_jobs` 0 or -1 = one for each core. metric:
    "euclidean", "cosine", "inner_product". init: "spectral", "pca", "random". precomputed_knn: (indices, distances)
    with or without the row itself in the first column. After `fit`: `embedding_` (n, n_components) float32,
    `n_features_in_`, `init_used_` (what the start was made from, and why where that is not what was asked).
    """

    def __init__(self, n_neighbors: int = 15, n_components: int = 2, metric: str = "euclidean", *,
                 n_epochs: int | None = None, learning_rate: float = 1.0, init: str = "spectral", min_dist: float = 0.1,
                 spread: float = 1.0, set_op_mix_ratio: float = 1.0, local_connectivity: float = 1.0,
                 repulsion_strength: float = 1.0, negative_sample_rate: int = 5, a: float | None = None,
                 b: float | None = None, random_state: int = 42,
                 precomputed_knn: tuple[ArrayLike, ArrayLike] | None = None, n_jobs: int = 0,
                 progress: bool | Callback = False) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.a = a
        self.b = b
        self.random_state = random_state
        self.precomputed_knn = precomputed_knn
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Lays out the rows of X (n, d). y is there for scikit-learn's sake. Raises ValueError."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        params = self.get_params()
        for ours in ("precomputed_knn", "progress"):
            params.pop(ours)
        params["n_jobs"] = max(0, self.n_jobs if self.n_jobs is not None else 0)
        with callback(self.progress) as report:
            core = _core.UmapProjector(params, report)
            core.fit(X, *self._known_neighbors(len(X)))
        self._core = core
        self.embedding_: NDArray[np.float32] = core.embedding()
        self.init_used_: str = core.init_used
        self.n_features_in_: int = X.shape[1]
        return self

    def fit_transform(self, X: ArrayLike, y: Any = None) -> NDArray[np.float32]:
        """`fit`, then the map of the same rows: float32 (n, n_components)."""
        return self.fit(X, y).embedding_

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Places new rows on the fitted map; each gets the same bytes whatever rows come with it."""
        if not hasattr(self, "_core"):
            raise ValueError("this UmapProjector is not fitted yet; call fit first")
        X = np.ascontiguousarray(X, dtype=np.float32)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise ValueError(f"expected rows of {self.n_features_in_} numbers, got an array of shape {X.shape}")
        return self._core.transform(X)

    def _known_neighbors(self, rows: int) -> tuple[NDArray[np.int32] | None, NDArray[np.float32] | None]:
        if self.precomputed_knn is None:
            return None, None
        indices = np.asarray(self.precomputed_knn[0], dtype=np.int32)
        distances = np.asarray(self.precomputed_knn[1], dtype=np.float32)
        if indices.shape != distances.shape or indices.ndim != 2 or len(indices) != rows:
            raise ValueError(f"precomputed_knn must be two arrays of shape ({rows}, k), "
                             f"got {indices.shape} and {distances.shape}")
        # umap-learn's own graphs name the row itself first.
        if rows and np.array_equal(indices[:, 0], np.arange(rows)):
            indices, distances = indices[:, 1:], distances[:, 1:]
        return np.ascontiguousarray(indices), np.ascontiguousarray(distances)
