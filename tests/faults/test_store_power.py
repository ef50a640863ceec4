"""The power fails: every prefix of a run's calls, and every loss that the disk may then have.

A run is recorded with strace. Replayed, a write counts as durable once its file was fsynced, and a name once its folder
was; until then it may be lost, alone or with others, in any order, and a write may be torn or leave zeros. What was
acknowledged before the prefix ended must be in each disk that can result, bit for bit, and nothing may be damaged.
11 commits, and two results of a stage; KNOWMAP_FAULTS=full: 100 commits, every prefix.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from programs import FULL, STRACE, WRITER, needs
from test_store_faults import check, contents, report, scratch, write, writer  # noqa: F401

CALLS = ("mkdir,mkdirat,openat,open,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,linkat,unlink,"
         "unlinkat,close")
LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)")


@dataclass
class Disk:
    """Names and files as they are after some of the calls."""

    names: dict[str, int] = field(default_factory=dict)  # a path to a file's number; -1: a folder
    files: dict[int, bytes] = field(default_factory=dict)
    hashes: dict[int, bytes] = field(default_factory=dict)  # of `files`, where it is known

    def apply(self, change: tuple) -> None:
        kind, *what = change
        if kind == "write":
            number, at, data = what
            old = self.files.get(number, b"")
            self.hashes.pop(number, None)
            self.files[number] = old[:at].ljust(at, b"\0") + data + old[at + len(data):]
        elif kind == "cut":
            self.hashes.pop(what[0], None)
            self.files[what[0]] = self.files.get(what[0], b"")[:what[1]].ljust(what[1], b"\0")
        elif kind == "name":
            self.names[what[0]] = what[1]
        elif kind == "move":
            self.names.pop(what[0], None)
            self.names[what[1]] = what[2]
        elif kind == "unname":
            self.names.pop(what[0], None)

    def copy(self) -> Disk:
        return Disk(dict(self.names), dict(self.files), dict(self.hashes))

    def key(self) -> bytes:
        for number in self.names.values():
            if number >= 0 and number not in self.hashes:
                self.hashes[number] = hashlib.sha256(self.files.get(number, b"")).digest()
        shown = sorted((name, self.hashes.get(number, b"")) for name, number in self.names.items())
        return hashlib.sha256(repr(shown).encode()).digest()

    def lay_out(self, root: Path) -> None:
        for name, number in sorted(self.names.items()):
            path = root / name
            if not path.parent.is_dir():
                continue  # its folder was lost
            if number < 0:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(self.files.get(number, b""))
                os.utime(path, (10**9 - number, 10**9 - number))  # times tell nothing: a later file is the older one


class Recording:
    """The calls of a run on what lies below `root`, as changes and as what makes them durable."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.events, self.open = str(root), [], {}
        self.names: dict[str, int] = {"": -1}
        self.numbers = itertools.count()
        for line in log.read_text().splitlines():
            if (match := LINE.match(line)) and int(match[3]) >= 0:
                self.take(match[1], match[2], int(match[3]))

    def path(self, folder: str, name: str) -> str | None:
        name = bytes.fromhex(name.strip('"').replace("\\x", "")).decode()
        if not name.startswith("/"):
            at = self.open.get(folder)
            if at is None:
                return None
            name = f"{self.root}/{at[0]}/{name}"
        name = str(Path(name))
        if name != self.root and not name.startswith(self.root + "/"):
            return None
        name = name[len(self.root) + 1:]
        return name.removesuffix("/.") if name != "." else ""

    def take(self, call: str, text: str, result: int) -> None:
        given = [part.strip() for part in text.split(", ")]
        if call in ("open", "mkdir", "unlink", "rename"):
            given.insert(0, "AT_FDCWD")
        if call == "rename":
            given.insert(2, "AT_FDCWD")
        if call in ("open", "openat"):
            self.opened(given, str(result))
        elif call in ("mkdir", "mkdirat"):
            if (path := self.path(*given[:2])) is not None:
                self.change(("name", path, -1), path)
        elif call == "write" and given[0] == "1":
            line = bytes.fromhex(given[1].strip('"').replace("\\x", "")).decode()
            self.events.append(("said", line))
        elif call in ("write", "pwrite64") and given[0] in self.open:
            path, number, at = self.open[given[0]]
            data = bytes.fromhex(given[1].strip('".').replace("\\x", ""))[:result]
            assert len(data) == result, "strace cut the data short"
            offset = int(given[3]) if call == "pwrite64" else at
            if call == "write":
                self.open[given[0]] = (path, number, at + result)
            self.events.append(("change", ("write", number, offset, data), number))
        elif call == "ftruncate" and given[0] in self.open:
            number = self.open[given[0]][1]
            self.events.append(("change", ("cut", number, int(given[1])), number))
        elif call in ("fsync", "fdatasync") and given[0] in self.open:
            path, number, _ = self.open[given[0]]
            self.events.append(("durable", path if number < 0 else number))
        elif call in ("rename", "renameat", "renameat2"):
            old, new = self.path(*given[:2]), self.path(*given[2:4])
            assert old is not None and new is not None
            number = self.names.pop(old)
            self.change(("move", old, new, number), new, number)
        elif call == "linkat":
            old, new = self.path(*given[:2]), self.path(*given[2:4])
            self.change(("name", new, self.names[old]), new, self.names[old])
        elif call in ("unlink", "unlinkat"):
            if (path := self.path(*given[:2])) is not None:
                self.names.pop(path, None)
                self.events.append(("change", ("unname", path), str(Path(path).parent)))
        elif call == "close":
            self.open.pop(given[0], None)

    def opened(self, given: list[str], fd: str) -> None:
        path = self.path(*given[:2])
        if path is None:
            return
        if path not in self.names:
            assert "O_CREAT" in given[2], path
            self.change(("name", path, next(self.numbers)), path)
        self.open[fd] = (path, self.names[path], 0)

    def change(self, change: tuple, path: str, number: int | None = None) -> None:
        self.names[path] = change[-1] if number is None else number
        parent = str(Path(path).parent)
        self.events.append(("change", change, "" if parent == "." else parent))


