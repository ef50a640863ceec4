"""`KnnLabeler`: labels by the votes of the nearest labelled rows."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.estimator import Estimator

Weights = str | Callable[[NDArray[np.float32]], ArrayLike]


class Prediction(NamedTuple):
    """Labels with how sure they are; `labels` hold None (among integers `unlabeled`) where the labeler abstains."""

    labels: NDArray[Any]
    confidence: NDArray[np.float32]
    margin: NDArray[np.float32]


class SetPrediction(NamedTuple):
    """Sets of labels with how sure each is: lists of lists side by side, or, where `fit` was given an array of 0 and 1,
    two arrays (m, C), the confidence being 0 where a label is not given."""

    labels: Any
    confidence: Any


class TopLabels(NamedTuple):
    """The best labels of each row, best first: two arrays (m, k), filled up by none with a share of 0."""

    labels: NDArray[Any]
    shares: NDArray[np.float32]


class Vote(NamedTuple):
    """One voter: its row as given to `fit`, its label, its distance, and its part of the vote (all parts sum to 1)."""

    row: int
    label: Any
    distance: float
    weight: float


class Explanation(NamedTuple):
    """Why a row got its label, or its labels: the articles that voted, nearest first."""

    label: Any
    confidence: float | list[float]
    votes: list[Vote]


def encode_classes(y: Any, unlabeled: int | None = -1) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Class numbers of labels of any kind, and the sorted labels they stand for.

    Unknown is -1: None, NaN, "" and, among integers, `unlabeled`.
    """
    values = np.asarray(y, dtype=object if not isinstance(y, np.ndarray) else None)
    if values.ndim != 1:
        raise ValueError(f"labels must be one for each row, got an array of shape {values.shape}")
    if values.dtype.kind in "biufU":
        return _encode_array(values, unlabeled)
    plain = values.tolist()
    known = [not (v is None or v != v or v == "" or
                  (unlabeled is not None and isinstance(v, int) and not isinstance(v, bool) and v == unlabeled))
             for v in plain]
    classes = sorted({v for v, k in zip(plain, known, strict=True) if k}, key=lambda v: (str(type(v)), v))
    number = {v: i for i, v in enumerate(classes)}
    codes = np.array([number[v] if k else -1 for v, k in zip(plain, known, strict=True)], dtype=np.int32)
    return codes, _class_array(classes)


def _encode_array(values: NDArray[Any], unlabeled: int | None) -> tuple[NDArray[np.int32], NDArray[Any]]:
    kind = values.dtype.kind
    if kind == "f" and not np.array_equal(values, np.round(values), equal_nan=True):
        raise ValueError("Unknown label type: continuous. Labels are classes: integers, words, or whole numbers")
    if kind == "f" and np.isinf(values).any():
        raise ValueError("Input y contains infinity")
    known = values != "" if kind == "U" else ~np.isnan(values) if kind == "f" else np.ones(len(values), bool)
    if kind in "iu" and unlabeled is not None:
        known &= values != unlabeled
    classes, codes = np.unique(values[known], return_inverse=True)
    out = np.full(len(values), -1, np.int32)
    out[known] = codes
    return out, classes.astype(np.int64) if kind in "iu" else classes


def labels_from_codes(codes: NDArray[np.int32], classes: NDArray[Any], unlabeled: int | None = -1) -> NDArray[Any]:
    """Labels for class numbers, of the same shape. -1 becomes None, among integers `unlabeled`; or None there too,
    where no number is free to say it."""
    if np.all(codes >= 0) and len(classes):
        return classes[codes]
    none = -1 if unlabeled is None else unlabeled
    if classes.dtype.kind in "iu" and none not in classes:
        return np.where(codes >= 0, classes[np.maximum(codes, 0)] if len(classes) else 0, none)
    out = np.full(codes.shape, None, dtype=object)
    out[codes >= 0] = classes[codes[codes >= 0]]
    return out


def _class_array(classes: list[Any]) -> NDArray[Any]:
    if classes and all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in classes):
        return np.array(classes, dtype=np.int64)
    out = np.empty(len(classes), dtype=object)
    out[:] = classes
    return out


