"""Writes a knowledge map as one HTML page that needs nothing else: no network, no server, no other file.

The page itself is built once, from ``python/viewer``, into a template; this module packs the data of one map into it.
What it packs is read by ``python/viewer/src/data.ts``: the two are each other's contract.
"""

from __future__ import annotations

import base64
import html
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["Column", "Level", "Neighbors", "Page", "Region", "Role", "Votes", "render_html",
           "render_html_string"]

_TEMPLATE = Path(__file__).parent / "_viewer" / "map.html"

# Above this many points coordinates are rounded to 65,536 steps a side, a fortieth of a pixel on the whole map.
_QUANTISE_ABOVE = 500_000

# Longest texts of the page; longer ones would only make the file larger.
_MAX_TITLE = 500
_MAX_DESCRIPTION = 280

# Neighbours that the page lists for each point, at 4 bytes each; the second number above 100,000 points.
_MAX_NEIGHBORS, _MAX_NEIGHBORS_BIG = 15, 10
# The same where voters are listed beside them, and how many of these: 40 bytes a point in all, as without.
_MAX_NEIGHBORS_BESIDE, _MAX_VOTERS, _MAX_VOTERS_BIG = 6, 15, 4

# Written as JSON escapes, so that no text can end the script element that carries it or be read as markup.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})

# What a column means to the page: whose values an article's neighbours vote with, and how sure the vote is.
Role = Literal["", "label", "vote", "confidence"]


@dataclass(frozen=True)
class Column:
    """Something known about every point, to colour and filter the map by.

    A ``"category"`` column holds integer codes into ``names``, with -1 for none. A ``"number"`` column holds
    floats, with NaN for none, and no names.
    """

    name: str
    kind: Literal["category", "number"]
    values: Any
    names: Sequence[str] | None = None
    role: Role = ""


@dataclass(frozen=True)
class Region:
    """A named place on the map. ``x`` and ``y`` say where its name goes, in the coordinates of the points.

    ``parent`` is the id of a region in the next coarser level, or None. ``exemplars`` are titles, or row numbers,
    which the page turns into links to those points. ``confidence`` in [0, 1] says how well the name fits, or None.
    """

    id: int
    name: str
    x: float
    y: float
    size: int
    parent: int | None = None
    phrases: Sequence[str] = ()
    exemplars: Sequence[str | int] = ()
    confidence: float | None = None


@dataclass(frozen=True)
class Level:
    """One partition of the map into regions. ``assignment`` gives every point the id of its region, or -1."""

    name: str
    assignment: Any
    regions: Sequence[Region]


@dataclass(frozen=True)
class Neighbors:
    """Each point's nearest others, nearest first. ``rows``: integers of shape ``(n, k)``, -1 where there are fewer.

    ``similarity``: of the same shape, 1 for alike and 0 for unrelated, or None. The page shows the first 15,
    above 100,000 points the first 10, or 6 and 4 voters.
    """

    rows: Any
    similarity: Any = None


@dataclass(frozen=True)
class Votes:
    """What each point's nearest labelled points vote for, best first: the labels' codes and their shares of the votes.

    Both of shape ``(n, m)``; the codes are those of the column whose role is "label", -1 where there are fewer.
    """

    codes: Any
    shares: Any


