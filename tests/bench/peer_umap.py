"""umap-learn's maps of given rows, one a seed; run by map_quality.py in the peers' environment.

Prints one line of JSON: seconds of each fit. A fit goes first, of rows enough
for NN-descent (above 4,096), so that numba's compiling is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import umap

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("rows", type=Path, help=".npy, float32 (n, d)")
parser.add_argument("out", type=Path, help=".npy to write, float32 (seeds, n, 2)")
parser.add_argument("--metric", default="cosine")
parser.add_argument("--seeds", type=int, nargs="+", required=True)
args = parser.parse_args()

warnings.filterwarnings("ignore", message="n_jobs value .* overridden")
rows = np.load(args.rows)
umap.UMAP(n_neighbors=15, min_dist=0.1, metric=args.metric, random_state=0).fit_transform(rows[:5000])
maps, seconds = [], []
for seed in args.seeds:
    start = time.perf_counter()
    maps.append(umap.UMAP(n_neighbors=15, min_dist=0.1, metric=args.metric, random_state=seed).fit_transform(rows))
    seconds.append(time.perf_counter() - start)
np.save(args.out, np.asarray(maps, np.float32))
print(json.dumps({"seconds": seconds}))
