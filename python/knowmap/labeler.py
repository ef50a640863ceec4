"""`KnnLabeler` and the naming of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.estimator import Estimator
from knowmap.progress import Callback, callback

_core.Region.__doc__ = """A named part of the map.

``name``: a few words, which no other region of its level and not its parent has; ``phrases``: words that set it apart,
best first; ``exemplars``: rows nearest to its centre, nearest first; ``x``, ``y``: where its name stands; ``size``:
rows in it; ``parent``: its region in the level above, -1 at the top.
"""
_core.RegionLevel.__doc__ = "A partition of the map: ``regions``, and ``assignment``, each row's region, -1 for none."


class Prediction(NamedTuple):
    """Labels with how sure they are; `labels` hold -1 (numbers) or None (others) where the labeler abstains."""

    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    margin: NDArray[np.float32]


def encode_classes(y: Any) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Class numbers of labels of any kind, and the sorted labels they stand for.

    Unknown is -1: None, NaN, "" and, among integers, -1 itself.
    """
    values = np.asarray(y, dtype=object if not isinstance(y, np.ndarray) else None)
    if values.ndim != 1:
        raise ValueError(f"labels must be one for each row, got an array of shape {values.shape}")
    plain = values.tolist()
    known = [not (v is None or v != v or v == "" or (isinstance(v, int) and not isinstance(v, bool) and v == -1))
             for v in plain]
    classes = sorted({v for v, k in zip(plain, known, strict=True) if k}, key=lambda v: (str(type(v)), v))
    number = {v: i for i, v in enumerate(classes)}
    codes = np.array([number[v] if k else -1 for v, k in zip(plain, known, strict=True)], dtype=np.int32)
    numeric = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in classes)
    names = np.array(classes, dtype=np.int64) if numeric and classes else np.empty(len(classes), dtype=object)
    if not (numeric and classes):
        names[:] = classes
    return codes, names


class KnnLabeler(Estimator):
    """Labels rows by the vote of their nearest labelled rows in the embedding space.

    weights: "uniform", or "distance" (1 / distance, as scikit-learn weighs). min_confidence: a row whose best label has
    a smaller share of the votes gets -1 (integer labels) or None (others). Labels of any kind; None, NaN, "" and -1
    mean "not known" and do not vote. After `fit`: `classes_`, `n_features_in_`.
    """

    def __init__(self, n_neighbors: int = 15, *, metric: str = "cosine", weights: str = "uniform",
                 min_confidence: float = 0.0, n_jobs: int = 0) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights
        self.min_confidence = min_confidence
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: Any) -> Self:
        """Keeps the rows X (n, d) and their labels y (n). Raises ValueError."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        codes, self.classes_ = encode_classes(y)
        core = _core.KnnLabeler(n_neighbors=self.n_neighbors, metric=self.metric, weights=self.weights,
                                min_confidence=self.min_confidence, threads=max(0, self.n_jobs or 0))
        core.fit(X, codes)
        self._core = core
        self.n_features_in_: int = X.shape[1]
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label of each row; -1 or None where it abstains."""
        return self.predict_with_confidence(X).labels

    def predict_with_confidence(self, X: ArrayLike) -> Prediction:
        """Labels, the best label's share of the votes, and its lead over the second."""
        result = self._fitted().predict(np.ascontiguousarray(X, dtype=np.float32))
        return Prediction(self._labels(result.labels), result.confidence, result.margin)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Shares of the votes (n, len(classes_)); each row sums to 1."""
        return self._fitted().predict_proba(np.ascontiguousarray(X, dtype=np.float32))

    def voters(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Which of the rows given to `fit` voted on each row, and their distances."""
        return self._fitted().voters(np.ascontiguousarray(X, dtype=np.float32))

    def score(self, X: ArrayLike, y: Any) -> float:
        """Share of rows whose predicted label is the one in y; an abstention counts as wrong."""
        predicted = self.predict(X)
        return float(np.mean([p == t for p, t in zip(predicted.tolist(), np.asarray(y).tolist(), strict=True)]))

    def _fitted(self) -> Any:
        if not hasattr(self, "_core"):
            raise ValueError("this KnnLabeler is not fitted yet; call fit first")
        return self._core

    def _labels(self, codes: NDArray[np.int32]) -> NDArray[Any]:
        return labels_from_codes(codes, self.classes_)


def labels_from_codes(codes: NDArray[np.int32], classes: NDArray[Any]) -> NDArray[Any]:
    """Labels for class numbers; -1 or None for -1."""
    if classes.dtype != object:
        return np.where(codes >= 0, classes[np.maximum(codes, 0)], -1)
    out = np.full(len(codes), None, dtype=object)
    out[codes >= 0] = classes[codes[codes >= 0]]
    return out


def name_regions(coordinates: ArrayLike, texts: Sequence[str], *, titles: Sequence[str] = (),
                 embedding: ArrayLike | None = None, level_sizes: Sequence[int] = (), min_region_size: int = 0,
                 n_jobs: int = 0, progress: bool | Callback = False) -> list[_core.RegionLevel]:
    """Divides a map (n, 2) into nested regions, coarse to fine, and names each from its own texts.

    level_sizes: wanted number of regions at each level; empty = chosen from n. Each level has `regions` (name, phrases,
    exemplars, x, y, size, parent) and `assignment` (n) with -1 for none.
    """
    coordinates = np.ascontiguousarray(coordinates, dtype=np.float32)
    rows = np.empty((0, 0), np.float32) if embedding is None else np.ascontiguousarray(embedding, dtype=np.float32)
    with callback(progress) as report:
        return _core.name_regions(coordinates, rows, list(texts), list(titles), level_sizes=list(level_sizes),
                                  min_region_size=min_region_size, threads=n_jobs, progress=report)
