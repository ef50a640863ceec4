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
    shares = theirs.predict_proba(X_new.astype(np.float64))
    np.testing.assert_allclose(ours.predict_proba(X_new), shares, rtol=0, atol=1e-6)
    predicted = ours.predict(X_new)
    np.testing.assert_array_equal(predicted.astype(str), theirs.predict(X_new.astype(np.float64)))
    assert ours.score(X_new, y_new) > 0.6


@pytest.mark.parametrize("weights", ["uniform", "distance", lambda d: np.exp(-20 * d)])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("exact", [True, False])
def test_equals_scikit_learn_on_the_same_voters(split, weights, metric, exact):
    """Whatever the search: voters and distances are given to scikit-learn. Some rows have an equal one among them."""
    X, y, X_new, _ = split
    X_new = np.concatenate([X_new, X[:20]])
    ours = km.KnnLabeler(15, weights=weights, metric=metric, exact=exact).fit(X, y)
    voters, distances = ours.voters(X_new)
    # As far as scikit-learn lets them be: it takes no distance below 0, which rounding makes of equal rows.
    between = np.full((len(X_new), len(X)), 9.0)
    np.put_along_axis(between, voters, np.maximum(distances, 0), axis=1)
    theirs = KNeighborsClassifier(15, metric="precomputed", algorithm="brute", weights=weights)
    theirs.fit(np.zeros((len(X), len(X))), y.astype(str))
    np.testing.assert_allclose(ours.predict_proba(X_new), theirs.predict_proba(between), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(X_new).astype(str), theirs.predict(between))


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
