"""The embedder from Python: against sentence-transformers, through a store, and with wrong input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import knowmap as km
from knowmap import cli

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "minilm_reference.npz"


def lowest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    a = a.astype(np.float64)
    b = b.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.fixture(scope="module")
def reference(articles):
    held = np.load(REFERENCE)
    return [a["extract"] for a in articles["en"]][:: int(held["step"])], held["embeddings"]


@pytest.mark.parametrize(("precision", "bound"), [("float32", 0.99999), ("bfloat16", 0.9998)])
def test_equals_sentence_transformers(model_folder, reference, precision, bound):
    texts, expected = reference
    rows = km.Embedder(model_folder, precision=precision).encode(texts, progress=False)
    assert rows.dtype == np.float32
    assert lowest_cosine(rows, expected) >= bound


def test_a_row_does_not_depend_on_its_company(embedder, sample, embeddings):
    texts = [a["extract"] for a in sample]
    for few in (slice(0, 1), slice(5, 8), slice(100, 400, 7)):
        np.testing.assert_array_equal(embedder.encode(texts[few], progress=False), embeddings[few])


def test_a_row_does_not_depend_on_threads(model_folder, embedder, sample, embeddings):
    one = km.Embedder(model_folder, threads=1)
    np.testing.assert_array_equal(one.encode([a["extract"] for a in sample[:50]], progress=False), embeddings[:50])


def test_precisions_stay_close_to_float32(model_folder, embedder, sample, embeddings):
    texts = [a["extract"] for a in sample[:60]]
    full = km.Embedder(model_folder, precision="float32").encode(texts, progress=False)
    for rows, bound in ((embeddings[:60], 0.999),
                        (km.Embedder(model_folder, precision="bfloat16").encode(texts, progress=False), 0.9998),
                        (km.Embedder(model_folder, precision="int8").encode(texts, progress=False), 0.995)):
        assert (full * rows).sum(axis=1).min() >= bound
    eight = km.Embedder(model_folder, precision="int8")
    assert eight.precision == "int8" and "int8 products" in eight.fingerprint
    assert eight.fingerprint != km.Embedder(model_folder, precision="bfloat16").fingerprint


def test_properties_and_report(embedder, sample):
    embedder.encode([a["extract"] for a in sample[:20]], progress=False)
    assert (embedder.dimension, embedder.max_seq_length, embedder.device) == (384, 256, "cpu")
    assert embedder.precision in ("float32", "bfloat16", "int8")
    report = embedder.report
    assert report.precision == embedder.precision and report.precision_reason
    assert (report.texts, report.backoffs) == (20, 0)
    assert report.tokens == sum(map(len, embedder.tokenize([a["extract"] for a in sample[:20]])))
    assert report.batches > 0 and report.seconds > 0 and report.peak_bytes > 0


def test_the_package_that_ships_the_model_is_found():
    assert km.Embedder("all-MiniLM-L6-v2").dimension == 384
    assert km.Embedder("sentence-transformers/all-MiniLM-L6-v2").dimension == 384


def test_store_keeps_rows_and_resumes(model_folder, sample, embeddings, tmp_path):
    texts = [a["extract"] for a in sample]
    embedder = km.Embedder(model_folder)
    with pytest.raises(KeyboardInterrupt):
        def interrupt(stage, done, total, unit):
            if done > 100:
                raise KeyboardInterrupt
        embedder.encode(texts, store=tmp_path / "s", progress=interrupt)
    np.testing.assert_array_equal(embedder.encode(texts, store=tmp_path / "s", progress=False), embeddings)
    assert embedder.encode(texts, store=tmp_path / "s", progress=False).shape == embeddings.shape
    assert (embedder.resume.rows_kept, embedder.resume.rows_computed) == (len(texts), 0)

    changed = [*texts, "A new text at the end."]
    changed[3] = "Another text in the middle."
    rows = embedder.encode(changed, store=tmp_path / "s", progress=False)
    np.testing.assert_array_equal(rows, embedder.encode(changed, progress=False))
    assert embedder.resume.rows_dropped > 0

    fewer = embedder.encode(texts[:50], store=tmp_path / "s", progress=False)
    np.testing.assert_array_equal(fewer, embeddings[:50])


def test_a_store_of_other_options_is_refused_by_name(model_folder, sample, tmp_path):
    texts = [a["extract"] for a in sample[:5]]
    km.Embedder(model_folder, precision="float32").encode(texts, store=tmp_path / "s", progress=False)
    other = km.Embedder(model_folder, precision="float32", max_seq_length=100)
    with pytest.raises(km.CheckpointError, match=r"max_seq_length.*256.*100"):
        other.encode(texts, store=tmp_path / "s", progress=False)


def test_wrong_input(embedder):
    with pytest.raises(TypeError, match="single"):
        embedder.encode("one text")
    with pytest.raises(TypeError, match="text 1 is of type int"):
        embedder.encode(["a", 7], progress=False)
    with pytest.raises(TypeError, match="NoneType"):
        embedder.encode([None], progress=False)
    assert embedder.encode([], progress=False).shape == (0, 384)
    assert np.isfinite(embedder.encode(["", " ", "\x00\x01"], progress=False)).all()


def test_a_text_of_fifty_megabytes(embedder):
    long = "The quick brown fox jumps over the lazy dog. " * 1_200_000
    assert len(long) > 50_000_000
    row = embedder.encode([long], progress=False)
    np.testing.assert_array_equal(row, embedder.encode([long[:5000]], progress=False))


def test_wrong_models_and_options(model_folder, tmp_path):
    with pytest.raises(km.ModelError, match="there is no folder"):
        km.Embedder(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(km.ModelError, match="is a file"):
        km.Embedder(tmp_path / "file")
    with pytest.raises(km.ModelError, match=r"has no (config\.json|model\.safetensors)"):
        km.Embedder(tmp_path)
    with pytest.raises(ValueError, match="tpu"):
        km.Embedder(model_folder, device="tpu")
    with pytest.raises(ValueError, match="int3"):
        km.Embedder(model_folder, precision="int3")
    with pytest.raises(ValueError, match="max_seq_length"):
        km.Embedder(model_folder, max_seq_length=0)


def test_a_model_folder_cut_short(model_folder, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(model_folder, cut)
    weights = cut / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    with pytest.raises(km.ModelError, match="cut short"):
        km.Embedder(cut)
    shutil.copy(model_folder / "model.safetensors", weights)
    text = (model_folder / "tokenizer.json").read_text(encoding="utf-8")
    (cut / "tokenizer.json").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(km.TokenizerError):
        km.Embedder(cut)


MODULES = Path(__file__).parents[1] / "reference" / "modules"


@pytest.mark.parametrize("name", ["all_poolings", "dense_prompts", "static"])
def test_modules_are_sentence_transformers(name):
    """Poolings, Dense, LayerNorm, Normalize, prompts, truncation: against what that library gave (modules_make.py)."""
    expected = json.loads((MODULES / name / "expected.json").read_text())
    embedder = km.Embedder(MODULES / name, precision="float32")
    for call in expected["calls"]:
        options = call["options"]
        rows = embedder.encode(expected["texts"], progress=False, prompt=options.get("prompt"),
                               prompt_name=options.get("prompt_name"), truncate_dim=options.get("truncate_dim"),
                               normalize=options.get("normalize_embeddings", False))
        np.testing.assert_allclose(rows, np.array(call["vectors"]), atol=2e-5, err_msg=str(options))


def test_outputs_in_fewer_bytes_and_by_token():
    embedder = km.Embedder(MODULES / "all_poolings", precision="float32")
    texts = json.loads((MODULES / "all_poolings" / "expected.json").read_text())["texts"]
    rows = embedder.encode(texts, progress=False)
    low, step = rows.min(0), (rows.max(0) - rows.min(0)) / 255
    steps = np.clip((rows - low) / step, 0, 255)
    np.testing.assert_array_equal(embedder.encode(texts, output="uint8", progress=False), steps.astype(np.uint8))
    np.testing.assert_array_equal(embedder.encode(texts, output="int8", progress=False), (steps - 128).astype(np.int8))
    bits = np.packbits(rows > 0, axis=1)
    np.testing.assert_array_equal(embedder.encode(texts, output="ubinary", progress=False), bits)
    np.testing.assert_array_equal(embedder.encode(texts, output="binary", progress=False),
                                  (bits.astype(np.int16) - 128).astype(np.int8))
    tokens = embedder.encode(texts, output="tokens", progress=False)
    assert [len(t) for t in tokens] == [len(ids) for ids in embedder.tokenize(texts)]
    with pytest.raises(ValueError, match="float8"):
        embedder.encode(texts, output="float8", progress=False)


def test_info_tells_what_memory_a_model_needs(capsys):
    assert cli.main(["info", "--model", str(MODULES / "dense_prompts"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["peak"] >= plan["held"] > 0 and not plan["streamed"] and plan["batch_tokens"] > 0


def test_a_plan_is_for_the_texts_in_hand(model_folder, sample):
    embedder = km.Embedder(model_folder, precision="float32")
    texts = [a["extract"] for a in sample[:50]]
    some, one, any_texts = embedder.plan(texts), embedder.plan(["word"]), embedder.plan()
    assert one.activations < some.activations <= any_texts.activations
    assert some.lasting - one.lasting >= 49 * embedder.dimension * 4  # rows given back
    embedder.encode(texts, progress=False)
    report = embedder.report
    # Other tests' memory is held too, and may serve again: the bar itself is in tests/bench/memory_plan.py.
    assert report.planned_peak_bytes == pytest.approx(report.peak_bytes, rel=0.15)
