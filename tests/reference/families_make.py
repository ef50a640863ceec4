"""Small random models of every family, and what HF transformers makes of them.

Writes tests/reference/families/NAME/: config.json, model.safetensors (fp16 values, so files stay small),
reference.safetensors with the ids of four texts of different lengths, end to end, their offsets, and the last hidden
states in float32 from one text at a time, from a left-padded and from a right-padded batch (which agree to 2e-5, or
this script fails).

    python tests/reference/families_make.py          # transformers 5.23.0, torch 2.13.0
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent / "families"
COMMON = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
BERT = COMMON | {"intermediate_size": 36, "max_position_embeddings": 40, "type_vocab_size": 2}
ROBERTA = BERT | {"pad_token_id": 1, "max_position_embeddings": 42, "type_vocab_size": 1}
LLAMA = COMMON | {"intermediate_size": 36, "num_key_value_heads": 2, "max_position_embeddings": 40,
                  "pad_token_id": 0}
ROPE3 = {"rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 16}
GEMMA = LLAMA | {"head_dim": 8, "query_pre_attn_scalar": 12, "sliding_window": 8, "num_hidden_layers": 3,
                 "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

# name: (model class, config class, config, what is changed in config.json afterwards)
FAMILIES = {
    "bert": ("BertModel", "BertConfig", BERT, {}),
    "mpnet": ("MPNetModel", "MPNetConfig", ROBERTA | {"relative_attention_num_buckets": 32}, {}),
    "xlm_roberta": ("XLMRobertaModel", "XLMRobertaConfig", ROBERTA, {}),
    "distilbert": ("DistilBertModel", "DistilBertConfig",
                   {"dim": 24, "hidden_dim": 36, "n_layers": 2, "n_heads": 4, "vocab_size": 50,
                    "max_position_embeddings": 40}, {}),
    "llama": ("LlamaModel", "LlamaConfig", LLAMA | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
              {}),
    "llama_bidirec": ("LlamaModel", "LlamaConfig", LLAMA | {"rope_parameters": ROPE3, "is_causal": False},
                      {"model_type": "llama_bidirec"}),
    "mistral": ("MistralModel", "MistralConfig", LLAMA | {"sliding_window": 6}, {}),
    "qwen2": ("Qwen2Model", "Qwen2Config", LLAMA, {}),
    "qwen3": ("Qwen3Model", "Qwen3Config", LLAMA | {"head_dim": 8}, {}),
    "modernbert": ("ModernBertModel", "ModernBertConfig",
                   COMMON | {"intermediate_size": 20, "num_hidden_layers": 4, "max_position_embeddings": 40,
                             "local_attention": 12, "pad_token_id": 0}, {}),
    "gemma3": ("Gemma3TextModel", "Gemma3TextConfig", GEMMA | {"use_bidirectional_attention": True}, {}),
    "gemma3_causal": ("Gemma3TextModel", "Gemma3TextConfig", GEMMA, {}),
    "nomic_bert": ("NomicBertModel", "NomicBertConfig", BERT, {}),
}
LENGTHS = (5, 40, 1, 17)


def texts(vocabulary: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    # Ids from 3 on: those before may be padding's.
    return [torch.randint(3, vocabulary, (n,), generator=generator) for n in LENGTHS]


def hidden_states(model: torch.nn.Module, ids: list[torch.Tensor], padding: str | None, pad: int) -> list[torch.Tensor]:
    if padding is None:
        return [model(input_ids=i[None], attention_mask=torch.ones(1, len(i), dtype=torch.long)).last_hidden_state[0]
                for i in ids]
    longest = max(map(len, ids))
    batch = torch.full((len(ids), longest), pad)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    slots = [slice(longest - len(i), longest) if padding == "left" else slice(0, len(i)) for i in ids]
    for row, (i, slot) in enumerate(zip(ids, slots, strict=True)):
        batch[row, slot] = i
        mask[row, slot] = 1
    # Positions count from a text's first token; where a model takes them, it is told.
    more = {}
    if padding == "left" and not isinstance(model, (transformers.MPNetModel, transformers.XLMRobertaModel,
                                                    transformers.DistilBertModel)):
        more["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    out = model(input_ids=batch, attention_mask=mask, **more).last_hidden_state
    return [out[row, slot] for row, slot in enumerate(slots)]


def make(name: str) -> None:
    model_class, config_class, values, changed = FAMILIES[name]
    torch.manual_seed(len(name))
    config = getattr(transformers, config_class)(**values)
    config._attn_implementation = "eager"
    model = getattr(transformers, model_class)(config).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            norm = "norm" in key.lower()
            plain_one = norm and key.endswith("weight") and "Gemma" not in model_class
            parameter.copy_((torch.randn_like(parameter) * (0.2 if norm else 0.25) + plain_one).half().float())
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    weights = {k: v.half().contiguous() for k, v in load_file(folder / "model.safetensors").items()
               if not k.startswith("pooler")}
    save_file(weights, folder / "model.safetensors")
    if changed:
        parsed = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(parsed | changed, indent=2))

    vocabulary = 50
    ids = texts(vocabulary)
    pad = getattr(config, "pad_token_id", None) or 0
    with torch.no_grad():
        alone = hidden_states(model, ids, None, pad)
        for padding in ("left", "right"):
            # Absolute positions cannot be told to these; left padding would shift them.
            if padding == "left" and model_class in ("DistilBertModel",):
                continue
            padded = hidden_states(model, ids, padding, pad)
            worst = max(float((a - b).abs().max()) for a, b in zip(alone, padded, strict=True))
            if worst > 2e-5:
                sys.exit(f"{name}: {padding}-padded differs by {worst}")
    save_file({"ids": torch.cat(ids).int().float(),
               "offsets": torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()]).float(),
               "hidden": torch.cat(alone).contiguous()}, folder / "reference.safetensors")
    print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes", f"{torch.cat(alone).abs().max():.2f}")


if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        make(family)