class KnnLabeler(Estimator):
    """Labels rows by the vote of their nearest labelled rows in the embedding space.

    n_neighbors: labelled rows that vote. metric: "cosine", "euclidean", "inner_product". weights: "uniform";
    "distance" (1 / distance, as scikit-learn weighs); "membership" (UMAP's membership strength); or a function that
    gets distances (m, k), infinity where there is no voter, and answers weights of that shape. top_k: labels kept of
    each row by `predict_top`.

    Confidence is the best label's share of the votes; with `calibrate` it is the chance that the label is right,
    learnt in `fit` from up to 10,000 labelled rows whose own label was left out.

    A label is left out (None; among integers `unlabeled`, or -1 where that is None and no class) where its confidence
    is below `min_confidence`, where the nearest voter is farther than `max_distance`, and, with `target_error` (such as
    0.05), where the confidence is below `threshold_`: found in `fit` so that at most this share of the labels given is
    wrong.

    exact: whether voters are searched among all labelled rows (True) or by an index, a quarter of their size (False);
    the default takes the index above 100,000 labelled rows.

    Labels may be of any kind. None, NaN, "" and `unlabeled` (an integer, or None for no such number) mean "not known":
    such rows do not vote. Several labels a row: y as a list of lists or sets (None = not known), or as an array (n, C)
    of 0 and 1 (lists of one length that hold only 0 and 1 are read as one); `predict` answers in kind.

    After `fit`: `classes_`, `n_features_in_`, `multi_label_`; with calibration `threshold_`, and what the left-out rows
    told: `coverage_`, the share of rows that would get a label, and `error_`, the share wrong among those. Memory is
    linear in the rows given, and the votes never lie as rows × classes but in `predict_proba`.
    """

    def __init__(self, n_neighbors: int = 15, *, metric: str = "cosine", weights: Weights = "uniform", top_k: int = 5,
                 calibrate: bool = False, min_confidence: float = 0.0, max_distance: float | None = None,
                 target_error: float | None = None, unlabeled: int | None = -1, exact: bool | None = None,
                 n_jobs: int = 0) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights
        self.top_k = top_k
        self.calibrate = calibrate
        self.min_confidence = min_confidence
        self.max_distance = max_distance
        self.target_error = target_error
        self.unlabeled = unlabeled
        self.exact = exact
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: Any) -> Self:
        """Keeps the rows X (n, d) and their labels y (n). Raises ValueError."""
        X = self._check_rows(X, fitting=True)
        core = _core.KnnLabeler(*self._options())
        y = _labels_given(y, type(self).__name__)
        sets = _as_sets(y)
        if sets is None:
            codes, self.classes_ = encode_classes(y, self.unlabeled)
            core.fit(X, codes)
        else:
            offsets, codes, self.classes_ = sets.encode()
            core.fit_sets(X, offsets, codes)
        self._core = core
        self._indicator = sets is not None and sets.indicator
        self._learnt()
        return self

    def predict(self, X: ArrayLike) -> Any:
        """The label of each row, where it abstains what stands for none; with several labels a row a list of lists, or
        an array (m, C) of 0 and 1 where `fit` was given one."""
        return self.predict_with_confidence(X).labels

    def predict_with_confidence(self, X: ArrayLike) -> Prediction | SetPrediction:
        """Labels, how sure each is, and the lead of its share of the votes over the second's; with several labels a row
        a `SetPrediction`: the labels, and how sure each of them is."""
        core = self._fitted()
        X = self._check_rows(X, fitting=False)
        return self._sets(*core.predict_sets(X)[:3]) if core.multi_label else self._labels(core.predict(X))

    def _labels(self, result: Any) -> Prediction:
        return Prediction(labels_from_codes(result.labels, self.classes_, self.unlabeled), result.confidence,
                          result.margin)

    def _sets(self, offsets: NDArray[np.int64], codes: NDArray[np.int32], sure: NDArray[np.float32]) -> SetPrediction:
        if self._indicator:
            marks = np.zeros((len(offsets) - 1, len(self.classes_)), dtype=np.int64)
            shares = np.zeros(marks.shape, dtype=np.float32)
            rows = np.repeat(np.arange(len(marks)), np.diff(offsets))
            marks[rows, codes], shares[rows, codes] = 1, sure
            return SetPrediction(marks, shares)
        names, ends = self.classes_.tolist(), offsets.tolist()
        return SetPrediction([[names[c] for c in codes[a:b]] for a, b in pairwise(ends)],
                             [sure[a:b].tolist() for a, b in pairwise(ends)])

    def predict_top(self, X: ArrayLike, k: int | None = None) -> TopLabels:
        """The k best labels of each row (default: `top_k`) and their shares of the votes."""
        codes, shares = self._fitted().predict_top(self._check_rows(X, fitting=False), self.top_k if k is None else k)
        return TopLabels(labels_from_codes(codes, self.classes_, self.unlabeled), shares)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Shares of the votes (n, len(classes_)); each row sums to 1, with several labels a row each stands alone."""
        return self._fitted().predict_proba(self._check_rows(X, fitting=False))

    def voters(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Which of the rows given to `fit` voted on each row, and their distances: two arrays (m, k)."""
        return self._fitted().voters(self._check_rows(X, fitting=False))[:2]

    def explain(self, X: ArrayLike) -> list[Explanation]:
        """For each row its label, how sure it is, and the labelled rows that voted for it or against it."""
        core = self._fitted()
        rows, distances, weights = core.voters(self._check_rows(X, fitting=False))
        if core.multi_label:  # the votes decide once more, the search is not repeated
            said: Any = self._sets(*core.predict_sets_by(rows, distances)[:3])
        else:
            said = self._labels(core.predict_by(rows, distances))
        labels, sure = (part if isinstance(part, list) else part.tolist() for part in said[:2])
        own = self._labels_of_rows(np.unique(rows[rows >= 0]))
        return [Explanation(label, c, [Vote(int(r), own[int(r)], float(d), float(w))
                                       for r, d, w in zip(of, far, part, strict=True) if r >= 0])
                for label, c, of, far, part in zip(labels, sure, rows, distances, weights, strict=True)]

    def score(self, X: ArrayLike, y: Any) -> float:
        """Share of rows whose predicted label is the one in y (all its labels, where there are several); an abstention
        counts as wrong."""
        sets = _as_sets(y)
        if sets is None:
            predicted = self.predict(X)
            return float(np.mean([p == t for p, t in zip(predicted.tolist(), np.asarray(y).tolist(), strict=True)]))
        predicted = self.predict(X)
        if self._indicator:
            return float(np.mean(np.all(predicted == np.asarray(y), axis=1)))
        return float(np.mean([set(p) == set(t) for p, t in zip(predicted, y, strict=True)]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the fitted labeler as one HDF5 file, the labelled rows included and the index that voters are searched
        by, if there is one; `load` predicts the same to the bit.

        Labels must be strings or integers; weights must not be a function. Raises ValueError, CheckpointError.
        """
        kind = "i" if self.classes_.dtype.kind in "iu" else "s"
        if kind == "s" and not all(isinstance(c, str) for c in self.classes_.tolist()):
            raise ValueError("only labels that are strings or integers can be saved in a file; pickle takes any")
        about = [f"{kind}{'m' if self._indicator else ''}", "" if self.unlabeled is None else str(self.unlabeled)]
        self._fitted().save(path, [str(c) for c in self.classes_.tolist()] + about)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """What `save` wrote. Raises CheckpointError where the file is damaged or another's."""
        core, names = _core.KnnLabeler.load(path)
        options = core.options
        if len(names) < 2:
            raise _core.CheckpointError(f"'{path}' holds no names of classes; it was not written by KnnLabeler.save")
        *names, kind, unlabeled = names
        options["max_distance"] = None if np.isinf(options["max_distance"]) else options["max_distance"]
        options["target_error"] = None if options["target_error"] >= 1 else options["target_error"]
        labeler = cls(**options, unlabeled=int(unlabeled) if unlabeled else None)
        labeler.classes_ = _class_array([int(n) for n in names] if kind[0] == "i" else names)
        labeler._core, labeler._indicator = core, kind.endswith("m")
        labeler._learnt()
        labeler.n_features_in_ = core.n_features
        return labeler

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True, multi_output=False),
                    classifier_tags=ClassifierTags(multi_label=True), input_tags=InputTags())

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if "_core" in state:
            state["_core"] = self._core.state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_core" in state:
            self._core = _core.KnnLabeler.from_state(*self._options(), state["_core"])

    def _options(self) -> tuple[dict[str, Any], Any]:
        function = self.weights if callable(self.weights) else None
        return {"n_neighbors": self.n_neighbors, "metric": self.metric, "exact": self.exact,
                "weights": "function" if function else self.weights, "top_k": self.top_k, "calibrate": self.calibrate,
                "min_confidence": self.min_confidence,
                "max_distance": np.inf if self.max_distance is None else self.max_distance,
                "target_error": 1.0 if self.target_error is None else self.target_error,
                "threads": max(0, self.n_jobs or 0)}, function

    def _learnt(self) -> None:
        self.multi_label_: bool = self._core.multi_label
        threshold, coverage, error = self._core.calibration
        if self.calibrate or self.target_error is not None:
            self.threshold_, self.coverage_, self.error_ = threshold, coverage, error

    def _labels_of_rows(self, rows: NDArray[np.int32]) -> dict[int, Any]:
        """Label, or list of labels, of labelled rows by their numbers in `fit`."""
        offsets, codes = self._core.classes_of(rows)
        names = self.classes_.tolist()
        labels = [names[c] for c in codes.tolist()]
        if not self._core.multi_label:
            return dict(zip(rows.tolist(), labels, strict=True))
        return {row: labels[a:b] for row, (a, b) in zip(rows.tolist(), pairwise(offsets.tolist()), strict=True)}

    def _fitted(self) -> Any:
        self._require_fitted("_core")
        return self._core


