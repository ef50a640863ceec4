"""UmapProjector and the neighbour graph from Python."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

import knowmap as km


def test_graph_equals_brute_force(embeddings):
    indices, distances = km.knn_graph(embeddings, 10)
    oracle = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(embeddings.astype(np.float64))
    _, expected = oracle.kneighbors(embeddings.astype(np.float64))
    assert (indices == expected[:, 1:]).mean() > 0.999
    assert (np.diff(distances, axis=1) >= 0).all()
    queried, _ = km.knn_query(embeddings, embeddings[:5], 3)
    assert (queried[:, 0] == np.arange(5)).all()


def test_scikit_learns_conventions(embeddings):
    projector = km.UmapProjector(n_neighbors=12, metric="cosine", n_epochs=50)
    copy = clone(projector)
    assert copy.get_params() == projector.get_params()
    with pytest.raises(ValueError, match="no parameter"):
        projector.set_params(n_neighbours=3)
    with pytest.raises(ValueError, match="not fitted"):
        projector.transform(embeddings)
    map_ = projector.fit_transform(embeddings)
    assert map_.shape == (len(embeddings), 2) and map_.dtype == np.float32
    np.testing.assert_array_equal(map_, projector.embedding_)
    assert projector.n_features_in_ == embeddings.shape[1]
    assert repr(projector) == "UmapProjector(n_neighbors=12, metric='cosine', n_epochs=50)"
    assert km.UMAP is km.UmapProjector


def test_the_same_bytes_on_any_number_of_threads(embeddings):
    maps = [km.UmapProjector(metric="cosine", n_jobs=jobs).fit_transform(embeddings) for jobs in (1, 2, 5)]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])
    other = km.UmapProjector(metric="cosine", random_state=1).fit_transform(embeddings)
    assert not np.array_equal(maps[0], other)


def test_transform_gives_each_row_the_same_bytes(embeddings):
    projector = km.UmapProjector(metric="cosine").fit(embeddings[:300])
    placed = projector.transform(embeddings[300:])
    np.testing.assert_array_equal(placed[7:8], projector.transform(embeddings[307:308]))
    assert np.isfinite(placed).all()
    with pytest.raises(ValueError, match="384 numbers"):
        projector.transform(embeddings[:, :10])


def test_precomputed_neighbours_with_and_without_the_row_itself(embeddings):
    indices, distances = km.knn_graph(embeddings, 14)
    direct = km.UmapProjector(metric="cosine").fit_transform(embeddings)
    given = km.UmapProjector(metric="cosine", precomputed_knn=(indices, distances)).fit_transform(embeddings)
    np.testing.assert_array_equal(direct, given)
    rows = np.arange(len(embeddings))[:, None]
    with_self = (np.hstack([rows, indices]), np.hstack([np.zeros_like(rows), distances]))
    projector = km.UmapProjector(metric="cosine", precomputed_knn=with_self)
    np.testing.assert_array_equal(direct, projector.fit_transform(embeddings))


def test_wrong_input(embeddings):
    broken = embeddings.copy()
    broken[17, 3] = np.nan
    with pytest.raises(ValueError, match="17"):
        km.UmapProjector().fit(broken)
    with pytest.raises(ValueError):
        km.UmapProjector(n_neighbors=1).fit(embeddings)
    with pytest.raises(ValueError):
        km.UmapProjector(min_dist=2.0).fit(embeddings)
    with pytest.raises(ValueError):
        km.UmapProjector(init="magic").fit(embeddings)
    with pytest.raises(ValueError):
        km.UmapProjector().fit(np.empty((0, 4), np.float32))
    with pytest.raises(ValueError, match="metric"):
        km.UmapProjector(metric="hamming2").fit(embeddings)
    with pytest.raises(ValueError):
        km.UmapProjector().fit(embeddings[0])


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 16])
def test_few_rows_and_constant_rows(rows):
    assert np.isfinite(km.UmapProjector().fit_transform(np.ones((rows, 4), np.float32))).all()
    assert np.isfinite(km.UmapProjector().fit_transform(np.eye(rows, 20, dtype=np.float32))).all()


def test_ctrl_c_ends_a_long_layout(embeddings):
    def interrupt(stage, done, total, unit):
        if stage == "layout":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        km.UmapProjector(n_epochs=100_000, progress=interrupt).fit(embeddings)
