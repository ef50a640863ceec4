"""The whole line side by side: `knowmap build` and the Python stack, each a process of its own, on the same texts.

    python tests/bench/whole_line.py --peer-python peers/bin/python --articles articles.parquet --runs 3

Ours is timed from the start of `python -m knowmap build` to its end, with map.parquet and map.html written; the stack
(peer_whole_line.py) from the start of its process to its map.parquet, and it writes no page. Runs alternate, ours
first. Before them, each does a few hundred texts untimed, which fills the disk's cache and numba's. Exit code 1 where a
bar is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness

TIME_BAR, MEMORY_BAR = 0.25, 1.0
_HERE = Path(__file__).resolve().parent

# In a process of their own, so that this one stays small (see harness).
_CUT = (
    "import sys, numpy, pyarrow.parquet as q; t = q.read_table(sys.argv[1]); n = min(len(t), int(sys.argv[2])); "
    "q.write_table(t.take(numpy.linspace(0, len(t) - 1, n).astype(int)), sys.argv[3])"
)
_COUNT = "import sys, pyarrow.parquet as q; print(q.ParquetFile(sys.argv[1]).metadata.num_rows)"
_MODEL = "import sys; from knowmap import models; print(models.resolve(sys.argv[1]))"
_ACCURACY = (
    "import sys, pyarrow.parquet as q; "
    "t = q.read_table(sys.argv[1], columns=['label', 'knn_label']).to_pylist(); "
    "print(sum(r['label'] == r['knn_label'] for r in t) / len(t))"
)


def ask(code: str, *arguments: str | Path) -> str:
    """What a line of Python prints in our environment."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=harness.environment(peer=False),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def run_ours(args: argparse.Namespace, articles: Path, folder: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "knowmap",
        "build",
        articles,
        "--label",
        args.label,
        "--model",
        args.model,
        "--out",
        folder,
        "--device",
        args.device,
        "--precision",
        args.precision,
        "--fresh",
        "--quiet",
        "--json",
    ]
    done = harness.measure(command)
    said = done.last_json()
    return {
        "who": "knowmap",
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "peak_bytes": done.peak_bytes,
        "texts": said["texts"],
        "regions": said["regions"],
        "precision": said["precision"],
        "stages": {"embed": said["embed_seconds"]},
        "page_bytes": (folder / "map.html").stat().st_size,
        "label_accuracy": float(ask(_ACCURACY, folder / "map.parquet")),
    }


def run_peer(args: argparse.Namespace, articles: Path, out: Path, model: str, regions: list[int]) -> dict[str, Any]:
    command = [
        args.peer_python,
        _HERE / "peer_whole_line.py",
        articles,
        "--model",
        model,
        "--label",
        args.label,
        "--device",
        args.device,
        "--regions",
        *map(str, regions),
        "--out",
        out,
    ]
    done = harness.measure(command, peer=True)
    said = done.last_json()
    return {
        "who": "Python stack",
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "peak_bytes": done.peak_bytes,
        "texts": said["texts"],
        "regions": regions,
        "precision": "float32",
        "stages": said["seconds"],
        "label_accuracy": said["label_accuracy"],
    }


