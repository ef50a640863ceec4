"""How fast this machine multiplies matrices by oneDNN, weights prepacked: the yardstick of the benchmark of embedding.

Prints GFLOP/s by precision: the best of several sizes, and of the layers' own. `python tests/bench/embed` runs it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

ROWS = (512, 2048, 8192)
# (in, out): a BERT-base's layers, MiniLM's, and a square one.
LAYERS = ((768, 2304), (768, 3072), (3072, 768), (384, 1152), (384, 1536), (1536, 384), (2048, 2048))


def product(precision: str, rows: int, inner: int, outer: int) -> Callable[[], object]:
    """One linear layer, ready to run."""
    generator = torch.Generator().manual_seed(1)
    if precision == "int8":
        x = torch.randint(0, 128, (rows, inner), dtype=torch.uint8, generator=generator)
        weight = torch.randint(-100, 100, (outer, inner), dtype=torch.int8, generator=generator)
        packed = torch.ops.onednn.qlinear_prepack(weight, [rows, inner])
        scales, zeros = torch.full((outer,), 0.01), torch.zeros(outer, dtype=torch.int64)
        return lambda: torch.ops.onednn.qlinear_pointwise(
            x, 0.02, 0, packed, scales, zeros, None, 1.0, 0, torch.bfloat16, "none", [], ""
        )
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    x = torch.rand((rows, inner), generator=generator).to(kind)
    weight = torch.rand((outer, inner), generator=generator).to(kind)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


def gigaflops(run: Callable[[], object], operations: float, seconds: float) -> float:
    """The best of several short runs: what the machine can do, not what it did while something else ran."""
    run()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start, repeats = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 8:
            run()
            repeats += 1
        best = max(best, repeats * operations / (time.perf_counter() - start) / 1e9)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=0.25, help="for each size")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16", "int8"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = {}
    with torch.inference_mode():
        for precision in args.precision:
            rates = {}
            for inner, outer in LAYERS:
                rates[f"{inner}x{outer}"] = max(
                    gigaflops(product(precision, rows, inner, outer), 2.0 * rows * inner * outer, args.seconds)
                    for rows in ROWS
                )
            result[precision] = {"best": max(rates.values()), "layers": rates}
    print(json.dumps({"threads": args.threads, "gigaflops": result}))


if __name__ == "__main__":
    main()
