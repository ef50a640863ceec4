"""Embeds texts with a model larger than memory, and says how fast and in how much.

    python tests/bench/large_model.py /data/big --wordpiece                 # once: 15 GB
    python tests/bench/larger_than_memory.py /data/big --limit 4G           # layer by layer, in a memory cgroup
    python tests/bench/larger_than_memory.py /data/big --residency resident # all weights held, no limit

The limit is a memory control group (version 1) where one can be made, else RLIMIT_DATA. The texts are words of one
letter, 64 of them with 8,000 tokens in all unless --texts and --length say otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import time
from pathlib import Path

import numpy as np

GROUP = Path("/sys/fs/cgroup/memory/knowmap-bench")


def limit_memory(size: int) -> str:
    """Puts this process under a limit; says which."""
    try:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text(str(size))
        for count in ("memory.max_usage_in_bytes", "memory.failcnt"):  # an earlier run's
            (GROUP / count).write_text("0")
        (GROUP / "cgroup.procs").write_text(str(os.getpid()))
        return "cgroup"
    except OSError:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        return "RLIMIT_DATA"


def make_texts(count: int, tokens: int, length: int | None) -> list[str]:
    """Texts of mixed lengths with that many tokens together (each has a special one), or all of one length."""
    dice = random.Random(11)
    if length:
        lengths = [length - 1] * count
    else:
        weights = [dice.uniform(0.2, 1.8) for _ in range(count)]
        lengths = [max(1, round(w / sum(weights) * tokens) - 1) for w in weights]
        lengths[0] += tokens - count - sum(lengths)
    return [" ".join(dice.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n)) for n in lengths]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--limit", help="as 4G; none = no limit")
    parser.add_argument("--residency", default="auto")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--length", type=int, help="tokens of every text")
    parser.add_argument("--save", type=Path, help="where the vectors go, as .npy")
    args = parser.parse_args()
    how = limit_memory(int(float(args.limit[:-1]) * 2**30)) if args.limit else "none"

    import knowmap as km

    texts = make_texts(args.texts, args.tokens, args.length)
    start = time.perf_counter()
    embedder = km.Embedder(args.model, precision="bfloat16", residency=args.residency)
    loaded = time.perf_counter() - start
    plan = embedder.plan(texts)
    rows = embedder.encode(texts, progress=False)
    report = embedder.report
    if args.save:
        np.save(args.save, rows)
    result = {"limit": args.limit, "by": how, "streamed": report.streamed, "load_seconds": round(loaded, 1),
              "texts": len(texts), "tokens": report.tokens, "seconds": round(report.seconds, 1),
              "tokens_per_second": round(report.tokens / report.seconds, 2), "backoffs": report.backoffs,
              "peak_gib": round(report.peak_bytes / 2**30, 2), "planned_peak_gib": round(plan.peak / 2**30, 2),
              "batch_tokens": plan.batch_tokens, "finite": bool(np.isfinite(rows).all())}
    if how == "cgroup":
        result["cgroup_max_gib"] = round(int((GROUP / "memory.max_usage_in_bytes").read_text()) / 2**30, 2)
        result["cgroup_failcnt"] = int((GROUP / "memory.failcnt").read_text())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
