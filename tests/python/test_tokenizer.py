"""Ids against the `tokenizers` wheel, every one equal."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer


@pytest.fixture(scope="module")
def oracle(model_folder, embedder):
    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(embedder.max_seq_length)
    return tokenizer


def assert_same_ids(embedder, oracle, texts):
    expected = [encoding.ids for encoding in oracle.encode_batch(texts)]
    for text, ours, theirs in zip(texts, embedder.tokenize(texts), expected, strict=True):
        assert ours == theirs, f"text {text!r}"


@pytest.mark.parametrize("language", ["en", "es", "fr"])
def test_all_articles(embedder, oracle, articles, language):
    assert_same_ids(embedder, oracle, [a["extract"] for a in articles[language]])
    assert_same_ids(embedder, oracle, [a["title"] for a in articles[language]])


def test_generated_strings(embedder, oracle):
    rng = random.Random(7)
    ranges = [(0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x5FF),
              (0x600, 0x6FF), (0x900, 0xDFF), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x20CF), (0x2190, 0x2BFF),
              (0x3000, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD), (0x10000, 0x1FAFF),
              (0x20000, 0x2FA1F), (0xE0000, 0xE01EF)]
    fixed = ["[CLS]", "[SEP]", "[MASK]", "[unused1]", "\u200d", "\ufe0f", "👩‍👩‍👧",
             "é", "é", "İ", "ß", "ﬁ", "Σας", " ", "\u3000"]

    def piece() -> str:
        if rng.random() < 0.15:
            return rng.choice(fixed)
        low, high = rng.choice(ranges)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))

    texts = ["".join(piece() + rng.choice(["", " ", "\n"]) for _ in range(rng.randint(0, 25))) for _ in range(2500)]
    assert_same_ids(embedder, oracle, texts)


def test_lone_surrogates_are_read_as_replacement_characters(embedder):
    assert embedder.tokenize(["a\ud800b"]) == embedder.tokenize(["a\ufffdb"])
