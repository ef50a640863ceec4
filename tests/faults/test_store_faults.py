"""The store, killed at every system call of a run and given an error at every one.

What was acknowledged is what the writer printed, so the oracle lies outside the store. Needs
strace and the programs of this folder, which ctest builds. KNOWMAP_FAULTS=full (`make faults`)
takes runs of 100 commits, and gives every error to every call. Each test prints a line of docs/reliability.md's table.
"""

import ctypes
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import FLIPS, FULL, PROBE, SHIM, STRACE, WRITER, needs, skip

# Everything that a writer does to the disk, and the lookups in between.
CHANGING = ["mkdir", "mkdirat", "openat", "write", "pwrite64", "ftruncate", "fsync", "rename", "renameat", "renameat2",
            "linkat", "unlink", "unlinkat"]
OTHERS = ["close", "fcntl", "newfstatat", "getdents64", "pread64", "utimensat", "sync_file_range"]
# A disk's, a quota's, a signal's and a network drive's.
ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EINTR", "ESTALE"]

needs_writer = needs(WRITER, strace=True)


@pytest.fixture
def scratch():
    """A folder in memory where there is one: these tests make thousands of fsyncs."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="knowmap-faults-", dir=base) as folder:
        yield Path(folder)


def run(*command, said="", timeout=300, **options):
    return subprocess.run(
        [str(part) for part in command], input=said, capture_output=True, text=True, timeout=timeout, **options
    )


def write(folder, commits, inject=None, **options):
    return writer(["write", folder, commits], inject, **options)


def writer(arguments, inject=None, **options):
    if inject is None:
        return run(WRITER, *arguments, **options)
    quiet = ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + inject.split(":")[0]]
    if ":error=" in inject:
        quiet.append("--seccomp-bpf")  # only the calls asked for stop; no signal can be injected so
    return run(STRACE, *quiet, "-e", "inject=" + inject, WRITER, *arguments, **options)


def calls_of_a_run(scratch, commits, names, arguments=None):
    """(name, its ordinal, its first argument) of each call that the store makes."""
    log, folder = scratch / "log", scratch / "traced"
    traced = ",".join(names)
    arguments = arguments or ["write", folder, commits]
    run(STRACE, "-f", "-o", log, "-e", "trace=" + traced, WRITER, *arguments)
    seen, calls, started = {}, [], False
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"\d+ +(\w+)\(([^,)]*)", line)
        if not match:
            continue
        name, first = match.groups()
        seen[name] = seen.get(name, 0) + 1
        started |= str(arguments[1]) in line  # before it the loader is at work
        if started:
            calls.append((name, seen[name], first))
    assert len(calls) > commits
    return calls


def check(folder, acknowledged, what):
    result = run(WRITER, "check", folder, said=acknowledged)
    assert result.returncode == 0, f"{what}: {result.stderr}"


def go_on(folder, commits, acknowledged, what):
    """The run started again: it ends, and holds what both runs acknowledged."""
    resumed = write(folder, commits)
    assert resumed.returncode == 0, f"{what}: {resumed.stderr}"
    check(folder, acknowledged + resumed.stdout, what + ", resumed")
    left = [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    assert not left, f"{what}: {left}"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def report(fault, tried, survived=None):
    """Rows lost are 0, or the test has failed."""
    print(f"| {fault} | {tried:,} | {tried if survived is None else survived:,} | 0 |")


def everywhere(places, attempt):
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda numbered: attempt(*numbered), enumerate(places)))


@needs_writer
def test_killed_before_every_call(scratch):
    commits = 100 if FULL else 25
    undisturbed = scratch / "undisturbed"
    assert write(undisturbed, commits).returncode == 0
    expected = contents(undisturbed)

    def attempt(number, call):
        name, ordinal, _ = call
        folder = scratch / str(number)
        what = f"killed before {name} {ordinal}"
        killed = write(folder, commits, f"{name}:signal=KILL:when={ordinal}")
        assert killed.returncode in (-9, 137), f"{what}: {killed}"
        check(folder, killed.stdout, what)
        go_on(folder, commits, killed.stdout, what)
        assert contents(folder) == expected, what
        shutil.rmtree(folder)
        return 1

    places = calls_of_a_run(scratch, commits, CHANGING)
    tried = everywhere(places, attempt)
    report(f"SIGKILL before every call, {commits} commits", tried)


@needs_writer
@pytest.mark.parametrize("error", ERRORS)
def test_an_error_from_every_call(scratch, error):
    commits = 100 if FULL else 6
    told = []
    names = CHANGING + OTHERS if FULL or error == "EIO" else CHANGING

    def attempt(number, call):
        name, ordinal, first = call
        if name == "write" and first == "1":
            return 0  # the acknowledgement, which is not the store's
        folder = scratch / str(number)
        what = f"{error} from {name} {ordinal}"
        failed = write(folder, commits, f"{name}:error={error}:when={ordinal}")
        # Either it did no harm or was tried again, or there is one clear line.
        assert failed.returncode in (0, 3), f"{what}: {failed}"
        if failed.returncode == 3:
            told.append(what)
            assert folder.parent.name in failed.stderr, failed.stderr
            assert ":" in failed.stderr and ";" in failed.stderr, f"{what}: no way out in {failed.stderr}"
            if name == "pwrite64" and error == "ENOSPC":
                assert "free space and run again" in failed.stderr
            if error == "ESTALE":
                assert "network drive" in failed.stderr or "lock" in failed.stderr, failed.stderr
        check(folder, failed.stdout, what)
        go_on(folder, commits, failed.stdout, what)
        shutil.rmtree(folder)
        return 1

    places = calls_of_a_run(scratch, commits, names)
    tried = everywhere(places, attempt)
    assert told or error == "EINTR"
    report(f"{error} from every call, {commits} commits ({len(told)} told in a clear error, the others did no harm)",
           tried)


class Care:
    """Everything but a commit: rows replaced, dropped, damaged and repaired, exports, a start afresh."""

    def __init__(self, scratch, what):
        self.scratch, self.what, self.commits = scratch, what, (24 if FULL else 7)
        self.made = write(scratch / "made", self.commits)
        assert self.made.returncode == 0
        undisturbed = self.place("undisturbed")
        assert self.run(undisturbed).returncode == 0
        self.expected = contents(undisturbed / "store")
        self.exports = {file.name: file.read_bytes() for file in undisturbed.glob("all.*")}
        assert len(self.exports) == (3 if what == "care" else 0)

    def place(self, name):
        shutil.copytree(self.scratch / "made", self.scratch / name / "store")
        return self.scratch / name

    def arguments(self, place):
        return [self.what, place / "store", self.commits, *([place / "all"] if self.what == "care" else [])]

    def run(self, place, inject=None):
        return writer(self.arguments(place), inject)

    def calls(self, names):
        return calls_of_a_run(self.scratch, 0, names, self.arguments(self.place("traced")))

    def check(self, place, said, what):
        check(place / "store", self.made.stdout + said, what)
        for name, whole in self.exports.items():
            file = place / name
            assert file.exists() or f"exported {name.removeprefix('all')}" not in said, f"{what}: {name}"
            assert not file.exists() or file.read_bytes() == whole, f"{what}: {name}"

    def go_on(self, place, said, what):
        resumed = self.run(place)
        assert resumed.returncode == 0, f"{what}: {resumed.stderr}"
        self.check(place, said + resumed.stdout, what + ", resumed")
        assert contents(place / "store") == self.expected, what
        shutil.rmtree(place)
        return 1


@needs_writer
@pytest.mark.parametrize("what", ["care", "fresh"])
def test_care_killed_before_every_call(scratch, what):
    care = Care(scratch, what)

    def attempt(number, call):
        name, ordinal, _ = call
        place, where = care.place(str(number)), f"{what}: killed before {name} {ordinal}"
        killed = care.run(place, f"{name}:signal=KILL:when={ordinal}")
        assert killed.returncode in (-9, 137), f"{where}: {killed}"
        care.check(place, killed.stdout, where)
        return care.go_on(place, killed.stdout, where)

    tried = everywhere(care.calls(CHANGING), attempt)
    report(f"SIGKILL before every call of {TOLD[what]}", tried)


@needs_writer
@pytest.mark.parametrize("what", ["care", "fresh"])
@pytest.mark.parametrize("error", ERRORS if FULL else ["EIO", "ENOSPC"])
def test_an_error_from_every_call_of_care(scratch, what, error):
    care, told = Care(scratch, what), []

    def attempt(number, call):
        name, ordinal, first = call
        if name == "write" and first == "1":
            return 0
        place, where = care.place(str(number)), f"{what}: {error} from {name} {ordinal}"
        failed = care.run(place, f"{name}:error={error}:when={ordinal}")
        # 6: the call was the test's own, which damages a shard.
        assert failed.returncode in (0, 3, 6), f"{where}: {failed}"
        if failed.returncode == 3:
            told.append(where)
            assert ":" in failed.stderr and ";" in failed.stderr, f"{where}: no way out in {failed.stderr}"
        care.check(place, failed.stdout, where)
        return care.go_on(place, failed.stdout, where)

    tried = everywhere(care.calls(CHANGING + OTHERS if FULL else CHANGING), attempt)
    assert told or error == "EINTR"
    report(f"{error} from every call of {TOLD[what]} ({len(told)} told in a clear error, the others did no harm)",
           tried)


@needs(WRITER, SHIM, strace=True)
def test_every_write_of_care_is_short_once(scratch):
    care = Care(scratch, "care")

    def attempt(number, call):
        place, where = care.place(str(number)), f"write {call[1]} was short"
        done = writer(care.arguments(place), env=shimmed(f"short:{call[1]}"))
        assert done.returncode == 0, f"{where}: {done}"
        care.check(place, done.stdout, where)
        assert contents(place / "store") == care.expected, where
        shutil.rmtree(place)
        return 1

    places = [call for call in care.calls(["openat", "pwrite64"]) if call[0] == "pwrite64"]
    report(f"A short write at every write of {TOLD['care']}", everywhere(places, attempt))


@needs(WRITER, SHIM, strace=True)
def test_an_export_at_every_call(scratch):
    """Killed, given each error and a short write at every call: the file is whole or not there, and never half."""
    store, whole = scratch / "store", scratch / "whole.h5"
    assert write(store, 12).returncode == 0
    assert writer(["export", store, whole]).returncode == 0
    expected, held = whole.read_bytes(), contents(store)
    calls = calls_of_a_run(scratch, 0, CHANGING + OTHERS, ["export", store, scratch / "traced.h5"])
    faults = [f"error={error}" for error in ERRORS] + ["signal=KILL", "short"]
    places = [(call, fault) for call in calls for fault in faults if fault != "short" or call[0] == "pwrite64"]
    assert sum(fault == "short" for _, fault in places) >= 5

    def attempt(number, place):
        (name, ordinal, _), fault = place
        folder, what = scratch / str(number), f"{fault} at {name} {ordinal}"
        folder.mkdir()
        file = folder / "all.h5"
        file.write_bytes(b"what was there before")
        if fault == "short":
            done = writer(["export", store, file], env=shimmed(f"short:{ordinal}"))
            assert done.returncode == 0, f"{what}: {done}"
        else:
            done = writer(["export", store, file], f"{name}:{fault}:when={ordinal}")
        if fault == "signal=KILL":
            assert done.returncode in (-9, 137), f"{what}: {done}"
        else:
            assert done.returncode in (0, 3), f"{what}: {done}"
            assert done.returncode == 0 or (":" in done.stderr and ";" in done.stderr), f"{what}: {done.stderr}"
            left = [path.name for path in folder.iterdir()]
            assert left == ["all.h5"] or name.startswith("unlink"), f"{what}: {left}"
        if name == "pwrite64" and fault in ("error=EIO", "error=ENOSPC", "error=EDQUOT", "error=ESTALE"):
            assert done.returncode == 3, f"{what}: untold"
        if name == "pwrite64" and fault == "error=EINTR":
            assert done.returncode == 0, f"{what}: {done}"
        there = file.read_bytes()
        assert there == expected or (done.returncode != 0 and there == b"what was there before"), what
        shutil.rmtree(folder)
        return 1

    tried = everywhere(places, attempt)
    assert contents(store) == held
    report("Killed, each of 5 errors, a short write: at every call of an .h5 export", tried)


TOLD = {"care": "updates, drops, repairs and exports", "fresh": "a start afresh"}


@needs_writer
def test_a_disk_that_is_full_from_some_call_on(scratch):
    commits = 100 if FULL else 6
    places = [c for c in calls_of_a_run(scratch, commits, ["mkdir", "pwrite64"]) if c[0] == "pwrite64"]

    def attempt(number, call):
        name, ordinal, _ = call
        folder = scratch / str(number)
        failed = write(folder, commits, f"{name}:error=ENOSPC:when={ordinal}+")
        # 0: only the manifest, at the very end.
        assert failed.returncode == 3 or number == len(places) - 1, failed
        check(folder, failed.stdout, "full disk")
        go_on(folder, commits, failed.stdout, "full disk")
        shutil.rmtree(folder)
        return 1

    report(f"Disk full from every write on, for good, {commits} commits", everywhere(places, attempt))


def mounted(folder, options):
    folder.mkdir()
    result = run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)
    if result.returncode != 0:
        skip("may not mount a file system: " + result.stderr.strip())


@needs_writer
def test_a_real_disk_filled_to_the_brim(scratch):
    small = scratch / "small"
    mounted(small, "size=256k")
    try:
        full = write(small / "store", 100)
        assert full.returncode == 3 and "disk full" in full.stderr, full
        assert "nothing already committed is lost" in full.stderr
        assert full.stdout.count("rows") > 5
        check(small / "store", full.stdout, "full disk")
        exported = run(WRITER, "export", small / "store", small / "all.h5")
        assert exported.returncode == 3 and "disk full" in exported.stderr, exported
        assert sorted(path.name for path in small.iterdir()) == ["store"]
        assert run("mount", "-o", "remount,size=4m", small).returncode == 0
        go_on(small / "store", 100, full.stdout, "full disk")
        assert run(WRITER, "export", small / "store", small / "all.h5").returncode == 0
    finally:
        run("umount", small)


@needs_writer
def test_a_read_only_disk(scratch):
    disk = scratch / "disk"
    mounted(disk, "size=4m")
    try:
        done = write(disk / "store", 5)
        assert done.returncode == 0
        assert run("mount", "-o", "remount,ro", disk).returncode == 0
        check(disk / "store", done.stdout, "read-only")
        for folder in (disk / "store", disk / "another"):
            refused = write(folder, 6)
            assert refused.returncode == 3 and "read-only" in refused.stderr.lower(), refused
        exported = run(WRITER, "export", disk / "store", scratch / "all.h5")
        assert exported.returncode == 0, exported.stderr
    finally:
        run("umount", disk)


@needs(WRITER)
@pytest.mark.parametrize("options, filled", [("size=64k", True), ("size=4m,nr_inodes=2", False)])
def test_no_room_for_even_the_lock(scratch, options, filled):
    disk = scratch / "disk"
    mounted(disk, options)
    try:
        (disk / "store").mkdir()
        if filled:
            with pytest.raises(OSError, match="No space"):
                (disk / "filler").write_bytes(bytes(1 << 20))
        refused = write(disk / "store", 5)
        assert refused.returncode == 3 and "free space and run again" in refused.stderr, refused
        assert str(disk / "store") in refused.stderr
        assert run("mount", "-o", "remount,size=8m,nr_inodes=900", disk).returncode == 0
        go_on(disk / "store", 5, "", "no room for the lock")
    finally:
        run("umount", disk)


@needs(WRITER)
def test_no_rights(scratch):
    """Somebody else's store: reading it is fine, where its owner lets them; writing says whom to ask."""
    if os.getuid() != 0:
        skip("only root can become somebody else")
    scratch.chmod(0o755)
    folder, writer = scratch / "store", scratch / "writer"
    done = write(folder, 6)
    shutil.copy(WRITER, writer)
    assert run(writer, "check", folder, said=done.stdout, user=65534).returncode == 0
    for place in (folder, scratch / "another", folder / "below"):
        refused = run(writer, "write", place, 7, user=65534)
        assert refused.returncode == 3 and "check who owns it and its permissions" in refused.stderr, refused
    for closed in (folder / "rows", folder):
        closed.chmod(0o700)
        refused = run(writer, "check", folder, said=done.stdout, user=65534)
        assert refused.returncode == 3 and "check who owns it and its permissions" in refused.stderr, refused
        closed.chmod(0o755)
    check(folder, done.stdout, "after the refusals")


