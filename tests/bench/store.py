"""The store's throughput beside the disk's own: a million rows of 768 numbers, written durably and read back.

The disk's rate is taken in the same run and on the same files' sizes: plain write and fsync of as many bytes, one file
of a shard's size after the other (as `dd conv=fsync` does it), and plain reads with the page cache dropped. Rounds of
both alternate, since a shared disk's rate drifts.

    python tests/bench/store.py --folder /some/disk [--rows 1000000] [--storage float32]
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


def raw_write(folder: Path, block: memoryview, files: int) -> float:
    start = time.perf_counter()
    for i in range(files):
        handle = os.open(folder / f"raw-{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        done = 0
        while done < len(block):
            done += os.write(handle, block[done:done + (1 << 20)])
        os.fsync(handle)
        os.close(handle)
    return time.perf_counter() - start


def raw_read(folder: Path, files: int) -> float:
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    for i in range(files):
        with open(folder / f"raw-{i}", "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to be measured; is made and removed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shard", type=int, default=8192, help="rows a commit")
    parser.add_argument("--storage", default="float32")
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()

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

    args.folder.mkdir(parents=True)
    try:
        store = km.CheckpointStore(args.folder / "store")
        store.begin_rows({"model": "bench"}, COLUMNS, args.storage)

        def commit(first: int) -> None:
            for i in range(first, first + part):
                store.commit_rows(i * args.shard, rows, hashes)

        raw = args.folder / "raw"
        for number in range(args.rounds):
            raw.mkdir()
            taken["raw write"] += raw_write(raw, block, part)
            timed("write", lambda first=number * part: commit(first))
            drop_from_cache(args.folder)
            taken["raw read"] += raw_read(raw, part)
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
    finally:
        shutil.rmtree(args.folder)

    total = shards * len(block) / 1e9
    rates = {name: round(total / seconds, 3) for name, seconds in taken.items()}
    print(json.dumps({"rows": shards * args.shard, "storage": args.storage, "GB": round(total, 2), "GB/s": rates,
                      "write / raw": round(rates["write"] / rates["raw write"], 2),
                      "read / raw": round(rates["read, checked"] / rates["raw read"], 2)}))


if __name__ == "__main__":
    main()
