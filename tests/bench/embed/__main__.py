"""Embedding beside its peers: ours, sentence-transformers on torch and on OpenVINO, ONNX Runtime.

    python tests/bench/embed prepare --peer-python peers-openvino/bin/python --articles articles.parquet
    python tests/bench/embed all     --peer-python peers-openvino/bin/python --out figures.jsonl
    python tests/bench/embed report figures.jsonl

`all` is `ceiling gemm throughput accuracy lengths latency threads`, and each can be named alone. Every measurement is a
process of its own that loads its model and warms up before its clock starts; tokenising is inside. In `throughput`,
ours and the peers take turns on the same part of the articles, the order turned round in every second run. --texts
takes fewer than 2,000, spread evenly. Each finished measurement is one line appended to --out, so a run may be made in
pieces (jobs by name, --models, --peers, --ours, --parts) and `report` merges them: ratios are taken over the parts that
both sides ran, medians over runs. What this build of the engine lacks is skipped, and named; what fails is named too,
and the others go on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

import harness  # noqa: E402
import report  # noqa: E402

JOBS = ["ceiling", "gemm", "throughput", "accuracy", "lengths", "latency", "threads"]
MODELS = ["all-MiniLM-L6-v2", "all-mpnet-base-v2"]
OURS = ["float32", "bfloat16", "int8", "auto"]
PEERS = ["st-float32", "st-bfloat16", "ov-float32", "ov-bfloat16", "ov-int8", "ort-float32"]
LATENCY_TEXTS = 100
TEXTS = 2000
_RESOLVE = "import sys; from knowmap import models; print(models.resolve(sys.argv[1]))"


class Bench:
    """Runs contestants and keeps what they say."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folders: dict[str, Path] = {}
        self.machine = harness.print_machine()
        self.texts = args.cache / "texts.json"
        self.reference = args.cache / "reference.json"

    def choose(self, scratch: Path) -> None:
        """Takes so many texts as --texts says."""
        if self.args.texts >= TEXTS:
            return
        for name in ("texts", "reference"):
            everything = json.loads(getattr(self, name).read_text(encoding="utf-8"))
            file = scratch / f"{name}.json"
            file.write_text(json.dumps(self.spread(everything)), encoding="utf-8")
            setattr(self, name, file)

    def spread(self, items: list[Any]) -> list[Any]:
        """--texts of them, evenly."""
        count = min(self.args.texts, len(items))
        return [items[i * len(items) // count] for i in range(count)]

    def folder(self, model: str) -> Path:
        """Where a model's files lie: NAME=FOLDER or a path as given, else as our package resolves the name."""
        if model not in self.folders:
            given = model.rpartition("=")[2]
            if Path(given).is_dir():
                self.folders[model] = Path(given).resolve()
            else:
                found = subprocess.run(
                    [sys.executable, "-c", _RESOLVE, model], stdout=subprocess.PIPE, text=True, check=True
                ).stdout.strip()
                self.folders[model] = Path(found)
        return self.folders[model]

    @staticmethod
    def name(model: str) -> str:
        """What a model is called in the cache and in the tables."""
        return model.partition("=")[0] if "=" in model else Path(model).name

    def exported(self, model: str) -> Path:
        return self.args.cache / self.name(model)

    def keep(self, record: dict[str, Any]) -> None:
        record |= {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": self.machine, "load": os.getloadavg()[0]}
        if self.args.out:
            with self.args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def measure(self, job: str, who: str, model: str, texts: Path, *options: Any, **facts: Any) -> dict[str, Any]:
        """One process of one contestant; `who` is engine-precision."""
        engine, precision = who.split("-")
        ours = engine == "ours"
        command = [
            sys.executable if ours else self.args.peer_python,
            _HERE / ("ours.py" if ours else "peer.py"),
            {"accuracy": "throughput", "threads": "throughput"}.get(job, job),
            texts,
            "--model",
            self.folder(model),
            "--precision",
            precision,
            *([] if ours else ["--engine", engine, "--exported", self.exported(model), "--batch", self.args.batch]),
            *options,
        ]
        try:
            done = harness.measure([str(part) for part in command], peer=not ours)
            said = done.last_json()
        except harness.ChildFailed as failure:  # the others' measurements are not lost with it
            said = {"skipped": f"failed: {failure}", "failed": True}
        record = {"job": job, "who": who, "model": self.name(model), **facts, **said}
        if "skipped" in said:
            print(f"{who}, {record['model']}: skipped, {said['skipped']}", flush=True)
        else:
            record |= {"peak_bytes": done.peak_bytes, "cpu_seconds": done.cpu_seconds}
        self.keep(record)
        return record

    def contestants(self, peers: list[str] = PEERS) -> list[str]:
        chosen = [f"ours-{precision}" for precision in self.args.ours]
        return [who for who in [*self.args.peers, *chosen] if who in peers or who.startswith("ours-")]

    # --- the jobs ---

    def ceiling(self) -> None:
        compiler = os.environ.get("CXX", "c++")
        with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
            program = Path(scratch) / "ceiling"
            flags = ["-O3", "-march=native", "-pthread"]
            try:
                harness.measure([compiler, *flags, str(_HERE / "ceiling.cpp"), "-o", str(program)])
            except (harness.ChildFailed, OSError) as failure:  # no compiler, or no x86
                print(f"ceiling: skipped, {failure}", flush=True)
                return
            for threads in (self.machine["cores"], 1):
                said = harness.measure([str(program), str(threads)]).last_json()
                rates = ", ".join(f"{name} {rate:.0f}" for name, rate in said["gigaoperations"].items())
                print(f"multiply-adds alone on {threads} thread(s), GFLOP/s: {rates}", flush=True)
                self.keep({"job": "ceiling", **said})

    def gemm(self) -> None:
        for threads in (self.machine["cores"], 1):
            done = harness.measure([sys.executable, str(_HERE / "gemm.py"), "--threads", str(threads)])
            said = done.last_json()
            rates = ", ".join(f"{name} {rate['best']:.0f}" for name, rate in said["gigaflops"].items())
            print(f"oneDNN on {threads} thread(s), GFLOP/s: {rates}", flush=True)
            self.keep({"job": "gemm", **said})

    def throughput(self) -> None:
        for model in self.args.models:
            tokens = self.spread(json.loads((self.exported(model) / "tokens.json").read_text()))
            n = self.args.part_count or (4 if "mpnet" in model else 1)
            for run in range(self.args.runs):
                for part in self.args.parts if self.args.parts is not None else range(n):
                    turn = self.contestants(["st-float32", "st-bfloat16", "ov-float32", "ov-bfloat16", "ov-int8"])
                    for who in turn if run % 2 == 0 else turn[::-1]:
                        facts = {"part": part, "parts": n, "run": run, "tokens": sum(tokens[part::n])}
                        facts["square_tokens"] = sum(t * t for t in tokens[part::n])
                        found = self.measure("throughput", who, model, self.texts, "--part", part, n, **facts)
                        if "seconds" in found:
                            rate = found["tokens"] / found["seconds"]
                            print(
                                f"{found['model']}, part {part} of {n}, run {run}, {who}: {rate:,.0f} tokens/s, peak "
                                f"{harness.mebibytes(found['peak_bytes'])}",
                                flush=True,
                            )

    def accuracy(self) -> None:
        # Both environments have NumPy, this process does without. Fewer articles: every so many-th of the reference.
        compare = (
            "import sys, numpy as np; a, b = (np.load(p).astype(float) for p in sys.argv[1:3]); "
            "b = b[np.arange(len(a)) * len(b) // len(a)]; "
            "c = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1); "
            "print(len(c), c.min(), np.median(c))"
        )
        for model in self.args.models:
            with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
                # Our float32 first: the others are held against it too.
                for who in sorted(self.contestants(), key=lambda who: who != "ours-float32"):
                    if who == "st-float32":
                        continue
                    rows = Path(scratch) / f"{who}.npy"
                    found = self.measure("accuracy", who, model, self.reference, "--rows", rows)
                    if "skipped" in found:
                        continue
                    exact = {"st-float32": self.exported(model) / "reference.npy"}
                    if who.startswith("ours-") and who != "ours-float32":
                        exact["ours-float32"] = Path(scratch) / "ours-float32.npy"
                    for against, file in exact.items():
                        if not file.exists():
                            continue
                        told = subprocess.run(
                            [sys.executable, "-c", compare, str(rows), str(file)],
                            stdout=subprocess.PIPE,
                            text=True,
                            check=True,
                        ).stdout.split()
                        cosine = {"rows": int(told[0]), "lowest": float(told[1]), "median": float(told[2])}
                        print(f"{found['model']}, {who} to {against}: lowest {cosine['lowest']:.6f}", flush=True)
                        self.keep({"job": "cosine", "who": who, "model": found["model"], "against": against, **cosine})

    def lengths(self) -> None:
        for model in self.args.models:
            texts = self.exported(model) / "lengths.json"
            groups = json.loads(texts.read_text())
            with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
                if "mpnet" in model:  # slower by ten
                    groups = {length: group[: max(4, len(group) // 4)] for length, group in groups.items()}
                groups = {length: group[: self.args.texts] for length, group in groups.items()}
                texts = Path(scratch) / "lengths.json"
                texts.write_text(json.dumps(groups))
                tokens = {length: int(length) * len(group) for length, group in groups.items()}
                for who in self.contestants():
                    self.measure("lengths", who, model, texts, tokens_by_length=tokens)

    def latency(self) -> None:
        count = min(LATENCY_TEXTS, self.args.texts // 2)
        parts = self.args.texts // count
        for model in self.args.models:
            for run in range(self.args.runs):
                for who in self.contestants():
                    part = ["--limit", count, "--warm-up", 10, "--part", 1, parts]
                    found = self.measure("latency", who, model, self.texts, *part, run=run)
                    if "median" in found:
                        print(f"{found['model']}, one text, {who}: {found['median'] * 1e3:.2f} ms", flush=True)

    def threads(self) -> None:
        for model in self.args.models:
            parts = 10 if "mpnet" in model else 2
            for run in range(max(self.args.runs, 1)):
                for precision in self.args.ours:
                    for threads in (1, 2):
                        options = ["--threads", threads, "--part", 1, parts]
                        facts = {"threads": threads, "run": run}
                        found = self.measure("threads", f"ours-{precision}", model, self.texts, *options, **facts)
                        if "seconds" in found:
                            print(f"{found['who']}, {threads} thread(s): {found['seconds']:.2f} s", flush=True)


def prepare(args: argparse.Namespace) -> None:
    bench = Bench(args)
    models = [f"--model={bench.name(model)}={bench.folder(model)}" for model in args.models]
    command = [args.peer_python, _HERE / "peer_prepare.py", "--articles", args.articles, "--cache", args.cache, *models]
    harness.measure([str(part) for part in command], peer=True)
    print(f"prepared in {args.cache}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/bench/embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["prepare", "all", *JOBS, "report"])
    parser.add_argument("files", type=Path, nargs="*", help="for report: files that --out wrote")
    parser.add_argument("--peer-python", help="the interpreter of the group peers-openvino's environment")
    parser.add_argument("--articles", type=Path, help="for prepare: Parquet with a column `text`")
    parser.add_argument("--cache", type=Path, default=Path(".cache/embed-bench"), help="texts and exported models")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="names, folders, NAME=FOLDER")
    parser.add_argument("--ours", nargs="*", default=OURS, metavar="PRECISION", help=f"of {', '.join(OURS)}")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[p for p in PEERS if p != "st-bfloat16"])
    parser.add_argument("--texts", type=int, default=TEXTS, help=f"articles, {TEXTS} or fewer")
    parser.add_argument("--runs", type=int, default=1, help="alternations")
    parser.add_argument("--part-count", type=int, help="parts that the articles are cut into (mpnet: 4, else 1)")
    parser.add_argument("--parts", type=int, nargs="+", help="only these parts")
    parser.add_argument("--batch", type=int, default=32, help="the peers' batch_size")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    args = parser.parse_args()
    if args.what == "report":
        return report.main(args.files or [args.out])
    if not args.peer_python:
        parser.error("--peer-python is needed")
    if args.what == "prepare":
        if not args.articles:
            parser.error("--articles is needed")
        prepare(args)
        return 0
    if not (args.cache / "texts.json").exists():
        parser.error(f"{args.cache} holds no texts; run `prepare` first")
    bench = Bench(args)
    with tempfile.TemporaryDirectory(prefix="knowmap-bench-") as scratch:
        bench.choose(Path(scratch))
        for job in JOBS if args.what == "all" else [args.what]:
            getattr(bench, job)()
    return report.main([args.out]) if args.what == "all" and args.out else 0


if __name__ == "__main__":
    sys.exit(main())
