"""Embeds the sample in little memory, and says whether allocations failed and what was done.

    python tests/bench/little_memory.py --model FOLDER --articles articles.parquet --limit 1G
    python tests/bench/little_memory.py --model FOLDER --articles articles.parquet --squeeze 2M --texts 1000
    python tests/bench/little_memory.py --model FOLDER --articles articles.parquet --squeeze=-64M --batch-tokens 16384

--limit is set before anything is loaded: a memory control group (version 1) where one can be made, else RLIMIT_DATA.
--squeeze takes memory away behind the plan's back, as another program would: once the run has begun, the process may
have only so much more than it has then (RLIMIT_DATA; less than nothing: what it gives back it does not get again). With
--batch-tokens so many that blocks go back to the system after each batch, allocations then fail and batches are split;
with the usual ones the memory of the first serves all. Rows are compared with those of an undisturbed run after it.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from larger_than_memory import GROUP, limit_memory

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def size(text: str) -> int:
    return int(float(text[:-1]) * UNITS[text[-1]])


def data_size() -> int:
    """What RLIMIT_DATA counts, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--texts", type=int)
    parser.add_argument("--limit")
    parser.add_argument("--squeeze")
    parser.add_argument("--batch-tokens", type=int)
    args = parser.parse_args()
    how = limit_memory(size(args.limit)) if args.limit else None

    import knowmap as km

    texts = pq.read_table(args.articles, columns=["text"])["text"].to_pylist()[: args.texts]
    embedder = km.Embedder(args.model, precision=args.precision, batch_tokens=args.batch_tokens)
    plan = embedder.plan(texts)
    squeezed = []

    def squeeze(*progress: object) -> None:
        if args.squeeze and not squeezed:
            squeezed.append(data_size() + size(args.squeeze))
            resource.setrlimit(resource.RLIMIT_DATA, (squeezed[0], resource.RLIM_INFINITY))

    rows = embedder.encode(texts, progress=squeeze)
    report = embedder.report
    result = {"model": Path(args.model).name, "limit": args.limit, "by": how, "squeezed_to": squeezed,
              "texts": len(texts),
              "tokens": report.tokens, "seconds": round(report.seconds, 1), "backoffs": report.backoffs,
              "streamed": report.streamed, "batch_tokens_planned": report.batch_tokens_planned,
              "batch_tokens_final": report.batch_tokens_final, "planned_peak_mib": report.planned_peak_bytes >> 20,
              "planned_before_mib": plan.peak >> 20, "peak_mib": report.peak_bytes >> 20}
    if how == "cgroup":
        result["cgroup_max_mib"] = int((GROUP / "memory.max_usage_in_bytes").read_text()) >> 20
    if squeezed:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        again = embedder.encode(texts, progress=False)
        result["same_bytes_as_undisturbed"] = bool(np.array_equal(rows.view(np.uint32), again.view(np.uint32)))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