def losses(pending: list[tuple], random_: random.Random) -> list[list[tuple]]:
    """The sets of not yet durable changes that a disk may have kept."""
    kept = [[], pending]
    if len(pending) <= 6:
        kept += [list(some) for n in range(1, len(pending)) for some in itertools.combinations(pending, n)]
    else:
        kept += [[c for c in pending if c is not left] for left in pending] + [[c] for c in pending]
        kept += [[c for c in pending if random_.random() < 0.5] for _ in range(20)]
    for i, change in enumerate(pending):
        if change[0] == "write" and len(change[3]) > 1:
            _, number, at, data = change
            torn = [data[:len(data) // 2], bytes(len(data)), data[:512] + bytes(max(0, len(data) - 512))]
            kept += [[*pending[:i], ("write", number, at, part), *pending[i + 1:]] for part in torn]
    return kept


def disks_after_power_loss(events: list[tuple]) -> dict[bytes, tuple[Disk, str]]:
    """Each disk that a power loss at any moment can leave, with all that was acknowledged at the latest such moment."""
    durable, pending, said = Disk(), [], ""
    found: dict[bytes, tuple[Disk, str]] = {}
    random_ = random.Random(1)

    def collect() -> None:
        durable.key()  # hashed once, for all the copies
        for kept in losses([change for change, _ in pending], random_):
            disk = durable.copy()
            for change in kept:
                disk.apply(change)
            found[disk.key()] = (disk, said)  # a later moment has acknowledged more

    for kind, *what in events:
        if kind == "said":
            said += what[0]
        elif kind == "change":
            pending.append((what[0], what[1]))
        else:
            for change, where in pending:
                if where == what[0]:
                    durable.apply(change)
            pending = [(change, where) for change, where in pending if where != what[0]]
        collect()
    return found


def recorded(scratch: Path, base: Path, command: list[Any]) -> Recording:  # noqa: F811
    """What the command changes below `base`; the model of the disk is right where nothing is lost."""
    log = scratch / "log"
    subprocess.run([STRACE, "-f", "-xx", "-s", "1000000", "-e", "trace=" + CALLS, "-o", log, *command], check=True,
                   capture_output=True)
    recording = Recording(base, log)
    whole = Disk()
    for kind, *what in recording.events:
        if kind == "change":
            whole.apply(what[0])
    (scratch / "replayed").mkdir()
    whole.lay_out(scratch / "replayed")
    assert contents(scratch / "replayed" / "store") == contents(base / "store")
    return recording


@needs(WRITER, strace=True)
def test_power_loss_at_any_moment(scratch):  # noqa: F811
    commits = 100 if FULL else 11
    base = scratch / "disk"
    base.mkdir()
    recording = recorded(scratch, base, [WRITER, "write", base / "store", str(commits)])
    expected = contents(base / "store")

    disks = list(disks_after_power_loss(recording.events).values())
    assert len(disks) > 8 * commits

    def attempt(numbered: tuple[int, tuple[Disk, str]]) -> int:
        number, (disk, said) = numbered
        root = scratch / f"lost-{number}"
        root.mkdir()
        disk.lay_out(root)
        what = f"power loss {number}, after {said.splitlines()[-1:]}"
        check(root / "store", said, what)
        if number % (20 if FULL else 10) == 0:  # and the run goes on from there
            resumed = write(root / "store", commits)
            assert resumed.returncode == 0, f"{what}: {resumed.stderr}"
            check(root / "store", said + resumed.stdout, what + ", resumed")
            ended = contents(root / "store")
            # The removal of a stage's earlier result may be lost, which is harmless: the later one counts.
            assert {name: ended.get(name) for name in expected} == expected, what
            assert all(name.startswith("stages/") for name in ended.keys() - expected.keys()), what
        shutil.rmtree(root)
        return 1

    with ThreadPoolExecutor(2) as pool:
        tried = sum(pool.map(attempt, enumerate(disks)))
    report(f"Power loss at each of {len(recording.events):,} moments, {commits} commits: different disks", tried)


@needs(WRITER, strace=True)
def test_power_loss_amid_updates_drops_repairs_exports_and_a_start_afresh(scratch):  # noqa: F811
    commits = 24 if FULL else 7
    base = scratch / "disk"
    base.mkdir()
    run = f"{WRITER} write {base}/store {commits} && {WRITER} care {base}/store {commits} {base}/all"
    recording = recorded(scratch, base, ["sh", "-c", f"{run} && {WRITER} fresh {base}/store 3"])
    exports = {file.name: file.read_bytes() for file in base.glob("all.*")}
    assert len(exports) == 3
    disks = list(disks_after_power_loss(recording.events).values())
    assert len(disks) > 20 * commits

    def attempt(numbered: tuple[int, tuple[Disk, str]]) -> int:
        number, (disk, said) = numbered
        root = scratch / f"lost-{number}"
        root.mkdir()
        disk.lay_out(root)
        what = f"power loss {number}, after {said.splitlines()[-1:]}"
        check(root / "store", said, what)
        for name, content in exports.items():
            there = (root / name).exists()
            assert there or f"exported {name.removeprefix('all')}" not in said, f"{what}: {name}"
            assert not there or (root / name).read_bytes() == content, f"{what}: {name}"
        if number % 20 == 0 and "afresh" not in said and (root / "store").is_dir():
            resumed = writer(["care", root / "store", commits, root / "all"])
            assert resumed.returncode == 0, f"{what}: {resumed.stderr}"
            check(root / "store", said + resumed.stdout, what + ", resumed")
            assert {name: (root / name).read_bytes() for name in exports}.keys() == exports.keys()
        shutil.rmtree(root)
        return 1

    with ThreadPoolExecutor(2) as pool:
        tried = sum(pool.map(attempt, enumerate(disks)))
    report(f"Power loss at each of {len(recording.events):,} moments of updates, drops, repairs, exports and a start "
           f"afresh: different disks", tried)
