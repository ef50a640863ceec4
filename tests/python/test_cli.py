"""The command `knowmap`, as a user runs it: a process of its own, its output, its exit codes, and what it leaves."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

import knowmap as km

OK, USAGE, MODEL, STORE, INTERRUPTED = 0, 2, 3, 4, 130
ROWS = 60


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "knowmap", *map(str, arguments)]


def knowmap(*arguments, expect: int = OK, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def answer(*arguments, **options) -> dict:
    """What the command says with --json: one object in one line."""
    said = knowmap(*arguments, "--json", **options).stdout
    assert said.endswith("\n") and said.count("\n") == 1
    return json.loads(said)


def refusal(code: int, *arguments, **options) -> str:
    """The one clear error that the command ends with: no traceback, the same to people and machines."""
    done = knowmap(*arguments, "--json", "--quiet", expect=code, **options)
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    assert said["exit_code"] == code
    assert done.stderr.endswith(f"knowmap: {said['error']}\n")
    return said["error"]


def write_articles(path: Path, articles: list[dict[str, str]], length: int = 250) -> Path:
    rows = [{"text": a["extract"][:length], "title": a["title"], "topic": a["topic"]} for a in articles]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def articles_file(sample, tmp_path_factory) -> Path:
    return write_articles(tmp_path_factory.mktemp("input") / "some_articles.jsonl", sample[:ROWS])


@pytest.fixture(scope="module")
def more_articles_file(sample, tmp_path_factory) -> Path:
    """The same, and as many again behind them."""
    return write_articles(tmp_path_factory.mktemp("input") / "some_articles.jsonl", sample[: 2 * ROWS])


@pytest.fixture(scope="module")
def building(articles_file, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("cli") / "wiki.km"
    return out, knowmap("build", articles_file, "--label", "topic", "--levels", 2, "--out", out, "--json")


@pytest.fixture
def store(building, tmp_path) -> Path:
    """A copy of the finished map, to do harm to."""
    return Path(shutil.copytree(building[0], tmp_path / "wiki.km"))


def sound(folder: Path) -> bool:
    report = km.CheckpointStore(folder, mode="r").verify()
    return (report.damaged, report.leftovers) == ([], [])


def rows_of(folder: Path) -> np.ndarray:
    held = km.CheckpointStore(folder, mode="r")
    return held.read_rows(0, held.rows_held)


def mount(folder: Path, options: str) -> bool:
    """A small file system in memory, where this user may mount one."""
    folder.mkdir(exist_ok=True)
    tool = shutil.which("mount")
    return tool is not None and os.getuid() == 0 and subprocess.run(
        [tool, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MiB and what makes a process meet its end: (folder, options of the process)."""
    folder = tmp_path / "disk"
    if mount(folder, "size=3m"):
        yield folder, {}
        subprocess.run(["umount", folder], check=True)
    else:  # a limit on the size of files stands for the full disk
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

        yield folder, {"preexec_fn": limit}


def fill(folder: Path, leave: int) -> Path:
    """Fills the disk but for some bytes; does nothing to one that a limit stands for."""
    filler = folder.parent / "disk" / "filler"
    if os.path.ismount(folder):
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                file.truncate(file.tell() - leave)
    return filler


@pytest.fixture
def read_only(tmp_path):
    """Makes a folder read-only, by a mount where that is allowed, by its mode otherwise: (folder, options of the
    process that is to meet it)."""
    folder = tmp_path / "read-only"
    mounted = mount(folder, "size=8m")
    options: dict = {}
    if not mounted and os.getuid() == 0:
        # Root writes everywhere, unless it goes without the capability that lets it.
        libc = ctypes.CDLL(None)
        options = {"preexec_fn": lambda: libc.prctl(24, 1, 0, 0, 0)}  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
        folder.chmod(0o555)
        if subprocess.run(["touch", folder / "probe"], capture_output=True, **options).returncode == 0:
            pytest.skip("root that may neither mount nor drop a capability can write everywhere")
        folder.chmod(0o755)

    def lock(source: Path) -> tuple[Path, dict]:
        target = folder / source.name
        shutil.copytree(source, target)
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        else:
            for path in (folder, target, *target.rglob("*")):
                path.chmod(0o555 if path.is_dir() else 0o444)
        return target, options

    yield lock
    if mounted:
        subprocess.run(["umount", folder], check=True)
    else:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


