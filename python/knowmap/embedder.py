"""`Embedder`: texts to vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowmap import _core, models
from knowmap.progress import Callback, callback

_core.EmbedReport.__doc__ = """What an embedding took.

``texts``, ``tokens``, ``batches``; ``backoffs``: times an allocation failed and a batch was split or shrunk;
``seconds``; ``peak_bytes``: the process's highest resident memory, and ``planned_peak_bytes``: what was foreseen of it
from the texts' lengths; ``batch_tokens_planned``, ``batch_tokens_final``: tokens a batch, as planned and at the end;
``device``; ``precision``: what was computed in, and what weights were held in where that differs; ``precision_reason``:
why it is that one; ``streamed``: layers were read for each super-batch.
"""
_core.EmbedPlan.__doc__ = """How a run would be laid out in memory, in bytes.

``available`` for it, beside what is held; ``weights`` as held; ``layer``: one layer's; ``streamed``: two layers are
held at a time; ``activations``, ``workspace``; ``lasting``: the rows given back, and the pages of the table of words that
come in as words are met; ``held`` by the process now; ``peak``: the highest resident memory to be expected; ``batch_tokens``, ``super_batch_tokens``, ``chunk_rows``, ``workers``: counts.
"""

_OUTPUTS = ("embeddings", "tokens", "int8", "uint8", "binary", "ubinary")


class Embedder:
    """Turns texts into vectors with a sentence-transformers model, in C++.

    model: a folder (`config.json`, `model.safetensors`, `tokenizer.json`), the name of a model that an installed
        package ships, or a name on the Hugging Face hub ("owner/name"; without an owner, "sentence-transformers/name"),
        fetched once into its client's cache. Only what is not on disk and looks like such a name is asked for there.
    device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", "mps".
    precision: what the model computes in; embeddings are float32 in any case. "auto": the fastest that keeps the cosine
        to float32's embeddings at 0.999, which loading measures; `report` says which and why. "float32", "bfloat16",
        "float16" (on a CPU: 16-bit weights, float32 arithmetic), or "int8" (CPU; products in 8 bits, but those that
        would bring the cosine below 0.995).
    max_seq_length: longest text in tokens, special tokens counted; None = what the model's files say.
    memory_limit: bytes that the engine plans for, weights included; None = what is free.
    threads: 0 = one for each core. The result does not depend on it.
    revision: a branch, a tag or a commit of a hub name; None = its main branch.
    residency: "auto" (all layers are held where they fit, else read layer by layer for many texts at a time),
        "resident", "streamed". The result does not depend on it.

    Raises `ModelError`, `TokenizerError`, and ValueError for options.
    """

    def __init__(self, model: str | os.PathLike[str], *, device: str = "auto", precision: str = "auto",
                 max_seq_length: int | None = None, memory_limit: int | None = None, threads: int = 0,
                 residency: str = "auto", revision: str | None = None) -> None:
        for name, value in (("max_seq_length", max_seq_length), ("memory_limit", memory_limit)):
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        self.model = os.fspath(model)
        self.folder = models.resolve(model, revision=revision)
        self._core = _core.Embedder(self.folder, device=device, precision=precision,
                                    max_seq_length=max_seq_length or 0, memory_limit=memory_limit or 0,
                                    threads=threads, residency=residency)
        self.report: _core.EmbedReport = self._core.report
        self.resume: _core.ResumeReport | None = None

    def encode(self, texts: Iterable[str], *, prompt: str | None = None, prompt_name: str | None = None,
               normalize: bool = False, truncate_dim: int | None = None, output: str = "embeddings",
               store: str | os.PathLike[str] | _core.CheckpointStore | None = None, storage: str = "float32",
               progress: bool | Callback = True) -> NDArray[np.generic] | list[NDArray[np.float32]]:
        """Embeddings of the texts, in their order: float32 (n, dimension).

        prompt: put before each text; prompt_name: one of the model's own (``prompts``). Without either, the model's
            default, where it has one.
        normalize: divide each vector by its length, whatever the model's modules do.
        truncate_dim: keep this many numbers of each vector, before they are normalised.
        output: "embeddings"; "tokens", a list of float32 (tokens, hidden), the last hidden states; "int8", "uint8" (256
            steps over each dimension's range in these texts); "binary", "ubinary" (a bit a dimension, eight in a byte):
            as sentence-transformers' ``quantize_embeddings``.
        store: a folder, or a `CheckpointStore`, that keeps the rows as they come. A call that was cut off goes on from
            there; `resume` then says how many rows were kept. A store of another model or other options is refused.
        storage: how the store keeps the rows: "float32", "float16" (half the size) or "int8" (a quarter; one scale a
            row). What comes back is what was stored, as float32.
        progress: a bar, nothing (False), or a callable(stage, done, total, unit).

        Raises `OutOfMemoryError`, `CheckpointError`, TypeError where an item is no str. Ctrl-C is answered at once;
        what was committed stays.
        """
        if output not in _OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(_OUTPUTS)}, not {output!r}")
        texts = _as_list(texts)
        self._core.set_encode_options(prompt=prompt, prompt_name=prompt_name or "", normalize=normalize,
                                      truncate_dim=truncate_dim or 0)
        try:
            with callback(progress) as report:
                if output == "tokens":
                    if store is not None:
                        raise ValueError("output 'tokens' cannot be kept in a store; its rows are vectors of texts")
                    tokens = self._core.encode_tokens(texts, progress=report)
                    self.report = self._core.report
                    return tokens
                if store is None:
                    rows = self._core.encode(texts, progress=report)
                    self.report = self._core.report
                else:
                    ours = not isinstance(store, _core.CheckpointStore)
                    opened = _core.CheckpointStore(store) if ours else store
                    try:
                        self.embed_into(texts, opened, storage=storage, progress=report or False)
                        rows = opened.read_rows(0, len(texts))
                    finally:
                        if ours:  # its lock must not outlive an exception that somebody keeps
                            opened.close()
            return rows if output == "embeddings" else quantize(rows, output)
        finally:
            self._core.set_encode_options()

    def plan(self, texts: Sequence[str] | None = None) -> _core.EmbedPlan:
        """How a run would be laid out in memory now, in bytes: for these texts, which are tokenised for it, or for any
        that are `max_seq_length` long. `peak` is the highest resident memory to be expected."""
        return self._core.plan(texts if texts is None else list(texts))

    @property
    def prompts(self) -> dict[str, str]:
        """The model's prompts by name."""
        return self._core.prompts

    def embed_into(self, texts: Iterable[str], store: _core.CheckpointStore, *, storage: str = "float32",
                   commit_rows: int = 0, commit_seconds: float = 0.25, replace: bool = False,
                   before_rows: Callable[[], Any] | None = None,
                   progress: bool | Callback = True) -> _core.ResumeReport:
        """Embeds what the store lacks, without reading it all back: for collections larger than memory.

        A kill loses at most one commit unit, half of which is written while the other is computed.
        commit_rows: the rows of a unit; 0 = as many as have 65,536 tokens. commit_seconds: without `commit_rows`, where
        a unit is computed in less than this, as much as is computed in this time; and where the disk takes longer than
        half of it for a commit, what is computed during two. replace: rows may go whose texts are no longer there,
        however many; else a call that would lose more than half of those held, and 1,000 or more, is refused.
        before_rows: called once nothing can be refused any more, before any row is changed.
        """
        with callback(progress) as report:
            self.resume = _core.embed_into_store(self._core, _as_list(texts), store, storage=storage,
                                                  commit_rows=commit_rows, commit_seconds=commit_seconds,
                                                  replace=replace, before_rows=before_rows, progress=report)
        self.report = self.resume.embed
        return self.resume

    def tokenize(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids as the model sees them: special tokens in, cut at `max_seq_length`."""
        texts = _as_list(texts)
        # In slices, so that Ctrl-C is heard between two of them.
        slices = (texts[first:first + 2048] for first in range(0, len(texts), 2048))
        return [ids for part in slices for ids in self._core.tokenize(part)]

    @property
    def dimension(self) -> int:
        """Numbers a row."""
        return self._core.dimension

    @property
    def max_seq_length(self) -> int:
        """Longest text in tokens; what lies beyond is not read."""
        return self._core.max_seq_length

    @property
    def device(self) -> str:
        """Where the model runs; never "auto"."""
        return self._core.device

    @property
    def precision(self) -> str:
        """What the model computes in; never "auto"."""
        return self._core.precision

    @property
    def fingerprint(self) -> dict[str, str]:
        """All that decides the bytes of a row, by name."""
        return self._core.fingerprint

    def __repr__(self) -> str:
        return (f"Embedder({self.model!r}, device={self.device!r}, precision={self.precision!r}, "
                f"max_seq_length={self.max_seq_length}, dimension={self.dimension})")


def quantize(embeddings: NDArray[np.float32], output: str,
             calibration: NDArray[np.float32] | None = None) -> NDArray[np.generic]:
    """Embeddings in fewer bytes: "int8", "uint8" (n, dimension), "binary", "ubinary" (n, dimension / 8).

    calibration: rows that give each dimension's range for int8 and uint8; None = the embeddings themselves.
    """
    if output == "uint8":
        return _core.quantize_uint8(embeddings, calibration)
    if output == "int8":
        return _core.quantize_int8(embeddings, calibration)
    if output in ("ubinary", "binary"):
        bits = _core.quantize_binary(embeddings)
        return bits if output == "ubinary" else (bits ^ 0x80).view(np.int8)
    raise ValueError(f"output must be int8, uint8, binary or ubinary, not {output!r}")


def _as_list(texts: Iterable[str]) -> Sequence[str]:
    if isinstance(texts, (str, bytes)):
        raise TypeError("expected a list of texts, got a single one; write [text]")
    return texts if isinstance(texts, (list, tuple)) else list(texts)
