"""The store's throughput beside the disk's own: a million rows of 768 numbers, written durably and read back.

The disk's rate is taken in the same run and on the same files' sizes: plain write and fsync of as many bytes, one file
of a shard's size after the other (as `dd conv=fsync` does it), and plain reads with the page cache dropped. Rounds of
both alternate, since a shared disk's rate drifts.

    python tests/bench/store.py --folder /some/disk [--rows 1000000] [--storage float32]

With `--articles`, instead: what the store costs the engine. The articles are embedded without a store and into one, in
alternating rounds, by wall clock and by processor time.

    python tests/bench/store.py --folder /some/disk --articles articles.parquet [--model NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np

import knowmap as km

COLUMNS = 768


def drop_from_cache(folder: Path) -> None:
    """The files' pages leave the cache, so that reading means the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def raw_write(folder: Path, block: memoryview, files: int) -> None:
    for i in range(files):
        handle = os.open(folder / f"raw-{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        done = 0
        while done < len(block):
            done += os.write(handle, block[done:done + (1 << 20)])
        os.fsync(handle)
        os.close(handle)


def raw_read(folder: Path, files: int) -> None:
    buffer = bytearray(1 << 20)
    for i in range(files):
        with open(folder / f"raw-{i}", "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def engine(args: argparse.Namespace) -> dict:
    """Seconds of embedding without a store and with one."""
    import pyarrow.parquet

    texts = pyarrow.parquet.read_table(args.articles, columns=["text"]).column("text").to_pylist()
    embedder = km.Embedder(args.model)
    embedder.encode(texts[:64], progress=False)
    wall, processor, rows = {"without": [], "with": []}, {"without": [], "with": []}, {}
    for number in range(args.rounds):
        for name in ("without", "with") if number % 2 == 0 else ("with", "without"):
            store = args.folder / f"engine-{number}" if name == "with" else None
            start, started = time.perf_counter(), time.process_time()
            rows[name] = embedder.encode(texts, store=store, progress=False)
            wall[name].append(round(time.perf_counter() - start, 2))
            processor[name].append(round(time.process_time() - started, 2))
    assert np.array_equal(rows["with"], rows["without"])
    return {"texts": len(texts), "model": args.model, "seconds": wall, "processor seconds": processor,
            "with / without": round(min(wall["with"]) / min(wall["without"]), 3)}


def disk(args: argparse.Namespace) -> dict:
    """The store's rates and the disk's."""
    size = {"float32": 4, "float16": 2, "int8": 1}[args.storage]
    rows = np.random.default_rng(0).standard_normal((args.shard, COLUMNS), dtype=np.float32)
    hashes = np.arange(args.shard, dtype=np.uint64)
    block = memoryview(np.resize(rows.view(np.uint8).reshape(-1), args.shard * (COLUMNS * size + 8)))
    shards = -(-args.rows // args.shard // args.rounds) * args.rounds
    part = shards // args.rounds
    taken = {"raw write": 0.0, "write": 0.0, "raw read": 0.0, "read, checked": 0.0, "read again, cached": 0.0}

    def timed(name: str, action) -> None:
        start = time.perf_counter()
        action()
        taken[name] += time.perf_counter() - start

    store = km.CheckpointStore(args.folder / "store")
    store.begin_rows({"model": "bench"}, COLUMNS, args.storage)

    def commit(first: int) -> None:
        for i in range(first, first + part):
            store.commit_rows(i * args.shard, rows, hashes)

    raw = args.folder / "raw"
    for number in range(args.rounds):
        raw.mkdir()
        writers = [("raw write", lambda: raw_write(raw, block, part)),
                   ("write", lambda first=number * part: commit(first))]
        for name, write in writers if number % 2 == 0 else reversed(writers):
            timed(name, write)
        drop_from_cache(args.folder)
        timed("raw read", lambda: raw_read(raw, part))
        reader = km.CheckpointStore(args.folder / "store", mode="r")
        begin, end = number * part * args.shard, (number + 1) * part * args.shard

        def read(held=reader, begin=begin, end=end) -> None:
            for at in range(begin, end, args.shard):
                assert held.read_rows(at, at + args.shard).shape == rows.shape

        timed("read, checked", read)
        timed("read again, cached", read)
        shutil.rmtree(raw)
    assert store.rows_held == shards * args.shard
    if args.storage == "float32":
        assert np.array_equal(store.read_rows(args.shard, 2 * args.shard), rows)

    total = shards * len(block) / 1e9
    rates = {name: round(total / seconds, 3) for name, seconds in taken.items()}
    return {"rows": shards * args.shard, "storage": args.storage, "GB": round(total, 2), "GB/s": rates,
            "write / raw": round(rates["write"] / rates["raw write"], 2),
            "read / raw": round(rates["read, checked"] / rates["raw read"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to be measured; is made and removed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shard", type=int, default=8192, help="rows a commit")
    parser.add_argument("--storage", default="float32")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--articles", type=Path, help="a Parquet file with a column of texts: time the engine")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    args = parser.parse_args()

    args.folder.mkdir(parents=True)
    try:
        print(json.dumps(engine(args) if args.articles else disk(args)))
    finally:
        shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()
