"""What the benchmarks share: the machine in words, children measured from outside, Markdown tables, JSON."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

# No imports of NumPy and the like here: at `exec`, Linux counts the parent's resident memory as the child's peak.

# Either would change what OpenBLAS does in NumPy and SciPy.
_LEFT_OUT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Ours: another Python must not find them.
_OWN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class ChildFailed(SystemExit):
    """A child that did not end well; uncaught, it ends this program with the child's last lines."""


@dataclass
class Measured:
    """A child that ended well: whole-process wall seconds, CPU seconds, peak resident bytes, what it printed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stdout: str

    def last_json(self) -> dict[str, Any]:
        """The JSON object on the last line of stdout."""
        lines = self.stdout.strip().splitlines()
        if not lines:
            raise ChildFailed("the child printed nothing; expected a line of JSON")
        try:
            return json.loads(lines[-1])
        except ValueError:
            raise ChildFailed(f"the child's last line is no JSON: {lines[-1][:200]}") from None


def environment(*, peer: bool) -> dict[str, str]:
    """The variables that a child gets."""
    left_out = _LEFT_OUT + (_OWN if peer else ())
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": kept.get("TOKENIZERS_PARALLELISM", "true")}


def measure(command: Sequence[str | os.PathLike[str]], *, peer: bool = False) -> Measured:
    """Runs a command from start to end; raises `ChildFailed` with the last lines of its stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment(peer=peer),
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout = out.read().decode(errors="replace")
        if child.returncode:
            tail = "\n".join(err.read().decode(errors="replace").splitlines()[-20:])
            raise ChildFailed(
                f"{Path(command[0]).name} {' '.join(map(str, command[1:3]))} … ended with "
                f"{child.returncode}:\n{stdout[-2000:]}{tail}"
            )
    scale = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale, stdout)


def machine() -> dict[str, Any]:
    """The machine, without its name."""
    model, flags = "unknown", ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = value
    except OSError:
        pass
    special = [name for name in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if name in flags.split()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "instructions": special,
        "cores": cores,
        "memory_gib": round(memory / 2**30, 1),
        "system": sys.platform,
        "python": ".".join(map(str, sys.version_info[:3])),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def versions(*names: str) -> dict[str, str]:
    """Installed versions of packages, those that are there."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def print_machine() -> dict[str, Any]:
    """Prints the machine in one line, and gives it back for the JSON."""
    m = machine()
    print(
        f"Machine: {m['cpu']}, {m['cores']} cores ({', '.join(m['instructions'])}), {m['memory_gib']} GiB, "
        f"Python {m['python']}, load at start {m['load_at_start']}\n",
        flush=True,
    )
    return m


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A Markdown table, columns aligned; the first to the left, the others to the right."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *lines]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    print(line(head))
    print("|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|")
    for cells in lines:
        print(line(cells))
    print(flush=True)


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Writes the figures where --out says."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def verdict(passed: bool) -> str:
    """One word for a table."""
    return "pass" if passed else "FAIL"


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def mebibytes(size: float) -> str:
    """Bytes, for reading."""
    return f"{size / 2**20:,.0f} MiB"