def shimmed(what):
    return {**os.environ, "LD_PRELOAD": SHIM, "KNOWMAP_SHIM": what}


@needs(WRITER, SHIM, strace=True)
def test_every_write_is_short_once(scratch):
    commits = 100 if FULL else 6
    assert write(scratch / "undisturbed", commits).returncode == 0
    expected = contents(scratch / "undisturbed")
    places = [c for c in calls_of_a_run(scratch, commits, ["mkdir", "pwrite64"]) if c[0] == "pwrite64"]

    def attempt(number, call):
        folder, what = scratch / str(number), f"write {call[1]} was short"
        done = run(WRITER, "write", folder, commits, env=shimmed(f"short:{call[1]}"))
        assert done.returncode == 0, f"{what}: {done}"
        assert contents(folder) == expected, what
        check(folder, done.stdout, what)
        shutil.rmtree(folder)
        return 1

    report(f"A short write at every write, {commits} commits", everywhere(places, attempt))


@needs(WRITER, SHIM)
def test_a_network_disk(scratch):
    """No locks, no links, no exclusive rename, no fsync of folders: what NFS, SMB and FUSE may lack."""
    env, folder = shimmed("network"), scratch / "store"
    first = subprocess.Popen([WRITER, "write", folder, "2000"], env=env, stdout=subprocess.PIPE, text=True)
    said = first.stdout.readline()
    assert said.startswith("rows")
    second = run(WRITER, "write", folder, 10, env=env)
    assert second.returncode == 3 and f"process {first.pid} on " in second.stderr, second
    check(folder, said, "network disk")
    first.kill()
    said += first.communicate()[0]
    check(folder, said[:said.rfind("\n") + 1], "network disk, killed")
    resumed = run(WRITER, "write", folder, 2000, env=env)  # the lock's owner is dead
    assert resumed.returncode == 0, resumed
    check(folder, said[:said.rfind("\n") + 1] + resumed.stdout, "network disk, resumed")


