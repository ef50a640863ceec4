"""`CheckpointStore`: the folder that keeps what was computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from knowmap import _core
from knowmap._core import CheckpointStore, VerifyReport
from knowmap.files import write_whole

CheckpointStore.__doc__ = """A folder of immutable HDF5 shards: embeddings, and the result of every later stage.

CheckpointStore(folder, mode="a")
    ``"r"`` reads what exists, ``"a"`` goes on or starts, ``"w"`` removes what a store of that name holds and starts
    afresh.

``close()`` gives the lock back, and so does ``with CheckpointStore(folder) as store:``; what is not closed is closed
when nothing refers to it any more, which in a notebook may be long after an exception.
Attributes: ``folder``, ``closed``, ``dimension``, ``storage`` ("float32", "float16", "int8"), ``rows_held``, ``ranges``
[(begin, end), ...], ``rows_fingerprint``.
Reading: ``read_rows(begin, end)`` → float32 (rows, dimension), of which only the shards concerned are touched;
``text_hashes(begin, end)``; ``get_stage(name)`` → arrays by name, or None; ``stages()``.
Writing: ``begin_rows(fingerprint, dimension, storage)``, then ``commit_rows(begin, rows, text_hashes)``, durable when
it returns; ``update_rows(indices, rows, text_hashes)``; ``drop_rows(begin, end)``.
Care: ``verify()`` → report with ``damaged``; ``repair()`` removes what is damaged, to be computed anew.
Out: ``export_hdf5(file)``, ``export_npy(file)``, ``export_view(file)``; `knowmap.store.export` knows Parquet too.
Raises `CheckpointError`.
"""

_ROWS_AT_ONCE = 8192


def export(store: CheckpointStore, file: str | os.PathLike[str], *, view: bool = False) -> None:
    """One file of all rows, by its ending: `.h5`/`.hdf5` (rows and stages), `.npy` (rows), `.parquet` (a table of id,
    title, embedding, text_hash and, where there is a map, x and y). The file appears whole or not at all. Where the
    folder keeps the collection, `.h5` holds its ids as `/ids`, and `.npy`, which has no place for them, gets a
    neighbour: `rows.npy` and `rows.ids.npy`.

    view: a small HDF5 file whose virtual datasets show the shards as one. It holds no row: throw it away at will.

    Raises ValueError for another ending, `CheckpointError`.
    """
    ending = Path(file).suffix.lower()
    if ending in (".h5", ".hdf5"):
        return store.export_view(file) if view else store.export_hdf5(file, ids=_ids(store) or [])
    if view:
        raise ValueError(f"a view is an HDF5 file; name it .h5, not '{file}'")
    if ending == ".npy":
        ids = _ids(store)
        store.export_npy(file)
        if ids is not None:
            write_whole(Path(file).with_suffix(".ids.npy"), lambda temporary: _save_array(temporary, np.array(ids)))
        return None
    if ending == ".parquet":
        return _export_parquet(store, Path(file))
    raise ValueError(f"'{file}' ends in none of .h5, .hdf5, .npy, .parquet, so its format isn't known")


def chain(store: CheckpointStore) -> dict[str, dict[str, bool]]:
    """What each stage was made from, and whether that is what the store holds now: {"layout": {"neighbors": True}}."""
    stages = store.stages()
    held = {name: _core.content_hash(made_from) for name, made_from in stages.items()}
    ranges = store.ranges
    if fingerprint := store.rows_fingerprint:
        held["rows"] = _core.content_hash(fingerprint)
    whole = bool(ranges) and store.rows_held == ranges[-1][1]
    held["texts"] = _core.content_hash(store.text_hashes(0, ranges[-1][1]).tobytes()) if whole else ""
    return {name: {source: made_from[source] == held.get(source) for source in ("rows", "texts", *stages)
                   if source in made_from} for name, made_from in stages.items()}


def _ids(store: CheckpointStore) -> list[str] | None:
    """The id of each row, where the folder keeps the collection; raises where that is of other texts."""
    table = _collection(store, ["id"])
    return None if table is None else [str(id) for id in table.column("id").to_pylist()]


def _collection(store: CheckpointStore, names: list[str]) -> Any:
    """Columns of the collection beside the rows; None where there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(store.folder) / "collection.parquet"
    if not file.exists():
        return None
    try:
        table = pq.read_table(file, columns=["text", *names], page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _core.CheckpointError(f"'{file}' is damaged or cannot be read ({error}); delete it and run `knowmap "
                                    f"build` with the input again: the embeddings are kept") from None
    rows = store.ranges[-1][1] if store.ranges else 0
    if len(table) != rows or not np.array_equal(_core.text_hashes(table.column("text").to_pylist()),
                                                store.text_hashes(0, rows)):
        raise _core.CheckpointError(f"'{file}' and the rows of '{store.folder}' are of different texts, as where a run "
                                    f"was cut off: run `knowmap embed` (or `build`) to its end, then export")
    return table.select(names)


def _save_array(file: Path, array: Any) -> None:
    with file.open("wb") as out:
        np.save(out, array)


def _export_parquet(store: CheckpointStore, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = store.ranges[-1][1] if store.ranges else 0
    beside: dict[str, Any] = {}
    if file.resolve().parent == Path(store.folder).resolve() and file.name in ("collection.parquet", "map.parquet"):
        raise _core.CheckpointError(f"an export may not take the place of the store's own '{file}': choose another "
                                    f"name")
    table = _collection(store, ["id", "title"])
    if table is not None:
        beside |= {name: table.column(name).combine_chunks() for name in table.column_names}
    layout = store.get_stage("layout")
    if layout is not None and len(layout["coordinates"]) == rows:
        for i, name in enumerate("xyz"[:layout["coordinates"].shape[1]]):
            beside[name] = pa.array(np.ascontiguousarray(layout["coordinates"][:, i]))
    vector = pa.list_(pa.float32(), store.dimension)
    schema = pa.schema([(name, values.type) for name, values in beside.items()]
                       + [("text_hash", pa.uint64()), ("embedding", vector)])

    def write(temporary: Path) -> None:
        # Embeddings hardly compress; trying takes longer than the disk.
        with pq.ParquetWriter(temporary, schema, compression="none", use_dictionary=False) as out:
            for begin in range(0, rows, _ROWS_AT_ONCE):
                end = min(rows, begin + _ROWS_AT_ONCE)
                part = [values.slice(begin, end - begin) for values in beside.values()]
                part.append(pa.array(store.text_hashes(begin, end)))
                numbers = pa.array(store.read_rows(begin, end).reshape(-1))
                part.append(pa.FixedSizeListArray.from_arrays(numbers, type=vector))
                out.write_batch(pa.record_batch(part, schema=schema))

    write_whole(file, write)


__all__ = ["CheckpointStore", "VerifyReport", "chain", "export"]
