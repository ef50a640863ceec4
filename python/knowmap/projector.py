"""`UmapProjector`: vectors to a map."""

from __future__ import annotations

import json
import math
import mmap
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.estimator import Estimator
from knowmap.progress import Callback, callback
from knowmap.rows import is_outside, opened, rows_or_source

_Neighbors = tuple[ArrayLike | None, ...]

# Taken so that programs written for umap-learn run; they choose among ways of its own.
_TAKEN = ("low_memory", "transform_queue_size", "angular_rp_forest", "force_approximation_algorithm", "tqdm_kwds")
# What a saved map says of a metric that was a callable.
_LOST = "a function"
# The recall that neighbours are searched for with (`KnnOptions::target_recall`).
_RECALL = 0.97
# Read here, not by the engine.
_OURS = (*_TAKEN, "precomputed_knn", "progress", "verbose", "metric_kwds", "target_metric_kwds", "transform_mode",
         "init", "metric", "target_metric", "n_epochs", "random_state", "n_jobs", "target_n_neighbors")


class UmapProjector(Estimator):
    """UMAP with umap-learn's parameters and scikit-learn's conventions; also importable as `UMAP`.

    Where it differs from umap-learn: the map's bytes follow from the input, the options and `random_state` on any
    number of threads (None is one more seed, 42); `transform` gives a row the same place whatever rows come with it;
    `output_metric` is not there. `low_memory`, `transform_queue_size`, `angular_rp_forest`,
    `force_approximation_algorithm` and `tqdm_kwds` are taken and change nothing.

    n_neighbors, n_components (1 to 64), min_dist, spread, a, b, set_op_mix_ratio, local_connectivity,
    repulsion_strength, negative_sample_rate, learning_rate: as in umap-learn.
    metric: a name that `knn_graph` knows; "precomputed" (X holds distances, (n, n), in `transform` (m, n)); or, found
        by scikit-learn, another of its names or a callable, with metric_kwds. Of knowmap's own, "minkowski" takes
        one keyword, p, and the others none.
    n_epochs: rounds of the layout; None or 0 = 1,000 up to 4,096 rows, 500 up to 25,000, else 200; a list also keeps
        the map after each of its epochs in `embedding_list_`.
    init: "spectral", "tswspectral" (the same here), "pca", "random", or an array (n, n_components).
    random_state: int, None, or a NumPy generator to draw a seed from. transform_seed: the same for `transform`.
    n_jobs: threads; -1, 0 or None = one for each core.
    target_metric: "categorical" (y holds classes, -1, None or NaN = not known), or the metric of continuous y, with
        target_metric_kwds. target_weight: how much y counts, 0 to 1; target_n_neighbors: -1 = n_neighbors.
    densmap, dens_lambda, dens_frac, dens_var_shift: densMAP. output_dens: also gives logarithms of the local radii, in
        `rad_orig_` and `rad_emb_`, and from `fit_transform`.
    unique: lays out each distinct row once. disconnection_distance: neighbours as far as this are none; a row left
        without any gets NaN for a place, with a warning.
    precomputed_knn: (indices, distances), nearest first, with or without the row itself, wherever it stands; further
        entries are passed over.
    transform_mode: "embedding". verbose: True shows bars, as progress=True does; progress may also be a callable
        (stage, done, total, unit).
    density_leveling: 0 to 1, how far the finished map is spread evenly (see `level_density`).
    device: where `fit` searches for neighbours, "cpu", "cuda" or as `knn_graph` has it; the layout is on the CPU.
    serial: edges one after the other in umap-learn's own order, on one thread; a slow reference.

    After `fit`: `embedding_` (n, n_components) float32, `graph_` (SciPy CSR), `n_features_in_`, `init_used_` (what the
    start was made from, and why where that is not what was asked), `recall_` (the share of true neighbours found: 1.0
    where all pairs were looked at, else estimated, with a warning where it is low; None where neighbours were given). X
    is not copied where it is float32 already: leave it unchanged as long as `transform` is used. X may also be a
    `CheckpointStore`, the path of a store or of an .npy file, or a mapped array. The rows of a store, or of a mapped
    array of another type than float32, are read by ranges and not held; such a map knows no `inverse_transform` and no
    `update`, and opens them again, where they lay, after pickling.
    """

    def __init__(self, n_neighbors: int = 15, n_components: int = 2,
                 metric: str | Callable[..., float] = "euclidean", *, metric_kwds: dict[str, Any] | None = None,
                 n_epochs: int | Sequence[int] | None = None,
                 learning_rate: float = 1.0, init: str | ArrayLike = "spectral", min_dist: float = 0.1,
                 spread: float = 1.0, low_memory: bool = True, n_jobs: int | None = -1, set_op_mix_ratio: float = 1.0,
                 local_connectivity: float = 1.0, repulsion_strength: float = 1.0, negative_sample_rate: int = 5,
                 transform_queue_size: float = 4.0, a: float | None = None, b: float | None = None,
                 random_state: Any = None, angular_rp_forest: bool = False, target_n_neighbors: int = -1,
                 target_metric: str = "categorical", target_metric_kwds: dict[str, Any] | None = None,
                 target_weight: float = 0.5, transform_seed: int = 42, transform_mode: str = "embedding",
                 force_approximation_algorithm: bool = False, verbose: bool = False,
                 tqdm_kwds: dict[str, Any] | None = None, unique: bool = False, densmap: bool = False,
                 dens_lambda: float = 2.0, dens_frac: float = 0.3, dens_var_shift: float = 0.1,
                 output_dens: bool = False, disconnection_distance: float | None = None,
                 precomputed_knn: _Neighbors | None = None, density_leveling: float = 0.0, serial: bool = False,
                 device: str = "cpu", progress: bool | Callback = False) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.metric_kwds = metric_kwds
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.low_memory = low_memory
        self.n_jobs = n_jobs
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.transform_queue_size = transform_queue_size
        self.a = a
        self.b = b
        self.random_state = random_state
        self.angular_rp_forest = angular_rp_forest
        self.target_n_neighbors = target_n_neighbors
        self.target_metric = target_metric
        self.target_metric_kwds = target_metric_kwds
        self.target_weight = target_weight
        self.transform_seed = transform_seed
        self.transform_mode = transform_mode
        self.force_approximation_algorithm = force_approximation_algorithm
        self.verbose = verbose
        self.tqdm_kwds = tqdm_kwds
        self.unique = unique
        self.densmap = densmap
        self.dens_lambda = dens_lambda
        self.dens_frac = dens_frac
        self.dens_var_shift = dens_var_shift
        self.output_dens = output_dens
        self.disconnection_distance = disconnection_distance
        self.precomputed_knn = precomputed_knn
        self.density_leveling = density_leveling
        self.serial = serial
        self.device = device
        self.progress = progress

    # --- making a map ---------------------------------------------------------

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *,
            earlier: ArrayLike | None = None) -> Self:
        """Lays out the rows of X (n, d), drawn to the targets y (n,) where given. Raises ValueError, CancelledError.

        sample_weight (n,): 0 or more; a row pulls the rows that it is joined to in proportion. Only ratios count, and
        only in the layout: who is a neighbour, and the start, are as without. Not with densmap or serial.
        earlier (n, n_components): the rows' places on an earlier map, NaN for new ones, to be gone on with in place of
        `init`: rows begin there, new ones among their neighbours, and all move a little, for a third of the epochs.
        """
        X = opened(X)
        outside = is_outside(X)
        self.__dict__.pop("_searcher", None)
        rows = self._source(X) if outside else self._check_rows(X, fitting=True)
        places = None if earlier is None else np.ascontiguousarray(earlier, dtype=np.float32)
        if places is not None and places.shape[:1] != rows.shape[:1]:
            raise ValueError(f"the earlier places have the shape {places.shape}, not "
                             f"{(rows.shape[0], self.n_components)}")
        start = self._given_start() if places is None else None
        beside = *self._targets(y, rows.shape[0]), self._weights(sample_weight, rows.shape[0]), places
        with self._report() as report:
            core = _core.UmapProjector(self._engine_params(), report)
            if outside:
                core.fit_source(rows, start, *beside)
            else:
                core.fit(rows, *self._known_neighbors(rows), start, *beside)
        self._outside, self._outside_at = (rows, _place_of(X)) if outside else (None, None)
        self._take(core)
        self._warn_of_recall()
        lost = int(np.isnan(self.embedding_[:, 0]).sum())
        if lost:
            warnings.warn(f"{lost} rows have no neighbour nearer than disconnection_distance: their places are NaN",
                          stacklevel=2)
        return self

    def fit_transform(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *,
                      earlier: ArrayLike | None = None) -> Any:
        """`fit`, then the map of the same rows: float32 (n, n_components); with `output_dens` also the radii."""
        self.fit(X, y, sample_weight, earlier=earlier)
        return (self.embedding_, self.rad_orig_, self.rad_emb_) if self.output_dens else self.embedding_

    def update(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Adds the rows of X: old ones begin where they lie, new ones among their neighbours; all move a little.

        The weights given to `fit` stay; sample_weight (m,) are those of the new rows. Rows of either without weigh 1.
        """
        self._require_fitted("_core")
        self._engine_knows_metric("update")
        rows = self._check_rows(X, fitting=False)
        self._core.update(rows, self._weights(sample_weight, len(rows)))
        self._take(self._core)
        self._warn_of_recall()
        return self

    # --- asking it ------------------------------------------------------------

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Places new rows on the fitted map; each gets the same bytes whatever rows come with it."""
        self._require_fitted("_core")
        rows = self._check_rows(X, fitting=False)
        outside = self._rows_outside()
        if outside is not None:
            k = min(self.n_neighbors, len(self.embedding_))
            return self._core.transform(rows, *_core.knn_query(outside, rows, n_neighbors=k, metric=self.metric,
                                                               p=self._exponent(), threads=_threads(self.n_jobs)))
        if self.metric == "precomputed" or not _known(self.metric):
            k = min(self.n_neighbors, len(self.embedding_))
            return self._core.transform(rows, *self._search_neighbors(rows, k, new=True))
        return self._core.transform(rows)

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Rows (m, d) that would lie at the points X (m, n_components) of the map."""
        self._require_fitted("_core")
        if self.metric == "precomputed":
            raise ValueError("inverse_transform needs vectors; this map was made from distances")
        return self._core.inverse_transform(np.ascontiguousarray(X, dtype=np.float32))

    @property
    def graph_(self) -> Any:
        """The fuzzy graph as a SciPy CSR matrix (n, n)."""
        self._require_fitted("_core")
        from scipy.sparse import csr_matrix

        offsets, columns, weights = self._core.graph()
        if len(offsets) == 0:
            raise AttributeError("the fuzzy graph is not kept in saved maps; fit again to have it")
        n = len(offsets) - 1
        return csr_matrix((weights, columns, offsets.astype(np.int64)), shape=(n, n))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the map's columns: umapprojector0, umapprojector1, ..."""
        self._require_fitted("_core")
        prefix = type(self).__name__.lower()
        return np.asarray([f"{prefix}{i}" for i in range(self.embedding_.shape[1])], dtype=object)

    # --- keeping it -----------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, with_data: bool = False) -> None:
        """Writes the map as one HDF5 file, without X unless asked; `load` then wants X before it can transform."""
        self._require_fitted("_core")
        kept = {name: _listed(value) if name.endswith("_kwds") else value for name, value in self.get_params().items()}
        kept = {name: value for name, value in kept.items()
                if name not in ("precomputed_knn", "progress") and _plain(value)}
        if callable(self.metric):
            kept["metric"] = _LOST
        self._core.save(os.fspath(path), with_data, json.dumps(kept))

    @classmethod
    def load(cls, path: str | os.PathLike[str], X: Any = None) -> Self:
        """Reads a saved map. X: the rows it was made of, where they were not saved; as `fit` takes them.

        Where the metric was a callable, give it again before `transform`: `set_params(metric=...)`. Raises
        CheckpointError, and ValueError where X holds other rows.
        """
        core = _core.UmapProjector.load(os.fspath(path))
        params = json.loads(core.note) if core.note else {}
        self = cls(**{name: value for name, value in params.items() if name in cls._parameter_names()})
        core.set_run(_threads(self.n_jobs), None)
        self.n_features_in_ = core.n_features
        X = opened(X)
        if is_outside(X):
            rows = self._source(X, fitting=False)
            core.check_rows(rows)
            self._outside, self._outside_at = rows, _place_of(X)
        elif X is not None:
            core.attach_rows(self._check_rows(X, fitting=False))
        self._take(core)
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        core = state.pop("_core", None)
        state.pop("_outside", None)  # `_outside_at` says where to open it again
        state.pop("_searcher", None)  # made again of the rows
        if core is not None:
            try:
                arrays = core.arrays(True)
            except ValueError:  # loaded without its rows
                arrays = core.arrays(False)
            state["_engine_state"] = (core.describe(), arrays)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        engine_state = state.pop("_engine_state", None)
        self.__dict__.update(state)
        if engine_state is not None:
            self._core = _core.UmapProjector.restore(*engine_state)
            self._core.set_run(_threads(self.n_jobs), None)

    # --- scikit-learn ---------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_core")

    def __sklearn_tags__(self) -> Any:
        # Called by scikit-learn alone, so it is there.
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(estimator_type="transformer", target_tags=TargetTags(required=False),
                    transformer_tags=TransformerTags(preserves_dtype=["float32"]),
                    input_tags=InputTags(pairwise=self.metric == "precomputed"))

    # --- inside ---------------------------------------------------------------

    def _take(self, core: Any) -> None:
        self._core = core
        self.recall_: float | None = None if math.isnan(core.recall) else core.recall
        self.embedding_: NDArray[np.float32] = core.embedding()
        self.init_used_: str = core.init_used
        if self.output_dens:
            self.rad_orig_, self.rad_emb_ = core.radii().T.copy()
        if _several(self.n_epochs):
            self.embedding_list_ = core.snapshots()

    @contextmanager
    def _report(self) -> Iterator[Callback | None]:
        with callback(self.progress if callable(self.progress) else bool(self.progress or self.verbose)) as report:
            yield report

    def _warn_of_recall(self) -> None:
        if self.recall_ is not None and self.recall_ < _RECALL:
            warnings.warn(f"the map was made of neighbours with an estimated recall of {self.recall_:.3f}, below "
                          f"{_RECALL}: give precomputed_knn=knn_graph(X, exact=True) for true ones", stacklevel=3)

    def _rows_outside(self) -> Any:
        """The source that the map was made of, opened again after unpickling; None where it was none."""
        if getattr(self, "_outside", None) is None and getattr(self, "_outside_at", None) is not None:
            try:
                X = self._outside_at
                X = np.memmap(**X) if isinstance(X, dict) else opened(X)
            except (OSError, ValueError, _core.CheckpointError) as error:
                raise ValueError(f"the rows that the map was made of can't be opened where they lay: {error}; save the "
                                 "map and give their new place to load(path, X)") from error
            rows = self._source(X, fitting=False)
            self._core.check_rows(rows)
            self._outside = rows
        return getattr(self, "_outside", None)

    def _exponent(self) -> float:
        return _exponent("metric", self.metric, self.metric_kwds)

    def _source(self, X: Any, *, fitting: bool = True) -> Any:
        """Rows that lie outside memory."""
        if self.precomputed_knn is not None or not _known(self.metric) or self.metric == "precomputed":
            raise ValueError("a store or file of rows goes with knowmap's own metrics alone, not with precomputed_knn; "
                             "read the rows first")
        rows = rows_or_source(X, self.metric)
        if not isinstance(rows, _core.RowSource):  # mapped, but of a type or an order that must be converted
            rows = _core.RowSource.of_array(np.ascontiguousarray(rows, dtype=np.float32), True)
        self._check_columns(rows.shape[1], None, fitting)
        return rows

    def _engine_params(self) -> dict[str, Any]:
        if self.transform_mode != "embedding":
            raise ValueError(f"transform_mode must be 'embedding', not {self.transform_mode!r}; "
                             "the graph of a fitted map is its graph_")
        params = {name: value for name, value in self.get_params().items() if name not in _OURS}
        several = _several(self.n_epochs)
        if several:
            params["snapshot_epochs"] = sorted({int(epoch) for epoch in self.n_epochs})
        params["n_epochs"] = max(self.n_epochs) if several else self.n_epochs
        params["init"] = self.init if isinstance(self.init, str) else "random"
        # Where the engine is given neighbours, their metric has no part in it.
        params["metric"] = self.metric if _known(self.metric) else "euclidean"
        if self.metric != "precomputed" and _known(self.metric):
            params["p"] = self._exponent()
        params["target_p"] = _exponent("target_metric", self.target_metric, self.target_metric_kwds)
        params["target_metric"] = "euclidean" if self.target_metric == "categorical" else self.target_metric
        params["target_n_neighbors"] = max(0, self.target_n_neighbors)
        params["random_state"] = _seed(self.random_state)
        params["n_jobs"] = _threads(self.n_jobs)
        return params

    def _given_start(self) -> NDArray[np.float32] | None:
        return None if isinstance(self.init, str) else np.ascontiguousarray(self.init, dtype=np.float32)

    def _targets(self, y: ArrayLike | None, rows: int) -> tuple[Any, Any]:
        """Classes, or continuous targets, for the engine."""
        if y is None:
            return None, None
        values = np.asarray(y)
        if len(values) != rows:
            raise ValueError(f"y has {len(values)} entries, X {rows} rows")
        if self.target_metric != "categorical":
            values = np.ascontiguousarray(values, dtype=np.float32)
            return None, values.reshape(rows, -1)
        return _class_numbers(values.reshape(rows)), None

    @staticmethod
    def _weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float32] | None:
        if sample_weight is None:
            return None
        weights = np.ascontiguousarray(sample_weight, dtype=np.float32)
        if weights.shape != (rows,):
            raise ValueError(f"sample_weight has the shape {weights.shape}, not ({rows},)")
        return weights

    def _known_neighbors(self, rows: NDArray[np.float32]) -> tuple[Any, Any]:
        """Neighbours that the engine need not find, self left out."""
        given = self.precomputed_knn
        if given is None or given[0] is None:
            if self.metric != "precomputed" and _known(self.metric):
                return None, None
            return self._search_neighbors(rows, max(1, min(self.n_neighbors, len(rows) - 1) - 1), new=False)
        indices = np.asarray(given[0], dtype=np.int32)
        distances = np.asarray(given[1], dtype=np.float32)
        if indices.shape != distances.shape or indices.ndim != 2 or len(indices) != len(rows):
            raise ValueError(f"precomputed_knn must be two arrays of shape ({len(rows)}, k), "
                             f"got {indices.shape} and {distances.shape}")
        return _without_self(indices, distances)

    def _search_neighbors(self, rows: NDArray[np.float32], k: int, *, new: bool) -> tuple[Any, Any]:
        """Neighbours by metrics that the engine does not have: from given distances, or by scikit-learn."""
        if self.metric == "precomputed":
            if not new and rows.shape[0] != rows.shape[1]:
                raise ValueError(f"precomputed distances must be a square matrix, not {rows.shape}")
            distances = rows if new else rows.copy()
            if not new:
                np.fill_diagonal(distances, np.inf)
            if np.isnan(distances).any():
                raise ValueError("the precomputed distances hold NaN")
            indices = np.argsort(distances, axis=1, kind="stable")[:, :k].astype(np.int32)
            near = np.take_along_axis(distances, indices, axis=1)
            return np.where(np.isinf(near), -1, indices).astype(np.int32), near
        try:
            from sklearn.neighbors import NearestNeighbors
        except ImportError:
            raise ValueError(f"metric {self.metric!r} is not one of knowmap's own, and scikit-learn, which might know "
                             "it, is not installed") from None
        if not new:
            self._searcher = self._made_searcher(NearestNeighbors, rows)
            k = min(k, len(rows) - 1)
            if k < 1:
                return np.full((1, 1), -1, np.int32), np.full((1, 1), np.inf, np.float32)
            distances, indices = self._searcher.kneighbors(n_neighbors=k)
        else:
            if not hasattr(self, "_searcher"):  # loaded or unpickled
                if self.metric == _LOST:
                    raise ValueError("the map's metric was a function, which is not saved: give it again by "
                                     "set_params(metric=...)")
                try:
                    kept = self._core.arrays(True)["rows"]
                except ValueError as error:
                    raise ValueError(f"transform needs the rows that the map was made of: load(path, X) ({error})"
                                     ) from None
                self._searcher = self._made_searcher(NearestNeighbors, kept)
            distances, indices = self._searcher.kneighbors(rows, n_neighbors=k)
        return indices.astype(np.int32), distances.astype(np.float32)

    def _made_searcher(self, kind: Any, rows: NDArray[np.float32]) -> Any:
        # By all pairs: trees would take it for granted that a callable keeps the triangle inequality.
        ways = {"algorithm": "brute"} if callable(self.metric) else {"n_jobs": -1}
        # A saved map has lists for arrays.
        kwds = {name: np.asarray(value) if isinstance(value, list) else value
                for name, value in (self.metric_kwds or {}).items()}
        return kind(metric=self.metric, metric_params=kwds or None, **ways).fit(rows)

    def _engine_knows_metric(self, what: str) -> None:
        if self.metric == "precomputed" or not _known(self.metric):
            raise ValueError(f"{what} does not go with metric {self.metric!r}; fit anew")


