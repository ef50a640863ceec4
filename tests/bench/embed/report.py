"""Merges the lines that the benchmark of embedding wrote, and prints its tables and bars."""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import harness

Record = dict[str, Any]

# (ours, peer) → the least ratio of tokens a second, for MiniLM-L6 and for mpnet.
SPEED = {
    ("ours-float32", "st-float32"): (2.7, 2.7),
    ("ours-float32", "ov-float32"): (1.3, 1.3),
    ("ours-bfloat16", "ov-bfloat16"): (1.45, 1.3),
    ("ours-int8", "ov-int8"): (1.4, 1.25),
    ("ours-auto", "ov-int8"): None,
    ("ours-auto", "st-float32"): None,
}
COSINE = {"ours-float32": (0.99999, 0.99999), "ours-bfloat16": (0.9998, 0.9998), "ours-int8": (0.995, 0.99)}
COSINE["ours-auto"] = (0.999, 0.999)
GEMM_SHARE = (0.75, 0.80)
THREADS = 1.85
MEMORY = 0.5
_ORDER = ["st", "ov", "ort", "ours"]


def bar_of(model: str, bars: tuple[float, float]) -> float:
    """The bar for a model: mpnet's for mpnet, else MiniLM's."""
    return bars[1 if "mpnet" in model else 0]


def flops(record: Record, sizes: dict[str, int]) -> float:
    """Multiplications and additions that the texts need: linear layers, and scores and sums of attention."""
    hidden, inner, layers = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_hidden_layers"]
    linear = 2.0 * layers * (4 * hidden * hidden + 2 * hidden * inner) * record["tokens"]
    return linear + 4.0 * layers * hidden * record["square_tokens"]


SIZES = {
    "all-MiniLM-L6-v2": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6},
    "all-mpnet-base-v2": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
}


