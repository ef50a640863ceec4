#!/usr/bin/env python3
"""Makes the reference values of the tokenizer's tests with HF `tokenizers`.

    pip install tokenizers==0.23.3 && python tokenizer_make.py

writes, beside this script,

    tokenizer_small.json  a WordPiece tokenizer trained on the text below, where
                          it is not there yet (training differs from run to run)
    tokenizer_cases.json  changes to that file, texts, and for each change the
                          ids of all texts
    tokenizer_kinds.json  small tokenizers of all kinds (tokenizer_kinds.py),
                          parts that several share kept once, and the ids of
                          those texts; remade only where it is not there
"""

import copy
import json
import pathlib
import random

import tokenizer_kinds
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

CORPUS = """
A map of knowledge shows which articles stand near to each other, and gives each region a name.
The encyclopedia has articles on rivers, mountains, cities, kings, queens, rockets and butterflies.
An island in the Atlantic Ocean, first settled in 1543; its population was 12,345 (2011 census).
La rivière traverse la forêt près du château, où l'été fut très chaud; les élèves y étaient déjà.
El niño pequeño comió una manzana en el jardín de la señora, según el periódico de mañana.
Die Straße führt über die Brücke nach Köln; größere Städte liegen südlich des Flusses.
İstanbul, Işık, ÅNGSTRÖM, Œuvre, ΣΊΣΥΦΟΣ, ΟΔΥΣΣΕΎΣ, Москва и Санкт-Петербург, Київ, Ελλάδα.
東京は日本の首都です。 中文维基百科的文章。 한국어 위키백과 문서. ภาษาไทยเป็นภาษาหนึ่ง. اللغة العربية. עברית. हिन्दी
e-mail: someone at example dot org? (yes!) 100% of "quotes" & 'marks' -- [brackets] {braces} <angles> $5.00 a+b=c
"""

# Fields of the file that each change replaces.
BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
        "strip_accents": None, "lowercase": True}
CHANGES = {
    "uncased": {},
    "cased": {"normalizer": BERT | {"lowercase": False}},
    "accents_kept": {"normalizer": BERT | {"strip_accents": False}},
    "accents_stripped_cased": {"normalizer": BERT | {"strip_accents": True, "lowercase": False}},
    "not_cleaned": {"normalizer": BERT | {"clean_text": False, "handle_chinese_chars": False}},
    "no_normalizer": {"normalizer": None},
    "no_pre_tokenizer": {"pre_tokenizer": None},
    "bert_processing": {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3],
                                           "cls": ["[CLS]", 2]}},
    "no_post_processor": {"post_processor": None},
    "short_words": {"model": {"max_input_chars_per_word": 5}},
    "added": {"added_tokens": [
        {"content": "[ENT]", "special": True},
        {"content": "<m>", "single_word": True},
        {"content": "<l>", "lstrip": True},
        {"content": "<r>", "rstrip": True},
        {"content": "<lr>", "lstrip": True, "rstrip": True},
        {"content": "New York", "normalized": True},
        {"content": "Éte", "normalized": True, "single_word": True},
        {"content": "new", "normalized": False},
        {"content": "the", "normalized": True, "rstrip": True},
        {"content": "中", "normalized": True},
    ]},
}

TEXTS = [
    "", " ", " \t\r\n\v\f\u0085\u00a0\u2028\u3000", "hello", "The map of knowledge.", "the", "THE",
    "a", "?", "!!!", "...", "don't", "e-mail", "100%", "$5.00 + 3 = 8", "a_b", "`code`", "x^2~|y|",
    "[SEP]", "[CLS] the [SEP]", "[MASK]the[MASK]", "[sep]", "[SEP", "SEP]", "[[SEP]]", "[PAD][UNK]",
    "a [SE[SEP]P] b", "[MASK]\u0301e", "##ing", "## the", "naïve café", "nai\u0308ve cafe\u0301",
    "İstanbul ISTANBUL ıI", "ΣΊΣΥΦΟΣ ΟΔΥΣΣΕΎΣ ς", "STRASSE Straße ẞ", "ﬁﬂ ½ Ⅷ ℵ K Å", "ǅ Ǆ ǆ",
    "東京は日本の首都です。", "中文abc维基", "㐀\U00020000\U0002b920\uf900\U0002f800豈",
    "한국어 위키백과 문서", "\u1112\u1161\u11ab 한", "ภาษาไทยเป็นภาษาหนึ่ง", "हिन्दी क़ क\u093c",
    "اللغة العربية بِسْمِ", "עברית שָׁלוֹם", "Москва Й и\u0306", "Ελλάδα ἀρχῇ",
    "👨\u200d👩\u200d👧\u200d👦 🇫🇷 👍🏽 ❤\ufe0f", "e\u0323\u0302 e\u0302\u0323", "\u0301", "\u0301\u0301a",
    "a\u200db\u200cc\u00ad\u2060d\ufeff", "\x00a\x00b\x01\x1f\x7f\x80\x9f", "a\x0bb\x0cc\x85d",
    "\ufffd\ufffdthe\ufffd", "\ue000\U000f0000\U0010ffff", "\u0378\u0898\u1ac1\U0001df00",
    "가\u302e\u302f나\u302f\u302e", "\U0001d157\U0001d165\U0001d16e\U0001d165 \U0001d160\U0001d165",
    "\u0f71\u0f72 \u0f73 \u0344 \u0958 \u2adc", "a\u0334\u0301\u0316\u0345\u302eb",
    "x" * 99, "x" * 100, "x" * 101, "é" * 100, "é" * 101, "e\u0301" * 100, "中" * 120, "!" * 120,
    "the " * 60, "rivers,mountains;cities", "12,345", "1543", "unaffable butterflies",
    "a\u00a0b\u2003c\u3000d", "“quotes” ‘marks’ — « guillemets » … ¿qué? ¡sí!", "a\u2e52b\u061db",
    "New York new york NEW YORK newyork NewYork", "in New  York", "été Éte ete étes [ENT]Éte",
    "<m> a<m> <m>a <m>,<m> \u0301<m> _<m> <m>é", "a  <l>  b", "a  <r>  b", "a  <lr>  b", "<l><r>",
    " <r>  <l> ", "a\u3000<lr>\u2028the  b", "the the  theatre other", "中文<m>中", "[ENT] <m>[ENT]",
]

