"""Small sentence-transformers models of several kinds of modules, and what that library makes of some texts.

Writes tests/reference/modules/NAME/: the model as sentence-transformers saves it (float16 weights), and expected.json
with texts, the options of `encode`, and the vectors.

    python tests/reference/modules_make.py          # sentence-transformers 6.2.0, transformers 5.23.0
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

HERE = Path(__file__).parent / "modules"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "map", "of", "all", "known", "things", "and", "query", ":", "un",
         "##known", "river", "##s"]
TEXTS = ["the map of all known things", "rivers", "", "unknown things and the river", "map " * 30]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]",
                                                        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


def transformer(folder: Path) -> st.Module:
    """A BERT of random weights, as a folder that `Transformer` reads."""
    torch.manual_seed(3)
    model = BertModel(BertConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
                                 vocab_size=len(WORDS), max_position_embeddings=24), add_pooling_layer=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.4).half().float())
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer(), unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                            sep_token="[SEP]", model_max_length=24).save_pretrained(folder)
    return st.Transformer(str(folder))


def rounded(module: torch.nn.Module) -> torch.nn.Module:
    """With weights that float16 holds exactly."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.4).half().float())
    return module


def build(name: str, base: Path) -> tuple[SentenceTransformer, list[dict]]:
    if name == "static":
        torch.manual_seed(4)
        table = (torch.randn(len(WORDS), 10) * 0.5).half().float()
        return SentenceTransformer(modules=[st.StaticEmbedding(tokenizer(), embedding_weights=table), st.Normalize()],
                                   device="cpu"), [{}]
    first = transformer(base)
    if name == "all_poolings":
        modes = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
        pooling = st.Pooling(12, pooling_mode=modes)
        dense = rounded(st.Dense(72, 9, bias=True, activation_function=torch.nn.Tanh()))
        return SentenceTransformer(modules=[first, pooling, dense, st.Normalize()], device="cpu"), [
            {}, {"truncate_dim": 5}, {"truncate_dim": 5, "normalize_embeddings": True}]
    pooling = st.Pooling(12, pooling_mode="mean", include_prompt=False)
    wide = rounded(st.Dense(12, 20, bias=False, activation_function=torch.nn.Identity()))
    narrow = rounded(st.Dense(20, 8, bias=False, activation_function=torch.nn.Identity()))
    made = SentenceTransformer(modules=[first, pooling, rounded(st.LayerNorm(12)), wide, narrow], device="cpu",
                               prompts={"query": "query : ", "document": ""}, default_prompt_name="query")
    return made, [{}, {"prompt_name": "document"}, {"prompt": "all : "}]


def make(name: str) -> None:
    folder, base = HERE / name, HERE / "base"
    for old in (folder, base):
        shutil.rmtree(old, ignore_errors=True)
    model, calls = build(name, base)
    expected = [{"options": options, "vectors": model.encode(TEXTS, **options).tolist()} for options in calls]
    model.save(str(folder), create_model_card=False)
    for file in folder.rglob("*.safetensors"):
        save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(file).items()}, file)
    (folder / "expected.json").write_text(json.dumps({"texts": TEXTS, "calls": expected}))
    shutil.rmtree(base, ignore_errors=True)
    print(name, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    for kind in sys.argv[1:] or ("all_poolings", "dense_prompts", "static"):
        make(kind)
