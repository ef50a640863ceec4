"""`LabelPropagator`: a few known labels carried over the neighbour graph to all rows."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.estimator import Estimator
from knowmap.labeler import KnnLabeler, Prediction, TopLabels, encode_classes, labels_from_codes
from knowmap.progress import Callback, callback


class LabelPropagator(Estimator):
    """Labels all rows from those of a few, over the graph of nearest neighbours.

    kind: "propagation" (Zhu and Ghahramani 2002), known rows keep their label; "spreading" (Zhou et al. 2003), over the
    normalised graph, where a row takes `alpha` from its neighbours, so that a wrong label can be outvoted. weights of
    the links: "membership" (UMAP's fuzzy graph), "uniform", "distance". y: as `KnnLabeler`'s, unknown where None, NaN,
    "" or `unlabeled`. The same result as scikit-learn's `LabelPropagation` and `LabelSpreading` on the same graph;
    memory is linear in rows and links, never rows × classes.

    After `fit`: `transduction_`, each row's label (None, among integers `unlabeled`: no known row reaches it, or its
    share is below `min_confidence`); `confidence_`, its share; `top_`, the best labels of each row and their shares;
    `classes_`, `n_iter_`, `n_features_in_`.
    """

    def __init__(self, n_neighbors: int = 15, *, kind: str = "propagation", metric: str = "cosine",
                 weights: str = "membership", alpha: float = 0.2, max_iter: int = 1000, tol: float = 1e-3,
                 top_k: int = 5, min_confidence: float = 0.0, unlabeled: int | None = -1, n_jobs: int = 0,
                 progress: bool | Callback = False) -> None:
        self.n_neighbors = n_neighbors
        self.kind = kind
        self.metric = metric
        self.weights = weights
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.top_k = top_k
        self.min_confidence = min_confidence
        self.unlabeled = unlabeled
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, X: ArrayLike, y: Any, *, graph: Any = None) -> Self:
        """Carries the labels y (n) over the neighbours of X (n, d), or over `graph`: a sparse matrix (n, n) of weights,
        row i holding what row i takes from the others. Raises ValueError, CancelledError."""
        X = self._check_rows(X, fitting=True)
        threads = max(0, self.n_jobs or 0)
        codes, self.classes_ = encode_classes(y, self.unlabeled)
        with callback(self.progress) as report:
            if graph is None:
                indices, distances, _ = _core.knn_graph(X, n_neighbors=self.n_neighbors, metric=self.metric,
                                                        threads=threads, progress=report)
                links = _core.link_neighbors(indices, distances, weights=self.weights, threads=threads)
            else:
                graph = graph.tocsr()
                links = graph.indptr, graph.indices, graph.data
            result, self.n_iter_, converged = _core.propagate_labels(
                *links, codes, kind=self.kind, alpha=self.alpha, max_iter=self.max_iter, tol=self.tol,
                top_k=self.top_k, min_confidence=self.min_confidence, threads=threads, progress=report)
        if not converged:
            warnings.warn(f"labels still moved after max_iter={self.max_iter} rounds", RuntimeWarning, stacklevel=2)
        self.transduction_: NDArray[Any] = labels_from_codes(result.labels, self.classes_, self.unlabeled)
        self.confidence_: NDArray[np.float32] = result.confidence
        self.top_ = TopLabels(labels_from_codes(result.top[0], self.classes_, self.unlabeled), result.top[1])
        # Of class numbers, so that a row without a label is no voter whatever the labels are.
        voters = KnnLabeler(self.n_neighbors, metric=self.metric, n_jobs=self.n_jobs)
        self._voters = voters.fit(X, result.labels) if (result.labels >= 0).any() else None
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels of new rows, by the vote of the rows given to `fit`."""
        return self.predict_with_confidence(X).labels

    def predict_with_confidence(self, X: ArrayLike) -> Prediction:
        """Labels of new rows, their shares of the vote, and the lead over the second."""
        self._require_fitted("_voters")
        if self._voters is None:  # every row abstained, so all new ones do
            m = len(self._check_rows(X, fitting=False))
            codes, none = np.full(m, -1, np.int32), np.zeros(m, np.float32)
            return Prediction(labels_from_codes(codes, self.classes_, self.unlabeled), none, none.copy())
        voted = self._voters.predict_with_confidence(X)
        return voted._replace(labels=labels_from_codes(voted.labels.astype(np.int32), self.classes_, self.unlabeled))