def report(run: dict[str, Any]) -> None:
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run["stages"].items())
    print(
        f"{run['who']}: {run['texts']:,} texts in {run['seconds']:.1f} s ({run['cpu_seconds']:.1f} s of CPU), peak "
        f"{harness.mebibytes(run['peak_bytes'])}, {run['precision']}, regions {run['regions']} [{stages}]",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="the interpreter of the peers' environment")
    parser.add_argument("--articles", type=Path, required=True, help="Parquet with title, text and labels")
    parser.add_argument("--label", default="subject", help="column of labels (default: subject)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="a model's folder, or its name")
    parser.add_argument("--device", default="cpu", help="of both (default: cpu)")
    parser.add_argument("--precision", default="auto", help="ours (default: auto, as a user gets it)")
    parser.add_argument("--runs", type=int, default=1, help="timed runs of each (default: 1)")
    parser.add_argument("--limit", type=int, help="only so many rows, evenly drawn")
    parser.add_argument("--warm-up", type=int, default=300, metavar="N", help="texts of the untimed run; 0 = none")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()

    machine = harness.print_machine()
    model = ask(_MODEL, args.model)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as temporary:
        scratch = Path(temporary)
        articles = args.articles
        if args.limit:
            articles = scratch / "articles.parquet"
            ask(_CUT, args.articles, args.limit, articles)
        texts = int(ask(_COUNT, articles))
        if args.warm_up:
            few = scratch / "few.parquet"
            ask(_CUT, articles, args.warm_up, few)
            warm = run_ours(args, few, scratch / "warm")
            run_peer(args, few, scratch / "warm.parquet", model, warm["regions"] or [1])
        for i in range(args.runs):
            runs.append(run_ours(args, articles, scratch / f"ours-{i}"))
            report(runs[-1])
            runs.append(run_peer(args, articles, scratch / f"peer-{i}.parquet", model, runs[-1]["regions"] or [1]))
            report(runs[-1])

    ours, peer = ([run for run in runs if run["who"] == who] for who in ("knowmap", "Python stack"))
    seconds = [harness.median(run["seconds"] for run in side) for side in (ours, peer)]
    cpu = [harness.median(run["cpu_seconds"] for run in side) for side in (ours, peer)]
    peak = [harness.median(run["peak_bytes"] for run in side) for side in (ours, peer)]
    time_ratio, memory_ratio = seconds[0] / seconds[1], peak[0] / peak[1]
    print(f"\n{texts:,} texts, median of {args.runs} run(s) each\n")
    harness.print_table(
        ["", "knowmap", "Python stack", "ratio", "bar", ""],
        [
            [
                "wall seconds, whole process",
                f"{seconds[0]:.1f}",
                f"{seconds[1]:.1f}",
                f"{time_ratio:.3f}",
                f"≤ {TIME_BAR}",
                harness.verdict(time_ratio <= TIME_BAR),
            ],
            [
                "peak resident memory",
                harness.mebibytes(peak[0]),
                harness.mebibytes(peak[1]),
                f"{memory_ratio:.3f}",
                f"≤ {MEMORY_BAR}",
                harness.verdict(memory_ratio <= MEMORY_BAR),
            ],
            ["CPU seconds", f"{cpu[0]:.1f}", f"{cpu[1]:.1f}", f"{cpu[0] / cpu[1]:.3f}", "", ""],
            [
                "label accuracy, each row by its neighbours",
                f"{ours[0]['label_accuracy']:.4f}",
                f"{peer[0]['label_accuracy']:.4f}",
                "",
                "",
                "",
            ],
        ],
    )
    print(f"time ratio {time_ratio:.3f} (ours in 1/{1 / time_ratio:.2f} of the time), memory ratio {memory_ratio:.3f}")
    packages = "torch", "sentence-transformers", "umap-learn", "scikit-learn", "numba", "numpy"
    peers = harness.measure(
        [
            args.peer_python,
            "-c",
            f"import sys, json; sys.path.insert(0, {str(_HERE)!r}); import harness; "
            f"print(json.dumps(harness.versions(*{packages!r})))",
        ],
        peer=True,
    ).last_json()
    print("Python stack: " + ", ".join(f"{name} {version}" for name, version in peers.items()))
    passed = time_ratio <= TIME_BAR and memory_ratio <= MEMORY_BAR
    harness.write_json(
        args.out,
        {
            "machine": machine,
            "peer_versions": peers,
            "texts": texts,
            "runs": runs,
            "median_seconds": seconds,
            "median_peak_bytes": peak,
            "time_ratio": time_ratio,
            "memory_ratio": memory_ratio,
            "passed": passed,
        },
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
