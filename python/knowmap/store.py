"""`CheckpointStore`: the folder that keeps what was computed."""

from __future__ import annotations

from knowmap._core import CheckpointStore, VerifyReport

CheckpointStore.__doc__ = """A folder of immutable HDF5 shards: embeddings, and the result of every later stage.

CheckpointStore(folder, mode="a")
    ``"r"`` reads what exists, ``"a"`` goes on or starts, ``"w"`` removes what a store of that name holds and starts
    afresh.

Attributes: ``folder``, ``dimension``, ``rows_held``, ``ranges`` [(begin, end), ...], ``rows_fingerprint``.
Methods: ``read_rows(begin, end)`` → float32 (rows, dimension); ``get_stage(name)`` → arrays by name, or None;
``stages()``; ``verify()`` → report with ``damaged``; ``repair()`` removes what is damaged, to be computed anew;
``export_hdf5(file)``: one plain file that h5py reads.
Raises `CheckpointError`.
"""

__all__ = ["CheckpointStore", "VerifyReport"]
