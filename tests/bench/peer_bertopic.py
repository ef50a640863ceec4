"""BERTopic on embeddings that are given; run by regions.py in an environment that has it.

Fits on the rows of --fit, places those of --held, and writes JSON: words of each topic, topic of each row (-1 = none),
seconds of the fit and of placing. A fit of 1,500 rows goes first, so that numba's compiling is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import bertopic
import numpy as np
import pyarrow.parquet as pq
from bertopic import BERTopic
from hdbscan import HDBSCAN
from sklearn.feature_extraction.text import CountVectorizer
from umap import UMAP

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("articles", type=Path, help="Parquet with a column of texts")
parser.add_argument("rows", type=Path, help=".npy, float32 (n, d)")
parser.add_argument("fit", type=Path, help=".npy, row numbers to fit on")
parser.add_argument("held", type=Path, help=".npy, row numbers to place")
parser.add_argument("out", type=Path, help="JSON to write")
parser.add_argument("--text", default="text")
parser.add_argument("--words", type=int, default=10)
args = parser.parse_args()

warnings.filterwarnings("ignore")
texts = pq.read_table(args.articles, columns=[args.text]).column(0).to_pylist()
rows, fit, held = np.load(args.rows), np.load(args.fit), np.load(args.held)


def model() -> Any:
    """Its defaults, with a seed, and stop words left out of the vocabulary as its documentation advises."""
    return BERTopic(
        embedding_model=None,
        umap_model=UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", low_memory=False,
                        random_state=42),
        hdbscan_model=HDBSCAN(min_cluster_size=10, metric="euclidean", cluster_selection_method="eom",
                              prediction_data=True),
        vectorizer_model=CountVectorizer(stop_words="english", min_df=2),
        top_n_words=args.words,
    )


model().fit_transform(texts[:1500], rows[:1500])
start = time.perf_counter()
fitted = model()
topics, _ = fitted.fit_transform([texts[i] for i in fit], rows[fit])
fit_seconds = time.perf_counter() - start
start = time.perf_counter()
placed, _ = fitted.transform([texts[i] for i in held], rows[held])
result = {
    "version": bertopic.__version__,
    "fit_seconds": fit_seconds,
    "place_seconds": time.perf_counter() - start,
    "words": {int(t): [w for w, _ in fitted.get_topic(t) if w] for t in sorted(set(topics)) if t >= 0},
    "topics": [int(t) for t in topics],
    "placed": [int(t) for t in placed],
}
args.out.write_text(json.dumps(result), encoding="utf-8")
print(json.dumps({"fit_seconds": fit_seconds}))
