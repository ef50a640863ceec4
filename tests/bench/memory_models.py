"""Writes a model of random weights of each family, wide enough that memory is its own and not the process's.

    PEER_PYTHON tests/bench/memory_models.py OUT            # transformers 5: the environment `peers`

Run by memory_plan.py. The families and their configs are those of tests/reference/families_make.py, in another size.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers
from large_model import letters_tokenizer
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
from families_make import FAMILIES

SIZES = {"hidden_size": 1024, "dim": 1024, "num_hidden_layers": 3, "n_layers": 3, "num_attention_heads": 16,
         "n_heads": 16, "num_key_value_heads": 4, "head_dim": 64, "query_pre_attn_scalar": 64,
         "intermediate_size": 4096, "hidden_dim": 4096, "vocab_size": 30000, "sliding_window": 512,
         "local_attention": 128}
LONGEST = 4096


def write(name: str, out: Path) -> None:
    model_class, config_class, small, changed = FAMILIES[name]
    values = {key: SIZES.get(key, value) for key, value in small.items()}
    # RoBERTa's kin count positions from the padding's on.
    values["max_position_embeddings"] = LONGEST + (2 if small.get("max_position_embeddings") == 42 else 0)
    if "layer_types" in values:
        values["layer_types"] = small["layer_types"][:values["num_hidden_layers"]]
    torch.manual_seed(1)
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**values))
    model.save_pretrained(out)
    weights = load_file(out / "model.safetensors")
    save_file({key: w.bfloat16() for key, w in weights.items() if not key.startswith("pooler")},
              out / "model.safetensors")
    config = out / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changed, indent=2))
    (out / "tokenizer.json").write_text(json.dumps(letters_tokenizer()))
    (out / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LONGEST}))


if __name__ == "__main__":
    for family in FAMILIES:
        folder = Path(sys.argv[1]) / family
        if not (folder / "sentence_bert_config.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(family, folder)
