"""The package as such: quick to import, picky about torch, documented, and at peace with h5py."""

from __future__ import annotations

import inspect
import json
import statistics
import subprocess
import sys
import time

import pytest

import knowmap as km


def python(program: str, *arguments: object) -> str:
    """What a fresh interpreter prints for the program."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_takes_in_nothing_large():
    loaded = json.loads(python("import json, sys, knowmap; print(json.dumps(sorted(sys.modules)))"))
    large = {"torch", "pandas", "sklearn", "scipy", "pyarrow", "tqdm", "h5py", "huggingface_hub", "argparse"}
    assert large & set(loaded) == set()


def test_import_time(capsys):
    """The bar of 1.5 s is for a quiet machine; here only what no machine should need."""
    def seconds(program: str) -> float:
        start = time.perf_counter()
        python(program)
        return time.perf_counter() - start

    whole = statistics.median(seconds("import knowmap") for _ in range(5))
    with capsys.disabled():
        print(f"\nimport knowmap: {whole:.2f} s, the interpreter's start counted (median of 5)")
    assert whole < 10


OTHER_TORCH = """
from importlib import metadata
true_version = metadata.version
def version(name):
    if name != "torch":
        return true_version(name)
    {answer}
metadata.version = version
try:
    import knowmap
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
"""


@pytest.mark.parametrize(("answer", "said"), [
    ("return '2.12.1'", "ImportError: this knowmap was built for torch 2.13.0, but torch 2.12.1 is installed; "
                        "run: pip install torch==2.13.0\n"),
    ("return '2.13.0.post1'", "ImportError: this knowmap was built for torch 2.13.0, but torch 2.13.0.post1 is "
                              "installed; run: pip install torch==2.13.0\n"),
    ("raise metadata.PackageNotFoundError(name)", "ImportError: knowmap needs torch 2.13.0, and torch is not "
                                                  "installed; run: pip install torch==2.13.0\n"),
    ("return '2.13.0+cu130'", "imported\n"),
])
def test_another_torch_is_told_at_import(answer, said):
    assert python(OTHER_TORCH.format(answer=answer)) == said


def test_all_that_is_public_exists_and_is_documented():
    assert len(set(km.__all__)) == len(km.__all__)
    undocumented = []
    for name in km.__all__:
        thing = getattr(km, name)
        if name != "__version__" and not (inspect.getdoc(thing) or "").strip():
            undocumented.append(name)
    assert undocumented == []
    assert set(km.__all__) <= set(dir(km))


def test_errors_are_of_one_family():
    for error in (km.CheckpointError, km.ModelError, km.TokenizerError, km.OutOfMemoryError, km.CancelledError):
        assert issubclass(error, km.Error)
    assert issubclass(km.OutOfMemoryError, MemoryError)


WITH_H5PY = """
import sys
if sys.argv[1] == "h5py first":
    import h5py, numpy as np, knowmap as km
else:
    import knowmap as km, numpy as np, h5py
folder = sys.argv[2]

def by_h5py(i):
    with h5py.File(f"{folder}/theirs-{i}.h5", "w") as file:
        file["numbers"] = np.arange(1000) + i
        file["texts"] = ["a", "ü"]
    with h5py.File(f"{folder}/theirs-{i}.h5") as file:
        assert (file["numbers"][:] == np.arange(1000) + i).all() and file["texts"].asstr()[1] == "ü"

def by_knowmap(i):
    store = km.CheckpointStore(f"{folder}/store-{i}")
    texts = [f"Text {j} of {i}." for j in range(20)]
    rows = embedder.encode(texts, store=store, progress=False)
    assert (store.read_rows(0, 20) == rows).all()
    store.export_hdf5(f"{folder}/ours-{i}.h5")
    with h5py.File(f"{folder}/ours-{i}.h5") as file:
        assert (file["embeddings"][:] == rows).all()
    with h5py.File(next((store.folder / "rows").glob("*.h5"))) as file:
        assert len(file) > 0

embedder = km.Embedder(sys.argv[3])
for i in range(3):
    by_h5py(i)
    by_knowmap(i)
print("sound")
"""


@pytest.mark.parametrize("order", ["h5py first", "knowmap first"])
def test_h5py_in_the_same_process(order, model_folder, tmp_path):
    assert python(WITH_H5PY, order, tmp_path, model_folder) == "sound\n"