# What a compact page leaves out.
_NOT_COMPACT = ("snippets", "urls", "ids", "neighbors", "votes", "voters")


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that one map's page says.

    `x` and `y` are the points' coordinates, shape ``(n,)``; every other sequence has n entries too. `levels` go from
    coarse to fine. Of each snippet, the article's text, the page keeps `text_length` characters. `voters` are the
    labelled points that each point's votes came from, where they are not its first neighbours. A `compact` page leaves
    out texts, links, ids, neighbours and votes, compresses titles and codes, and rounds numbers to 65,534 steps: about
    20 bytes a point and its title. What doesn't fit is refused with ``ValueError`` when the page is made.
    """

    x: Any
    y: Any
    titles: Sequence[str]
    snippets: Sequence[str] | None = None
    text_length: int = 280
    urls: Sequence[str] | None = None
    ids: Sequence[object] | None = None
    columns: Sequence[Column] = ()
    levels: Sequence[Level] = ()
    neighbors: Neighbors | None = None
    votes: Votes | None = None
    voters: Neighbors | None = None
    name: str = "Knowledge map"
    description: str = ""
    compact: bool = False

    def payload(self) -> dict[str, Any]:
        """What `python/viewer/src/data.ts` reads."""
        if self.compact:
            kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_COMPACT}
            return _compacted(Page(**kept | {"compact": False}).payload())
        across, up = _coordinates("x", self.x), _coordinates("y", self.y)
        n = len(across)
        for field in ("y", "titles", "snippets", "urls", "ids"):
            if (values := getattr(self, field)) is not None:
                _same_length(field, len(values), n)
        centre, span = _frame(across, up)
        above = (None, *self.levels)
        return {
            "name": _clean(self.name, _MAX_TITLE),
            "description": _clean(self.description, _MAX_DESCRIPTION),
            "n": n,
            "centre": centre,
            "span": span,
            "x": _pack_coordinates((across - centre[0]) / span),
            "y": _pack_coordinates((up - centre[1]) / span),
            "titles": _texts(self.titles, _MAX_TITLE),
            "snippets": None if self.snippets is None else _deflated(_texts(self.snippets, self.text_length)),
            "urls": None if self.urls is None else _deflated([_web_url(url) for url in self.urls]),
            "ids": None if self.ids is None else _deflated(_texts(self.ids, _MAX_TITLE)),
            "columns": [_column(column, n) for column in self.columns],
            "levels": [_level(level, n, coarser) for coarser, level in zip(above, self.levels, strict=False)],
            "neighbors": None if self.neighbors is None else _neighbors(
                "neighbors", self.neighbors, n,
                _MAX_NEIGHBORS if n <= 100_000 else
                _MAX_NEIGHBORS_BIG if self.voters is None else _MAX_NEIGHBORS_BESIDE),
            "voters": None if self.voters is None else _neighbors(
                "voters", self.voters, n, _MAX_VOTERS if n <= 100_000 else _MAX_VOTERS_BIG),
            "votes": None if self.votes is None else _votes(self.votes, self.columns, n),
        }

    def parts(self) -> Iterator[str]:
        """The page's text, piece by piece. Raises ``FileNotFoundError`` when its template has not been built."""
        return _page(self.payload(), self.name)


def render_html(path: str | os.PathLike[str], **contents: Any) -> Path:
    """Write the map to `path` and return it. An older file there is replaced in one step, or left as it was.

    `contents` are the fields of :class:`Page`, whose errors it raises.
    """
    parts = Page(**contents).parts()
    target = Path(path)
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with open(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
    return target


def render_html_string(**contents: Any) -> str:
    """The page as a string, for a notebook's frame. `contents` are the fields of :class:`Page`."""
    return "".join(Page(**contents).parts())


def _page(payload: Mapping[str, Any], name: str) -> Iterator[str]:
    try:
        template = _TEMPLATE.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"the map page's template {_TEMPLATE} has not been built; "
            "build it with: cd python/viewer && npm ci && npm run build"
        ) from None
    before_title, _, rest = template.partition("{{title}}")
    before_data, _, after = rest.partition("{{data}}")
    yield before_title
    yield html.escape(_clean(name, _MAX_TITLE))
    yield before_data
    yield json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)
    yield after


def _coordinates(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}, but a map needs one coordinate a point: pass {name} of shape (n,)"
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(
            f"{name} of row {bad[0]} is {array[bad[0]]} ({bad.size} such rows): a point needs finite coordinates; "
            "drop these rows, or project again"
        )
    return array


def _same_length(field: str, length: int, n: int) -> None:
    if length != n:
        raise ValueError(f"{field} has {length} entries but x has {n}: every point needs exactly one of each")


def _frame(x: np.ndarray, y: np.ndarray) -> tuple[list[float], float]:
    """Centre and longer side of the map's bounding box, so that what is packed lies in [-0.5, 0.5]."""
    if not len(x):
        return [0.0, 0.0], 1.0
    low = np.array([x.min(), y.min()])
    high = np.array([x.max(), y.max()])
    return ((low + high) / 2).tolist(), float(np.max(high - low)) or 1.0


def _pack_coordinates(values: np.ndarray) -> dict[str, str]:
    if len(values) > _QUANTISE_ABOVE:
        return _pack(np.rint((np.clip(values, -0.5, 0.5) + 0.5) * 65535), "u16")
    return _pack(values, "f32")


def _deflated(texts: list[str]) -> dict[str, str]:
    """Texts as compressed JSON: English takes two fifths of its size, and the page reads them when it has drawn."""
    raw = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return {"type": "json", "data": base64.b64encode(zlib.compress(raw, 6)).decode("ascii")}


