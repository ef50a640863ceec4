"""Names of models: what is a folder, what a package ships, and what the hub (a server on this machine) is asked for."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import knowmap as km
from hub_server import Hub, commit_of
from knowmap import models

TINY = {"config.json": b"{}", "tokenizer.json": b"{}"}


@pytest.fixture
def hub():
    with Hub() as server:
        yield server


def ask(hub: Hub | str, home: Path, code: str, **variables: str) -> dict:
    """What a line of Python says in a process that knows this hub and this cache: {"folder"} or {"error", "kind"}."""
    program = f"""
import json, knowmap as km
from knowmap import models
try:
    print(json.dumps({{"folder": str({code})}}))
except (km.Error, ValueError) as error:
    print(json.dumps({{"error": str(error), "kind": type(error).__name__}}))
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment = kept | {"HF_ENDPOINT": hub if isinstance(hub, str) else hub.url, "HF_HOME": str(home),
                          "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                          "NO_PROXY": "127.0.0.1"} | variables
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hub_name_becomes_a_model_with_only_the_files_it_needs(hub, tmp_path, model_folder, embedder):
    files = {str(p.relative_to(model_folder)): p for p in model_folder.rglob("*") if p.is_file()}
    needed = {"config.json", "modules.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"}
    assert needed <= files.keys()
    files |= {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"x" * 1000, "README.md": b"#", "tf_model.h5": b"x"}
    commit = hub.add("sentence-transformers/some-name", files)
    hub.cuts["model.safetensors"] = 2
    code = (f"[e := km.Embedder('some-name'), __import__('numpy').save('{tmp_path / 'rows.npy'}', "
            f"e.encode(['One text.', 'Another'], progress=False))] and e.folder")
    said = ask(hub, tmp_path / "home", code)
    folder = Path(said["folder"])
    assert folder.is_relative_to(tmp_path / "home")
    assert folder.name == commit
    # The bytes are the model's, though the connection broke twice in the weights, and each time it went on from there.
    assert (folder / "model.safetensors").read_bytes() == (model_folder / "model.safetensors").read_bytes()
    assert np.array_equal(np.load(tmp_path / "rows.npy"), embedder.encode(["One text.", "Another"], progress=False))
    asked = [r.range for r in hub.requests if r.method == "GET" and r.path.endswith("model.safetensors")]
    size = (model_folder / "model.safetensors").stat().st_size
    starts = [int(r.removeprefix("bytes=").split("-")[0]) for r in asked if r]
    assert len(asked) == 3
    assert len(starts) == 2 and 0 < starts[0] < starts[1] < size
    # Only what the engine reads.
    assert needed <= set(hub.downloads())
    assert not set(hub.downloads()) & {"pytorch_model.bin", "onnx/model.onnx", "README.md", "tf_model.h5"}

    # Again: nothing is fetched twice; and without the hub the cache is enough, offline by the variable or by the wire.
    hub.requests.clear()
    assert ask(hub, tmp_path / "home", "models.resolve('some-name')")["folder"] == str(folder)
    assert hub.downloads() == []
    hub.requests.clear()
    offline = ask(hub, tmp_path / "home", "models.resolve('some-name')", HF_HUB_OFFLINE="1")
    assert (offline["folder"], hub.requests) == (str(folder), [])
    nobody = f"http://127.0.0.1:{_free_port()}"
    assert ask(nobody, tmp_path / "home", "models.resolve('some-name')")["folder"] == str(folder)


def test_revisions_are_branches_tags_and_commits(hub, tmp_path):
    first = hub.add("o/m", TINY | {"model.safetensors": b"first"})
    second = commit_of("second")
    hub.repositories["o/m"].commits[second] = TINY | {"model.safetensors": b"second"}
    hub.repositories["o/m"].refs |= {"main": second, "v1": first}
    for revision, commit, weights in [("v1", first, b"first"), (first, first, b"first"), ("main", second, b"second")]:
        folder = Path(ask(hub, tmp_path, f"models.resolve('o/m', revision='{revision}')")["folder"])
        assert (folder.name, (folder / "model.safetensors").read_bytes()) == (commit, weights)
    said = ask(hub, tmp_path, "models.resolve('o/m', revision='v2')")
    assert said["kind"] == "ModelError"
    assert "no revision 'v2'" in said["error"]


def test_sharded_weights_are_fetched_by_their_index(hub, tmp_path):
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    hub.add("o/big", TINY | {"model.safetensors.index.json": json.dumps(index).encode(),
                             "model-1-of-2.safetensors": b"1", "model-2-of-2.safetensors": b"2",
                             "original/consolidated.safetensors": b"3"})
    folder = Path(ask(hub, tmp_path, "models.resolve('o/big')")["folder"])
    assert sorted(p.name for p in folder.glob("*.safetensors")) == ["model-1-of-2.safetensors",
                                                                    "model-2-of-2.safetensors"]
    assert not any("consolidated" in path for path in hub.downloads())
    for name in ("../x.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin"):
        index = {"weight_map": {"a": name}}
        hub.add(f"o/bad-{len(name)}", TINY | {"model.safetensors.index.json": json.dumps(index).encode()})
        said = ask(hub, tmp_path, f"models.resolve('o/bad-{len(name)}')")
        assert repr(name) in said["error"]


def test_a_dense_module_comes_with_its_weights(hub, tmp_path):
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"},
               {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
               {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]
    files = TINY | {"modules.json": json.dumps(modules).encode(), "model.safetensors": b"w",
                    "1_Pooling/config.json": b"{}", "2_Dense/config.json": b"{}"}
    hub.add("o/dense", files | {"2_Dense/model.safetensors": b"d"})
    folder = Path(ask(hub, tmp_path, "models.resolve('o/dense')")["folder"])
    assert (folder / "2_Dense" / "model.safetensors").read_bytes() == b"d"
    assert (folder / "1_Pooling" / "config.json").exists()
    hub.add("o/pickled", files | {"2_Dense/pytorch_model.bin": b"d"})
    said = ask(hub, tmp_path, "models.resolve('o/pickled')")
    assert "2_Dense/pytorch_model.bin" in said["error"]
    assert "safetensors only" in said["error"]


def test_pickled_weights_are_refused_by_name_and_not_fetched(hub, tmp_path):
    hub.add("o/old", TINY | {"pytorch_model.bin": b"pickle"})
    said = ask(hub, tmp_path, "models.resolve('o/old')")
    assert said["kind"] == "ModelError"
    assert "pytorch_model.bin" in said["error"] and "save_pretrained" in said["error"]
    assert "pytorch_model.bin" not in hub.downloads()
    hub.add("o/slow", {"config.json": b"{}", "model.safetensors": b"w"})
    assert "no tokenizer.json" in ask(hub, tmp_path, "models.resolve('o/slow')")["error"]


def test_what_the_hub_refuses_is_said_with_the_way_out(hub, tmp_path):
    said = ask(hub, tmp_path, "models.resolve('o/nothing')")
    assert said["kind"] == "ModelError"
    assert "'o/nothing'" in said["error"] and "no such model on the hub" in said["error"]

    hub.add("o/gated", TINY | {"model.safetensors": b"w"}, gated=True, token="hf_right")
    for variables in ({}, {"HF_TOKEN": "hf_wrong"}):
        said = ask(hub, tmp_path, "models.resolve('o/gated')", **variables)
        assert said["kind"] == "ModelError"
        assert "is gated" in said["error"] and f"{hub.url}/o/gated" in said["error"] and "HF_TOKEN" in said["error"]
    assert "folder" in ask(hub, tmp_path, "models.resolve('o/gated')", HF_TOKEN="hf_right")

    hub.down = 503
    said = ask(hub, tmp_path, "models.resolve('o/other')")
    assert said["kind"] == "ModelError"
    assert "503" in said["error"]


def test_no_network_and_offline_say_what_is_missing(tmp_path):
    nobody = f"http://127.0.0.1:{_free_port()}"
    said = ask(nobody, tmp_path, "models.resolve('o/m')")
    assert "could not be asked" in said["error"] and nobody in said["error"]
    said = ask(nobody, tmp_path, "models.resolve('o/m', revision='v1')", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in said["error"] and "'v1'" in said["error"] and str(tmp_path) in said["error"]


def test_a_download_cut_for_good_is_an_error_and_the_next_run_goes_on(hub, tmp_path):
    weights = os.urandom(1 << 20)
    hub.add("o/m", TINY | {"model.safetensors": weights})
    hub.cuts["model.safetensors"] = 1000
    said = ask(hub, tmp_path, "models.resolve('o/m')")
    assert said["kind"] == "ModelError"
    assert "Run it again" in said["error"]
    said = ask(hub, tmp_path, "models.resolve('o/m')", HF_HUB_OFFLINE="1")
    assert "not all of it" in said["error"]  # half a model is never given
    hub.cuts.clear()
    hub.requests.clear()
    folder = Path(ask(hub, tmp_path, "models.resolve('o/m')")["folder"])
    assert (folder / "model.safetensors").read_bytes() == weights
    assert hub.downloads() == ["model.safetensors"]


def test_weights_that_change_on_their_way_are_found_out(hub, tmp_path):
    weights = os.urandom(1000)
    hub.add("o/m", TINY | {"model.safetensors": weights})
    hub.garbled.add("model.safetensors")
    said = ask(hub, tmp_path, "models.resolve('o/m')")
    assert said["kind"] == "ModelError"
    assert "SHA-256" in said["error"] and "run it again" in said["error"]
    hub.garbled.clear()
    folder = Path(ask(hub, tmp_path, "models.resolve('o/m')")["folder"])
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB; `remount` takes other options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> int:
        return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1m,{options}", "tmpfs", disk], capture_output=True,
                              check=False).returncode

    if sys.platform != "linux" or mount("rw") != 0:
        pytest.skip("mounting takes Linux and root")
    yield disk, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_said_with_the_way_out(hub, small_disk):
    disk, _ = small_disk
    hub.add("o/m", TINY | {"model.safetensors": os.urandom(2 << 20)})
    said = ask(hub, disk / "home", "models.resolve('o/m')")
    assert said["kind"] == "ModelError"
    assert str(disk) in said["error"] and "make room" in said["error"] and "HF_HOME" in said["error"]


def test_a_cache_that_is_read_only_serves_what_it_has(hub, small_disk):
    disk, remount = small_disk
    hub.add("o/m", TINY | {"model.safetensors": b"w"})
    hub.add("o/other", TINY | {"model.safetensors": b"w"})
    folder = ask(hub, disk / "home", "models.resolve('o/m')")["folder"]
    assert remount("ro") == 0
    assert ask(hub, disk / "home", "models.resolve('o/m')")["folder"] == folder
    assert ask(hub, disk / "home", "models.resolve('o/m')", HF_HUB_OFFLINE="1")["folder"] == folder
    said = ask(hub, disk / "home", "models.resolve('o/other')")
    assert said["kind"] == "ModelError"
    assert str(disk) in said["error"] and "cannot be written" in said["error"] and "HF_HOME" in said["error"]


@pytest.mark.parametrize("name", ["./m", "../m", "/no/such/folder", "~/no-such-model", "a/b/c", "m/", "a--b", "a..b",
                                  "name with spaces", "", "-m", "m.", "x" * 97, "C:\\models\\m", "model.safetensors"])
def test_what_is_no_name_never_goes_to_the_hub(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "knowmap.hub", None)  # asking it would be an ImportError
    with pytest.raises(km.ModelError, match="no name that a model hub could have"):
        models.resolve(name)


def test_folders_and_packages_come_first(tmp_path, model_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "knowmap.hub", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert models.resolve("owner/name") == Path("owner/name")
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert models.resolve(name) == model_folder
    with pytest.raises(ValueError, match="revision 'v1'"):
        models.resolve("owner/name", revision="v1")
    with pytest.raises(km.ModelError):
        models.resolve(Path("owner/other"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(km.ModelError, match="is a file"):
        models.resolve("file")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