POOLS = [(0x20, 0x7F), (0x00, 0xA1), (0xC0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700),
         (0x890, 0xA00), (0xE00, 0xE80), (0x1100, 0x1200), (0x1AB0, 0x1B00), (0x1D00, 0x2070),
         (0x20A0, 0x2200), (0x2E00, 0x3100), (0x4E00, 0x4E80), (0xAC00, 0xAD00), (0xF900, 0xFB50),
         (0xFE00, 0x10000), (0x10D20, 0x10D30), (0x11930, 0x11940), (0x1D15E, 0x1D1B0),
         (0x1F1E6, 0x1F650), (0x2F800, 0x2F900)]


def random_texts(count):
    rng = random.Random(20)
    words = CORPUS.split() + SPECIAL + ["<m>", "<lr>", "New York", "\u0301", "\u200d"]
    for _ in range(count):
        pools = rng.sample(POOLS, 3)
        pieces = []
        for _ in range(rng.choice([2, 8, 20])):
            pool = rng.choice(pools)
            pieces.append(rng.choice([rng.choice(words), " ", chr(rng.randrange(*pool)),
                                      chr(rng.randrange(*pool))]))
        yield "".join(pieces)


def train():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lines = CORPUS.splitlines()
    lines += [normalizers.BertNormalizer().normalize_str(line) for line in lines]
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return json.loads(tokenizer.to_str())


def change(base, fields):
    file = copy.deepcopy(base)
    for key, value in fields.items():
        if key == "model":
            file[key].update(value)
        elif key == "added_tokens":
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
            file[key] += [{"id": 0} | flags | token for token in value]
        else:
            file[key] = value
    return file


def share(value, parts):
    """Puts a part of a file in `parts`, once, and gives its number."""
    text = json.dumps(value, sort_keys=True)
    return parts.setdefault(text, len(parts))


def make_kinds(texts):
    corpus = [line for line in CORPUS.splitlines() if line] * 4
    parts, kinds = {}, []
    for name, text in tokenizer_kinds.make(corpus, tokenizer_kinds.nmt_nfkc_charsmap(), 420).items():
        tokenizer = Tokenizer.from_str(text)
        file = {key: share(value, parts) for key, value in json.loads(text).items()}
        kinds.append({"name": name, "file": file, "ids": [tokenizer.encode(t).ids for t in texts]})
    return {"parts": [json.loads(part) for part in parts], "kinds": kinds}


def main():
    compact = {"ensure_ascii": True, "separators": (",", ":")}
    small = HERE / "tokenizer_small.json"
    if not small.exists():
        small.write_text(json.dumps(train(), **compact) + "\n")
    base = json.loads(small.read_text())
    texts = TEXTS + list(random_texts(120))
    cases = {"texts": texts, "variants": []}
    for name, fields in CHANGES.items():
        file = change(base, fields)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        patch = {key: file[key] for key in fields if key != "model"}
        patch |= {"model": fields["model"]} if "model" in fields else {}
        ids = [tokenizer.encode(text).ids for text in texts]
        cases["variants"].append({"name": name, "patch": patch, "ids": ids})
    (HERE / "tokenizer_cases.json").write_text(json.dumps(cases, **compact) + "\n")
    kinds = HERE / "tokenizer_kinds.json"
    if not kinds.exists():
        some = [text for text in texts[:-120:2] if len(text) < 300] + texts[-40:]
        kinds.write_text(json.dumps({"texts": some} | make_kinds(some), ensure_ascii=True,
                                    separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
