"""Real embeddings by the hundred thousand: the sample's articles by sentences, in English, Spanish and French.

    python tests/bench/sentence_rows.py rows.npy --rows 100000

A row is the embedding, by all-MiniLM-L6-v2, of one to three sentences that follow one another; equal texts
count once. The rows are drawn from all of these at random, with a seed.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np

import knowmap as km

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from sample_articles import sample_articles

END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ¿¡«\"(])")


def texts() -> list[str]:
    """Runs of one to three sentences, each text once, in the order of the articles."""
    found: dict[str, None] = {}
    for language in ("en-us", "es-es", "fr-fr"):
        for text in sample_articles(language).column("text").to_pylist():
            sentences = [part for part in END.split(text.strip()) if len(part) > 20]
            for width in (1, 2, 3):
                for begin in range(len(sentences) - width + 1):
                    found[" ".join(sentences[begin : begin + width])] = None
    return list(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    held = texts()
    if len(held) < args.rows:
        raise SystemExit(f"the articles have {len(held):,} such texts, not {args.rows:,}")
    drawn = np.sort(np.random.default_rng(0).choice(len(held), args.rows, replace=False))
    rows = km.Embedder("all-MiniLM-L6-v2").encode([held[i] for i in drawn])
    np.save(args.out, np.asarray(rows, np.float32)[np.random.default_rng(1).permutation(args.rows)])
    print(f"{args.rows:,} of {len(held):,} texts in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
