"""Labels beyond the plain vote: sets, calibration, abstention, propagation, saving, scikit-learn's checks."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.utils.estimator_checks import check_estimator

import knowmap as km


@pytest.fixture(scope="module")
def split(sample, embeddings):
    subjects = np.array([a["topic"] for a in sample], dtype=object)
    held_out = np.arange(len(sample)) % 5 == 0
    return embeddings[~held_out], subjects[~held_out], embeddings[held_out], subjects[held_out]


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks():
    # Rows of zeros have no direction, so the checks run on distances. -1 is a class there.
    expected = {"check_classifiers_multilabel_output_format_predict_proba":
                "it wants shares strictly between 0 and 1; a label that no neighbour has gets 0"}
    check_estimator(km.KnnLabeler(3, metric="euclidean", unlabeled=None), expected_failed_checks=expected)


def test_weights_of_ones_own(split):
    X, y, X_new, _ = split
    own = km.KnnLabeler(weights=lambda d: np.exp(-20 * d)).fit(X, y)
    theirs = KNeighborsClassifier(15, metric="cosine", algorithm="brute", weights=lambda d: np.exp(-20 * d))
    theirs.fit(X.astype(np.float64), y.astype(str))
    shares = theirs.predict_proba(X_new.astype(np.float64))
    np.testing.assert_allclose(own.predict_proba(X_new), shares, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        km.KnnLabeler(weights=lambda d: d[:, 0]).fit(X, y).predict(X_new)


def test_several_labels_a_row_as_scikit_learn(split):
    X, _, X_new, _ = split
    rng = np.random.default_rng(0)
    marks = (X @ rng.normal(size=(X.shape[1], 6)) > 0.4).astype(int)
    ours = km.KnnLabeler(9).fit(X, marks)
    theirs = KNeighborsClassifier(9, metric="cosine", algorithm="brute").fit(X.astype(np.float64), marks)
    np.testing.assert_array_equal(ours.predict(X_new), theirs.predict(X_new.astype(np.float64)))
    lists = [[f"c{j}" for j in np.flatnonzero(row)] for row in marks]
    lists[0] = None
    named = km.KnnLabeler(9).fit(X[1:], lists[1:]).predict(X_new)
    expected = km.KnnLabeler(9).fit(X[1:], marks[1:]).predict(X_new)
    assert [sorted(labels) for labels in named] == [[f"c{j}" for j in np.flatnonzero(row)] for row in expected]
    assert len(km.KnnLabeler(9).fit(X, lists).explain(X_new[:1])[0].votes) == 9


def test_how_sure_each_of_several_labels_is(split):
    X, _, X_new, _ = split
    marks = (X @ np.random.default_rng(0).normal(size=(X.shape[1], 6)) > 0.4).astype(int)
    said = km.KnnLabeler(9).fit(X, marks).predict_with_confidence(X_new)
    shares = km.KnnLabeler(9).fit(X, marks).predict_proba(X_new)
    np.testing.assert_array_equal(said.labels, (shares > 0.5).astype(int))
    np.testing.assert_array_equal(said.confidence, np.where(shares > 0.5, shares, 0))
    lists = [[f"c{j}" for j in np.flatnonzero(row)] for row in marks]
    labeler = km.KnnLabeler(9).fit(X, lists)
    named = labeler.predict_with_confidence(X_new)
    for labels, sure, row in zip(named.labels, named.confidence, shares, strict=True):
        assert {label: share for label, share in zip(labels, sure, strict=True)} == {
            f"c{j}": row[j] for j in np.flatnonzero(row > 0.5)}
    for explained, labels, sure in zip(labeler.explain(X_new), named.labels, named.confidence, strict=True):
        assert (explained.label, explained.confidence) == (labels, sure)
        votes = [sum(v.weight for v in explained.votes if label in v.label) for label in labels]
        assert votes == pytest.approx(sure, abs=1e-5)
        assert all(lists[v.row] == v.label for v in explained.votes)
    assert all(c >= 0.9 for sure in km.KnnLabeler(9, min_confidence=0.9).fit(X, lists).predict_with_confidence(
        X_new).confidence for c in sure)


def test_what_stands_for_no_label(split):
    """A number that is no label, or None where every number may be one."""
    X, *_ = split
    y = np.arange(len(X)) % 3
    for unlabeled, none in ((-1, -1), (7, 7), (None, -1)):
        said = km.KnnLabeler(3, min_confidence=1, unlabeled=unlabeled).fit(X, y).predict(X)
        assert said.dtype == np.int64 and set(said.tolist()) == {0, 1, 2, none}
    said = km.KnnLabeler(3, min_confidence=1, unlabeled=None).fit(X, y - 1).predict(X)
    assert {None} < set(said.tolist()) <= {-1, 0, 1, None}


def test_top_labels_and_explanation(split):
    X, y, X_new, _ = split
    labeler = km.KnnLabeler(weights="membership", top_k=3).fit(X, y)
    top = labeler.predict_top(X_new)
    shares = labeler.predict_proba(X_new)
    assert top.labels.shape == top.shares.shape == (len(X_new), 3)
    np.testing.assert_array_equal(top.shares, -np.sort(-shares, axis=1)[:, :3])
    for explanation, label, share in zip(labeler.explain(X_new), top.labels[:, 0], top.shares[:, 0], strict=True):
        assert explanation.label == label
        assert all(y[v.row] == v.label for v in explanation.votes)
        assert sum(v.weight for v in explanation.votes if v.label == label) == pytest.approx(share, abs=1e-5)
        assert [v.distance for v in explanation.votes] == sorted(v.distance for v in explanation.votes)


def test_calibration_and_abstention(split):
    X, y, X_new, y_new = split
    labeler = km.KnnLabeler(calibrate=True).fit(X, y)
    sure = labeler.predict_with_confidence(X_new)
    assert sure.confidence.mean() == pytest.approx(np.mean(sure.labels == y_new), abs=0.1)
    careful = km.KnnLabeler(target_error=0.1).fit(X, y)
    given = careful.predict(X_new) != None  # noqa: E711
    assert 0 < given.mean() < 1 and careful.error_ <= 0.1
    assert np.mean(careful.predict(X_new)[given] != y_new[given]) < 0.2
    assert (km.KnnLabeler(max_distance=1e-6).fit(X, y).predict(X_new) == None).mean() > 0.9  # noqa: E711


@pytest.mark.parametrize("options", [{"weights": "distance"}, {"target_error": 0.2, "max_distance": 0.9},
                                     {"exact": False}])
def test_saved_and_pickled(split, tmp_path, options):
    X, y, X_new, _ = split
    labeler = km.KnnLabeler(7, **options).fit(X, y)
    labeler.save(tmp_path / "labels.h5")
    for again in (km.KnnLabeler.load(tmp_path / "labels.h5"), pickle.loads(pickle.dumps(labeler))):
        assert again.get_params() == pytest.approx(labeler.get_params()) or again.get_params() == labeler.get_params()
        for one, other in zip(labeler.predict_with_confidence(X_new), again.predict_with_confidence(X_new),
                              strict=True):
            np.testing.assert_array_equal(one, other)
        assert again.explain(X_new[:3]) == labeler.explain(X_new[:3])
    sets = km.KnnLabeler(5).fit(X, np.eye(4, dtype=int)[np.arange(len(X)) % 4])
    sets.save(tmp_path / "sets.h5")
    np.testing.assert_array_equal(km.KnnLabeler.load(tmp_path / "sets.h5").predict(X_new), sets.predict(X_new))
    blob = bytearray((tmp_path / "labels.h5").read_bytes())
    blob[len(blob) // 2] ^= 1
    (tmp_path / "torn.h5").write_bytes(blob)
    with pytest.raises(km.CheckpointError):
        km.KnnLabeler.load(tmp_path / "torn.h5")
    with pytest.raises(ValueError, match="function"):
        km.KnnLabeler(weights=np.ones_like).fit(X, y).save(tmp_path / "no.h5")


@pytest.mark.parametrize("kind", ["propagation", "spreading"])
@pytest.mark.filterwarnings("ignore")
def test_propagation_equals_scikit_learn(split, kind):
    X, y, *_ = split
    X, y = X[:400], y[:400]
    names = np.unique(y.astype(str))
    seeds = np.full(len(X), -1)
    known = np.arange(0, len(X), 9)
    seeds[known] = np.searchsorted(names, y[known].astype(str))
    indices, distances = km.knn_graph(X, 10, metric="cosine")
    offsets, columns, weights = km._core.link_neighbors(indices, distances)
    graph = csr_matrix((weights, columns, offsets), shape=(len(X), len(X)))
    dense = graph.toarray().astype(np.float64)
    assert (dense == dense.T).all()
    theirs = {"propagation": LabelPropagation(lambda a, b: dense.copy(), max_iter=3000, tol=1e-7),
              "spreading": LabelSpreading(lambda a, b: dense.copy(), alpha=0.35, max_iter=3000, tol=1e-7)}[kind]
    theirs.fit(X.astype(np.float64), seeds)
    classes = len(theirs.classes_)
    ours = km.LabelPropagator(10, kind=kind, alpha=0.35, tol=1e-7, max_iter=3000, top_k=classes).fit(X, seeds)
    shares = np.zeros((len(X), classes))
    rows, places = np.nonzero(ours.top_.shares > 0)
    shares[rows, np.searchsorted(theirs.classes_, ours.top_.labels[rows, places])] = ours.top_.shares[rows, places]
    np.testing.assert_allclose(shares, theirs.label_distributions_, rtol=0, atol=1e-6)
    reached = shares.sum(axis=1) > 0
    best_two = np.sort(shares, axis=1)[:, -2:]
    clear = reached & (best_two[:, 1] - best_two[:, 0] > 1e-6)
    np.testing.assert_array_equal(ours.transduction_[clear], theirs.transduction_[clear])
    if kind == "propagation":
        np.testing.assert_array_equal(ours.transduction_[known], seeds[known])
    given = km.LabelPropagator(10, kind=kind, alpha=0.35, tol=1e-7, max_iter=3000).fit(X, seeds, graph=graph)
    np.testing.assert_array_equal(given.transduction_, ours.transduction_)
    assert (ours.predict(X) == ours.transduction_).mean() > 0.7


def test_rows_that_no_label_reaches_are_no_class(split):
    """Whatever integer means "not known", and -1 a label among others."""
    X, *_ = split
    X = np.concatenate([X[:60], X[:60] * [[-1.0] * (X.shape[1] // 2) + [1.0] * (X.shape[1] // 2)]]).astype(np.float32)
    links = csr_matrix((np.ones(118), (np.r_[:59, 60:119], np.r_[1:60, 61:120])), shape=(120, 120))
    links = links + links.T  # two chains; only the first has seeds
    y = np.zeros(120, int)
    y[0], y[59] = -1, 5
    spread = km.LabelPropagator(5, unlabeled=0, max_iter=20000).fit(X, y, graph=links)
    assert spread.classes_.tolist() == [-1, 5]
    assert set(spread.transduction_[:60].tolist()) == {-1, 5} and set(spread.transduction_[60:].tolist()) == {0}
    assert set(spread.predict(X).tolist()) <= {-1, 5}, "rows without a label are no voters"
    assert set(spread.top_.labels[60:].ravel().tolist()) == {0}
    # All abstain: the work is not thrown away, and new rows abstain too.
    silent = km.LabelPropagator(5, kind="spreading", alpha=0.99, unlabeled=0, min_confidence=1.0).fit(X, y, graph=links)
    assert set(silent.transduction_.tolist()) == {0} and silent.confidence_.max() > 0
    assert silent.predict(X[:3]).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="features"):
        silent.predict(X[:3, :5])


def test_grid_names_and_namers(sample, embeddings, caplog):
    texts, titles = [a["extract"] for a in sample], [a["title"] for a in sample]
    coordinates = km.UmapProjector(10, metric="cosine", n_epochs=100).fit_transform(embeddings)
    levels = km.name_regions(coordinates, texts, titles=titles, embedding=embeddings, level_sizes=[3, 8])
    assert all(0 <= r.confidence <= 1 for level in levels for r in level.regions)
    grid = km.name_grid(coordinates, texts, titles=titles, embedding=embeddings, rows=7, columns=5, levels=levels)
    names = [cell.name for cell in grid.regions]
    for cell in grid.regions:
        above = levels[1].regions[cell.parent]
        assert cell.name not in (above.name, levels[0].regions[above.parent].name)
    assert len(set(names)) == len(names) and all(names) and {c.cell for c in grid.regions} <= set(range(35))

    def namer(*, name, phrases, titles, parent, level, size):
        assert phrases and titles and size > 0
        if level == 0:
            return f"Part {name.split()[0]}"
        if parent.endswith("never"):
            return None
        raise RuntimeError("the model is asleep")

    with caplog.at_level(logging.WARNING, logger="knowmap"):
        renamed = km.rename_regions(levels, texts, namer, titles=titles)
    assert all(r.name.startswith("Part ") for r in renamed[0].regions)
    assert [r.name for r in renamed[1].regions] == [r.name for r in levels[1].regions]
    assert "asleep" in caplog.text
    again = km.name_regions(coordinates, texts, titles=titles, embedding=embeddings, level_sizes=[3, 8],
                            earlier=pickle.loads(pickle.dumps(renamed)))
    assert [r.name for r in again[0].regions] == [r.name for r in renamed[0].regions]

    def interrupt(**_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        km.rename_regions(levels, texts, interrupt, titles=titles)
    same = km.rename_regions(levels, texts, lambda **_: 7, titles=titles)
    assert same[0].regions[0].name == levels[0].regions[0].name


# What a reader would frown at: verbs, participles, words of encyclopedias about themselves.
NO_NAME = {
    "en": {"wikipedia", "disambiguation", "solid", "known", "located"},
    "es": {"wikipedia", "referirse", "habladas", "situada", "conocido", "pesar", "puede", "proviene", "polisémico"},
    "fr": {"wikipédia", "polysémique", "constituée", "fondée", "située", "façonnent", "prend", "parlées", "désigne"},
}
# Of some topics, what their names may be made of.
WANTED = {
    "en": {"Mathematics": "mathem geomet equation", "Geography": "cit countr island river", "Arts": "art music novel",
           "Philosophy and religion": "relig belie philos deit", "Physical sciences": "chemic partic star"},
    "es": {"Matemáticas": "matem geomet ecuac", "Geografía": "mar río isla munic", "Historia": "guerra imperi dinast",
           "Filosofía y religión": "relig filos", "Personas": "escrit filós polít"},
    "fr": {"Mathématiques": "mathém géomét équat", "Géographie": "mer île pays ville", "Histoire": "guerr empire confl",
           "Philosophie et religion": "relig dieu philos", "Personnalités": "écriv philos acteur"},
}


@pytest.mark.parametrize("language", ["en", "es", "fr"])
def test_names_in_a_language(articles, language):
    """Real articles, each topic a cloud of its own on a made-up map."""
    held = articles[language][::3]
    topics = sorted({a["topic"] for a in held})
    place = np.array([topics.index(a["topic"]) for a in held])
    rng = np.random.default_rng(3)
    coordinates = 8 * np.c_[place % 4, place // 4] + rng.normal(0, 0.8, (len(held), 2))
    texts, titles = [a["extract"] for a in held], [a["title"] for a in held]
    (level,) = km.name_regions(coordinates, texts, titles=titles, level_sizes=[len(topics)])
    names = [region.name for region in level.regions]
    assert len(names) == len({n.casefold() for n in names}) >= len(topics) - 2
    for name in names:
        words = name.casefold().replace("&", " ").split()
        assert 1 <= len(words) <= 4 and not NO_NAME[language] & set(words), name
        assert name[0].isupper() or not name[0].isalpha(), name
    for topic, parts in WANTED[language].items():
        region = np.bincount(level.assignment[place == topics.index(topic)]).argmax()
        assert any(part in names[region].casefold() for part in parts.split()), (topic, names[region])
