"""Rows that are read where they are wanted: of other types than float32, or larger than memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from knowmap import _core

# Metrics whose candidates are found without looking at single rows again and again.
_BY_RUNS = ("cosine", "euclidean", "inner_product", "correlation")
_AS_THEY_ARE = "efbB?"


def opened(X: Any) -> Any:
    """X, or the store or the mapped array that it is the path of; raises ValueError, `CheckpointError`."""
    if not isinstance(X, (str, os.PathLike)):
        return X
    path = Path(X)
    if path.is_dir():
        return _core.CheckpointStore(path, "r")
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    raise ValueError(f"'{path}' is neither the folder of a store nor an .npy file")


def is_outside(X: Any) -> bool:
    """Whether what `opened` gave can't be looked at as float32 where it lies: a store, or mapped in another type."""
    return isinstance(X, _core.CheckpointStore) or (isinstance(X, np.memmap) and X.dtype != np.float32)


def rows_or_source(X: Any, metric: str) -> Any:
    """What `opened` gave as the engine takes it: a source, to be read by ranges or in its own type, or X itself."""
    if metric == "precomputed":
        return X
    if isinstance(X, _core.CheckpointStore):
        return _core.RowSource.of_store(X)
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.char not in _AS_THEY_ARE:
        return X
    mapped = isinstance(X, np.memmap)
    if not X.flags.c_contiguous or (X.dtype == np.float32 and not mapped):
        return X
    return _core.RowSource.of_array(X, not mapped or metric not in _BY_RUNS)
