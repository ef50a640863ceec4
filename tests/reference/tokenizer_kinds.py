"""Small tokenizers of every kind, with the components of the families that they stand for.

`make(corpus, charsmap)` trains them with HF `tokenizers` and gives {name: the text of tokenizer.json}. The families'
own settings were read from their published tokenizer files; the vocabularies are trained here.
"""

from __future__ import annotations

import base64
import io
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def nmt_nfkc_charsmap() -> bytes:
    """The character map that XLM-R's and T5's files hold, out of a model trained by `sentencepiece`."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"a map of knowledge {i}" for i in range(200)]), model_writer=model, vocab_size=60,
        hard_vocab_limit=False, normalization_rule_name="nmt_nfkc", minloglevel=2)
    normalizer = next(value for field, value in _fields(model.getvalue()) if field == 3)
    return next(value for field, value in _fields(normalizer) if field == 2)


def _fields(message: bytes):
    """Fields of a Protocol Buffers message: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield key >> 3, message[at:at + size]
        at += size


def _train(corpus, model, trainer, normalizer=None, pre_tokenizer=None) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _template(tokenizer, before=None, after=None):
    single = " ".join(part for part in (before, "$A", after) if part)
    special = [(token, tokenizer.token_to_id(token)) for token in (before, after) if token]
    return processors.TemplateProcessing(single=single, special_tokens=special)


def _patched(tokenizer, **parts) -> str:
    """The tokenizer's file with parts of it replaced; those of "model" are merged."""
    file = json.loads(tokenizer.to_str())
    file["model"].update(parts.pop("model", {}))
    file.update(parts)
    return json.dumps(file)


def _with_added(text: str, tokens) -> str:
    tokenizer = Tokenizer.from_str(text)
    tokenizer.add_tokens(tokens)
    return tokenizer.to_str()


