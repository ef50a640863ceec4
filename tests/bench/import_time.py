"""Seconds of `python -c "import knowmap"`, whole process, each time a fresh one.

    python tests/bench/import_time.py --out import_time.json

Exit code 1 where the median is over the bar.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import harness

BAR = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    table, result = [], {"machine": machine, "bar": BAR, "runs": args.runs}
    for name, code in (("pass", "pass"), ("import numpy", "import numpy"), ("import knowmap", "import knowmap")):
        runs = [harness.measure([sys.executable, "-c", code]) for _ in range(args.runs)]
        seconds = sorted(run.seconds for run in runs)
        middle = harness.median(seconds)
        bar = [f"≤ {BAR}", harness.verdict(middle <= BAR)] if name == "import knowmap" else ["", ""]
        table.append(
            [
                f"`{name}`",
                f"{middle:.3f}",
                f"{seconds[0]:.3f}",
                f"{seconds[-1]:.3f}",
                harness.mebibytes(harness.median(run.peak_bytes for run in runs)),
                *bar,
            ]
        )
        result[name] = {"median_seconds": middle, "seconds": seconds}
    loaded = harness.measure([sys.executable, "-c", "import sys, knowmap; print('torch' in sys.modules)"])
    result |= {"imports_torch_python": loaded.stdout.strip() == "True", "passed": middle <= BAR}
    harness.print_table(["", "median s", "lowest", "highest", "peak memory", "bar", ""], table)
    print(f"Python's torch module is {'' if result['imports_torch_python'] else 'not '}imported; libtorch is linked.")
    harness.write_json(args.out, result)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
