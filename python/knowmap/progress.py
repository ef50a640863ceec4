"""Progress bars for the engine's callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Callback = Callable[[str, int, int, str], Any]

_TITLES = {
    "embed": "Embedding",
    "tokenize": "Tokenizing",
    "neighbors": "Finding neighbours",
    "spectral": "Spectral start",
    "layout": "Laying out",
    "level": "Levelling",
    "transform": "Placing rows",
    "regions": "Naming regions",
    "label": "Labelling",
}


class Bars:
    """A tqdm bar for each stage as it comes, with rate and time left; on stderr, or in the notebook."""

    def __init__(self) -> None:
        # Late, so that `import knowmap` stays quick.
        from tqdm.auto import tqdm

        self._tqdm = tqdm
        self._stage: str | None = None
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        if stage != self._stage:
            self.close()
            self._stage = stage
            title = _TITLES.get(stage, stage.capitalize())
            # `initial`: what a resumed run finds done must not count for the rate.
            self._bar = self._tqdm(desc=title, total=total, initial=done, unit=f" {unit}", dynamic_ncols=True)
        self._bar.total = total
        if done > self._bar.n:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._stage = None


@contextmanager
def callback(progress: bool | Callback) -> Iterator[Callback | None]:
    """What to hand to the engine: bars for True, nothing for False, a callable as it is."""
    if callable(progress):
        yield progress
    elif progress:
        bars = Bars()
        try:
            yield bars
        finally:
            bars.close()
    else:
        yield None
