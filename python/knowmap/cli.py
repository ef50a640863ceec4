"""The command `knowmap`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import knowmap
from knowmap import _core, build
from knowmap.embedder import Embedder
from knowmap.interrupt import heard_at_once
from knowmap.store import chain, export
from knowmap.tables import read_collection

# Exit codes, also in `knowmap --help`.
USAGE, MODEL, STORE, MEMORY, OTHER, INTERRUPTED, CLOSED = 2, 3, 4, 5, 1, 130, 141

_EXIT_CODES = """exit codes: 0 done; 2 wrong arguments or input; 3 the model can't be read; 4 the store can't be read,
written, or does not fit; 5 out of memory; 130 stopped by Ctrl-C (the store keeps what was done); 141 nobody
reads the output any more; 1 anything else"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    try:
        try:
            return _run(arguments)
        finally:  # also where --help ends the program
            sys.stdout.flush()
    except BrokenPipeError:
        # Who read the output has gone, as `| head` does. What is still buffered goes nowhere, without a complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    args = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        with heard_at_once(INTERRUPTED):
            result = args.run(args)
    except KeyboardInterrupt:
        return _fail(args, INTERRUPTED, "stopped; what was committed is kept, run the same command again to go on")
    except (_core.ModelError, _core.TokenizerError) as error:
        return _fail(args, MODEL, error)
    except _core.CheckpointError as error:
        return _fail(args, STORE, error)
    except MemoryError as error:
        return _fail(args, MEMORY, error or "out of memory")
    except (ValueError, FileNotFoundError, IsADirectoryError, TypeError) as error:
        return _fail(args, USAGE, error)
    except OSError as error:
        return _fail(args, STORE, error)
    code = int(result.pop("exit_code", 0))
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
    elif "say" in result:
        print(result["say"])
    return code