def make(corpus: list[str], charsmap: bytes, vocab_size: int = 4000) -> dict[str, str]:
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    kinds = {}

    def byte_level(pattern, specials):
        cut = pre_tokenizers.ByteLevel(add_prefix_space=False) if pattern is None else pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials, initial_alphabet=bytes_,
                                      show_progress=False)
        return _train(corpus, models.BPE(), trainer, None, cut)

    gpt2 = byte_level(None, ["<s>", "<pad>", "</s>", "<unk>"])
    gpt2.decoder = decoders.ByteLevel()
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
    kinds["gpt2"] = gpt2.to_str()
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt2.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    kinds["roberta"] = _with_added(gpt2.to_str(), [mask])

    llama3 = byte_level(LLAMA3, ["<|begin_of_text|>", "<|end_of_text|>"])
    llama3.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True),
                                                 _template(llama3, "<|begin_of_text|>")])
    # Merges that later files write as pairs, and words that are tokens whatever the merges say.
    words = {word: i for i, word in enumerate(dict.fromkeys(
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" " + w)[0][0]
        for text in corpus[:200] for w in text.split()), start=llama3.get_vocab_size())}
    vocab = llama3.get_vocab(with_added_tokens=False)
    vocab |= {word: i for i, word in enumerate((w for w in words if w not in vocab), start=len(vocab))}
    kinds["llama3"] = _patched(llama3, model={"ignore_merges": True, "vocab": vocab})
    merges = json.loads(llama3.to_str())["model"]["merges"]
    kinds["llama3_merges_as_strings"] = _patched(llama3, model={"merges": [" ".join(pair) for pair in merges]})

    qwen = byte_level(QWEN2, ["<|endoftext|>", "<|im_start|>"])
    qwen.normalizer = normalizers.NFC()
    qwen.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                               _template(qwen, None, "<|endoftext|>")])
    kinds["qwen"] = qwen.to_str()

    modern = byte_level(None, ["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    modern.normalizer = normalizers.NFC()
    modern.post_processor = _template(modern, "[CLS]", "[SEP]")
    spaces = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    kinds["modern_bert"] = _with_added(modern.to_str(), [*spaces, AddedToken("[MASK]", lstrip=True, normalized=False)])

    sentence_piece = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, limit_alphabet=300,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))])
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama2 = _train(corpus, models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), sentence_piece, prepend,
                    pre_tokenizers.Split("▁", "merged_with_next"))
    llama2.post_processor = _template(llama2, "<s>")
    file = json.loads(llama2.to_str())
    # The 256 byte tokens are part of the vocabulary only.
    file["added_tokens"] = file["added_tokens"][:3]
    kinds["llama2"] = json.dumps(file | {"pre_tokenizer": None})
    for scheme, split in (("first", False), ("always", True), ("never", True)):
        kinds[f"mistral_{scheme}"] = json.dumps(file | {"normalizer": None, "pre_tokenizer": {
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}})
    kinds["gemma"] = json.dumps(file | {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False}})
    no_bytes = json.loads(json.dumps(file | {"pre_tokenizer": None}))
    no_bytes["model"]["byte_fallback"] = False
    kinds["bpe_unknown_fused"] = json.dumps(no_bytes)
    no_bytes["model"]["fuse_unk"] = False
    kinds["bpe_unknown"] = json.dumps(no_bytes)

    clip = _train(corpus, models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
                  trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=["<unk>"], end_of_word_suffix="</w>",
                                      show_progress=False, limit_alphabet=200),
                  normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                        normalizers.Lowercase()]),
                  pre_tokenizers.Sequence([
                      pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),
                                           "removed", invert=True)]))
    kinds["end_of_word"] = clip.to_str()

    def unigram(normalizer, pre_tokenizer, byte_fallback=False):
        specials = ["<s>", "<pad>", "</s>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256)] * byte_fallback
        tokenizer = _train(corpus, models.Unigram(), trainers.UnigramTrainer(
            vocab_size=vocab_size, special_tokens=specials, unk_token="<unk>", show_progress=False), normalizer,
            pre_tokenizer)
        tokenizer.post_processor = _template(tokenizer, "<s>", "</s>")
        tokens = json.loads(tokenizer.to_str())
        tokens["added_tokens"] = tokens["added_tokens"][:4]
        return tokens

    precompiled = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    xlm_r = unigram(normalizers.Precompiled(charsmap), metaspace)
    kinds["xlm_r"] = _with_added(json.dumps(xlm_r | {"normalizer": precompiled}), [mask])
    kinds["xlm_r_older"] = json.dumps(xlm_r | {
        "normalizer": {"type": "Sequence", "normalizers": [
            precompiled, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]}})
    kinds["t5"] = json.dumps(xlm_r | {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": False, "strip_right": True},
        precompiled, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}})
    kinds["albert"] = json.dumps(xlm_r | {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, {"type": "NFKD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, {"type": "Nmt"}, precompiled]}})
    kinds["unigram_whole_texts"] = json.dumps(xlm_r | {"normalizer": {"type": "NFKC"}, "pre_tokenizer": None})
    kinds["unigram_bytes"] = json.dumps(unigram(normalizers.NFD(), metaspace, True) | {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": True},
                                                           {"type": "NFD"}]}})
    for tokens in ("unigram_bytes",):
        changed = json.loads(kinds[tokens])
        changed["model"]["byte_fallback"] = True
        kinds[tokens] = json.dumps(changed)

    level = _train(corpus, models.WordLevel(unk_token="[UNK]"),
                   trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=["[UNK]"], show_progress=False),
                   normalizers.Lowercase(), pre_tokenizers.Whitespace())
    kinds["word_level"] = level.to_str()
    word_level = json.loads(level.to_str())
    for name, parts in {
        "digits": [{"type": "Digits", "individual_digits": False}],
        "each_digit": [{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True}],
        "delimiter": [{"type": "CharDelimiterSplit", "delimiter": " "}],
        **{f"punctuation_{behavior}": [{"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": behavior}]
           for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
        **{f"split_{behavior}_{'inverted' if invert else 'plain'}": [
            {"type": "Split", "pattern": {"Regex": r"[\s,;]|\d+|\b-"}, "behavior": behavior, "invert": invert}]
           for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
           for invert in (False, True)},
        "split_at_nothing": [{"type": "Split", "pattern": {"Regex": r"(?=[A-ZÉ])|\s"}, "behavior": "Removed",
                              "invert": False}],
        "split_words": [{"type": "Split", "pattern": {"Regex": r"\w+|[^\w\s]"}, "behavior": "Removed",
                         "invert": True}],
    }.items():
        kinds[f"cut_{name}"] = json.dumps(word_level | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": parts}})
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        kinds[f"form_{form}"] = json.dumps(json.loads(kinds["gpt2"]) | {"normalizer": {"type": form}})
    kinds["byte_level_normalizer"] = json.dumps(json.loads(kinds["gpt2"]) | {
        "normalizer": {"type": "ByteLevel"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "MergedWithNext", "invert": False}})
    return kinds
