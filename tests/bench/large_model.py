"""Writes a model of random bf16 weights in the shape of nvidia/llama-embed-nemotron-8b, for runs in little memory.

    python tests/bench/large_model.py OUT [--layers 32] [--hidden 4096]

The weights say nothing: they are there to be read, multiplied, and to make speed and memory what they would be with the
real ones. The tokenizer is a byte-level one of 256 words, so that a text of n bytes has n tokens and one more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

LAYERS_A_FILE = 4


def bf16(generator: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Random numbers as the upper halves of float32s, drawn from a pool: the disk is slower than that, not the dice."""
    count = int(np.prod(shape))
    pool = (generator.standard_normal(min(count, 1 << 22), dtype=np.float32) * scale).view(np.uint32) >> 16
    return np.resize(pool.astype(np.uint16), count).reshape(shape)


def save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for values in tensors.values():
            out.write(values.data)


def tokenizer() -> dict:
    """Every byte a token; <s> before the text."""
    # The usual way of byte-level tokenizers to write bytes as printable characters.
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {}, 0
    for byte in range(256):
        names[byte] = chr(byte) if byte in visible else chr(256 + extra)
        extra += byte not in visible
    vocab = {name: byte for byte, name in names.items()} | {"<s>": 256}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": 256, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True}],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                          {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}}},
            "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": []}}


def letters_tokenizer() -> dict:
    """A WordPiece tokenizer of single letters; <s> before the text. A text of n of them has n + 1 tokens."""
    vocab = {"[UNK]": 0, "<s>": 256} | {c: 1 + i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")}
    return tokenizer() | {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                                         "strip_accents": None, "lowercase": True},
                          "pre_tokenizer": {"type": "BertPreTokenizer"},
                          "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                                    "max_input_chars_per_word": 100, "vocab": vocab}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--wordpiece", action="store_true", help="a WordPiece tokenizer of single letters instead")
    args = parser.parse_args()
    d, f, kv, vocabulary = args.hidden, args.hidden * 7 // 2, args.hidden // 4, 128256
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "llama_bidirec", "architectures": ["LlamaBidirectionalModel"], "hidden_size": d,
              "intermediate_size": f, "num_hidden_layers": args.layers, "num_attention_heads": d // 128,
              "num_key_value_heads": d // 512, "head_dim": 128, "vocab_size": vocabulary,
              "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 500000.0,
              "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 8192}}
    (out / "config.json").write_text(json.dumps(config))
    tok = letters_tokenizer() if args.wordpiece else tokenizer()
    (out / "tokenizer.json").write_text(json.dumps(tok))
    (out / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]))
    (out / "1_Pooling").mkdir(exist_ok=True)
    (out / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (out / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32768}))

    generator = np.random.default_rng(7)
    ones = np.full(d, 0x3F80, np.uint16)
    weight_map: dict[str, str] = {}

    def write(name: str, tensors: dict[str, np.ndarray]) -> None:
        save(out / name, tensors)
        weight_map.update(dict.fromkeys(tensors, name))

    write("model-embed.safetensors", {"embed_tokens.weight": bf16(generator, (vocabulary, d), 1.0),
                                      "norm.weight": ones})
    for first in range(0, args.layers, LAYERS_A_FILE):
        tensors = {}
        for i in range(first, min(first + LAYERS_A_FILE, args.layers)):
            for part, shape in {"self_attn.q_proj": (d, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
                                "self_attn.o_proj": (d, d), "mlp.gate_proj": (f, d), "mlp.up_proj": (f, d),
                                "mlp.down_proj": (d, f)}.items():
                tensors[f"layers.{i}.{part}.weight"] = bf16(generator, shape, shape[1] ** -0.5)
            tensors[f"layers.{i}.input_layernorm.weight"] = ones
            tensors[f"layers.{i}.post_attention_layernorm.weight"] = ones
        write(f"model-{first:05}.safetensors", tensors)
    (out / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


if __name__ == "__main__":
    main()