@needs(WRITER, SHIM)
@pytest.mark.parametrize("disk", ["network", "norename"])
def test_two_writers_that_no_lock_keeps_apart(scratch, disk):
    """Both live and write on, each believing that it has the store: neither takes a row from the other."""
    env, refused = shimmed(f"{disk},trusting"), 0
    least = 40 if FULL else 10
    for number in range(20 * least):
        # On a busy machine one may have ended before the other begins.
        if number >= least and refused:
            break
        folder = scratch / str(number)
        both = [subprocess.Popen([WRITER, "write", folder, "200"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, env=env) for _ in range(2)]
        said = [process.communicate() for process in both]
        for process, (_, complaint) in zip(both, said, strict=True):
            assert process.returncode in (0, 3), complaint
            assert process.returncode == 0 or ";" in complaint or ": " in complaint, complaint
            refused += "exists already: another process" in complaint
        check(folder, "\n".join(line for out, _ in said for line in out.splitlines() if line.startswith("rows")),
              "two writers")
        done = write(folder, 200)
        assert done.returncode == 0, done.stderr
        check(folder, "".join(out for out, _ in said) + done.stdout, "two writers, gone on with")
    assert refused > 0  # they did meet
    report(f"Two writers that live and write at once where no lock is seen ({disk})", number + 1)


@needs(WRITER)
def test_two_writers_at_once(scratch):
    for number in range(40 if FULL else 10):
        folder = scratch / str(number)
        both = [subprocess.Popen([WRITER, "write", folder, "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True) for _ in range(2)]
        said = [process.communicate() for process in both]
        for process, (_, complaint) in zip(both, said, strict=True):
            assert process.returncode in (0, 3), complaint
            assert process.returncode == 0 or "is being written by" in complaint, complaint
        assert 0 in [process.returncode for process in both]
        check(folder, said[0][0] + said[1][0], "two writers")
    report("Two writers started at once on one folder", number + 1)


@needs(WRITER)
def test_a_writer_and_five_readers(scratch):
    folder, commits = scratch / "store", 400 if FULL else 100
    assert write(folder, 1).returncode == 0
    watch = [WRITER, "watch", folder, str(commits * 5)]
    readers = [subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    writer = write(folder, commits)
    assert writer.returncode == 0, writer
    for reader in readers:
        said, complaint = reader.communicate(timeout=300)
        assert reader.returncode == 0, complaint
        assert int(said) >= 1
    check(folder, writer.stdout, "five readers")
    report(f"A writer and five reading processes, {commits} commits", 1)


@needs(WRITER)
def test_a_killed_writer_leaves_a_lock_that_holds_nobody_up(scratch):
    folder = scratch / "store"
    said = ""
    rounds = 40 if FULL else 10
    for _ in range(rounds):
        writer = subprocess.Popen([WRITER, "write", folder, "3000"], stdout=subprocess.PIPE, text=True)
        first = writer.stdout.readline()
        writer.kill()
        said += first + writer.communicate()[0]
        said = said[:said.rfind("\n") + 1]
        assert (folder / ".lock").read_text()  # it still names the dead
        check(folder, said, "killed writer")
    assert write(folder, 5).returncode == 0
    report("A writer killed, its lock left behind, another one started", rounds)


@needs(FLIPS)
def test_random_flips(scratch):
    done = run(FLIPS, scratch / "flips", 10_000 if FULL else 1_000, 2026, timeout=1200)
    assert done.returncode == 0, done.stderr
    print(done.stdout)


BOTH_LIBRARIES = r"""
import ctypes, itertools, sys
import numpy as np

order, flags, probe_path, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
for name in order.split(","):
    if name == "h5py":
        if flags:
            sys.setdlopenflags(sys.getdlopenflags() | ctypes.RTLD_GLOBAL)
        import h5py
    else:
        probe = ctypes.CDLL(probe_path, ctypes.RTLD_GLOBAL if flags else ctypes.RTLD_LOCAL)
probe.probe_error.restype = ctypes.c_char_p
pointer = lambda a: a.ctypes.data_as(ctypes.c_void_p)
rows = np.random.default_rng(0).standard_normal((40, 24)).astype("f4")
mine = h5py.File(folder + "/mine.h5", "w")  # stays open meanwhile
for step, begin in enumerate(range(0, 40, 10)):
    part = np.ascontiguousarray(rows[begin:begin + 10])
    out = np.zeros_like(part)
    last = (folder + "/all.h5").encode() if begin == 30 else b""
    long = ctypes.c_ulong
    code = probe.probe_store((folder + "/store").encode(), long(begin), long(10), long(24),
                             pointer(part), pointer(out), last)
    assert code == 0, probe.probe_error()
    assert (out == part).all()
    mine.create_dataset(f"step{step}", data=part, compression="gzip")
    assert (mine[f"step{step}"][:] == part).all()
    name = f"{folder}/store/rows/rows-{begin:012d}-{begin + 10:012d}.h5"
    with h5py.File(name) as shard:  # a shard is an HDF5 file like any other
        assert (shard["embeddings"][:] == part).all()
        assert (shard["text_hashes"][:] == 7).all() and shard["text_hashes"].dtype == "u8"
        assert shard.attrs["begin"] == begin
        assert shard.attrs["fingerprint"].decode() == '{"model":"probe"}'
        assert shard.userblock_size == 512
    try:
        h5py.File(folder + "/missing.h5")  # an error in the one is none in the other
    except OSError:
        pass
mine.close()
with h5py.File(folder + "/all.h5") as every:
    assert (every["embeddings"][:] == rows).all()
    assert list(every["stages/umap/names"].asstr()[:]) == ["ein Name", ""]
with h5py.File(folder + "/mine.h5") as mine:
    assert (mine["step3"][:] == rows[30:]).all()
print("fine")
"""


@needs(PROBE)
@pytest.mark.parametrize(
    "order, everyone_sees", list(itertools.product(["h5py,probe", "probe,h5py"], [0, 1]))
)
def test_beside_h5py_in_one_process(tmp_path, order, everyone_sees):
    if importlib.util.find_spec("h5py") is None:
        skip("h5py is missing")
    result = run(sys.executable, "-c", BOTH_LIBRARIES, order, everyone_sees, PROBE, tmp_path)
    assert result.returncode == 0 and result.stdout == "fine\n", result.stderr
    assert result.stderr == ""


@needs(PROBE)
def test_our_hdf5_is_out_of_sight():
    probe = ctypes.CDLL(PROBE)
    with pytest.raises(AttributeError):
        probe.H5open  # noqa: B018
