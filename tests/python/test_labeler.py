"""KnnLabeler against scikit-learn, on a held-out fifth of the sample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

import knowmap as km


@pytest.fixture(scope="module")
def split(sample, embeddings):
    subjects = np.array([a["topic"] for a in sample], dtype=object)
    held_out = np.arange(len(sample)) % 5 == 0
    return embeddings[~held_out], subjects[~held_out], embeddings[held_out], subjects[held_out]


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_equals_scikit_learn(split, weights):
    X, y, X_new, y_new = split
    ours = km.KnnLabeler(n_neighbors=15, weights=weights).fit(X, y)
    theirs = KNeighborsClassifier(n_neighbors=15, metric="cosine", algorithm="brute", weights=weights)
    theirs.fit(X.astype(np.float64), y.astype(str))
    np.testing.assert_array_equal(ours.classes_.astype(str), theirs.classes_)
    np.testing.assert_allclose(ours.predict_proba(X_new), theirs.predict_proba(X_new.astype(np.float64)), atol=1e-4)
    predicted = ours.predict(X_new)
    assert (predicted.astype(str) == theirs.predict(X_new.astype(np.float64))).mean() >= 0.99
    assert ours.score(X_new, y_new) > 0.6


def test_abstains_below_the_threshold(split):
    X, y, X_new, _ = split
    sure = km.KnnLabeler(min_confidence=0.7).fit(X, y).predict_with_confidence(X_new)
    unsure = sure.confidence < 0.7
    assert 0 < unsure.sum() < len(unsure)
    assert all(label is None for label in sure.labels[unsure])
    assert all(label is not None for label in sure.labels[~unsure])
    assert (sure.margin <= sure.confidence + 1e-6).all()


def test_kinds_of_labels(split):
    X, *_ = split
    numbers = np.arange(len(X)) % 3
    numbers[:10] = -1
    labeler = km.KnnLabeler(min_confidence=1.0).fit(X, numbers)
    assert labeler.classes_.tolist() == [0, 1, 2]
    predicted = labeler.predict(X)
    assert predicted.dtype == np.int64 and (predicted == -1).mean() > 0.9
    assert km.KnnLabeler().fit(X, [None, "", float("nan"), *["x"] * (len(X) - 3)]).predict(X[:2]).tolist() == ["x", "x"]


def test_voters_name_training_rows(split):
    X, y, X_new, _ = split
    indices, distances = km.KnnLabeler(n_neighbors=4).fit(X, y).voters(X_new)
    assert indices.shape == distances.shape == (len(X_new), 4)
    assert indices.max() < len(X)


def test_wrong_input(split):
    X, y, X_new, _ = split
    with pytest.raises(ValueError, match="not fitted"):
        km.KnnLabeler().predict(X)
    with pytest.raises(ValueError):
        km.KnnLabeler().fit(X, y[:-1])
    with pytest.raises(ValueError):
        km.KnnLabeler().fit(X, [None] * len(X))
    with pytest.raises(ValueError):
        km.KnnLabeler(weights="heavy").fit(X, y)
    with pytest.raises(ValueError):
        km.KnnLabeler().fit(X, y).predict(X_new[:, :5])
    assert clone(km.KnnLabeler(3)).n_neighbors == 3
