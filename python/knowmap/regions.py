"""Regions of the map: found, named, renamed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmap import _core
from knowmap.progress import Callback, callback

_core.Region.__doc__ = """A named part of the map.

``name``: one to four words, which no other region of its level and none above has; ``phrases``: words that set it
apart, best first; ``exemplars``: rows nearest to its centre, nearest first; ``x``, ``y``: where its name stands;
``size``: rows in it; ``parent``: its region in the level above, -1 at the top (of a grid's cell: the region of the
finest given level that most of its rows are in); ``confidence``: how far the name tells it from the rest, 0 to 1 (the
share of its rows that hold the name's phrase, less that share among all others; 1 / size where the name is a title);
``cell``: of a grid row * columns + column, rows counted from the lowest y, else -1.
"""
_core.RegionLevel.__doc__ = "A partition of the map: ``regions``, and ``assignment``, each row's region, -1 for none."

Namer = Callable[..., str | None]
_log = logging.getLogger("knowmap")


def name_regions(coordinates: ArrayLike, texts: Sequence[str], *, titles: Sequence[str] = (),
                 embedding: ArrayLike | None = None, level_sizes: Sequence[int] = (), min_region_size: int = 0,
                 n_phrases: int = 8, n_exemplars: int = 5, earlier: Sequence[_core.RegionLevel] = (),
                 earlier_rows: Sequence[int] = (), namer: Namer | None = None, n_jobs: int = 0,
                 progress: bool | Callback = False) -> list[_core.RegionLevel]:
    """Divides a map (n, 2) into nested regions, coarse to fine, and names each from its own texts.

    level_sizes: wanted number of regions at each level; empty = chosen from n. Each level has `regions` (name, phrases,
    exemplars, x, y, size, parent, confidence) and `assignment` (n) with -1 for none.

    earlier: the levels of an earlier map of the same articles. The map is divided as that one was, as far as its
    density allows, and names stay where the regions are the same by more than half, or by a fifth (or with
    mostly new rows) and the name still fits. earlier_rows: the number that each of its rows has now, -1 = gone; empty =
    the same, with further articles behind them. namer: see `rename_regions`. Raises ValueError, CancelledError.
    """
    with callback(progress) as report:
        levels = _core.name_regions(
            _floats(coordinates), _floats(embedding), list(texts), list(titles),
            {"level_sizes": [int(size) for size in level_sizes], "min_region_size": min_region_size,
             "n_phrases": n_phrases, "n_exemplars": n_exemplars, "threads": max(0, n_jobs or 0)},
            earlier=list(earlier), earlier_rows=[int(row) for row in earlier_rows], progress=report)
    return rename_regions(levels, texts, namer, titles=titles) if namer is not None else levels


def name_grid(coordinates: ArrayLike, texts: Sequence[str], *, rows: int, columns: int, titles: Sequence[str] = (),
              embedding: ArrayLike | None = None, levels: Sequence[_core.RegionLevel] = (), n_phrases: int = 8,
              n_exemplars: int = 5, n_jobs: int = 0, progress: bool | Callback = False) -> _core.RegionLevel:
    """Divides a map (n, 2) into a grid over its extent and names each cell that holds an article.

    levels: regions of the same map; a cell's `parent` is one of the last of them. `cell` tells where it lies. Raises
    ValueError, CancelledError.
    """
    with callback(progress) as report:
        return _core.name_grid(_floats(coordinates), _floats(embedding), list(texts), list(titles), rows, columns,
                               levels=list(levels),
                               params={"n_phrases": n_phrases, "n_exemplars": n_exemplars,
                                       "threads": max(0, n_jobs or 0)}, progress=report)


def rename_regions(levels: Sequence[_core.RegionLevel], texts: Sequence[str], namer: Namer, *,
                   titles: Sequence[str] = ()) -> list[_core.RegionLevel]:
    """Asks `namer` (a language model, say) for each region's name, coarse levels first; answers new levels.

    It is called with keywords: name (the built-in one), phrases, titles (of the exemplars), parent (the name above, or
    ""), level, size; and answers one to four words, or None or "" to leave the name. What it raises, and an answer that
    is taken already or says nothing ("various topics"), goes to the log "knowmap", and the built-in name stays. Ctrl-C
    ends the call.
    """
    renamed, _ = _core.rename_regions(list(levels), list(texts), list(titles), namer, warn=_log.warning)
    return renamed


def _floats(rows: Any) -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32) if rows is None else np.ascontiguousarray(rows, dtype=np.float32)