def level_density(map_: ArrayLike, strength: float = 1.0, *, n_jobs: int | None = -1) -> NDArray[np.float32]:
    """Spreads the points of a map (n, d) evenly over a disc, part of the way: strength 0 (not at all) to 1.

    Sliced optimal transport; near points stay near. The same as `UmapProjector(density_leveling=...)`, for any map.
    """
    return _core.level_density(np.ascontiguousarray(map_, dtype=np.float32), strength, _threads(n_jobs))


def _known(metric: Any) -> bool:
    return isinstance(metric, str) and _core.knows_metric(metric)


def _exponent(what: str, metric: Any, kwds: dict[str, Any] | None) -> float:
    """minkowski's p; raises ValueError for keywords that the metric does not take."""
    taken = ("p",) if metric == "minkowski" else ()
    for name in kwds or {}:
        if name not in taken:
            raise ValueError(f"{what} {metric!r} takes no keyword {name!r} (in {what}_kwds)"
                             + ("; it takes p" if taken else ""))
    return float((kwds or {}).get("p", 2.0))


def _without_self(indices: NDArray[np.int32], distances: NDArray[np.float32]) -> tuple[Any, Any]:
    """The same without each row itself, which need not be the first: equal rows may stand before it.

    Where some rows name themselves and some don't (their equals filled the row), the latter give up their last entry.
    """
    itself = indices == np.arange(len(indices), dtype=np.int32)[:, None]
    named = itself.any(axis=1)
    if not named.any():
        return np.ascontiguousarray(indices), np.ascontiguousarray(distances)
    drop = np.where(named, itself.argmax(axis=1), indices.shape[1] - 1)
    kept = np.ones(indices.shape, bool)
    kept[np.arange(len(indices)), drop] = False
    shape = (len(indices), indices.shape[1] - 1)
    return indices[kept].reshape(shape), distances[kept].reshape(shape)