class Figures:
    """The records, by what they are about."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = [r for r in records if "skipped" not in r]
        self.models = list(dict.fromkeys(r["model"] for r in self.records if "model" in r))

    def of(self, job: str, model: str | None = None) -> list[Record]:
        return [r for r in self.records if r["job"] == job and (model is None or r["model"] == model)]

    def contestants(self, job: str, model: str) -> list[str]:
        found = dict.fromkeys(r["who"] for r in self.of(job, model))
        return sorted(found, key=lambda who: _ORDER.index(who.split("-")[0]))

    def parts(self, model: str, who: str) -> dict[tuple[int, int], Record]:
        """Each part's record with the median of its runs' seconds."""
        groups = defaultdict(list)
        for r in self.of("throughput", model):
            if r["who"] == who:
                groups[(r["part"], r["parts"])].append(r)
        return {
            key: runs[0] | {"seconds": statistics.median(r["seconds"] for r in runs), "runs": len(runs)}
            for key, runs in groups.items()
        }

    def ratio(self, model: str, ours: str, peer: str) -> tuple[float, float] | None:
        """Theirs over our seconds on the parts that both ran, and the share of the articles these are."""
        mine, theirs = self.parts(model, ours), self.parts(model, peer)
        common = mine.keys() & theirs.keys()
        if not common:
            return None
        taken = [sum(side[key]["seconds"] for key in common) for side in (theirs, mine)]
        return taken[0] / taken[1], sum(1 / parts for _, parts in common)


def throughput(figures: Figures, model: str) -> list[bool]:
    best = {
        precision: max(r["gigaflops"][precision]["best"] for r in figures.of("gemm") if precision in r["gigaflops"])
        for precision in ("float32", "bfloat16", "int8")
        if any(precision in r["gigaflops"] for r in figures.of("gemm"))
    }
    rows, shares = [], {}
    for who in figures.contestants("throughput", model):
        parts = figures.parts(model, who).values()
        seconds, tokens = sum(p["seconds"] for p in parts), sum(p["tokens"] for p in parts)
        rate = sum(flops(p, SIZES[model]) for p in parts) / seconds / 1e9 if model in SIZES else 0.0
        precision = who.split("-")[1]
        share = rate / best[precision] if precision in best and rate else 0.0
        shares[who] = share
        peak = max(r["peak_bytes"] for r in figures.of("throughput", model) if r["who"] == who)
        rows.append(
            [
                who,
                f"{tokens / seconds:,.0f}",
                f"{rate:,.0f}",
                f"{share:.0%}" if share else "",
                harness.mebibytes(peak),
                f"{sum(p['texts'] for p in parts):,}",
                max(p["runs"] for p in parts),
            ]
        )
    print(f"### {model}: tokens a second\n")
    harness.print_table(["", "tokens/s", "GFLOP/s", "of oneDNN's best", "peak memory", "articles", "runs"], rows)
    passed, rows = [], []
    for (ours, peer), bars in SPEED.items():
        found = figures.ratio(model, ours, peer)
        if found:
            judged = ["", f"{found[1]:.0%}", ""]
            if bars:
                bar = bar_of(model, bars)
                passed.append(found[0] >= bar)
                judged = [f"≥ {bar}", f"{found[1]:.0%}", harness.verdict(passed[-1])]
            rows.append([f"{ours} / {peer}", f"{found[0]:.2f}", *judged])
    if shares.get("ours-bfloat16"):
        bar = bar_of(model, GEMM_SHARE)
        passed.append(shares["ours-bfloat16"] >= bar)
        share = f"{shares['ours-bfloat16']:.2f}"
        rows.append(["share of oneDNN's bfloat16 rate", share, f"≥ {bar}", "", harness.verdict(passed[-1])])
    peaks: dict[str, int] = defaultdict(int)
    for r in figures.of("throughput", model):
        peaks[r["who"]] = max(peaks[r["who"]], r["peak_bytes"])
    if "st-float32" in peaks:
        for who in (who for who in peaks if who.startswith("ours")):
            share = peaks[who] / peaks["st-float32"]
            passed.append(share <= MEMORY)
            rows.append([f"memory, {who} / st-float32", f"{share:.2f}", f"≤ {MEMORY}", "", harness.verdict(passed[-1])])
    if rows:
        harness.print_table(["", "ratio", "bar", "of the articles", ""], rows)
    return passed


def cosines(figures: Figures, model: str) -> list[bool]:
    passed, rows = [], []
    latest = {(r["who"], r.get("against", "st-float32")): r for r in figures.of("cosine", model)}
    for who in figures.contestants("cosine", model):
        for against in ("st-float32", "ours-float32"):
            if (who, against) not in latest:
                continue
            r, bar = latest[who, against], bar_of(model, COSINE[who]) if who in COSINE else None
            if bar is not None:
                passed.append(r["lowest"] >= bar)
            judged = [f"≥ {bar}", harness.verdict(passed[-1])] if bar else ["", ""]
            rows.append([who, against, f"{r['rows']:,}", f"{r['lowest']:.6f}", f"{r['median']:.6f}", *judged])
    if rows:
        print(f"### {model}: cosine to float32\n")
        harness.print_table(["", "against", "articles", "lowest", "median", "bar", ""], rows)
    return passed


def lengths(figures: Figures, model: str) -> None:
    best: dict[str, dict[str, float]] = defaultdict(dict)
    for r in figures.of("lengths", model):
        for length, seconds in r["seconds_by_length"].items():
            rate = r["tokens_by_length"][length] / seconds
            best[r["who"]][length] = max(rate, best[r["who"]].get(length, 0.0))
    if not best:
        return
    names = figures.contestants("lengths", model)
    print(f"### {model}: tokens a second by tokens a text\n")
    rows = [
        [length, *(f"{best[who][length]:,.0f}" if length in best[who] else "" for who in names)]
        for length in sorted(next(iter(best.values())), key=int)
    ]
    harness.print_table(["tokens a text", *names], rows)


def latency(figures: Figures, model: str) -> None:
    rows = []
    for who in figures.contestants("latency", model):
        runs = [r for r in figures.of("latency", model) if r["who"] == who]
        peer = [r["median"] for r in figures.of("latency", model) if r["who"] == "ort-float32"]
        median, late = (statistics.median(r[name] for r in runs) * 1e3 for name in ("median", "p95"))
        ratio = f"{statistics.median(peer) * 1e3 / median:.2f}" if peer else ""
        rows.append([who, f"{median:.2f}", f"{late:.2f}", ratio, max(r["texts"] for r in runs), len(runs)])
    if rows:
        print(f"### {model}: one text at a time, milliseconds\n")
        harness.print_table(["", "median", "95 %", "ONNX Runtime / it", "articles", "runs"], rows)


def threads(figures: Figures, model: str) -> list[bool]:
    passed, rows = [], []
    for who in figures.contestants("threads", model):
        mine = [r for r in figures.of("threads", model) if r["who"] == who]
        seconds = [[r["seconds"] for r in mine if r["threads"] == n] for n in (1, 2)]
        if not all(seconds):  # a run cut short
            continue
        one, two = (statistics.median(runs) for runs in seconds)
        passed.append(one / two >= THREADS)
        texts = max(r["texts"] for r in mine)
        judged = [f"{one / two:.2f}", f"≥ {THREADS}", harness.verdict(passed[-1])]
        rows.append([who, f"{one:.2f}", f"{two:.2f}", texts, len(mine) // 2, *judged])
    if rows:
        print(f"### {model}: threads, seconds\n")
        harness.print_table(["", "1", "2", "articles", "runs", "ratio", "bar", ""], rows)
    return passed


def main(files: list[Path]) -> int:
    """Prints every table that the files have figures for; 1 where a bar is missed."""
    records = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    if not records:
        print("no figures", file=sys.stderr)
        return 1
    skipped = {f"{r['model']}, {r['who']}, {r['job']}: {r['skipped']}" for r in records if "skipped" in r}
    failed = sum(1 for r in records if r.get("failed"))
    figures, passed = Figures(records), []
    versions: dict[str, str] = {}
    for record in records:
        versions |= record.get("versions", {})
    print("Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "\n")
    for r in figures.of("ceiling"):
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in r["gigaoperations"].items())
        print(f"multiply-adds alone, {r['threads']} thread(s), GFLOP/s: {rates}")
    for r in figures.of("gemm"):
        rates = ", ".join(f"{name} {rate['best']:,.0f}" for name, rate in r["gigaflops"].items())
        print(f"oneDNN alone, {r['threads']} thread(s), GFLOP/s: {rates}")
    print()
    for model in figures.models:
        if figures.of("throughput", model):
            passed += throughput(figures, model)
        passed += cosines(figures, model)
        lengths(figures, model)
        latency(figures, model)
        passed += threads(figures, model)
    reasons = {(r["model"], r["who"]): r["precision_reason"] for r in figures.records if r.get("precision_reason")}
    for (model, who), reason in sorted(reasons.items()):
        print(f"{model}, {who}: {reason}")
    for line in sorted(skipped):
        print(f"skipped: {line}")
    print(f"{sum(passed)} bars reached, {len(passed) - sum(passed)} missed")
    if failed:
        print(f"{failed} measurements failed")
    return 0 if all(passed) and not failed else 1