def _pack(values: np.ndarray, kind: Literal["f32", "u8", "u16", "u32"]) -> dict[str, str]:
    dtype = {"f32": "<f4", "u8": "u1", "u16": "<u2", "u32": "<u4"}[kind]
    return {"type": kind, "data": base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")}


def _compacted(payload: dict[str, Any]) -> dict[str, Any]:
    """The same with everything that lies there by the point made small."""
    x, y = (_steps(_unpacked(payload[axis]), -0.5, 0.5) for axis in ("x", "y"))
    columns = [column | ({"codes": _squeezed(column["codes"])} if column["kind"] == "category" else
                         {"values": _squeezed(_steps(_unpacked(column["values"])))}) for column in payload["columns"]]
    levels = [level | {"codes": _squeezed(level["codes"])} for level in payload["levels"]]
    return payload | {"x": x, "y": y, "titles": _deflated(payload["titles"]), "columns": columns, "levels": levels}


def _unpacked(packed: Mapping[str, Any]) -> np.ndarray:
    values = np.frombuffer(base64.b64decode(packed["data"]), {"f32": "<f4", "u16": "<u2"}[packed["type"]])
    return values.astype(np.float64) / 65535 - 0.5 if packed["type"] == "u16" else values.astype(np.float64)


def _steps(values: np.ndarray, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """Numbers in steps of a 65,534th of their range, from 1 on; 0 is none."""
    known = values[np.isfinite(values)]
    low = float(known.min(initial=np.inf)) if low is None else low
    high = float(known.max(initial=-np.inf)) if high is None else high
    if not low <= high:
        low = high = 0.0
    share = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    steps = np.where(np.isfinite(values), 1 + np.rint(65534 * np.nan_to_num(share)), 0)
    return _pack(steps, "u16") | {"low": low, "high": high}


def _squeezed(packed: dict[str, Any]) -> dict[str, Any]:
    """Compressed, where that makes it smaller."""
    small = base64.b64encode(zlib.compress(base64.b64decode(packed["data"]), 6)).decode("ascii")
    return packed | {"data": small, "deflated": True} if len(small) < len(packed["data"]) else packed


def _pack_codes(codes: np.ndarray, n_names: int) -> dict[str, str]:
    """Codes with 1 added, so that -1 (none) is 0, in the smallest type that holds them."""
    return _pack(codes + 1, "u8" if n_names < 2**8 else "u16" if n_names < 2**16 else "u32")


def _integers(what: str, values: Any, n: int) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{what} must be a 1-D array of integers, not {array.dtype} of shape {array.shape}")
    _same_length(what, len(array), n)
    return array.astype(np.int64)


def _neighbors(what: str, neighbors: Neighbors, n: int, kept: int) -> dict[str, Any]:
    rows = _integer_table(f"{what}.rows", neighbors.rows, n)
    rows = rows[:, :kept]
    outside = np.argwhere((rows < -1) | (rows >= n))
    if len(outside):
        row, place = outside[0]
        raise ValueError(f"{what}.rows holds {rows[row, place]} in row {row}, but there are {n} rows; -1 is none")
    similarity = neighbors.similarity
    if similarity is not None:
        similarity = _pack_shares(f"{what}.similarity", np.asarray(similarity)[:, :kept], rows)
    # Rows lie three bytes each, least first, with 1 added so that none is 0; maps past 16 million rows take four.
    width = 3 if n < 2**24 - 1 else 4
    data = (rows.astype(np.int64) + 1).astype("<u4").reshape(-1, 1).view("u1")[:, :width]
    packed = base64.b64encode(np.ascontiguousarray(data).tobytes()).decode("ascii")
    return {"k": rows.shape[1], "width": width, "rows": {"type": "u8", "data": packed}, "similarity": similarity}


def _votes(votes: Votes, columns: Sequence[Column], n: int) -> dict[str, Any]:
    codes = _integer_table("votes.codes", votes.codes, n)
    names = next((column.names for column in columns if column.role == "label" and column.names is not None), None)
    if names is None:
        raise ValueError("votes need a category column whose role is 'label', which says what their codes mean")
    outside = np.argwhere((codes < -1) | (codes >= len(names)))
    if len(outside):
        raise ValueError(f"votes.codes holds {codes[tuple(outside[0])]} in row {outside[0][0]}, "
                         f"but there are {len(names)} labels; -1 is none")
    return {"m": codes.shape[1], "codes": _pack_codes(codes.ravel(), len(names)),
            "shares": _pack_shares("votes.shares", votes.shares, codes)}


def _integer_table(what: str, values: Any, n: int) -> np.ndarray:
    table = np.asarray(values)
    if table.ndim != 2 or (table.size and not np.issubdtype(table.dtype, np.integer)):
        raise ValueError(f"{what} must be integers of shape (n, k), not {table.dtype} of shape {table.shape}")
    _same_length(what, len(table), n)
    return table


def _pack_shares(what: str, values: Any, beside: np.ndarray) -> dict[str, str]:
    """Numbers from 0 to 1 in 255 steps."""
    shares = np.asarray(values, dtype=np.float32)
    if shares.shape != beside.shape:
        raise ValueError(f"{what} has shape {shares.shape}, but what it belongs to has {beside.shape}")
    return _pack(np.rint(255 * np.clip(np.nan_to_num(shares), 0, 1)).ravel(), "u8")


def _column(column: Column, n: int) -> dict[str, Any]:
    name = {"name": _clean(column.name, _MAX_TITLE), "role": column.role}
    if column.kind == "number":
        values = np.asarray(column.values, dtype=np.float32)
        _same_length(f"column {column.name!r}", len(values), n)
        return name | {"kind": "number", "values": _pack(values, "f32")}
    if column.kind != "category":
        raise ValueError(f"column {column.name!r} is of kind {column.kind!r}; use 'category' or 'number'")
    if column.names is None:
        raise ValueError(f"column {column.name!r} is a category without names; pass names=[...], one for each code")
    codes = _integers(f"column {column.name!r}", column.values, n)
    outside = np.flatnonzero((codes < -1) | (codes >= len(column.names)))
    if outside.size:
        raise ValueError(
            f"column {column.name!r} has code {codes[outside[0]]} in row {outside[0]}, "
            f"but {len(column.names)} names; codes run from 0 to {len(column.names) - 1}, and -1 is none"
        )
    return name | {
        "kind": "category",
        "names": _texts(column.names, _MAX_TITLE),
        "codes": _pack_codes(codes, len(column.names)),
    }


def _level(level: Level, n: int, coarser: Level | None) -> dict[str, Any]:
    what = f"level {level.name!r}"
    region_ids = np.array([region.id for region in level.regions], dtype=np.int64)
    if len(np.unique(region_ids)) != len(region_ids) or (region_ids < 0).any():
        raise ValueError(f"{what} needs a different id, 0 or more, for each of its regions")
    assignment = _integers(f"the assignment of {what}", level.assignment, n)
    by_id = np.argsort(region_ids)
    place = np.searchsorted(region_ids, assignment, sorter=by_id)
    known = place < len(region_ids)
    known[known] = region_ids[by_id[place[known]]] == assignment[known]
    unknown = np.flatnonzero(~known & (assignment != -1))
    if unknown.size:
        raise ValueError(
            f"{what} puts row {unknown[0]} into region {assignment[unknown[0]]}, "
            "which is not among its regions; use -1 for none"
        )
    codes = np.full(n, -1, dtype=np.int64)
    codes[known] = by_id[place[known]]
    parents = {region.id: k for k, region in enumerate(coarser.regions)} if coarser else {}
    return {
        "name": _clean(level.name, _MAX_TITLE),
        "codes": _pack_codes(codes, len(region_ids)),
        "regions": [_region(region, n, parents) for region in level.regions],
    }


def _region(region: Region, n: int, parents: Mapping[int, int]) -> dict[str, Any]:
    if not (np.isfinite(region.x) and np.isfinite(region.y)):
        raise ValueError(
            f"region {region.id} ({region.name!r}) lies at ({region.x}, {region.y}): its name needs a finite place"
        )
    exemplars: list[str | int] = []
    for exemplar in region.exemplars:
        if isinstance(exemplar, (int, np.integer)):
            if not 0 <= exemplar < n:
                raise ValueError(
                    f"region {region.id} ({region.name!r}) names row {exemplar} as an exemplar, but there are {n} rows"
                )
            exemplars.append(int(exemplar))
        else:
            exemplars.append(_clean(exemplar, _MAX_TITLE))
    return {
        "name": _clean(region.name, _MAX_TITLE),
        "x": float(region.x),
        "y": float(region.y),
        "size": int(region.size),
        "parent": parents.get(region.parent, -1) if region.parent is not None else -1,
        "phrases": _texts(region.phrases, _MAX_TITLE),
        "exemplars": exemplars,
        "confidence": None if region.confidence is None else round(float(region.confidence), 3),
    }


def _texts(values: Sequence[object], longest: int) -> list[str]:
    return [_clean(value, longest) for value in values]


def _clean(value: object, longest: int) -> str:
    """One line of text, no longer than the page can show, without characters that disturb its reading order."""
    if value is None:
        return ""
    text = str(value)[: 2 * longest]
    if not (text.isascii() and text.isprintable()):
        text = "".join(char for char in text if char.isspace() or char not in _INVISIBLE)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


# Controls, and the marks that reorder the text around them (embeddings, overrides, isolates).
_INVISIBLE = frozenset(map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))


def _web_url(url: object) -> str:
    """Only links to the web reach the page; the page checks again."""
    text = "" if url is None else str(url).strip()
    return text if text.lower().startswith(("http://", "https://")) and len(text) <= 4096 else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