# --- what the commands do -----------------------------------------------------------


def test_build_says_one_json_object_and_logs_on_stderr(building):
    out, done = building
    assert done.stdout.count("\n") == 1
    said = json.loads(done.stdout)
    assert (said["texts"], said["rows_kept"], said["rows_computed"], said["reused"]) == (ROWS, 0, ROWS, [])
    assert len(said["regions"]) == 1 and said["regions"][0] >= 1
    assert (said["map"], said["table"]) == (str(out / "map.html"), str(out / "map.parquet"))
    assert said["tokens"] > ROWS and said["seconds"] > 0 and said["device"] == "cpu"
    assert "Embedding: 100%" in done.stderr and "texts/s" in done.stderr
    assert pq.read_table(out / "map.parquet").num_rows == ROWS
    assert "<title>Some articles</title>" in (out / "map.html").read_text(encoding="utf-8")


def test_for_people_it_says_where_to_look(articles_file, store):
    done = knowmap("build", articles_file, "--label", "topic", "--levels", 2, "--out", store, "--quiet")
    assert done.stdout.startswith(f"{ROWS} texts in ") and done.stdout.endswith(f"open {store}/map.html in a browser\n")
    assert "kept 60 rows of an earlier run, computed 0" in done.stderr
    assert "kept from an earlier run: neighbors, layout, labels, regions" in done.stderr
    assert "%" not in done.stderr


def test_stages_one_by_one_make_the_map_of_build(building, articles_file, tmp_path):
    out = tmp_path / "wiki.km"
    said = answer("embed", articles_file, "--label", "topic", "--out", out)
    assert (said["texts"], said["rows_computed"]) == (ROWS, ROWS)
    assert answer("project", out)["reused"] == []
    assert not (out / "map.parquet").exists()
    said = answer("label", out, "--levels", 2, "--name", "Some articles")
    assert said["reused"] == ["neighbors", "layout"]
    for name in ("map.parquet", "map.html"):
        assert (out / name).read_bytes() == (building[0] / name).read_bytes(), name
    said = answer("render", out, "--out", tmp_path / "page.html")
    assert (said["map"], said["reused"]) == (str(tmp_path / "page.html"), ["neighbors", "layout", "labels", "regions"])
    assert (tmp_path / "page.html").read_bytes() == (out / "map.html").read_bytes()

    said = answer("info", out)
    assert (said["rows"], said["dimension"], said["ranges"]) == (ROWS, 384, [[0, ROWS]])
    assert set(said["stages"]) == {"neighbors", "layout", "labels", "regions"}
    assert said["fingerprint"]["max_seq_length"] == "256"
    said = answer("verify", out)
    assert (said["rows"], said["stages"], said["damaged"], said["leftovers"]) == (ROWS, 4, [], [])

    assert answer("export", out, tmp_path / "all.h5")["file"] == str(tmp_path / "all.h5")
    table = pq.read_table(out / "map.parquet")
    with h5py.File(tmp_path / "all.h5") as file:
        np.testing.assert_array_equal(file["embeddings"][:], rows_of(out))
        coordinates = file["stages/layout/coordinates"][:]
        np.testing.assert_array_equal(coordinates[:, 0], table.column("x").to_numpy())
        np.testing.assert_array_equal(coordinates[:, 1], table.column("y").to_numpy())


def test_resume_says_what_it_kept(more_articles_file, store):
    done = knowmap("embed", more_articles_file, "--out", store, "--json")
    assert f"kept {ROWS} rows of an earlier run, computed {ROWS}" in done.stderr
    said = json.loads(done.stdout)
    assert (said["rows_kept"], said["rows_computed"], said["rows_dropped"]) == (ROWS, ROWS, 0)


