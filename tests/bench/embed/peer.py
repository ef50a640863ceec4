"""A peer's turn in the benchmark of embedding; `python tests/bench/embed` runs it, in the peers' environment.

st: sentence-transformers on torch. ov: sentence-transformers on OpenVINO; its int8 is that of
`export_static_quantized_openvino_model`, run as it comes (activations that are not quantised in what the plugin
chooses). ort: ONNX Runtime with the `tokenizers` wheel and nothing else around it, which is its quickest way.
"""

from __future__ import annotations

import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jobs
import numpy as np

parser = jobs.parser(__doc__)
parser.add_argument("--engine", choices=["st", "ov", "ort"], required=True)
parser.add_argument("--precision", choices=["float32", "bfloat16", "int8"], default="float32")
parser.add_argument("--exported", type=Path, required=True, help="the folder that peer_prepare.py filled")
parser.add_argument("--batch", type=int, default=32, help="batch_size; 32 is sentence-transformers' default")


def sentence_transformer(args: Any) -> jobs.Encode:
    from sentence_transformers import SentenceTransformer

    if args.engine == "st":
        import torch

        kwargs: dict[str, Any] = {"torch_dtype": torch.bfloat16} if args.precision == "bfloat16" else {}
        model = SentenceTransformer(str(args.model), device="cpu", model_kwargs=kwargs)
    else:
        hint = {"float32": "f32", "bfloat16": "bf16"}
        kwargs = (
            {"file_name": "openvino_model_qint8_quantized.xml"}
            if args.precision == "int8"
            else {"file_name": "openvino_model.xml", "ov_config": {"INFERENCE_PRECISION_HINT": hint[args.precision]}}
        )
        model = SentenceTransformer(str(args.exported), device="cpu", backend="openvino", model_kwargs=kwargs)
    if args.job == "lengths":
        model.max_seq_length = jobs.LONGEST

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, batch_size=args.batch, show_progress_bar=False)

    return encode


def onnx_runtime(args: Any) -> jobs.Encode:
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    longest = jobs.LONGEST if args.job == "lengths" else int((args.exported / "max_seq_length").read_text())
    tokenizer.enable_truncation(longest)
    pad = "[PAD]" if tokenizer.token_to_id("[PAD]") is not None else "<pad>"
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad), pad_token=pad)
    session = onnxruntime.InferenceSession(
        str(args.exported / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    wanted = {given.name for given in session.get_inputs()}

    def batch(texts: list[str]) -> Any:
        encoded = tokenizer.encode_batch(texts)
        mask = np.array([e.attention_mask for e in encoded], np.int64)
        feed = {
            "input_ids": np.array([e.ids for e in encoded], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        hidden = session.run(None, {name: value for name, value in feed.items() if name in wanted})[0]
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def encode(texts: list[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows: list[Any] = [None] * len(texts)
        for first in range(0, len(order), args.batch):
            chosen = order[first : first + args.batch]
            for i, row in zip(chosen, batch([texts[i] for i in chosen]), strict=True):
                rows[i] = row
        return np.stack(rows).astype(np.float32)

    return encode


def main() -> None:
    args = parser.parse_args()
    start = time.perf_counter()
    encode = onnx_runtime(args) if args.engine == "ort" else sentence_transformer(args)
    packages = {"st": ["sentence-transformers", "transformers", "torch"], "ort": ["onnxruntime", "tokenizers"]}
    packages["ov"] = ["sentence-transformers", "optimum-intel", "openvino", "nncf"]
    versions = {name: metadata.version(name) for name in packages[args.engine]}
    jobs.run(args, encode, {"load_seconds": time.perf_counter() - start, "versions": versions})


if __name__ == "__main__":
    main()
