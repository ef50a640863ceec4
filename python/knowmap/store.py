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

Attributes: ``folder``, ``dimension``, ``storage`` ("float32", "float16", "int8"), ``rows_held``, ``ranges``
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
    title, embedding, text_hash and, where there is a map, x and y). The file appears whole or not at all.

    view: a small HDF5 file whose virtual datasets show the shards as one. It holds no row: throw it away at will.

    Raises ValueError for another ending, `CheckpointError`.
    """
    ending = Path(file).suffix.lower()
    if ending in (".h5", ".hdf5"):
        return store.export_view(file) if view else store.export_hdf5(file)
    if view:
        raise ValueError(f"a view is an HDF5 file; name it .h5, not '{file}'")
    if ending == ".npy":
        return store.export_npy(file)
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


def _export_parquet(store: CheckpointStore, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = store.ranges[-1][1] if store.ranges else 0
    beside: dict[str, Any] = {}
    collection = Path(store.folder) / "collection.parquet"
    if collection.exists():
        table = pq.read_table(collection, columns=["id", "title"])
        if len(table) == rows:
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
