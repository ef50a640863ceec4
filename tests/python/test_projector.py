"""UmapProjector and the neighbour graph from Python."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

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
    with pytest.raises(ValueError, match="expecting 384 features"):
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


# umap-learn 0.5.12's constructor, but for output_metric and output_metric_kwds.
UMAP_LEARN = {
    "n_neighbors": 15, "n_components": 2, "metric": "euclidean", "metric_kwds": None, "n_epochs": None,
    "learning_rate": 1.0, "init": "spectral", "min_dist": 0.1, "spread": 1.0, "low_memory": True, "n_jobs": -1,
    "set_op_mix_ratio": 1.0, "local_connectivity": 1.0, "repulsion_strength": 1.0, "negative_sample_rate": 5,
    "transform_queue_size": 4.0, "a": None, "b": None, "random_state": None, "angular_rp_forest": False,
    "target_n_neighbors": -1, "target_metric": "categorical", "target_metric_kwds": None, "target_weight": 0.5,
    "transform_seed": 42, "transform_mode": "embedding", "force_approximation_algorithm": False, "verbose": False,
    "tqdm_kwds": None, "unique": False, "densmap": False, "dens_lambda": 2.0, "dens_frac": 0.3, "dens_var_shift": 0.1,
    "output_dens": False, "disconnection_distance": None, "precomputed_knn": (None, None, None),
}  # fmt: skip


def test_umap_learns_names_and_defaults(embeddings):
    ours = inspect.signature(km.UMAP.__init__).parameters
    for name, default in UMAP_LEARN.items():
        if name != "precomputed_knn":
            assert ours[name].default == default, name
    named = km.UMAP(**UMAP_LEARN).fit_transform(embeddings)
    np.testing.assert_array_equal(named, km.UMAP().fit_transform(embeddings))


def test_scikit_learns_own_checks():
    # A map's layout is not that of a subset of the rows or of other rows in their order, nor is it the same in other
    # units of its last bits: the checks that compare maps of changed data ask for what no UMAP can give.
    expected = {
        "check_transformer_general": "transform of the fitted rows is not the layout: new rows do not move the map",
        "check_transformer_data_not_an_array": "the same",
        "check_sample_weight_equivalence_on_dense_data": "a weight counts in the layout, not in who is a neighbour",
    }
    check_estimator(km.UmapProjector(n_epochs=20), expected_failed_checks=expected)


def test_in_a_pipeline_with_classes(blobs):
    X, y = blobs
    model = make_pipeline(StandardScaler(), km.UMAP(n_epochs=100), KNeighborsClassifier(5)).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.95
    assert list(model[:-1].get_feature_names_out()) == ["umapprojector0", "umapprojector1"]
    with pytest.raises(NotFittedError):
        km.UMAP().transform(X)


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 8)) * 4
    y = np.arange(400) % 4
    return (centres[y] + rng.normal(size=(400, 8))).astype(np.float32), y


def test_targets_of_every_kind(blobs):
    _, y = blobs
    noise = np.random.default_rng(1).normal(size=(400, 6)).astype(np.float32)
    names = np.asarray(["amber", "birch", "cedar", "dune"], dtype=object)[y]
    partly = names.copy()
    partly[::5] = None
    by_number = km.UMAP(n_epochs=200).fit_transform(noise, y)
    np.testing.assert_array_equal(by_number, km.UMAP(n_epochs=200).fit_transform(noise, names))
    np.testing.assert_array_equal(by_number, km.UMAP(n_epochs=200).fit_transform(noise, y.astype(float)))

    def purity(map_):
        near = NearestNeighbors(n_neighbors=10).fit(map_).kneighbors(return_distance=False)
        return (y[near] == y[:, None]).mean()

    assert purity(by_number) > 0.9 > 0.5 > purity(km.UMAP(n_epochs=200).fit_transform(noise))
    assert purity(km.UMAP(n_epochs=200).fit_transform(noise, partly)) > 0.35
    line = np.linspace(0, 1, 400)
    map_ = km.UMAP(n_epochs=200, target_metric="euclidean", target_weight=0.8).fit_transform(noise, line)
    near = NearestNeighbors(n_neighbors=10).fit(map_).kneighbors(return_distance=False)
    assert np.abs(line[near] - line[:, None]).mean() < 0.15
    with pytest.raises(ValueError, match="400"):
        km.UMAP().fit(noise, y[:7])


def test_saved_loaded_pickled(embeddings, tmp_path):
    train, fresh = embeddings[:300], embeddings[300:]
    projector = km.UmapProjector(metric="cosine", n_neighbors=11, n_epochs=60, density_leveling=0.3).fit(train)
    placed = projector.transform(fresh)
    projector.save(tmp_path / "map.h5")
    with_rows = tmp_path / "rows.h5"
    projector.save(with_rows, with_data=True)
    assert (tmp_path / "map.h5").stat().st_size < train.nbytes / 10 < with_rows.stat().st_size
    for loaded in (
        km.UMAP.load(with_rows),
        km.UMAP.load(tmp_path / "map.h5", train),
        pickle.loads(pickle.dumps(projector)),
        pickle.loads(pickle.dumps(km.UMAP.load(with_rows))),
    ):
        np.testing.assert_array_equal(loaded.embedding_, projector.embedding_)
        np.testing.assert_array_equal(loaded.transform(fresh), placed)
        assert loaded.get_params() == projector.get_params()
    bare = km.UMAP.load(tmp_path / "map.h5")
    with pytest.raises(ValueError, match="rows"):
        bare.transform(fresh)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(bare)).embedding_, projector.embedding_)
    with pytest.raises(ValueError, match="not the rows"):
        km.UMAP.load(tmp_path / "map.h5", fresh)
    with pytest.raises(km.CheckpointError):
        km.UMAP.load(tmp_path / "none.h5")


def test_inverse_update_snapshots_graph(blobs):
    X, _ = blobs
    projector = km.UMAP(n_epochs=[20, 100]).fit(X[:300])
    assert [len(map_) for map_ in projector.embedding_list_] == [300] * 3
    np.testing.assert_array_equal(projector.embedding_list_[-1], projector.embedding_)
    graph = projector.graph_
    assert graph.shape == (300, 300) and abs(graph - graph.T).max() == 0 and graph.max() <= 1
    back = projector.inverse_transform(projector.embedding_[:20])
    far = np.linalg.norm(X[:20] - X[:300].mean(0), axis=1)
    assert np.linalg.norm(back - X[:20], axis=1).mean() < 0.6 * far.mean()
    before = projector.embedding_
    projector.update(X[300:])
    assert projector.embedding_.shape == (400, 2)
    assert np.corrcoef(before[:, 0], projector.embedding_[:300, 0])[0, 1] > 0.95


def test_going_on_from_earlier_places(blobs):
    X, _ = blobs
    first = km.UMAP(random_state=3).fit(X[:300])
    earlier = np.full((400, 2), np.nan)
    earlier[:300] = first.embedding_
    second = km.UMAP(random_state=3).fit(X, earlier=earlier)
    np.testing.assert_array_equal(second.embedding_, first.update(X[300:]).embedding_)
    np.testing.assert_array_equal(second.embedding_, km.UMAP(random_state=3).fit_transform(X, earlier=earlier))
    with pytest.raises(ValueError, match=r"earlier places have the shape \(300, 2\), not \(400, 2\)"):
        km.UMAP().fit(X, earlier=earlier[:300])
    with pytest.raises(ValueError, match=r"earlier places have the shape \(0, 2\)"):
        km.UMAP().fit(X, earlier=earlier[:0])
    earlier[7, 1] = np.inf
    with pytest.raises(ValueError, match="earlier places: row 7"):
        km.UMAP().fit(X, earlier=earlier)


@pytest.mark.parametrize("init", ["spectral", "tswspectral", "pca", "random", "array"])
def test_every_start(blobs, init):
    X, y = blobs
    start = X[:, :3] if init == "array" else init
    projector = km.UMAP(init=start, n_components=3, n_epochs=100).fit(X)
    assert projector.init_used_ == {"array": "given", "tswspectral": "spectral"}.get(init, init)
    near = NearestNeighbors(n_neighbors=5).fit(projector.embedding_).kneighbors(return_distance=False)
    assert (y[near] == y[:, None]).mean() > 0.95


def test_many_columns(blobs):
    assert np.isfinite(km.UMAP(n_components=64, n_epochs=20).fit_transform(blobs[0])).all()


def test_distances_given_and_metrics_of_scikit_learn(blobs):
    X, _ = blobs
    train, fresh = X[:300], X[300:]
    distances = pairwise_distances(train.astype(np.float64)).astype(np.float32)
    given = km.UMAP(metric="precomputed", n_epochs=50, init="random").fit(distances)
    direct = km.UMAP(n_epochs=50, init="random").fit(train)
    assert abs(given.graph_ - direct.graph_).max() < 1e-3
    assert np.isfinite(given.transform(pairwise_distances(fresh, train))).all()
    by_name = km.UMAP(metric="sqeuclidean", n_epochs=50).fit(train)
    by_callable = km.UMAP(metric=lambda a, b, scale: scale * ((a - b) ** 2).sum(), metric_kwds={"scale": 1.0},
                          n_epochs=50).fit(train)  # fmt: skip
    assert abs(by_name.graph_ - by_callable.graph_).max() < 1e-3
    one = by_name.transform(fresh[3:4])
    np.testing.assert_array_equal(one, by_name.transform(fresh)[3:4])
    with pytest.raises(ValueError, match="square"):
        km.UMAP(metric="precomputed").fit(train)


def test_densities_and_levelling(blobs):
    X, _ = blobs
    map_, data_radii, map_radii = km.UMAP(densmap=True, output_dens=True, n_epochs=100).fit_transform(X)
    assert map_.shape == (400, 2) and data_radii.shape == map_radii.shape == (400,)
    plain = km.UMAP(n_epochs=100).fit_transform(X)
    even = km.UMAP(n_epochs=100, density_leveling=1.0).fit_transform(X)
    np.testing.assert_array_equal(even, km.level_density(plain, 1.0))

    def taken(points):
        cells, _, _ = np.histogram2d(*points.T, bins=12)
        return (cells > 0).mean()

    assert taken(even) > 1.5 * taken(plain)


def test_sample_weights(blobs):
    X, y = blobs
    plain = km.UMAP(n_epochs=60).fit_transform(X)
    np.testing.assert_array_equal(plain, km.UMAP(n_epochs=60).fit_transform(X, sample_weight=np.full(len(X), 7)))
    weights = np.where(np.arange(len(X)) < 200, 1.0, 0.0)
    # Rows without weight move no other: what they are drawn to is of no matter to the rest's own pulls.
    light = km.UMAP(n_epochs=60).fit_transform(X, sample_weight=weights)
    assert np.isfinite(light).all() and not np.array_equal(light, plain)
    assert KNeighborsClassifier(5).fit(light[:200], y[:200]).score(light[200:], y[200:]) > 0.95
    for wrong in (np.full(len(X), -1.0), np.full(len(X), np.nan), np.zeros(len(X)), np.ones(3)):
        with pytest.raises(ValueError, match="weight"):
            km.UMAP().fit(X, sample_weight=wrong)
    with pytest.raises(ValueError, match="densmap"):
        km.UMAP(densmap=True).fit(X, sample_weight=weights)


def test_a_map_of_a_store(blobs, tmp_path):
    X, y = blobs
    store = km.CheckpointStore(tmp_path / "store")
    store.begin_rows({"model": "none"}, X.shape[1])
    store.commit_rows(0, X, np.zeros(len(X), np.uint64))
    of_rows = km.UMAP(n_epochs=30).fit(X, y)
    of_store = km.UMAP(n_epochs=30).fit(store.folder, y)
    np.testing.assert_array_equal(of_rows.embedding_, of_store.embedding_)
    np.testing.assert_array_equal(of_rows.transform(X[:20]), of_store.transform(X[:20]))
    with pytest.raises(ValueError, match="were not kept"):
        of_store.inverse_transform(of_store.embedding_[:3])
    of_store.save(tmp_path / "map.h5")
    again = km.UMAP.load(tmp_path / "map.h5", X)
    np.testing.assert_array_equal(again.transform(X[:20]), of_store.transform(X[:20]))
    np.save(tmp_path / "half.npy", X.astype(np.float16))
    half = km.UMAP(n_epochs=30).fit(tmp_path / "half.npy")
    np.testing.assert_array_equal(half.embedding_, km.UMAP(n_epochs=30).fit_transform(X.astype(np.float16)))
    with pytest.raises(ValueError, match="own metrics"):
        km.UMAP(metric="yule").fit(store)


def test_targets_and_distances_that_make_no_sense(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="NaN"):
        km.UMAP(target_metric="euclidean").fit(X, np.where(y == 1, np.nan, y))
    with pytest.raises(ValueError, match="399 entries"):
        km.UMAP().fit(X, y[:-1])
    with pytest.raises(ValueError, match="square"):
        km.UMAP(metric="precomputed").fit(X)
    distances = pairwise_distances(X)
    distances[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        km.UMAP(metric="precomputed").fit(distances)
    for wrong in ("text", [["a", "b"]] * 20, np.ones((20, 3), complex), np.ones((3, 4, 5))):
        with pytest.raises((ValueError, TypeError)):
            km.UMAP().fit(wrong)
    with pytest.raises(ValueError):
        km.UMAP(random_state=-1).fit(X)
    with pytest.raises(ValueError, match="target_weight"):
        km.UMAP(target_weight=-0.5).fit(X, y)


def test_a_row_beyond_the_disconnection_distance(blobs):
    X = blobs[0].copy()
    X[7] = 1000
    with pytest.warns(UserWarning, match="1 rows"):
        map_ = km.UMAP(disconnection_distance=100.0, n_epochs=20).fit_transform(X)
    assert np.flatnonzero(np.isnan(map_[:, 0])).tolist() == [7]
    equal = km.UMAP(unique=True, n_epochs=20).fit_transform(np.repeat(blobs[0], 3, axis=0))
    np.testing.assert_array_equal(equal[::3], equal[2::3])


def test_precomputed_neighbours_of_equal_rows_name_the_row_anywhere(blobs):
    X = blobs[0][:120].copy()
    X[1] = X[0]
    X[40:60] = X[40]
    indices, distances = km.knn_graph(X, 14, "euclidean")
    true = km.UMAP(n_epochs=20).fit(X)
    with_self = np.empty((120, 15), np.int32), np.empty((120, 15), np.float32)
    for i in range(120):
        equal = int((distances[i] == 0).sum())  # the row stands behind its equals
        with_self[0][i] = np.insert(indices[i], equal, i)
        with_self[1][i] = np.insert(distances[i], equal, 0)
    assert not np.array_equal(with_self[0][:, 0], np.arange(120)) and with_self[0][5, 0] == 5
    given = km.UMAP(n_epochs=20, precomputed_knn=with_self).fit(X)
    np.testing.assert_array_equal(given.embedding_, true.embedding_)
    assert abs(given.graph_ - true.graph_).max() == 0
    assert given.recall_ is None and true.recall_ == 1.0
    # Rows whose equals left no place for themselves are not in want of one.
    distances = np.linalg.norm((X[:, None] - X[None]).astype(np.float64), axis=2)
    order = np.argsort(distances + 1e-9 * np.arange(120), axis=1)[:, :15].astype(np.int32)
    near = np.take_along_axis(distances, order, axis=1)
    assert not (order == np.arange(120)[:, None]).any(axis=1).all()
    graph = km.UMAP(n_epochs=20, precomputed_knn=(order, near)).fit(X).graph_
    assert graph.diagonal().max() == 0
    distinct = np.r_[2:40, 60:120]
    assert abs((graph - true.graph_)[distinct][:, distinct]).max() < 1e-4


def test_keywords_of_metrics(blobs, tmp_path):
    X, _ = blobs
    train, fresh = X[:300], X[300:320]
    by_one = km.UMAP(metric="minkowski", metric_kwds={"p": 1}, n_epochs=30).fit(train)
    manhattan = km.UMAP(metric="manhattan", n_epochs=30).fit(train)
    assert abs(by_one.graph_ - manhattan.graph_).max() < 1e-4
    assert abs(by_one.graph_ - km.UMAP(metric="minkowski", n_epochs=30).fit(train).graph_).max() > 0.1
    by_one.save(tmp_path / "map.h5")
    for again in (km.UMAP.load(tmp_path / "map.h5", train), pickle.loads(pickle.dumps(by_one))):
        np.testing.assert_array_equal(again.transform(fresh), by_one.transform(fresh))
    np.save(tmp_path / "rows.npy", train.astype(np.float16))
    of_file = km.UMAP(metric="minkowski", metric_kwds={"p": 1}, n_epochs=30).fit(tmp_path / "rows.npy")
    of_rows = km.UMAP(metric="minkowski", metric_kwds={"p": 1}, n_epochs=30).fit(train.astype(np.float16))
    np.testing.assert_array_equal(of_file.embedding_, of_rows.embedding_)
    np.testing.assert_array_equal(of_file.transform(fresh), of_rows.transform(fresh))

    line = np.random.default_rng(2).normal(size=(300, 2)).astype(np.float32)
    kinds = {"target_weight": 0.9, "n_epochs": 30}
    target = km.UMAP(target_metric="minkowski", target_metric_kwds={"p": 1}, **kinds).fit(train, line)
    city = km.UMAP(target_metric="manhattan", **kinds).fit(train, line)
    assert abs(target.graph_ - city.graph_).max() < 1e-3
    plain = km.UMAP(target_metric="minkowski", **kinds).fit(train, line)
    assert abs(target.graph_ - plain.graph_).max() > 0.1

    for wrong in ({"metric_kwds": {"p": 1}}, {"metric": "minkowski", "metric_kwds": {"w": [1.0] * 8}},
                  {"target_metric_kwds": {"p": 3}}, {"metric": "minkowski", "metric_kwds": {"p": 0.5}}):  # fmt: skip
        with pytest.raises(ValueError, match=r"keyword|p must be"):
            km.UMAP(**wrong).fit(train)


def test_maps_by_scikit_learns_metrics_are_kept(blobs, tmp_path):
    X, _ = blobs
    train, fresh = X[:200], X[200:210]
    scale = np.linspace(1, 3, 8)
    for params in ({"metric": "l1"}, {"metric": "seuclidean", "metric_kwds": {"V": scale}}):
        projector = km.UMAP(n_epochs=20, **params).fit(train)
        placed = projector.transform(fresh)
        projector.save(tmp_path / "bare.h5")
        projector.save(tmp_path / "rows.h5", with_data=True)
        for again in (km.UMAP.load(tmp_path / "bare.h5", train), km.UMAP.load(tmp_path / "rows.h5"),
                      pickle.loads(pickle.dumps(projector))):  # fmt: skip
            np.testing.assert_array_equal(again.transform(fresh), placed)
        with pytest.raises(ValueError, match="rows"):
            km.UMAP.load(tmp_path / "bare.h5").transform(fresh)

    def metric(a, b):
        return np.abs(a - b).sum()

    projector = km.UMAP(metric=metric, n_epochs=20).fit(train)
    projector.save(tmp_path / "function.h5")
    again = km.UMAP.load(tmp_path / "function.h5", train)
    with pytest.raises(ValueError, match="set_params"):
        again.transform(fresh)
    np.testing.assert_array_equal(again.set_params(metric=metric).transform(fresh), projector.transform(fresh))


def test_maps_of_files_are_kept(blobs, tmp_path):
    X, _ = blobs
    train, fresh = X[:300].astype(np.float16), X[300:310]
    np.save(tmp_path / "rows.npy", train)
    store = km.CheckpointStore(tmp_path / "store")
    store.begin_rows({"model": "none"}, X.shape[1])
    store.commit_rows(0, train.astype(np.float32), np.zeros(300, np.uint64))
    for place in (tmp_path / "rows.npy", store.folder, store):
        projector = km.UMAP(n_epochs=20).fit(place)
        placed = projector.transform(fresh)
        projector.save(tmp_path / "map.h5")
        for again in (km.UMAP.load(tmp_path / "map.h5", place), km.UMAP.load(tmp_path / "map.h5", train),
                      pickle.loads(pickle.dumps(projector))):  # fmt: skip
            np.testing.assert_array_equal(again.transform(fresh), placed)
    np.save(tmp_path / "others.npy", train[::-1])
    with pytest.raises(ValueError, match="not the rows"):
        km.UMAP.load(tmp_path / "map.h5", tmp_path / "others.npy")
    pickled = pickle.dumps(km.UMAP(n_epochs=20).fit(tmp_path / "rows.npy"))
    (tmp_path / "rows.npy").rename(tmp_path / "moved.npy")
    gone = pickle.loads(pickled)
    np.testing.assert_array_equal(gone.embedding_.shape, (300, 2))
    with pytest.raises(ValueError, match="new place"):
        gone.transform(fresh)


def test_an_update_keeps_the_weights(blobs):
    X, _ = blobs
    weights = np.linspace(0, 2, 300).astype(np.float32)

    def updated(given, added=None):
        projector = km.UMAP(n_epochs=60, init=X[:300, :2]).fit(X[:300], sample_weight=given)
        return projector, projector.update(X[300:], added).embedding_

    _, plain = updated(None)
    weighted, with_weights = updated(weights)
    _, ones = updated(weights, np.ones(100))
    np.testing.assert_array_equal(with_weights, ones)
    _, light = updated(weights, np.full(100, 0.01))
    assert not np.array_equal(with_weights, light)
    assert not np.array_equal(with_weights, plain)
    # The weights outlive a pickle, so that a second update counts them too.
    again = pickle.loads(pickle.dumps(weighted))
    np.testing.assert_array_equal(again.update(X[:5]).embedding_, weighted.update(X[:5]).embedding_)
    flat, _ = updated(None)
    for wrong in (np.ones(7), -np.ones(5)):
        with pytest.raises(ValueError, match="weight"):
            flat.update(X[:5], wrong)


def test_too_low_a_recall_is_told(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_500, 64)).astype(np.float32)
    projector = km.UMAP(n_epochs=1, init="random")
    projector.fit(X[:500])
    assert projector.recall_ == 1.0
    lower = km.UMAP(n_epochs=1, init="random").fit(X)
    assert 0.97 <= lower.recall_ <= 1.0
    monkeypatch.setattr("knowmap.projector._RECALL", 1.01)
    with pytest.warns(UserWarning, match="estimated recall"):
        projector.fit(X[:100])


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "correlation", "manhattan"])
def test_what_transform_keeps_changes_nothing(blobs, metric):
    X, _ = blobs
    projector = km.UMAP(metric=metric, n_epochs=20).fit(X[:300])
    near = km.knn_query(X[:300], X[300:], 15, metric)
    for _ in range(2):
        np.testing.assert_array_equal(projector.transform(X[300:]), projector._core.transform(X[300:], *near))
    projector.update(X[300:350])
    near = km.knn_query(X[:350], X[350:], 15, metric)
    np.testing.assert_array_equal(projector.transform(X[350:]), projector._core.transform(X[350:], *near))
    broken = X[300:].copy()
    broken[4, 2] = np.inf
    with pytest.raises(ValueError, match="4"):
        projector.transform(broken)
