"""Our engine's turn in the benchmark of embedding; `python tests/bench/embed` runs it."""

from __future__ import annotations

import json
import time

import jobs

import knowmap as km

parser = jobs.parser(__doc__)
parser.add_argument("--precision", default="float32")
parser.add_argument("--threads", type=int, default=0)
args = parser.parse_args()

start = time.perf_counter()
try:
    embedder = km.Embedder(
        args.model,
        device="cpu",
        precision=args.precision,
        threads=args.threads,
        max_seq_length=jobs.LONGEST if args.job == "lengths" else None,
    )
except (km.Error, ValueError) as error:  # an architecture or a precision that this build lacks
    print(json.dumps({"skipped": str(error)}))
else:
    said = {"load_seconds": time.perf_counter() - start, "versions": {"knowmap": km.__version__}}
    embedder.encode(["one text"], progress=False)
    said["precision_reason"] = embedder.report.precision_reason
    jobs.run(args, lambda texts: embedder.encode(texts, progress=False), said)
