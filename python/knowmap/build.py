"""The whole line: a collection to a labelled map, its files, and its showing in a notebook."""

from __future__ import annotations

import html
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowmap import _core
from knowmap.embedder import Embedder
from knowmap.files import not_written, write_whole
from knowmap.labeler import encode_classes, labels_from_codes
from knowmap.progress import Callback, callback
from knowmap.regions import Namer
from knowmap.tables import Collection, read_collection

_COLLECTION = "collection.parquet"
_OPTIONS = "map_options.json"
_COLUMN = "column: "  # before the names of the user's own columns in the collection's file
# Scripts of its own and saved pictures, links in a new tab; not the notebook's origin, cookies or storage.
_SANDBOX = "allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox"
# A notebook file keeps the page, and Colab saves no notebook above 20 MB: the first of these that fits is shown.
_NOTEBOOK_BYTES = 18_000_000
_NOTEBOOK_TEXTS = 20_000  # articles up to which the texts go along
_log = logging.getLogger("knowmap")
_UMAP_DEFAULTS = {"n_neighbors": 15, "min_dist": 0.1, "metric": "cosine", "random_state": 42}


@dataclass
class KnowledgeMap:
    """A finished map: what stands where, and what it is called.

    coordinates: float32 (n, 2). levels: regions, coarse to fine. grid: named cells, where a grid was asked for.
    predicted: the label that each row's neighbours vote for (None or -1: they abstain); confidence: the chance that it
    is right, learnt from the labelled rows, each judged by the others; both None where no labels were given. reused:
    stages taken from the store because nothing they are made from changed. neighbors, distances: (n, k), each row's
    nearest others in the embedding space by `metric`, nearest first; -1 where there are fewer. recall: the share of
    true neighbours among them (1 where all pairs were looked at, else estimated; NaN where an older store didn't keep
    it). top: the labels that each row's neighbours vote for, best first, (n, m) numbers among the sorted labels, and
    their shares of the votes. voters, voter_distances: (n, k), who voted on each row's label, as neighbors; None where
    every row is labelled, since its first `label_neighbors` neighbours vote then, and where none is.
    """

    collection: Collection
    coordinates: NDArray[np.float32]
    levels: list[_core.RegionLevel]
    predicted: NDArray[Any] | None = None
    confidence: NDArray[np.float32] | None = None
    name: str = "Knowledge map"
    folder: Path | None = None
    reused: list[str] = field(default_factory=list)
    resume: _core.ResumeReport | None = None
    neighbors: NDArray[np.int32] | None = None
    distances: NDArray[np.float32] | None = None
    metric: str = "cosine"
    recall: float = float("nan")
    top: tuple[NDArray[np.int32], NDArray[np.float32]] | None = None
    grid: _core.RegionLevel | None = None
    voters: NDArray[np.int32] | None = None
    voter_distances: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.collection)

    def region_names(self, level: int) -> list[str | None]:
        """The name of each row's region at a level, None where it lies in none."""
        names = [region.name for region in self.levels[level].regions]
        return [names[i] if i >= 0 else None for i in self.levels[level].assignment.tolist()]

    def to_arrow(self) -> Any:
        """A pyarrow table: id, title, text, (url), x, y, region_0 …, (grid_cell, grid_name: row * columns + column and
        the cell's name), (label, knn_label, knn_confidence)."""
        import pyarrow as pa

        c = self.collection
        columns: dict[str, Any] = {"id": c.ids, "title": c.titles, "text": c.texts}
        if c.urls is not None:
            columns["url"] = c.urls
        columns["x"] = pa.array(np.ascontiguousarray(self.coordinates[:, 0]))
        columns["y"] = pa.array(np.ascontiguousarray(self.coordinates[:, 1]))
        for i in range(len(self.levels)):
            columns[f"region_{i}"] = pa.array(self.region_names(i), pa.string())
        if self.grid is not None:
            cells, of = self.grid.regions, self.grid.assignment
            columns["grid_cell"] = pa.array(np.array([cell.cell for cell in cells], np.int32)[of])
            columns["grid_name"] = pa.array(np.array([cell.name for cell in cells], object)[of], pa.string())
        if c.labels is not None:
            columns["label"] = [None if v is None else str(v) for v in c.labels]
        if self.predicted is not None:
            votes = [None if _unknown(v) else str(v) for v in self.predicted.tolist()]
            columns["knn_label"] = pa.array(votes, pa.string())
            columns["knn_confidence"] = pa.array(self.confidence)
        return pa.table(columns)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_arrow()`; the file appears whole or not at all."""
        import pyarrow.parquet

        return write_whole(Path(path), lambda temporary: pyarrow.parquet.write_table(self.to_arrow(), temporary))

    def to_html(self, path: str | os.PathLike[str], *, text_length: int | None = None) -> Path:
        """Writes one page that opens from disk with no network.

        text_length: characters of each text in the page, where they are shown and searched; 0 leaves the texts out.
        Default: 1,000, above 100,000 texts 280.
        """
        from knowmap import render

        try:
            return render.render_html(path, **self._page(text_length))
        except OSError as error:
            if error.errno is None:  # not the disk: the page's template is missing
                raise
            raise not_written(Path(path), error) from error

    def _repr_html_(self) -> str:
        """The map in a notebook's cell: a frame that can reach neither the notebook nor the network.

        The larger the map, the less goes along, so that the notebook can still be saved: first the texts stay out, then
        links, neighbours and votes, and above some half a million articles the titles.
        """
        from knowmap import render

        page = ""
        for leaner in ({}, {"compact": True}, {"compact": True, "titles": [""] * len(self)}):
            # A full page has no less than 60 bytes a point: no need to make one to see that it is too large.
            if (not leaner and len(self) * 60 > _NOTEBOOK_BYTES) or len(self) * 8 > _NOTEBOOK_BYTES:
                continue
            parts = self._page(None if len(self) <= _NOTEBOOK_TEXTS else 0) | leaner
            # In single quotes: the page is full of double ones.
            page = html.escape(render.render_html_string(**parts), quote=False).replace("'", "&#x27;")
            if len(page) <= _NOTEBOOK_BYTES:
                break
        if not page or len(page) > _NOTEBOOK_BYTES:
            made = self.folder / "map.html" if self.folder else None
            return (f"<p>{html.escape(repr(self))}<br>More than a notebook should carry; " + (
                f"open <code>{html.escape(str(made))}</code> in a browser.</p>" if made and made.exists() else
                "write the page with <code>to_html(path)</code> and open it in a browser.</p>"))
        style = "width:100%;height:640px;border:0;border-radius:8px"
        return (f"<iframe srcdoc='{page}' title=\"{html.escape(self.name)}\" sandbox=\"{_SANDBOX}\" "
                f'style="{style}"></iframe>')

    def __repr__(self) -> str:
        sizes = ", ".join(str(len(level.regions)) for level in self.levels)
        where = f", folder={str(self.folder)!r}" if self.folder else ""
        return f"KnowledgeMap({len(self):,} texts, regions by level: {sizes or 'none'}{where})"

    def _page(self, text_length: int | None = None) -> dict[str, Any]:
        from knowmap import render

        c = self.collection
        if text_length is None:
            text_length = 1000 if len(self) <= 100_000 else 280

        def category(name: str, values: Any, role: render.Role = "") -> render.Column:
            codes, classes = encode_classes(values)
            return render.Column(name, "category", codes, names=[str(v) for v in classes.tolist()], role=role)

        columns = [] if c.labels is None else [category("Label", c.labels, "label")]
        if self.predicted is not None and self.confidence is not None:
            columns.append(category("Neighbours' vote", self.predicted, "vote"))
            columns.append(render.Column("Confidence", "number", self.confidence, role="confidence"))
        if self.grid is not None:
            columns.append(render.Column("Grid cell", "category", self.grid.assignment,
                                         names=[cell.name for cell in self.grid.regions]))
        for name, values in c.columns.items():
            numbers = all(isinstance(v, float) for v in values)
            columns.append(render.Column(name, "number", values) if numbers else category(name, values))
        levels = [
            render.Level(name, level.assignment, [
                render.Region(id=j, name=r.name, x=r.x, y=r.y, size=r.size, parent=r.parent if r.parent >= 0 else None,
                              phrases=r.phrases, exemplars=r.exemplars, confidence=getattr(r, "confidence", None))
                for j, r in enumerate(level.regions)])
            for name, level in zip(_level_names(len(self.levels)), self.levels, strict=True)]
        def nearest(rows: Any, distances: Any) -> render.Neighbors | None:
            alike = None if distances is None or self.metric != "cosine" else 1 - distances
            return None if rows is None else render.Neighbors(rows, alike)

        votes = None if self.top is None or c.labels is None else render.Votes(*self.top)
        return {"x": self.coordinates[:, 0], "y": self.coordinates[:, 1], "titles": c.titles,
                "snippets": c.texts if text_length > 0 else None, "text_length": text_length, "urls": c.urls,
                "ids": c.ids, "columns": columns, "levels": levels, "votes": votes,
                "neighbors": nearest(self.neighbors, self.distances),
                "voters": nearest(self.voters, self.voter_distances) if votes else None,
                "name": self.name}


def build_map(source: Any, out: str | os.PathLike[str], *,
              model: str | os.PathLike[str] | Embedder = "all-MiniLM-L6-v2", text: str = "text",
              title: str | None = None, label: str | None = None, id: str | None = None, url: str | None = None,
              columns: Sequence[str] = (), name: str | None = None, umap: Mapping[str, Any] | None = None,
              label_neighbors: int = 15, min_confidence: float = 0.0, target_error: float | None = None,
              max_distance: float | None = None, level_sizes: Sequence[int] = (),
              grid: tuple[int, int] | None = None,
              namer: Namer | None = None, namer_key: str | None = None, fresh: bool = False,
              replace: bool = False, anew: bool = False, storage: str = "float32", device: str = "auto",
              precision: str = "auto", threads: int = 0, progress: bool | Callback = True) -> KnowledgeMap:
    """Texts to a labelled map, all of it; goes on where an earlier call was cut off.

    source: a path or a table (see `knowmap.tables.read_collection`); text, title, label, id, url name its columns, and
    `columns` more of them (numbers or words) to colour and filter the map by. out: the folder of the store;
    `map.parquet` and `map.html` are written into it. umap: parameters of `UmapProjector` (default: n_neighbors 15,
    min_dist 0.1, metric "cosine", random_state 42). min_confidence, target_error, max_distance: when the neighbours'
    vote gives no label, as `KnnLabeler` has them. level_sizes: wanted number of regions by level. grid: (rows, columns)
    of a grid over the map whose cells get names too. namer: may rename the regions (a language model, say; see
    `rename_regions`): what it raises or answers badly is logged and the built-in name stays. Its answers are kept in
    the folder: a later call asks only where it raised or the regions are new. namer_key tells one namer from another
    (default: its module and name); another asks anew. fresh: starts over. replace: rows of an earlier call whose texts
    changed or are gone may go, however many they are; else a call that would lose more than half of them, and 1,000 or
    more, is refused. storage: how embeddings are kept, "float32", "float16" or "int8".

    The call says the whole map: an option that it leaves out has its default, whatever an earlier call said, and so
    does `knowmap build`. The folder keeps the options for the commands that take no collection (`knowmap project`,
    `label`, `render`), which change only what they are told.

    Where texts were added, changed or removed since an earlier call, the map goes on from that one, if at least half of
    the texts are on it and its `umap` was the same: articles stay about where they were, regions and names too. anew:
    lays out, divides and names as if there had been no map, so that the same texts and options make the same bytes
    whatever was made before.

    Raises what its stages raise; whatever it raises, what was committed stays.
    """
    collection = read_collection(source, text=text, title=title, label=label, id=id, url=url, columns=columns)
    embedder = model if isinstance(model, Embedder) else Embedder(model, device=device, precision=precision,
                                                                  threads=threads)
    store = embed_collection(collection, embedder, out, fresh=fresh, storage=storage, replace=replace,
                             progress=progress)
    options = default_options(source) | {"umap": dict(umap or {}), "label_neighbors": label_neighbors,
                                         "min_confidence": min_confidence, "target_error": target_error,
                                         "max_distance": max_distance, "level_sizes": list(level_sizes),
                                         "grid": list(grid) if grid else []}
    if namer is not None:
        options["namer"] = _name_of(namer) if namer_key is None else namer_key
    if name:
        options["name"] = name
    with store:
        return finish_map(collection, store, options, namer=namer, resume=embedder.resume, anew=anew, threads=threads,
                          progress=progress)


def embed_collection(collection: Collection, embedder: Embedder, out: str | os.PathLike[str], *, fresh: bool = False,
                     storage: str = "float32", commit_rows: int = 0, commit_seconds: float = 0.25,
                     replace: bool = False, progress: bool | Callback = True) -> _core.CheckpointStore:
    """The first stage: the collection, with its ids, for the stages that follow, then its embeddings into the store.

    The collection is durable before the first row is, so that no row is ever without its id. The store is the caller's
    to close; where this raises, it is closed.
    """
    store = _core.CheckpointStore(out, mode="w" if fresh else "a")
    try:
        if fresh:
            for name in (_COLLECTION, _OPTIONS):
                (Path(out) / name).unlink(missing_ok=True)
        resume = embedder.embed_into(collection.texts, store, storage=storage, commit_rows=commit_rows,
                                     commit_seconds=commit_seconds, replace=replace, progress=progress,
                                     before_rows=lambda: save_collection(collection, out))
    except BaseException:
        store.close()  # an exception that is kept, as a notebook does, would keep the lock too
        raise
    if resume.rows_dropped:
        _log.warning("%s rows that '%s' held were dropped: their texts changed or are no longer in the collection",
                     f"{resume.rows_dropped:,}", out)
    return store


def finish_map(collection: Collection, store: _core.CheckpointStore, options: Mapping[str, Any] | None = None, *,
               namer: Namer | None = None, resume: _core.ResumeReport | None = None, layout_only: bool = False,
               write: bool = True, anew: bool = False, threads: int = 0,
               progress: bool | Callback = True) -> KnowledgeMap:
    """The later stages; writes `map.parquet` and `map.html`. anew: as `build_map` has it.

    options: those that differ from what the store's folder keeps; kept there in their turn once they have proved good.
    Without a `namer` the regions have the names that the one of options["namer"] has given, if there is one.
    """
    options = load_options(store.folder) | dict(options or {})
    classes = np.empty(0, np.int32)
    names: NDArray[Any] = np.empty(0, dtype=object)
    if collection.labels is not None and not layout_only:
        classes, names = encode_classes(collection.labels)
    with callback(progress) as report:
        core = _core.map_from_store(collection.texts, collection.titles, classes, store,
                                    text_hashes=() if resume is None else resume.text_hashes,
                                    umap={**_UMAP_DEFAULTS, **options["umap"]},
                                    label_neighbors=options["label_neighbors"],
                                    min_confidence=options["min_confidence"],
                                    labels=_given(options, "target_error", "max_distance"),
                                    level_sizes=options["level_sizes"], grid=_grid(options["grid"]), namer=namer,
                                    namer_key=options["namer"], warn=_log.warning, layout_only=layout_only,
                                    anew=anew, threads=threads, progress=report)
    if options != load_options(store.folder):
        save_options(store.folder, **options)
    labelled = len(classes) > 0
    indices, distances = core.neighbors
    voters, voter_distances = core.voters
    voted_apart = len(voters) > 0
    result = KnowledgeMap(collection, core.coordinates, core.levels,
                          labels_from_codes(core.labels.labels, names) if labelled else None,
                          core.labels.confidence if labelled else None, name=options["name"],
                          folder=Path(store.folder), reused=core.reused, resume=resume,
                          neighbors=indices, distances=distances,
                          metric=options["umap"].get("metric", _UMAP_DEFAULTS["metric"]), recall=core.recall,
                          top=core.labels.top if labelled else None,
                          grid=core.grid if core.grid.regions else None,
                          voters=voters if voted_apart else None,
                          voter_distances=voter_distances if voted_apart else None)
    if write and not layout_only:
        result.to_parquet(Path(store.folder) / "map.parquet")
        result.to_html(Path(store.folder) / "map.html")
    return result


def save_collection(collection: Collection, folder: str | os.PathLike[str]) -> Path:
    """Keeps texts, titles, ids, labels and links beside their embeddings."""
    import pyarrow as pa
    import pyarrow.parquet

    columns: dict[str, Any] = {"text": collection.texts, "title": collection.titles, "id": collection.ids}
    if collection.labels is not None:
        columns["label"] = pa.array([None if _unknown(v) else str(v) for v in collection.labels], pa.string())
    if collection.urls is not None:
        columns["url"] = collection.urls
    columns |= {f"{_COLUMN}{name}": values for name, values in collection.columns.items()}
    table = pa.table(columns)
    return write_whole(Path(folder) / _COLLECTION, lambda temporary: pyarrow.parquet.write_table(
        table, temporary, write_page_checksum=True))


def load_collection(folder: str | os.PathLike[str]) -> Collection:
    """What `save_collection` kept."""
    path = Path(folder) / _COLLECTION
    if not path.exists():
        raise _core.CheckpointError(f"'{folder}' has no {_COLLECTION}; run `knowmap embed` (or `build`) into it first")
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _core.CheckpointError(f"'{path}' is damaged or cannot be read ({error}); delete it and run `knowmap "
                                    f"build` with the input again: the embeddings are kept") from None
    column = {name: table.column(name).to_pylist() for name in table.column_names}
    more = {name.removeprefix(_COLUMN): values for name, values in column.items() if name.startswith(_COLUMN)}
    return Collection(column["text"], column["title"], column["id"], column.get("label"), column.get("url"), more)


