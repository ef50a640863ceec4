"""The memory that a plan foresees beside the memory that the run takes, for a model of every family.

    python tests/bench/memory_plan.py --work DIR --peer-python PEER_PYTHON          # makes the models, 2 GB, first
    python tests/bench/memory_plan.py --models all-MiniLM-L6-v2 FOLDER …             # others

Each run is a process of its own: texts of the greatest length, short ones, and both together; all layers held (float32
and bfloat16), and layer by layer. The bar: the plan made from the texts before anything is computed lies within 15 % of
the highest resident memory measured. How much of it is the run's own, over what the process holds once the model is
loaded, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

BAR = 0.15
CASES = {"long": [4000] * 4, "short": [60] * 200, "mixed": [4000, 900, 900, *[100] * 60]}
RUNS = [("float32", "resident"), ("bfloat16", "resident"), ("bfloat16", "streamed")]


def measure(model: str, precision: str, residency: str, lengths: list[int]) -> dict:
    import knowmap as km

    embedder = km.Embedder(model, precision=precision, residency=residency)
    texts = [" ".join("abcdefghij"[i % 10] for i in range(n)) for n in lengths]
    plan = embedder.plan(texts)
    embedder.encode(texts, progress=False)
    report = embedder.report
    return {"held": plan.held, "planned": plan.peak, "by_run": report.planned_peak_bytes,
            "measured": report.peak_bytes, "tokens": report.tokens}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(**json.loads(args.one))))
        return 0
    models = list(args.models)
    if args.work:
        if args.peer_python:
            subprocess.run([args.peer_python, Path(__file__).with_name("memory_models.py"), args.work], check=True)
        models += sorted(str(folder) for folder in args.work.iterdir() if (folder / "config.json").exists())
    missed = 0
    print("| model | precision | layers | texts | held, MiB | planned | measured | planned ÷ measured "
          "| over what is held |")
    print("|---|---|---|---|--:|--:|--:|--:|--:|")
    for model in models:
        for precision, residency in RUNS:
            for case in args.cases:
                lengths = CASES[case]
                one = json.dumps({"model": model, "precision": precision, "residency": residency, "lengths": lengths})
                run = subprocess.run([sys.executable, __file__, "--one", one], capture_output=True, text=True)
                if run.returncode != 0:
                    why = run.stderr.strip()[-300:]
                    print(f"| {Path(model).name} | {precision} | {residency} | {case} | failed: {why} |")
                    missed += 1
                    continue
                got = json.loads(run.stdout)
                ratio = got["planned"] / got["measured"]
                own = (got["planned"] - got["held"]) / max(1, got["measured"] - got["held"])
                missed += abs(ratio - 1) > BAR
                print(f"| {Path(model).name} | {precision} | {residency} | {case} | "
                      + " | ".join(f"{got[k] / 2**20:,.0f}" for k in ("held", "planned", "measured"))
                      + f" | {ratio:.3f} | {own:.2f} |", flush=True)
    print(f"\n{missed} outside {BAR:.0%}" if missed else f"\nall within {BAR:.0%}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