def _place_of(X: Any) -> Any:
    """From where a source can be opened again: a path, or a memmap's arguments; None where that is not known."""
    if isinstance(X, _core.CheckpointStore):
        return os.path.abspath(X.folder)
    if not isinstance(X.base, mmap.mmap) or X.filename is None:  # a part of a mapped array
        return None
    if str(X.filename).endswith(".npy"):
        return os.path.abspath(X.filename)
    return {"filename": os.path.abspath(X.filename), "dtype": X.dtype, "mode": "r", "offset": X.offset,
            "shape": X.shape, "order": "C" if X.flags.c_contiguous else "F"}


def _listed(kwds: Any) -> Any:
    """Keywords with arrays and NumPy's numbers as JSON has them."""
    if not isinstance(kwds, dict):
        return kwds
    return {name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
            for name, value in kwds.items()}


def _several(n_epochs: Any) -> bool:
    return isinstance(n_epochs, (list, tuple, np.ndarray))


def _threads(n_jobs: int | None) -> int:
    return max(0, n_jobs or 0)


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 42
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return random_state


def _class_numbers(y: NDArray[Any]) -> NDArray[np.int32]:
    """Classes as 0, 1, ..., in the order of their values; -1 for those not known."""
    if y.dtype.kind == "f":
        unknown = np.isnan(y) | (y == -1)
    elif y.dtype.kind in "iu":
        unknown = y == -1
    else:
        unknown = np.asarray([v is None or v != v or (not isinstance(v, str) and v == -1) for v in y.tolist()], bool)
    numbers = np.full(len(y), -1, np.int32)
    known = y[~unknown]
    if known.dtype == object:
        known = known.astype(str)
    numbers[~unknown] = np.unique(known, return_inverse=True)[1]
    return numbers


def _plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
