"""sentence-transformers' embeddings of given texts, by its defaults; embed_equality.py runs it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("texts", type=Path, help="a JSON list")
parser.add_argument("out", type=Path, help=".npy to write, float32 (n, d)")
parser.add_argument("--model", required=True, help="the model's folder")
args = parser.parse_args()

model = SentenceTransformer(args.model, device="cpu")
texts = json.loads(args.texts.read_text(encoding="utf-8"))
start = time.perf_counter()
rows = model.encode(texts)
seconds = time.perf_counter() - start
np.save(args.out, rows.astype(np.float32))
print(json.dumps({"seconds": seconds, "dtype": str(rows.dtype), "max_seq_length": model.max_seq_length}))