def _fail(args: argparse.Namespace, code: int, error: Any) -> int:
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"'{error.filename}': {error.strerror}" if error.filename else error.strerror
    if args.json:
        print(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    print(f"knowmap: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="knowmap",
                                     description="Turns a large collection of texts into a labelled map.",
                                     epilog=_EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"knowmap {knowmap.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, epilog=_EXIT_CODES)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        sub.add_argument("--quiet", action="store_true", help="no progress bars")
        return sub

    def store_folder(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("folder", type=Path, metavar="DIR", help="the store's folder (--out of build or embed)")

    def reading(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("input", metavar="INPUT", help="Parquet, JSONL, CSV, TSV, or a folder of .txt files")
        sub.add_argument("--text", default="text", metavar="COL", help="column of texts (default: text)")
        sub.add_argument("--title", metavar="COL", help="column of titles (default: title, if there is one)")
        sub.add_argument("--label", metavar="COL", help="column of known labels; empty = not known")
        sub.add_argument("--id", metavar="COL", help="column of ids (default: id, if there is one)")
        sub.add_argument("--url", metavar="COL", help="column of links (default: url, if there is one)")
        sub.add_argument("--columns", nargs="+", default=(), metavar="COL",
                         help="more columns (numbers or words) to colour and filter the map by")
        sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the store and the map")
        sub.add_argument("--fresh", action="store_true", help="start over; the default goes on from what DIR holds")
        sub.add_argument("--model", default="all-MiniLM-L6-v2", metavar="NAME",
                         help="folder, package model or hub name")
        sub.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub name")
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
        sub.add_argument("--precision", default="auto", help="auto, float32, bfloat16, int8")
        sub.add_argument("--max-seq-length", type=int, metavar="N", help="longest text in tokens")
        sub.add_argument("--storage", default="float32", choices=["float32", "float16", "int8"],
                         help="how embeddings are stored (default: float32)")
        sub.add_argument("--commit-rows", type=int, default=0, metavar="N",
                         help="the most rows a kill can lose; 0 = as many as have 65,536 tokens")
        sub.add_argument("--commit-seconds", type=float, default=0.25, metavar="S",
                         help="without --commit-rows: the most work a kill can lose, where that is more than 65,536 "
                              "tokens (default: 0.25)")
        sub.add_argument("--replace", action="store_true",
                         help="rows whose texts are no longer in INPUT may go, however many; else a run that would "
                              "lose most of them is refused")
        sub.add_argument("--memory-limit", type=_bytes, metavar="SIZE", help="bytes to plan for, e.g. 2G")
        threads(sub)

    def threads(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--threads", type=int, default=0, metavar="N", help="0 = one for each core")

    def mapping(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--anew", action="store_true",
                         help="do not go on from the map in DIR where texts were added, changed or removed: the same "
                              "texts and options then make the same bytes, whatever was there")

    def laying_out(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--n-neighbors", type=int, metavar="N", help="size of UMAP's neighbourhoods (default 15)")
        sub.add_argument("--min-dist", type=float, metavar="D", help="how close points may lie (default 0.1)")
        sub.add_argument("--metric", help="cosine (default), euclidean, inner_product")
        sub.add_argument("--seed", type=int, metavar="N", help="random_state (default 42)")

    def labelling(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--label-neighbors", type=int, metavar="N", help="neighbours that vote (default 15)")
        sub.add_argument("--min-confidence", type=float, metavar="P", help="abstain below this share of the votes")
        sub.add_argument("--target-error", type=float, metavar="E",
                         help="abstain so that at most this share of the labels given is wrong (0.05, say)")
        sub.add_argument("--max-distance", type=float, metavar="D",
                         help="abstain where the nearest labelled article is farther, in the metric")
        sub.add_argument("--grid", type=int, nargs=2, metavar=("ROWS", "COLUMNS"),
                         help="name the cells of such a grid over the map as well")
        sub.add_argument("--levels", type=int, nargs="+", metavar="N", help="wanted regions by level, coarse to fine")
        sub.add_argument("--name", help="the map's title")

    sub = command("build", _build, "all of it: embed, project, label, render; goes on where it was cut off; "
                  "the map's options that are not typed are the defaults")
    reading(sub)
    laying_out(sub)
    labelling(sub)
    mapping(sub)
    reading(command("embed", _embed, "embeddings alone, into the store"))
    sub = command("project", _project,
                  "neighbours and map of what the store holds; options not typed stay as they were")
    store_folder(sub)
    laying_out(sub)
    mapping(sub)
    threads(sub)
    sub = command("label", _label, "labels and named regions of the map; writes map.parquet and map.html; "
                  "options not typed stay as they were")
    store_folder(sub)
    labelling(sub)
    mapping(sub)
    threads(sub)
    sub = command("render", _render, "map.html (and map.parquet) anew from the store")
    store_folder(sub)
    sub.add_argument("--out", type=Path, metavar="FILE", help="where to write the page (default: DIR/map.html)")
    sub.add_argument("--text-length", type=int, metavar="N",
                     help="characters of each text in the page; 0 leaves the texts out (default: by the map's size)")
    threads(sub)
    sub = command("info", _info, "what a store holds and what it was made from; what memory a model needs")
    sub.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="the store")
    sub.add_argument("--model", metavar="NAME", help="a folder, or the name of a model: how a run would be laid out")
    sub.add_argument("--precision", default="auto", help="what the model would compute in (default: auto)")
    sub.add_argument("--memory-limit", type=_bytes, metavar="SIZE", help="bytes to plan for, as 500M or 4G")
    sub = command("verify", _verify, "reads every shard and checks it")
    store_folder(sub)
    sub.add_argument("--repair", action="store_true",
                     help="the same as `knowmap repair`")
    sub = command("repair", _repair, "removes what is damaged or left over; build then computes just that anew")
    store_folder(sub)
    sub = command("export", _export, "the store as one file: .h5 (rows and stages), .parquet, .npy")
    store_folder(sub)
    sub.add_argument("file", type=Path, metavar="FILE", help="its ending says the format")
    sub.add_argument("--view", action="store_true",
                     help="an HDF5 file that shows the store's shards as one, without a copy of them")
    return parser


def _bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    try:
        return int(float(number) * unit)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write bytes, or 500M, 2G") from None


def _given(args: argparse.Namespace, **names: str) -> dict[str, Any]:
    """The options that were typed, under the library's names."""
    return {ours: value for ours, typed in names.items() if (value := getattr(args, typed, None)) is not None}


def _options(args: argparse.Namespace, others: dict[str, Any]) -> dict[str, Any]:
    """The map's options: those that were typed, in place of `others`."""
    umap = _given(args, n_neighbors="n_neighbors", min_dist="min_dist", metric="metric", random_state="seed")
    return others | {"umap": others["umap"] | umap} | _given(
        args, label_neighbors="label_neighbors", min_confidence="min_confidence", target_error="target_error",
        max_distance="max_distance", grid="grid", level_sizes="levels", name="name")


def _embedded(args: argparse.Namespace) -> tuple[Any, Any, Embedder]:
    try:
        collection = read_collection(args.input, text=args.text, title=args.title, label=args.label, id=args.id,
                                     url=args.url, columns=args.columns)
    except OSError as error:
        reason = f"'{args.input}' cannot be read: {error.strerror}" if error.strerror else str(error)
        raise ValueError(reason) from error
    embedder = Embedder(args.model, device=args.device, precision=args.precision, max_seq_length=args.max_seq_length,
                        memory_limit=args.memory_limit, threads=args.threads, revision=args.revision)
    store = build.embed_collection(collection, embedder, args.out, fresh=args.fresh, storage=args.storage,
                                   commit_rows=args.commit_rows, commit_seconds=args.commit_seconds,
                                   replace=args.replace, progress=not args.quiet)
    if embedder.resume and embedder.resume.rows_kept:
        logging.info("kept %s rows of an earlier run, computed %s", f"{embedder.resume.rows_kept:,}",
                     f"{embedder.resume.rows_computed:,}")
    return collection, store, embedder


def _build(args: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    collection, store, embedder = _embedded(args)
    with store:
        options = _options(args, build.default_options(args.input))
        made = build.finish_map(collection, store, options, resume=embedder.resume, anew=args.anew,
                                threads=args.threads, progress=not args.quiet)
    seconds = time.perf_counter() - start
    if made.reused:
        logging.info("kept from an earlier run: %s", ", ".join(made.reused))
    return _map_summary(made) | _embed_summary(embedder) | {
        "seconds": round(seconds, 3),
        "say": f"{len(made):,} texts in {seconds:.1f} s; open {args.out / 'map.html'} in a browser"}


def _embed_summary(embedder: Embedder) -> dict[str, Any]:
    report, resume = embedder.report, embedder.resume
    assert resume is not None
    return {"rows_kept": resume.rows_kept, "rows_computed": resume.rows_computed, "rows_dropped": resume.rows_dropped,
            "tokens": report.tokens, "batches": report.batches, "backoffs": report.backoffs,
            "embed_seconds": round(report.seconds, 3), "peak_bytes": report.peak_bytes,
            "device": embedder.device, "precision": embedder.precision}


def _map_summary(made: build.KnowledgeMap) -> dict[str, Any]:
    folder = Path(made.folder) if made.folder else Path()
    return {"texts": len(made), "regions": [len(level.regions) for level in made.levels], "reused": made.reused,
            "map": str(folder / "map.html"), "table": str(folder / "map.parquet")}


def _embed(args: argparse.Namespace) -> dict[str, Any]:
    collection, store, embedder = _embedded(args)
    store.close()
    return _embed_summary(embedder) | {"texts": len(collection),
                                       "say": f"{len(collection):,} texts embedded in {args.out}"}


def _opened(args: argparse.Namespace, mode: str = "a") -> _core.CheckpointStore:
    if not args.folder.is_dir():
        raise _core.CheckpointError(f"'{args.folder}' is no folder of a store; `knowmap embed` makes one")
    held = _core.CheckpointStore(args.folder, mode="r")  # else a folder without a store would be made one
    if mode == "r":
        return held
    held.close()
    return _core.CheckpointStore(args.folder, mode=mode)


def _project(args: argparse.Namespace) -> dict[str, Any]:
    with _opened(args) as store:
        options = _options(args, build.load_options(args.folder))
        made = build.finish_map(build.load_collection(args.folder), store, options, layout_only=True,
                                anew=args.anew, threads=args.threads, progress=not args.quiet)
    return {"texts": len(made), "reused": made.reused, "say": f"the map of {len(made):,} texts is in {args.folder}"}


def _label(args: argparse.Namespace) -> dict[str, Any]:
    with _opened(args) as store:
        options = _options(args, build.load_options(args.folder))
        made = build.finish_map(build.load_collection(args.folder), store, options, anew=args.anew,
                                threads=args.threads, progress=not args.quiet)
    return _map_summary(made) | {"say": f"open {args.folder / 'map.html'} in a browser"}


def _render(args: argparse.Namespace) -> dict[str, Any]:
    # Written elsewhere, the store is only read: it may lie on a read-only disk.
    with _opened(args, mode="r" if args.out else "a") as store:
        made = build.finish_map(build.load_collection(args.folder), store, write=False, threads=args.threads,
                                progress=not args.quiet)
    if not args.out:
        made.to_parquet(args.folder / "map.parquet")
    path = made.to_html(args.out or args.folder / "map.html", text_length=args.text_length)
    return _map_summary(made) | {"map": str(path), "say": f"open {path} in a browser"}


def _model_info(args: argparse.Namespace) -> dict[str, Any]:
    embedder = Embedder(args.model, precision=args.precision, memory_limit=args.memory_limit)
    plan = embedder.plan()
    sizes = {name: getattr(plan, name)
             for name in ("weights", "layer", "activations", "workspace", "lasting", "held", "peak", "available")}
    held = "two layers at a time" if plan.streamed else "all layers held"
    lines = [f"{args.model}: {embedder.dimension} numbers a text, up to {embedder.max_seq_length} tokens, "
             f"{embedder.precision} on {embedder.device}; {held}",
             *(f"  {name}: {size / 2**20:,.1f} MiB" for name, size in sizes.items()),
             f"  {plan.workers} worker(s), {plan.batch_tokens} tokens a batch, {plan.chunk_rows} rows a chunk"]
    counts = {name: getattr(plan, name)
              for name in ("streamed", "batch_tokens", "super_batch_tokens", "chunk_rows", "workers")}
    return {"model": args.model, "dimension": embedder.dimension, "plan": sizes | counts, "say": "\n".join(lines)}


def _info(args: argparse.Namespace) -> dict[str, Any]:
    if args.model is not None:
        return _model_info(args)
    if args.folder is None:
        raise ValueError("info wants a store's folder, or --model NAME")
    store = _opened(args, mode="r")
    stages, made_of = store.stages(), chain(store)
    lines = [f"{args.folder}: {store.rows_held:,} rows of {store.dimension} {store.storage} numbers in "
             f"{len(store.ranges)} shard(s)"]
    missing = _missing(store)
    lines += [f"  {line}" for line in _say_missing(missing)]
    fingerprint = store.rows_fingerprint or {}
    lines += [f"  {name}: {value}" for name, value in fingerprint.items()]
    for stage, inputs in made_of.items():
        lines.append(f"stage {stage}, made from " + ", ".join(
            name if current else f"other {name} than those held" if name in ("rows", "texts") else f"an earlier {name}"
            for name, current in inputs.items()))
        lines += [f"  {name}: {value}" for name, value in stages[stage].items() if name not in inputs]
    return {"rows": store.rows_held, "dimension": store.dimension, "storage": store.storage, "ranges": store.ranges,
            "missing": missing, "fingerprint": fingerprint, "stages": stages, "chain": made_of, "say": "\n".join(lines)}


def _missing(store: _core.CheckpointStore) -> list[tuple[int, int]]:
    """The ranges of rows that are not held before the last that is, as a repair leaves them."""
    ends = [0, *(end for _, end in store.ranges)]
    return [(end, begin) for end, (begin, _) in zip(ends, store.ranges, strict=False) if begin > end]


def _say_missing(missing: list[tuple[int, int]]) -> list[str]:
    return [f"rows {begin:,} to {end - 1:,} are missing; build again: just they are computed" for begin, end in missing]


def _repair(args: argparse.Namespace) -> dict[str, Any]:
    args.repair = True
    return _verify(args)


def _verify(args: argparse.Namespace) -> dict[str, Any]:
    with _opened(args, mode="a" if args.repair else "r") as store:
        report = store.repair() if args.repair else store.verify()
        missing = _missing(store)
    done = "removed, " if args.repair else ""
    beside = build.verify_collection(args.folder)  # the user's own texts: told of, never removed
    found = [f"{done}damaged: {line}" for line in report.damaged] + beside
    found += [f"{done}left over, harmless: {line}" for line in report.leftovers]
    found += _say_missing(missing)
    state = f"{report.shards} shard(s), {report.rows:,} rows, {report.stages} stage(s): " + (
        ("all sound" if not missing else "what is there is sound") if not report.damaged and not beside else
        "the collection is damaged" if not report.damaged else
        f"{len(report.damaged)} damaged and removed; build again: just that is computed anew" if args.repair else
        f"{len(report.damaged)} damaged; `knowmap repair` removes it, build then computes just that anew")
    return {"shards": report.shards, "rows": report.rows, "stages": report.stages, "damaged": report.damaged,
            "collection": beside, "leftovers": report.leftovers, "missing": missing, "repaired": args.repair,
            "exit_code": STORE if beside or (report.damaged and not args.repair) else 0,
            "say": "\n".join([*found, state])}


def _export(args: argparse.Namespace) -> dict[str, Any]:
    export(_opened(args, mode="r"), args.file, view=args.view)
    return {"file": str(args.file), "say": f"wrote {args.file}"}
