"""The store from Python: what is stored how, what changed is computed alone, exports, the chain of stages."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import knowmap as km
from knowmap import build, cli
from knowmap.store import chain, export

TEXTS = [f"Article {i} tells of {word}." for i, word in enumerate(["rivers", "kings", "proteins", "jazz"] * 30)]
ROWS = np.random.default_rng(7).standard_normal((5000, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def embedder():
    return km.Embedder("all-MiniLM-L6-v2", precision="float32")


def filled(folder, storage="float32", rows=ROWS):
    store = km.CheckpointStore(folder)
    store.begin_rows({"model": "none"}, rows.shape[1], storage)
    for begin in range(0, len(rows), 1000):
        part = rows[begin:begin + 1000]
        store.commit_rows(begin, part, np.arange(begin, begin + len(part)))
    return store


@pytest.mark.parametrize("storage, error", [("float32", 0), ("float16", 2e-3), ("int8", 0.02)])
def test_exports_hold_the_rows(tmp_path, storage, error):
    store = filled(tmp_path / "store", storage)
    held = store.read_rows(0, len(ROWS))
    assert np.abs(held - ROWS).max() <= error and store.storage == storage
    for name in ("all.h5", "all.npy", "all.parquet"):
        export(store, tmp_path / name)
    assert np.array_equal(np.load(tmp_path / "all.npy", mmap_mode="r"), held)

    import pyarrow.parquet
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    column = table.column("embedding").combine_chunks()
    assert np.array_equal(column.flatten().to_numpy().reshape(held.shape), held)
    assert table.column("text_hash").to_pylist() == list(range(len(ROWS)))

    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "all.h5") as file:
        assert np.array_equal(file["embeddings"][:], held)
    export(store, tmp_path / "store" / "view.h5", view=True)
    with h5py.File(tmp_path / "store" / "view.h5") as view:
        seen = view["embeddings"][:].astype(np.float32)
        if storage == "int8":
            seen *= view["scales"][:][:, None]
        assert np.array_equal(seen, held)
        assert np.array_equal(view["embeddings"][1990:2010], view["embeddings"][:][1990:2010])
    shards = sum(file.stat().st_size for file in (tmp_path / "store" / "rows").iterdir())
    beside = 12 * len(ROWS) + 5 * 8192  # hashes and scales, HDF5's structure
    assert shards < ROWS.nbytes // {"float32": 1, "float16": 2, "int8": 4}[storage] + beside
    with pytest.raises(ValueError, match="format isn't known"):
        export(store, tmp_path / "all.csv")


def test_a_few_rows_are_read_without_the_rest(tmp_path):
    filled(tmp_path / "store").write_manifest()
    for shard in sorted((tmp_path / "store" / "rows").iterdir()):
        if "000000003000" not in shard.name.split("-")[1]:
            shard.write_bytes(b"nothing of this may be read")
    store = km.CheckpointStore(tmp_path / "store", mode="r")
    assert np.array_equal(store.read_rows(3100, 3103), ROWS[3100:3103])
    with pytest.raises(km.CheckpointError):
        store.read_rows(2999, 3003)


def test_only_texts_that_changed_or_came_are_computed(tmp_path, embedder):
    store = km.CheckpointStore(tmp_path / "store")
    embedder.embed_into(TEXTS, store, commit_rows=50, commit_seconds=0, progress=False)
    assert len(store.ranges) == 5
    before = store.read_rows(0, len(TEXTS))
    texts = [*TEXTS, "Another one.", "And one more."]
    texts[3], texts[60], texts[61] = "changed", "these", "too"
    resume = embedder.embed_into(texts, store, commit_rows=25, progress=False)
    assert (resume.rows_kept, resume.rows_dropped, resume.rows_computed) == (117, 3, 5)
    after = store.read_rows(0, len(texts))
    same = [i for i in range(len(TEXTS)) if texts[i] == TEXTS[i]]
    assert after[same].tobytes() == before[same].tobytes()
    assert after.tobytes() == embedder.encode(texts, progress=False).tobytes()
    again = embedder.embed_into(texts, store, progress=False)
    assert (again.rows_kept, again.rows_computed) == (122, 0)
    assert again.text_hashes.tobytes() == store.text_hashes(0, 122).tobytes()


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_smaller_rows_mean_the_same(tmp_path, embedder, storage):
    rows = embedder.encode(TEXTS, store=tmp_path / "store", storage=storage, progress=False)
    exact = embedder.encode(TEXTS, progress=False)
    cosine = (rows * exact).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > {"float16": 0.999999, "int8": 0.9999}[storage]
    with pytest.raises(km.CheckpointError, match=f"storage: {storage} → float32"):
        embedder.encode(TEXTS, store=tmp_path / "store", progress=False)


def test_each_option_that_differs_is_named(tmp_path, embedder):
    embedder.encode(TEXTS[:3], store=tmp_path / "store", progress=False)
    other = km.Embedder("all-MiniLM-L6-v2", precision="bfloat16", max_seq_length=64)
    with pytest.raises(km.CheckpointError) as refused:
        other.encode(TEXTS[:3], store=tmp_path / "store", storage="int8", progress=False)
    for line in ("max_seq_length: 256 → 64", "precision: float32 → bfloat16", "storage: float32 → int8", "--fresh"):
        assert line in str(refused.value)


def test_a_store_of_other_products_tells_which_precision_to_give(tmp_path):
    km.Embedder("all-MiniLM-L6-v2", precision="int8").encode(TEXTS[:3], store=tmp_path / "store", progress=False)
    other = km.Embedder("all-MiniLM-L6-v2", precision="bfloat16")
    with pytest.raises(km.CheckpointError) as refused:
        other.encode(TEXTS[:3], store=tmp_path / "store", progress=False)
    for line in ("precision: int8 beside ", "int8 products: ", "give the precision of the run that made the rows"):
        assert line in str(refused.value)


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    return code, capsys.readouterr().out


def test_repair_and_the_chain(tmp_path, embedder, capsys):
    source = tmp_path / "articles.jsonl"
    source.write_text("".join(json.dumps({"text": t, "title": t[:9]}) + "\n" for t in TEXTS), encoding="utf-8")
    folder = tmp_path / "map"
    arguments = ["build", source, "--out", folder, "--commit-rows", 80, "--commit-seconds", 0, "--quiet", "--precision",
                 "float32"]
    assert run(capsys, *arguments)[0] == 0
    assert "stage layout, made from neighbors\n" in run(capsys, "info", folder)[1]
    assert "stage neighbors, made from rows, texts\n" in run(capsys, "info", folder)[1]
    rows = km.CheckpointStore(folder, mode="r").read_rows(0, 120)

    shard = sorted((folder / "rows").iterdir())[1]
    damaged = bytearray(shard.read_bytes())
    damaged[-1000] ^= 4
    shard.write_bytes(damaged)
    code, said = run(capsys, "verify", folder)
    assert code == cli.STORE and shard.name in said and "`knowmap repair` removes it" in said
    code, said = run(capsys, "repair", folder)
    assert code == 0 and "1 damaged and removed" in said and not shard.exists()
    for command in ("verify", "info"):
        code, said = run(capsys, command, folder)
        assert code == 0 and "rows 40 to 79 are missing; build again" in said and "all sound" not in said
    code, said = run(capsys, "export", folder, tmp_path / "all.npy")
    assert code == cli.STORE and not (tmp_path / "all.npy").exists()
    code, said = run(capsys, *arguments, "--json")
    assert code == 0 and json.loads(said)["rows_computed"] == 40
    store = km.CheckpointStore(folder, mode="r")
    assert store.read_rows(0, 120).tobytes() == rows.tobytes()
    assert json.loads(said)["reused"] == ["neighbors", "layout", "regions"]

    for ending in ("h5", "npy", "parquet"):
        assert run(capsys, "export", folder, tmp_path / f"all.{ending}")[0] == 0
    assert run(capsys, "export", folder, folder / "view.h5", "--view")[0] == 0
    import pyarrow.parquet
    names = pyarrow.parquet.read_schema(tmp_path / "all.parquet").names
    assert names == ["id", "title", "x", "y", "text_hash", "embedding"]
    ids = build.load_collection(folder).ids
    assert np.load(tmp_path / "all.ids.npy").tolist() == list(map(str, ids))
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "all.h5") as file:
        assert list(file["ids"].asstr()[:]) == list(map(str, ids))

    del store
    embedder.encode(["other", *TEXTS[1:]], store=folder, progress=False)
    store = km.CheckpointStore(folder, mode="r")
    assert chain(store)["neighbors"] == {"rows": True, "texts": False}
    assert "made from rows, other texts than those held" in run(capsys, "info", folder)[1]
    code, said = run(capsys, "export", folder, tmp_path / "other.h5", "--json")
    assert code == cli.STORE and "are of different texts" in said and not (tmp_path / "other.h5").exists()


def test_a_damaged_collection_is_told_of_and_made_anew(tmp_path, capsys):
    source, folder = tmp_path / "articles.jsonl", tmp_path / "map"
    source.write_text("".join(json.dumps({"text": t, "title": t[:9]}) + "\n" for t in TEXTS), encoding="utf-8")
    arguments = ["embed", source, "--out", folder, "--quiet", "--precision", "float32"]
    assert run(capsys, *arguments)[0] == 0
    collection = folder / "collection.parquet"
    good = collection.read_bytes()
    at = good.index(b"proteins")
    for bad in (good[:at] + b"q" + good[at + 1:], good[:-3], b"", b"PAR1"):
        collection.write_bytes(bad)
        code, said = run(capsys, "verify", folder)
        assert code == cli.STORE and "collection.parquet' is damaged" in said and "knowmap build" in said
        code, said = run(capsys, "repair", folder)
        assert code == cli.STORE and collection.read_bytes() == bad  # the user's texts are the user's
        assert run(capsys, "project", folder, "--quiet")[0] == cli.STORE
    code, said = run(capsys, *arguments, "--json")
    assert code == 0 and json.loads(said)["rows_computed"] == 0
    assert collection.read_bytes() == good and "all sound" in run(capsys, "verify", folder)[1]


class Stop(Exception):
    pass


def test_ids_are_durable_before_the_first_row(tmp_path, embedder):
    collection = build.read_collection({"text": TEXTS, "id": [f"a{i}" for i in range(len(TEXTS))]})

    def stop(stage, done, total, unit):
        raise Stop

    with pytest.raises(Stop):
        build.embed_collection(collection, embedder, tmp_path / "map", progress=stop)
    with km.CheckpointStore(tmp_path / "map", mode="r") as store:
        assert store.rows_held == 0
    assert build.load_collection(tmp_path / "map").ids == [f"a{i}" for i in range(len(TEXTS))]


def test_a_store_is_closed_by_with_and_after_an_exception_that_is_kept(tmp_path, embedder):
    with km.CheckpointStore(tmp_path / "store") as store:
        with pytest.raises(km.CheckpointError, match="in this process"):
            km.CheckpointStore(tmp_path / "store")
        assert not store.closed
    assert store.closed
    with pytest.raises(km.CheckpointError, match="was closed: open it anew"):
        store.ranges  # noqa: B018

    def stop(stage, done, total, unit):
        raise Stop

    kept = []  # as a notebook keeps the last exception, its frames and all that they hold
    for attempt in (lambda: embedder.encode(TEXTS, store=tmp_path / "store", progress=stop),
                    lambda: km.build_map(TEXTS, tmp_path / "map", model=embedder, progress=stop)):
        for _ in range(2):
            try:
                attempt()
            except Stop as error:
                kept.append(error)
    assert len(kept) == 4
    km.CheckpointStore(tmp_path / "store").close()
    km.CheckpointStore(tmp_path / "map").close()


def test_most_rows_are_not_replaced_unasked(tmp_path):
    many = [f"text {i}" for i in range(1500)]
    embedder = km.Embedder("all-MiniLM-L6-v2", precision="float32", max_seq_length=8)
    folder = tmp_path / "map"
    build.embed_collection(build.read_collection(many), embedder, folder, progress=False).close()
    before = {file.name: file.read_bytes() for file in (folder / "rows").iterdir()}
    kept = (folder / "collection.parquet").read_bytes()
    for wrong in (many[:10], [t + "!" for t in many]):
        with pytest.raises(km.CheckpointError, match=r"nothing was removed.*--replace"):
            build.embed_collection(build.read_collection(wrong), embedder, folder,
                                   progress=False)
        assert {file.name: file.read_bytes() for file in (folder / "rows").iterdir()} == before
        assert (folder / "collection.parquet").read_bytes() == kept
    store = build.embed_collection(build.read_collection(many[:10]), embedder, folder,
                                   replace=True, progress=False)
    with store:
        assert store.ranges[-1][1] == 10
        assert store.read_rows(0, 10).tobytes() == embedder.encode(many[:10], progress=False).tobytes()


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_rows_of_texts_that_moved_are_copied(tmp_path, embedder, storage):
    texts = [f"Article {i} of {t}" for i, t in enumerate(TEXTS)]  # no two alike
    rng = np.random.default_rng(3)
    cases = {"put in": (["first", *texts[:50], "middle", *texts[50:]], 2),
             "taken out": (texts[7:], 30),  # of the last shard all, since it reaches beyond the last text
             "swapped": ([texts[i ^ 1] for i in range(120)], 0),
             "reversed": (texts[::-1], 62),
             "shuffled": ([texts[i] for i in rng.permutation(120)], 110),
             "doubled": ([t for text in texts for t in (text, text)], 2)}
    for name, (now, most) in cases.items():
        with km.CheckpointStore(tmp_path / name) as store:
            embedder.embed_into(texts, store, commit_rows=40, storage=storage, progress=False)
            resume = embedder.embed_into(now, store, commit_rows=40, storage=storage, progress=False)
            expected = embedder.encode(now, progress=False)
            if storage == "float32":
                assert store.read_rows(0, len(now)).tobytes() == expected.tobytes(), name
            else:
                assert np.abs(store.read_rows(0, len(now)) - expected).max() < 2e-3, name
            assert store.text_hashes(0, len(now)).tobytes() == resume.text_hashes.tobytes()
            assert resume.rows_kept + resume.rows_dropped == 120, name
            if storage != "int8":
                assert resume.rows_computed <= most, name
            assert store.verify().damaged == []


def test_commit_rows_bounds_what_a_kill_can_lose(tmp_path, embedder):
    for rows, largest in ((1, 1), (2, 1), (7, 3), (60, 30)):
        with km.CheckpointStore(tmp_path / str(rows)) as store:
            embedder.embed_into(TEXTS[:60], store, commit_rows=rows, progress=False)
            assert max(end - begin for begin, end in store.ranges) == largest


def test_names_promise_no_memory(tmp_path):
    filled(tmp_path / "store").close()
    name = "rows-000000005000-999999999999.h5"
    (tmp_path / "store" / "rows" / name).write_bytes(b"x")
    store = km.CheckpointStore(tmp_path / "store", mode="r")
    for read in (store.read_rows, store.text_hashes):
        with pytest.raises(km.CheckpointError, match=name):
            read(0, 999999999999)
    assert np.array_equal(store.read_rows(0, 5000), ROWS)


BESIDE = """
import sys
sys.path[:0] = {path!r}
for name in {order!r}.split(","):
    __import__(name)
import h5py, knowmap, numpy as np
rows = np.arange(4000, dtype="f4").reshape(-1, 8)
with h5py.File({folder!r} + "/mine.h5", "w") as mine:
    store = knowmap.CheckpointStore({folder!r} + "/store")
    store.begin_rows({{"model": "x"}}, 8)
    for i in range(0, 500, 100):
        store.commit_rows(i, rows[i:i + 100], np.arange(100))
        mine.create_dataset(str(i), data=rows[i:i + 100], compression="gzip")
        assert (store.read_rows(0, i + 100) == rows[:i + 100]).all()
        assert (mine[str(i)][:] == rows[i:i + 100]).all()
    store.export_hdf5({folder!r} + "/all.h5")
    store.export_view({folder!r} + "/view.h5")
    for name in ("all", "view"):
        with h5py.File({folder!r} + f"/{{name}}.h5") as file:
            assert (file["embeddings"][:] == rows).all()
assert store.verify().damaged == []
"""


@pytest.mark.parametrize("order", ["h5py,knowmap", "knowmap,h5py"])
def test_beside_h5py_in_both_orders(tmp_path, order):
    pytest.importorskip("h5py")
    code = BESIDE.format(path=sys.path, order=order, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
