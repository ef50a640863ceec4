"""Makes what the benchmark of embedding needs, once, in the peers' environment; what is there already stays.

The texts (2,000 articles, 300 others for calibration, groups of equal length), each text's tokens, the models
exported to OpenVINO, OpenVINO int8 and ONNX, and sentence-transformers' float32 rows of 1,000 articles.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer
from sentence_transformers.backend import export_static_quantized_openvino_model
from tokenizers import Tokenizer

TEXTS, REFERENCE, CALIBRATION = 2000, 1000, 300
# Ids a text, [CLS] and [SEP] counted: 3 is a single token.
LENGTHS = [3, 8, 16, 32, 64, 128, 256, 512]
TOKENS_A_LENGTH = 16384


def draw(articles: Path, folder: Path) -> list[str]:
    """2,000 articles and 300 others, by a fixed seed."""
    everything = [text for text in pq.read_table(articles, columns=["text"]).column(0).to_pylist() if text]
    drawn = np.random.default_rng(0).permutation(len(everything))
    texts = [everything[i] for i in np.sort(drawn[:TEXTS])]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (folder / "reference.json").write_text(json.dumps(texts[:: TEXTS // REFERENCE][:REFERENCE]), encoding="utf-8")
    (folder / "calibration").mkdir(exist_ok=True)
    others = [everything[i] for i in drawn[TEXTS : TEXTS + CALIBRATION]]
    pq.write_table(pa.table({"text": others}), folder / "calibration" / "train.parquet")
    return texts


def of_equal_length(texts: list[str], tokenizer: Tokenizer) -> dict[int, list[str]]:
    """Texts of exactly so many ids, cut from the articles at words and filled with short words."""
    words = [word for text in texts for word in text.split()]
    counts = [len(e.ids) for e in tokenizer.encode_batch(words[:200_000], add_special_tokens=False)]
    groups: dict[int, list[str]] = {}
    for length in LENGTHS:
        group, at = [], 0
        while len(group) * length < TOKENS_A_LENGTH and len(group) < 1024:
            taken, left = [], length - 2
            while left and at < len(counts):
                if counts[at] <= left:
                    taken.append(words[at])
                    left -= counts[at]
                    at += 1
                else:  # the next word does not fit: fill, and go on with it in the next text
                    taken += ["the"] * left
                    left = 0
                    at += length == LENGTHS[0]
            if at >= len(counts):
                at = 0
                continue
            group.append(" ".join(taken))
        exact = [text for text in group if len(tokenizer.encode(text).ids) == length]
        if len(exact) < len(group) // 2:
            raise SystemExit(f"texts of {length} tokens could not be made: {len(exact)} of {len(group)}")
        groups[length] = exact
    return groups


def export(model: Path, folder: Path, calibration: Path) -> None:
    """OpenVINO, OpenVINO int8 and ONNX, by sentence-transformers' own functions, into one folder."""
    making = folder.with_name(folder.name + ".part")
    shutil.rmtree(making, ignore_errors=True)
    exported = SentenceTransformer(
        str(model), device="cpu", backend="openvino", model_kwargs={"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    )
    exported.save_pretrained(str(making))
    (making / "max_seq_length").write_text(str(exported.max_seq_length))
    export_static_quantized_openvino_model(
        exported,
        quantization_config=None,
        model_name_or_path=str(making),
        dataset_name=str(calibration),
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )
    SentenceTransformer(str(model), device="cpu", backend="onnx").save_pretrained(str(making))
    making.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="NAME=FOLDER")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    held: Any = args.cache / "texts.json"
    texts = json.loads(held.read_text(encoding="utf-8")) if held.exists() else draw(args.articles, args.cache)
    for given in args.model:
        name, _, source = given.partition("=")
        folder = args.cache / name
        if not folder.is_dir():
            export(Path(source), folder, args.cache / "calibration")
        tokenizer = Tokenizer.from_file(str(Path(source) / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(10**6)
        if not (folder / "lengths.json").exists():
            (folder / "lengths.json").write_text(json.dumps(of_equal_length(texts, tokenizer)), encoding="utf-8")
        if not (folder / "tokens.json").exists():
            tokenizer.enable_truncation(int((folder / "max_seq_length").read_text()))
            tokens = [len(e.ids) for e in tokenizer.encode_batch(texts)]
            (folder / "tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
        if not (folder / "reference.npy").exists():
            reference = json.loads((args.cache / "reference.json").read_text(encoding="utf-8"))
            rows = SentenceTransformer(source, device="cpu").encode(reference, show_progress_bar=False)
            np.save(folder / "reference.npy", np.asarray(rows, np.float32))
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
        sizes = {key: config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")}
        (folder / "sizes.json").write_text(json.dumps(sizes), encoding="utf-8")
    print(json.dumps({"prepared": args.model}))


if __name__ == "__main__":
    main()
