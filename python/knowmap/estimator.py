"""scikit-learn's conventions for parameters, without needing scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self


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
        changed = (f"{n}={v!r}" for n, v in self.get_params().items()
                   if v is not defaults[n].default and v != defaults[n].default)
        return f"{type(self).__name__}({', '.join(changed)})"
