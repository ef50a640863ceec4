"""scikit-learn's conventions for parameters and input, without needing scikit-learn."""

from __future__ import annotations

import inspect
import sys
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class _NotFittedError(ValueError, AttributeError):
    """Raised before `fit`, where scikit-learn is not in use; a ValueError and an AttributeError, as there."""


def _not_fitted(message: str) -> Exception:
    # scikit-learn's own class, where the caller can know it.
    sklearn = sys.modules.get("sklearn.exceptions")
    return (sklearn.NotFittedError if sklearn is not None else _NotFittedError)(message)


class Estimator:
    """`get_params` and `set_params` from the names in `__init__`, as scikit-learn's `clone` wants them."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters and their values."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Changes parameters; raises ValueError for an unknown name."""
        known = self._parameter_names()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = (f"{n}={v!r}" for n, v in self.get_params().items() if not _same(v, defaults[n].default))
        return f"{type(self).__name__}({', '.join(changed)})"

    def _require_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise _not_fitted(f"this {type(self).__name__} instance is not fitted yet; call fit first")

    def _check_rows(self, X: Any, *, fitting: bool) -> NDArray[np.float32]:
        """X as contiguous float32 (n, d), not copied where it is that already; raises ValueError, or TypeError.

        Fitting sets `n_features_in_` and, where the columns of a data frame have names, `feature_names_in_`.
        """
        names = _column_names(X)
        if hasattr(X, "tocsr"):
            raise TypeError("Sparse data was passed, but dense data is required; use X.toarray(), or reduce it first, "
                            "for example by sklearn.decomposition.TruncatedSVD")
        rows = np.asarray(X)
        if np.iscomplexobj(rows):
            raise ValueError("Complex data not supported: give real numbers")
        try:
            rows = np.ascontiguousarray(rows, dtype=np.float32) if rows.ndim else rows
        except (TypeError, ValueError) as error:
            raise type(error)(f"X must hold numbers (dtype 'numeric'); {error}") from error
        if rows.ndim != 2:
            raise ValueError(f"Expected 2D array, got an array of shape {np.shape(X)} instead. Reshape your data: "
                             "X.reshape(-1, 1) for a single feature, X.reshape(1, -1) for a single sample")
        if rows.shape[0] == 0:
            raise ValueError(f"Found array with 0 sample(s) (shape={rows.shape}) while a minimum of 1 is required.")
        if rows.shape[1] == 0:
            raise ValueError(f"Found array with 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required.")
        self._check_columns(rows.shape[1], names, fitting)
        return rows

    def _check_columns(self, columns: int, names: NDArray[np.object_] | None, fitting: bool) -> None:
        if fitting:
            self.n_features_in_ = columns
            if names is not None:
                self.feature_names_in_ = names
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return
        known = getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and list(names) != list(known):
            raise ValueError("The feature names should match those that were passed during fit: expected "
                             f"{list(known)[:5]}, got {list(names)[:5]}")
        if columns != self.n_features_in_:
            raise ValueError(f"X has {columns} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                             "features as input")


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and not isinstance(a, np.ndarray) and bool(a == b))


def _column_names(X: Any) -> NDArray[np.object_] | None:
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = np.asarray(list(columns), dtype=object)
    return names if len(names) and all(isinstance(name, str) for name in names) else None
