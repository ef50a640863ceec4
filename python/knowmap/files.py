"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Any) -> Path:
    """Writes beside and renames: a reader never sees half a file, and a full disk leaves the old one."""
    temporary: Path | None = None
    try:
        # A name that a store knows for a run's that was cut off, and removes.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".knowmap-{path.name}-", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        _make_durable(path.parent)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def _make_durable(folder: Path) -> None:
    """The rename too; where a folder can't be opened or has no fsync, as on Windows, the system sees to it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def not_written(path: Path, error: OSError) -> OSError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return OSError(error.errno, f"could not write '{path}': {reason}; what was there before is untouched, and the "
                                f"store keeps all results: free space or take another folder, and run again")
