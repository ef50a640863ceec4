"""A model of published size and random weights: our hidden states beside HF transformers', on articles.

    python tests/bench/full_size.py --peer-python PEER_PYTHON --articles articles.parquet [--layers 12 --hidden 384]

By default the shape of MiniLM-L12 (12 layers, 384 wide, 12 heads, 1,536 in between), whose weights no package ships;
the tokenizer is MiniLM-L6's, which is the same. The bar: no number of the last hidden states differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BAR = 1e-4

PEER = """
import json, sys
import numpy as np, torch, transformers
folder, layers, hidden = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if layers:
    torch.manual_seed(12)
    config = transformers.BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=hidden // 32,
                                     intermediate_size=4 * hidden, vocab_size=30522)
    model = transformers.BertModel(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "LayerNorm" not in name and p.ndim > 1:
                p.normal_(0, 1.5 * p.shape[-1] ** -0.5)
    model.save_pretrained(folder)
else:
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = json.load(open(folder + "/ids.json"))
    with torch.no_grad():
        hidden = [model(input_ids=torch.tensor([i])).last_hidden_state[0].numpy() for i in ids]
    np.save(folder + "/hidden.npy", np.concatenate(hidden))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=384)
    args = parser.parse_args()

    import numpy as np
    import pyarrow.parquet as pq

    import knowmap as km
    from knowmap import models

    texts = pq.read_table(args.articles, columns=["text"])["text"].to_pylist()[: args.texts]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        folder.mkdir()
        run = [args.peer_python, "-c", PEER, str(folder)]
        subprocess.run([*run, str(args.layers), str(args.hidden)], check=True)
        shutil.copy(models.resolve("all-MiniLM-L6-v2") / "tokenizer.json", folder)
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512}))
        embedder = km.Embedder(folder, precision="float32")
        ours = np.concatenate(embedder.encode(texts, output="tokens", progress=False))
        (folder / "ids.json").write_text(json.dumps(embedder.tokenize(texts)))
        subprocess.run([*run, "0", "0"], check=True)
        theirs = np.load(folder / "hidden.npy")
    worst = float(np.abs(ours - theirs).max())
    print(json.dumps({"layers": args.layers, "hidden": args.hidden, "texts": len(texts), "tokens": len(ours),
                      "largest_number": round(float(np.abs(theirs).max()), 2), "largest_difference": worst}))
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