def verify_collection(folder: str | os.PathLike[str]) -> list[str]:
    """What is wrong with the collection kept in a store's folder, if one is."""
    try:
        if (Path(folder) / _COLLECTION).exists():
            load_collection(folder)
    except _core.CheckpointError as error:
        return [str(error)]
    except KeyError as error:
        return [f"'{Path(folder) / _COLLECTION}' has no column {error}"]
    return []


def save_options(folder: str | os.PathLike[str], **options: Any) -> None:
    """Keeps the map's options, so that each later stage meets the same."""
    text = json.dumps({**load_options(folder), **options}, indent=2, sort_keys=True)
    write_whole(Path(folder) / _OPTIONS, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def load_options(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The options kept, or the defaults."""
    options = default_options(None)
    path = Path(folder) / _OPTIONS
    if path.exists():
        try:
            options |= json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _core.CheckpointError(f"'{path}' is damaged ({error}); "
                                        f"remove it to go back to the defaults") from None
    return options


def _level_names(count: int) -> list[str]:
    names = {1: ["Regions"], 2: ["Regions", "Small regions"], 3: ["Large regions", "Regions", "Small regions"]}
    return names.get(count, [f"Regions, level {i + 1}" for i in range(count)])


def default_options(source: Any) -> dict[str, Any]:
    """The options of a map that nobody said anything about; its name is that of the source's file."""
    return {"umap": {}, "label_neighbors": 15, "min_confidence": 0.0, "target_error": None, "max_distance": None,
            "level_sizes": [], "grid": [], "namer": "", "name": _default_name(source)}


def _given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


def _grid(sides: Sequence[int]) -> tuple[int, int]:
    """Rows and columns, 0 and 0 for no grid; raises ValueError."""
    if not sides:
        return 0, 0
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"a grid has rows and columns, 1 or more of each, not {list(sides)}")
    return int(sides[0]), int(sides[1])


def _name_of(namer: Namer) -> str:
    """Tells one callable from another, the same in every run."""
    of = namer if hasattr(namer, "__qualname__") else type(namer)
    return f"{of.__module__}.{of.__qualname__}"


def _default_name(source: Any) -> str:
    if not isinstance(source, (str, os.PathLike)):
        return "Knowledge map"
    return Path(source).stem.replace("_", " ").capitalize()


def _unknown(value: Any) -> bool:
    return value is None or value != value or value == "" or (isinstance(value, int) and value == -1)