def test_a_map_goes_on_or_is_made_anew(more_articles_file, articles_file, store, tmp_path):
    def places(folder) -> np.ndarray:
        table = pq.read_table(folder / "map.parquet")
        return np.column_stack([table.column(axis).to_numpy() for axis in "xy"])

    before = places(store)
    lines = more_articles_file.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS + 3]
    source = tmp_path / "three_more.jsonl"
    source.write_text("".join(lines), encoding="utf-8")
    assert answer("build", source, "--out", store)["reused"] == []
    assert np.corrcoef(before[:, 0], places(store)[:ROWS, 0])[0, 1] > 0.9
    assert "layout" not in answer("project", store, "--anew")["reused"]
    assert {"layout", "regions"} & set(answer("label", store, "--anew")["reused"]) == {"layout"}
    answer("build", source, "--out", tmp_path / "alone")
    np.testing.assert_array_equal(places(store), places(tmp_path / "alone"))
    assert "layout" in answer("build", source, "--out", store, "--anew")["reused"]


def test_fresh_starts_over(articles_file, store):
    assert answer("build", articles_file, "--out", store, "--min-dist", 0.5)["rows_kept"] == ROWS
    said = answer("build", articles_file, "--out", store, "--fresh")
    assert (said["rows_kept"], said["rows_computed"], said["reused"]) == (0, ROWS, [])
    assert json.loads((store / "map_options.json").read_text())["umap"] == {}


def test_build_says_the_whole_map_and_the_other_commands_what_changes(articles_file, store):
    kept = lambda: json.loads((store / "map_options.json").read_text())  # noqa: E731
    knowmap("project", store, "--min-dist", 0.5)
    knowmap("label", store, "--label-neighbors", 7)
    assert (kept()["umap"], kept()["label_neighbors"]) == ({"min_dist": 0.5}, 7)
    knowmap("build", articles_file, "--label", "topic", "--out", store)
    assert (kept()["umap"], kept()["label_neighbors"], kept()["level_sizes"]) == ({}, 15, [])


def test_more_columns(more_articles_file, tmp_path):
    lines = [json.loads(line) | {"year": 1900 + i} for i, line in enumerate(more_articles_file.open(encoding="utf-8"))]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines[:ROWS]), encoding="utf-8")
    knowmap("build", source, "--columns", "year", "topic", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "map.html").read_text(encoding="utf-8")
    assert '"name":"year","role":"","kind":"number"' in page and '"name":"topic","role":"","kind":"category"' in page
    size = (tmp_path / "out" / "map.html").stat().st_size
    knowmap("render", tmp_path / "out", "--text-length", 0)
    assert (tmp_path / "out" / "map.html").stat().st_size < size


@pytest.mark.parametrize("arguments", [["--help"], ["info", "STORE"], ["info", "STORE", "--json"]])
def test_a_reader_that_goes_away(arguments, store):
    words = command(*(store if word == "STORE" else word for word in arguments))
    script = f"set -o pipefail; {shlex.join(words)} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 141) and done.stderr == ""
    # A pipe that is closed before the command starts.
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.returncode in ((0, 141) if arguments == ["--help"] else (141,)) and done.stderr == ""


def test_options_are_kept_for_the_stages_that_follow(store):
    assert answer("project", store, "--min-dist", 0.4)["reused"] == ["neighbors"]
    assert answer("label", store)["reused"][:2] == ["neighbors", "layout"]
    assert "min_dist" in refusal(USAGE, "project", store, "--min-dist", -1)
    assert answer("project", store)["reused"] == ["neighbors", "layout"]


def test_version_and_help():
    assert knowmap("--version").stdout == f"knowmap {km.__version__}\n"
    said = knowmap("build", "--help").stdout
    assert "exit codes: 0 done; 2 wrong arguments" in said and "--min-dist" in said


# --- what it refuses ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "content", "options", "message"), [
    ("a.csv", "", [], "is empty"),
    ("a.csv", "body\nx\n", [], "no column 'text' in .*it has: body"),
    ("a.csv", "text\nx\n", ["--metric", "hemming"], "hemming"),
    ("a.csv", "text\nx\n", ["--precision", "int3"], "int3"),
    ("a.jsonl", '{"text": 7}\n', [], "holds int in row 0, not text"),
])
def test_wrong_input(name, content, options, message, tmp_path):
    (tmp_path / name).write_text(content)
    error = refusal(USAGE, "build", tmp_path / name, "--out", tmp_path / "out", *options)
    assert re.search(message, error), error


