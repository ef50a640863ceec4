"""What every contestant is asked to do, the same for all of them; each runs it in a process of its own."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Encode = Callable[[list[str]], NDArray[np.float32]]

# Longest text of the table by length; the models' own limits are shorter, their position tables are not.
LONGEST = 512


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that ours and the peers' processes have in common."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("job", choices=["throughput", "latency", "lengths"])
    made.add_argument("texts", type=Path, help="JSON: a list of texts; for lengths {tokens: [texts]}")
    made.add_argument("--model", type=Path, required=True, help="the model's folder")
    made.add_argument("--warm-up", type=int, default=96, help="texts encoded before the clock starts")
    made.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="every Nth text from I on")
    made.add_argument("--limit", type=int, help="the first so many texts of the part")
    made.add_argument("--rows", type=Path, help=".npy to write the rows to")
    return made


def run(args: argparse.Namespace, encode: Encode, said: dict[str, Any]) -> None:
    """Does the job, and prints what it took as one line of JSON."""
    texts = json.loads(args.texts.read_text(encoding="utf-8"))
    if args.job == "lengths":
        said["seconds_by_length"] = {length: _lengths(encode, group) for length, group in texts.items()}
        print(json.dumps(said))
        return
    part, parts = args.part
    # Other texts than those that are timed, where there are others; spread over the collection, so of all lengths.
    warm_up = texts[(part + 1) % parts :: max(1, len(texts) // args.warm_up)][: args.warm_up]
    texts = texts[part::parts][: args.limit]
    said["texts"] = len(texts)
    if args.job == "latency":
        for text in warm_up:
            encode([text])
        times = []
        for text in texts:
            start = time.perf_counter()
            encode([text])
            times.append(time.perf_counter() - start)
        said |= {name: float(np.quantile(times, q)) for name, q in (("median", 0.5), ("p95", 0.95))}
        said["seconds"] = float(np.sum(times))
    else:
        encode(warm_up)
        start = time.perf_counter()
        rows = encode(texts)
        said["seconds"] = time.perf_counter() - start
        if args.rows:
            np.save(args.rows, np.asarray(rows, np.float32))
    print(json.dumps(said))


def _lengths(encode: Encode, texts: list[str]) -> float:
    encode(texts[: max(1, len(texts) // 4)])
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start
