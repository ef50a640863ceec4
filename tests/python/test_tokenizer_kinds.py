"""Every kind of tokenizer against the `tokenizers` wheel, every id equal.

Small tokenizers are trained here, each with the components of a family of models. tests/bench/token_rate.py does the
same on all articles, and takes the time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import knowmap as km

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
import tokenizer_kinds

RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F),
          (0x370, 0x5FF), (0x600, 0x6FF), (0x890, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF), (0x1E00, 0x20CF),
          (0x2190, 0x2BFF), (0x3000, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD),
          (0x10000, 0x1FAFF), (0x1F1E6, 0x1F64F), (0x20000, 0x2FA1F), (0xE0000, 0xE01EF)]
FIXED = ["<s>", "</s>", "<mask>", " <mask> ", "[MASK]", "<|begin_of_text|>", "\u200d", "\ufe0f", "👩‍👩‍👧", "é",
         "e\u0301", "İ", "ß", "ﬁ", "ﬁ\u0301", "Σας", " ", "   ", "\n\n", "\r\n", "\u3000", "\t\t", " " * 40, "\n" * 9,
         "'s", "'S",
         "'ſ", "I'll", "they'RE", "1234567", "३४५", "½²", "the map", "▁", "``", "<0x41>", "Ⅷ", "한국어",
         "\u1112\u1161\u11ab", "\u00a9\u200d\u00a9", "a\u0301\u0323"]


def generated(count: int) -> list[str]:
    """Mixed scripts, controls, emoji, combining marks, long runs of blanks and line ends."""
    rng = random.Random(7)

    def piece() -> str:
        if rng.random() < 0.3:
            return rng.choice(FIXED)
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))

    return ["".join(piece() + rng.choice(["", "", " ", "\n"]) for _ in range(rng.randint(0, 12))) for _ in range(count)]


@pytest.fixture(scope="module")
def kinds(articles):
    corpus = [a["extract"] for language in articles.values() for a in language[::60]]
    return tokenizer_kinds.make(corpus, tokenizer_kinds.nmt_nfkc_charsmap(), vocab_size=2000)


@pytest.fixture(scope="module")
def texts(articles):
    strings = generated(5000)
    found = [a["extract"] for language in articles.values() for a in language[::100]]
    # One that is read in many pieces.
    return [*strings, *found, "".join(strings[:150]) + " ".join(found[:100])]


def lists(ids: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    flat = ids.tolist()
    return [flat[begin:end] for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def test_every_id_of_every_kind(kinds, texts):
    for name, file in kinds.items():
        expected = [encoding.ids for encoding in Tokenizer.from_str(file).encode_batch_fast(texts)]
        ours = lists(*km.Tokenizer.from_json(file).encode(texts))
        wrong = [text for text, a, b in zip(texts, ours, expected, strict=True) if a != b]
        assert not wrong, f"{name}: {len(wrong)} texts differ, the shortest {min(wrong, key=len)!r}"


def test_what_is_cut_short_is_what_came_first(kinds, texts):
    some = texts[-1:] + texts[:200]
    for name in ("llama3", "gemma", "mistral_first", "xlm_r", "t5", "unigram_whole_texts", "modern_bert"):
        tokenizer = km.Tokenizer.from_json(kinds[name])
        whole = lists(*tokenizer.encode(some))
        added = Tokenizer.from_str(kinds[name])
        for length in (tokenizer.special_tokens + 1, 16, 512):
            added.enable_truncation(length)
            expected = [encoding.ids for encoding in added.encode_batch_fast(some)]
            assert lists(*tokenizer.encode(some, max_length=length)) == expected, name
        assert lists(*tokenizer.encode(some, threads=1)) == whole


def test_long_texts_are_not_read_whole(kinds):
    import time

    text = "The map of knowledge has 1,234 regions; each has a name. " * 100_000
    # Not t5: a Unigram model without a pre-tokeniser has its text normalised whole before the search stops early.
    for name in ("llama3", "qwen", "gemma", "llama2", "mistral_first", "xlm_r", "modern_bert", "word_level"):
        tokenizer = km.Tokenizer.from_json(kinds[name])
        tokenizer.encode([text[:20_000]], max_length=128)

        def seconds(t, tokenizer=tokenizer):
            start = time.process_time()
            ids, _ = tokenizer.encode([t], max_length=128, threads=1)
            assert len(ids) == 128
            return time.process_time() - start

        # 5.7 million characters cost what 20,000 do, were it not for noise; read whole, 285 times that.
        few = min(seconds(text[:20_000]) for _ in range(5))
        all_of_it = min(seconds(text) for _ in range(5))
        assert all_of_it < 20 * few + 2e-3, name


def test_real_mpnet_settings(kinds):
    """BertNormalizer with RobertaProcessing and a mask that takes the blanks before it, as all-mpnet-base-v2."""
    import json

    file = json.loads(kinds["word_level"])
    file["normalizer"] = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                          "strip_accents": None, "lowercase": True}
    file["pre_tokenizer"] = {"type": "BertPreTokenizer"}
    file["post_processor"] = {"type": "RobertaProcessing", "sep": ["x", 2], "cls": ["y", 1], "trim_offsets": True,
                              "add_prefix_space": False}
    text = json.dumps(file)
    some = generated(300)
    expected = [encoding.ids for encoding in Tokenizer.from_str(text).encode_batch_fast(some)]
    assert lists(*km.Tokenizer.from_json(text).encode(some)) == expected


def test_unknown_components_are_named(kinds):
    import json

    for part in ("normalizer", "pre_tokenizer", "post_processor"):
        file = json.loads(kinds["word_level"]) | {part: {"type": "Nonsense"}}
        with pytest.raises(km.TokenizerError, match=f'{part}.*"Nonsense" is not known'):
            km.Tokenizer.from_json(json.dumps(file))
