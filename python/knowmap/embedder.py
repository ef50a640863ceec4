"""`Embedder`: texts to vectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from knowmap import _core, models
from knowmap.progress import Callback, callback

_core.EmbedReport.__doc__ = """What an embedding took.

``texts``, ``tokens``, ``batches``; ``backoffs``: times an allocation failed and a batch was split or shrunk;
``seconds``; ``peak_bytes``: the process's highest resident memory; ``batch_tokens_planned``, ``batch_tokens_final``:
tokens a batch, as planned and at the end; ``device``, ``precision``.
"""


class Embedder:
    """Turns texts into vectors with a sentence-transformers model, in C++.

    model: a folder (`config.json`, `model.safetensors`, `tokenizer.json`), the name of a model that an installed
        package ships, or a name on the Hugging Face hub ("owner/name"; without an owner, "sentence-transformers/name"),
        fetched once into its client's cache. Only what is not on disk and looks like such a name is asked for there.
    device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", "mps".
    precision: "auto" (bfloat16 where the device multiplies it natively, else float32), "float32", "bfloat16".
        Embeddings are float32 in any case.
    max_seq_length: longest text in tokens, special tokens counted; None = what the model's files say.
    memory_limit: bytes that the engine plans for, weights included; None = what is free.
    threads: 0 = one for each core. The result does not depend on it.
    revision: a branch, a tag or a commit of a hub name; None = its main branch.

    Raises `ModelError`, `TokenizerError`, and ValueError for options.
    """

    def __init__(self, model: str | os.PathLike[str], *, device: str = "auto", precision: str = "auto",
                 max_seq_length: int | None = None, memory_limit: int | None = None, threads: int = 0,
                 revision: str | None = None) -> None:
        for name, value in (("max_seq_length", max_seq_length), ("memory_limit", memory_limit)):
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        self.model = os.fspath(model)
        self.folder = models.resolve(model, revision=revision)
        self._core = _core.Embedder(self.folder, device=device, precision=precision,
                                    max_seq_length=max_seq_length or 0, memory_limit=memory_limit or 0,
                                    threads=threads)
        self.report: _core.EmbedReport = self._core.report
        self.resume: _core.ResumeReport | None = None

    def encode(self, texts: Iterable[str], *, store: str | os.PathLike[str] | _core.CheckpointStore | None = None,
               progress: bool | Callback = True) -> NDArray[np.float32]:
        """Embeddings of the texts, in their order: float32 (n, dimension).

        store: a folder, or a `CheckpointStore`, that keeps the rows as they come. A call that was cut off goes on from
            there; `resume` then says how many rows were kept. A store of another model or other options is refused.
        progress: a bar, nothing (False), or a callable(stage, done, total, unit).

        Raises `OutOfMemoryError`, `CheckpointError`, TypeError where an item is no str. Ctrl-C is answered at once;
        what was committed stays.
        """
        texts = _as_list(texts)
        with callback(progress) as report:
            if store is None:
                rows = self._core.encode(texts, progress=report)
                self.report = self._core.report
                return rows
            opened = store if isinstance(store, _core.CheckpointStore) else _core.CheckpointStore(store)
            self.embed_into(texts, opened, progress=report or False)
            return opened.read_rows(0, len(texts))

    def embed_into(self, texts: Iterable[str], store: _core.CheckpointStore, *,
                   progress: bool | Callback = True) -> _core.ResumeReport:
        """Embeds what the store lacks, without reading it all back: for collections larger than memory."""
        with callback(progress) as report:
            self.resume = _core.embed_into_store(self._core, _as_list(texts), store, progress=report)
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


def _as_list(texts: Iterable[str]) -> Sequence[str]:
    if isinstance(texts, (str, bytes)):
        raise TypeError("expected a list of texts, got a single one; write [text]")
    return texts if isinstance(texts, (list, tuple)) else list(texts)