def test_wrong_arguments(tmp_path):
    for arguments in ([], ["paint"], ["build", "a.csv", "--out", "x", "--memory-limit", "much"]):
        done = knowmap(*arguments, expect=USAGE)
        assert done.stdout == "" and done.stderr.startswith("usage: knowmap")
    assert "does not exist" in refusal(USAGE, "build", tmp_path / "nowhere.csv", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_model(articles_file, tmp_path):
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "config.json").write_text('{"model_type": "be')
    for model, message in ((tmp_path / "nowhere", "there is no folder"), (cut, "config.json")):
        assert message in refusal(MODEL, "build", articles_file, "--model", model, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_store_of_other_options(articles_file, store):
    error = refusal(STORE, "build", articles_file, "--max-seq-length", 100, "--out", store)
    assert "max_seq_length" in error and "--fresh" in error
    assert sound(store)


def test_no_store(tmp_path):
    assert "is no folder of a store" in refusal(STORE, "label", tmp_path / "nowhere")
    for name in ("label", "info"):
        assert "holds no store" in refusal(STORE, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_target_is_a_file(articles_file, tmp_path):
    (tmp_path / "file").write_text("mine")
    for extra in ([], ["--fresh"]):
        assert "is a file" in refusal(STORE, "build", articles_file, "--out", tmp_path / "file", *extra)
    assert (tmp_path / "file").read_text() == "mine"


def test_target_is_a_folder_of_somebody_else(articles_file, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    for extra in ([], ["--fresh"]):
        error = refusal(STORE, "build", articles_file, "--out", tmp_path / "letters", *extra)
        assert "is not a store of knowmap" in error and "dear.txt" in error
    assert (tmp_path / "letters" / "dear.txt").read_text() == "mine"
    assert [p.name for p in (tmp_path / "letters").iterdir() if p.name != ".lock"] == ["dear.txt"]


def test_export_to_where_it_cannot_be(store, tmp_path):
    (tmp_path / "folder.h5").mkdir()
    for target, named in (tmp_path / "folder.h5", "folder.h5"), (tmp_path / "no" / "such" / "file.h5", "no/such"):
        assert named in refusal(STORE, "export", store, target)
    assert list((tmp_path / "folder.h5").iterdir()) == []


def test_a_second_writer_waits_its_turn(articles_file, store):
    held = km.CheckpointStore(store)
    error = refusal(STORE, "build", articles_file, "--out", store)
    assert str(os.getpid()) in error and "wait for it to end" in error
    assert answer("info", store)["rows"] == ROWS  # reading needs no turn
    del held
    knowmap("build", articles_file, "--out", store, "--quiet")


# --- damage and disks -----------------------------------------------------------------


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("kind", ["rows/rows-*.h5", "stages/layout-*.h5"])
def test_damage_is_found_and_mended(kind, building, articles_file, store):
    file, = store.glob(kind)
    flip_a_byte(file)
    if kind.startswith("rows"):
        told = knowmap("verify", store, expect=STORE).stdout
        assert file.name in told and "1 damaged; `knowmap repair` removes it" in told
    else:
        damaged, = json.loads(knowmap("verify", store, "--json", expect=STORE).stdout)["damaged"]
        assert file.name in damaged

    # A build does not take what is damaged; each of the ways out that are named leads out.
    build = ["build", articles_file, "--label", "topic", "--levels", 2, "--out", store]
    error = refusal(STORE, *build)
    assert file.name in error and "repair the store, or delete this file, and run again" in error
    if kind.startswith("rows"):
        file.unlink()
    else:
        assert "1 damaged and removed" in knowmap("verify", store, "--repair").stdout
        assert not file.exists()
    said = answer(*build)
    assert (said["rows_kept"], said["rows_computed"]) == ((0, ROWS) if kind.startswith("rows") else (ROWS, 0))
    assert sound(store)
    for name in ("map.parquet", "map.html"):
        assert (store / name).read_bytes() == (building[0] / name).read_bytes(), name


def test_read_only_target(building, articles_file, more_articles_file, read_only, tmp_path):
    target, options = read_only(building[0])
    assert "all sound" in knowmap("verify", target).stdout
    assert answer("export", target, tmp_path / "all.h5")
    assert answer("render", target, "--out", tmp_path / "page.html", **options)
    assert (tmp_path / "page.html").read_bytes() == (building[0] / "map.html").read_bytes()
    assert refusal(STORE, "render", target, **options)
    error = refusal(STORE, "build", more_articles_file, "--out", target, "--fresh", **options)
    assert str(target) in error and any(reason in error for reason in ("Read-only", "Permission denied"))
    error = refusal(STORE, "build", articles_file, "--out", target.parent / "other", **options)
    assert str(target.parent) in error
    error = refusal(STORE, "export", target, target.parent / "all.h5", **options)
    assert "all.h5" in error or str(target.parent) in error
    np.testing.assert_array_equal(rows_of(target), rows_of(building[0]))


def test_full_disk_loses_nothing(building, more_articles_file, small_disk):
    disk, limits = small_disk
    target = shutil.copytree(building[0], disk / "wiki.km")
    filler = fill(disk, leave=40_000)
    error = refusal(STORE, "build", more_articles_file, "--out", target, **limits)
    assert "rows-" in error and "nothing already committed is lost" in error, error
    assert sound(target)
    np.testing.assert_array_equal(rows_of(target), rows_of(building[0]))
    for name in ("map.parquet", "map.html"):
        assert (target / name).read_bytes() == (building[0] / name).read_bytes()

    filler.unlink(missing_ok=True)
    said = answer("build", more_articles_file, "--out", target)
    assert (said["rows_kept"], said["rows_computed"]) == (ROWS, ROWS)


def test_disk_too_full_for_the_page(building, small_disk):
    disk, limits = small_disk
    target = shutil.copytree(building[0], disk / "wiki.km")
    fill(disk, leave=100_000)
    error = refusal(STORE, "label", target, "--name", "Another name", **limits)
    assert "could not write" in error and "map.html" in error and "what was there before is untouched" in error
    assert (target / "map.html").read_bytes() == (building[0] / "map.html").read_bytes()
    assert list(target.glob("**/*.tmp")) == []


# --- Ctrl-C ---------------------------------------------------------------------------


def test_a_second_ctrl_c_ends_it_where_the_first_one_waits():
    # The main thread sits in a call into another library, minutes long, in which Python hears no signal. A handler that
    # does nothing stands for Python's own, since the first signal may come before the call has begun.
    program = """
import hashlib, signal
from knowmap.interrupt import heard_at_once
signal.signal(signal.SIGINT, lambda *heard: None)
with heard_at_once(130):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
"""
    started = [sys.executable, "-c", program]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "\n"
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    finally:
        process.kill()
    assert process.returncode == INTERRUPTED


def test_ctrl_c_is_answered_at_once_and_the_store_goes_on(sample, tmp_path):
    # Texts that end in many blanks count as long where units are cut and cost little: a unit is 128 rows, committed in
    # halves. There are enough of them for some seconds, so that the first commit is never the last. A slow disk may
    # take as long for it, so its beginning is waited for: what was begun is ended.
    articles = [{**a, "extract": f"{a['title']} {a['extract'][:40]}".ljust(2048)} for a in sample] * 30
    source = write_articles(tmp_path / "many.jsonl", articles, length=2048)
    out = tmp_path / "wiki.km"
    embed = ["embed", source, "--max-seq-length", 512, "--out", out, "--json"]
    # A shell's background job, as these tests may be, hands an ignored Ctrl-C on to its children.
    process = subprocess.Popen(command(*embed), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        for _ in range(6000):
            if any(out.glob("rows/*")) or process.poll() is not None:
                break
            time.sleep(0.01)
        asked = time.perf_counter()
        process.send_signal(signal.SIGINT)
        said, logged = process.communicate(timeout=30)
        seconds = time.perf_counter() - asked
    finally:
        process.kill()
    assert process.returncode == INTERRUPTED, logged
    assert seconds < 5  # a tenth of a second on a quiet machine: tests/bench/interrupt.py
    assert "Traceback" not in logged and "run the same command again to go on" in logged
    assert logged.index("knowmap: stopping") < logged.index("knowmap: stopped")
    assert json.loads(said)["exit_code"] == INTERRUPTED
    kept = len(rows_of(out))
    assert 64 <= kept < len(articles)

    said = answer(*embed[:-1])
    assert (said["rows_kept"], said["rows_computed"]) == (kept, len(articles) - kept)
    assert sound(out)