def _labels_given(y: Any, name: str) -> Any:
    """y, a column made flat with a warning; raises ValueError where there is none."""
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] == 1:
        sklearn = sys.modules.get("sklearn.exceptions")
        warnings.warn("A column-vector y was passed when a 1d array was expected; it is made flat",
                      sklearn.DataConversionWarning if sklearn is not None else UserWarning, stacklevel=3)
        return y[:, 0]
    return y


class _Sets:
    """Several labels a row, as given: lists, or an array of 0 and 1."""

    def __init__(self, y: Any, indicator: bool) -> None:
        self.y, self.indicator = y, indicator

    def encode(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Offsets, class numbers and classes; a row that is None becomes a single -1."""
        if self.indicator:
            marks = np.asarray(self.y)
            if not np.isin(marks, (0, 1)).all():
                raise ValueError("labels as an array (n, C) must hold only 0 and 1")
            rows, codes = np.nonzero(marks)
            counts = np.bincount(rows, minlength=len(marks))
            return (np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), codes.astype(np.int32),
                    np.arange(marks.shape[1], dtype=np.int64))
        plain: list[list[Any] | None] = [None if labels is None else list(dict.fromkeys(labels)) for labels in self.y]
        classes = sorted({v for labels in plain if labels for v in labels}, key=lambda v: (str(type(v)), v))
        number = {v: i for i, v in enumerate(classes)}
        codes_of = [[-1] if labels is None else sorted(number[v] for v in labels) for labels in plain]
        offsets = np.concatenate([[0], np.cumsum([len(c) for c in codes_of])]).astype(np.int64)
        codes = np.array([c for row in codes_of for c in row], dtype=np.int32)
        return offsets, codes, _class_array(classes)


def _is_indicator(y: Any) -> bool:
    """Whether lists are the rows of an array of 0 and 1, as scikit-learn reads them."""
    if any(labels is None or isinstance(labels, (set, frozenset)) for labels in y):
        return False
    lengths = {len(labels) for labels in y}
    return len(lengths) == 1 and min(lengths) > 1 and all(
        isinstance(v, (int, np.integer)) and v in (0, 1) for labels in y for v in labels)


def _as_sets(y: Any) -> _Sets | None:
    if isinstance(y, np.ndarray):
        if y.ndim == 2 and y.shape[1] > 1:
            return _Sets(y, True)
        if y.dtype != object:
            return None
    if not isinstance(y, Iterable) or isinstance(y, (str, bytes)):
        return None
    listed = (list, tuple, set, frozenset, np.ndarray)
    first = next((labels for labels in y if labels is not None), None)
    if isinstance(first, listed) and _is_indicator(y):
        return _Sets(np.asarray(y), True)
    return _Sets(y, False) if isinstance(first, listed) and np.ndim(first) < 2 else None
