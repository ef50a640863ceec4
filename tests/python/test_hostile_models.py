"""Models as damaged, mistaken or hostile files make them: an error that names the file and the way out, no worse."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

import knowmap as km

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
HTML = b"<!DOCTYPE html>\n<html><body>404</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 90868376\n"
ZIP = b"PK\x03\x04" + bytes(60)


@pytest.fixture
def model(tmp_path) -> Path:
    """A model of three modules that loads, for a test to damage."""
    folder = tmp_path / "model"
    shutil.copytree(REFERENCE / "modules" / "dense_prompts", folder)
    return folder


def said(model: Path, *parts: str, kind: type[km.Error] = km.ModelError) -> str:
    """The message of the error that loading the model ends in, which holds the parts."""
    with pytest.raises(kind) as caught:
        km.Embedder(model)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


def tensors(file: Path) -> tuple[dict, bytes]:
    raw = file.read_bytes()
    size, = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + size]), raw[8 + size:]


def write_tensors(file: Path, header: dict | bytes, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_it_loads_as_it_is(model):
    assert km.Embedder(model).encode(["a b"], progress=False).shape[0] == 1


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "model.safetensors",
                                  "1_Pooling/config.json", "3_Dense/config.json", "3_Dense/model.safetensors",
                                  "config_sentence_transformers.json", "sentence_bert_config.json"])
@pytest.mark.parametrize(("content", "hint"), [(b"", "empty"), (HTML, "HTML"), (LFS, "git lfs pull"), (ZIP, "pickle"),
                                               ("{}".encode("utf-16"), "UTF-8"), ("{}".encode("utf-16-be"), "UTF-8"),
                                               (b"\x1f\x8b\x08", "gzip")],
                         ids=["empty", "html", "lfs", "zip", "utf16", "utf16-be", "gzip"])
def test_another_file_in_its_place_is_recognised(model, name, content, hint):
    (model / name).write_bytes(content)
    said(model, str(model / name), hint, kind=km.TokenizerError if name == "tokenizer.json" else km.ModelError)


def test_a_byte_order_mark_of_utf_8_is_read_over(model):
    expected = km.Embedder(model).encode(["a b c"], progress=False)
    for name in ("config.json", "modules.json", "tokenizer.json"):
        (model / name).write_bytes(b"\xef\xbb\xbf" + (model / name).read_bytes())
    assert (km.Embedder(model).encode(["a b c"], progress=False) == expected).all()


@pytest.mark.parametrize(("patch", "part"), [
    ({"num_attention_heads": 5}, "no multiple of num_attention_heads 5"),
    ({"num_attention_heads": 0}, "'num_attention_heads' is 0, outside 1"),
    ({"hidden_size": -12}, "'hidden_size' is -12, outside"),
    ({"hidden_size": 10**12}, "'hidden_size' is 1000000000000, outside"),
    ({"hidden_size": 2**64 - 1}, "'hidden_size' is 18446744073709551615, outside"),
    ({"hidden_size": "12"}, "'hidden_size' is \"12\", not a whole number"),
    ({"hidden_size": 12.5}, "'hidden_size' is 12.5, not a whole number"),
    ({"hidden_size": None}, "lacks 'hidden_size'"),
    ({"num_hidden_layers": 10**12}, "'num_hidden_layers' is 1000000000000, outside"),
    ({"num_hidden_layers": 4096}, "has no tensor"),
    ({"num_hidden_layers": []}, "'num_hidden_layers' is [], not a whole number"),
    ({"vocab_size": 2**26}, "(17, 12), config.json beside it asks for (67108864, 12)"),
    ({"intermediate_size": 2**20}, "config.json beside it asks for (1048576, 12)"),
    ({"max_position_embeddings": 2**24}, "config.json beside it asks for (16777216, 12)"),
    ({"max_position_embeddings": -1}, "'max_position_embeddings' is -1, outside"),
    ({"layer_norm_eps": "small"}, "'layer_norm_eps' is \"small\", no number"),
    ({"type_vocab_size": 2**16}, "config.json beside it asks for (65536, 12)"),
    ({"model_type": 7}, "'model_type' is 7, not a string"),
    ({"model_type": "t5"}, "'t5' is not supported; known are 'bert'"),
    ({"hidden_act": "sine"}, "'hidden_act' 'sine' is not supported; gelu"),
], ids=str)
def test_configs_that_lie_are_refused(model, patch, part):
    config = json.loads((model / "config.json").read_text()) | patch
    (model / "config.json").write_text(json.dumps(config))
    said(model, str(model), part)


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                                 "vocab_size", "max_position_embeddings", "model_type"])
def test_a_size_that_is_missing_is_named(model, key):
    config = json.loads((model / "config.json").read_text())
    del config[key]
    (model / "config.json").write_text(json.dumps(config))
    said(model, str(model / "config.json"), key)


def test_headers_of_weights_that_lie_are_refused(model):
    file = model / "model.safetensors"
    header, data = tensors(file)
    name = next(n for n in header if n != "__metadata__")

    def with_tensor(**patch) -> str:
        write_tensors(file, header | {name: header[name] | patch}, data)
        return said(model, str(file), name)

    begin, end = header[name]["data_offsets"]
    assert "cut short" in with_tensor(data_offsets=[begin + 2**40, end + 2**40])
    assert "shape and type need" in with_tensor(data_offsets=[begin, 2**63])
    assert "overflows" in with_tensor(shape=[2**40, 2**40])
    assert "whole number" in with_tensor(shape=[-1])
    assert "float32, float16 and bfloat16" in with_tensor(dtype="I16")
    assert "unknown type 'Q4'" in with_tensor(dtype="Q4")
    assert "shape" in with_tensor(shape=[*header[name]["shape"][::-1], 1])

    both = [n for n in header if n != "__metadata__" and header[n]["shape"] == [12]][:2]
    write_tensors(file, header | {both[0]: header[both[1]]}, data)
    said(model, str(file), "overlap or leave a gap")
    text = json.dumps(header)
    write_tensors(file, (text[:-1] + f', "{name}": {json.dumps(header[name])}}}').encode(), data)
    said(model, str(file), f"names '{name}' twice")
    write_tensors(file, {n: t for n, t in header.items() if n != name}, data)
    said(model, str(file))
    file.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    said(model, str(file), "no safetensors file")
    file.write_bytes(struct.pack("<Q", 90_000_000) + b"{}")
    said(model, str(file), "cut short", "fetch the model again")
    write_tensors(file, b"[" * 100_000, b"")
    said(model, str(file), "too deep")


def test_weights_cut_at_any_length_are_refused(model):
    file = model / "model.safetensors"
    whole = file.read_bytes()
    size, = struct.unpack("<Q", whole[:8])
    for length in [*range(0, 64), *range(64, size + 8, 97), size + 7, size + 8, size + 9, len(whole) - 1]:
        file.write_bytes(whole[:length])
        said(model, str(file))
    file.write_bytes(whole + b"\0")
    said(model, "belong to none")


def shard(model: Path) -> tuple[Path, dict]:
    """Cuts the model's weights into two files with an index: its path and what it holds."""
    header, data = tensors(model / "model.safetensors")
    names = [n for n in header if n != "__metadata__"]
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file, at, made, held = f"model-{number}-of-2.safetensors", 0, {}, b""
        for name in part:
            begin, end = header[name]["data_offsets"]
            made[name] = header[name] | {"data_offsets": [at, at + end - begin]}
            held += data[begin:end]
            at += end - begin
            weight_map[name] = file
        write_tensors(model / file, made, held)
    (model / "model.safetensors").unlink()
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index, weight_map


def test_an_index_leads_to_files_beside_it_only(model, tmp_path):
    expected = km.Embedder(model).encode(["a b c"], progress=False)
    index, weight_map = shard(model)
    assert (km.Embedder(model).encode(["a b c"], progress=False) == expected).all()

    name, good = next(iter(weight_map.items()))
    outside = tmp_path / "outside.safetensors"
    shutil.copy(model / good, outside)
    for bad in ("../outside.safetensors", str(outside), "sub/../../outside.safetensors", "..", "", "x.bin",
                ".hidden.safetensors", "..\\outside.safetensors", "a\0.safetensors", 7, None, ["x.safetensors"]):
        index.write_text(json.dumps({"weight_map": weight_map | {name: bad}}))
        said(model, str(index), name)
    index.write_text(json.dumps({"weight_map": weight_map | {name: "model-9-of-2.safetensors"}}))
    said(model, str(index), "names 'model-9-of-2.safetensors', which is not beside it")
    for nothing in ({}, {"weight_map": {}}, {"weight_map": []}, []):
        index.write_text(json.dumps(nothing))
        said(model, str(index))
    index.write_text(json.dumps({"weight_map": weight_map}))
    shutil.copy(model / "model-1-of-2.safetensors", model / "model-2-of-2.safetensors")
    said(model, "is in two files")


def test_links_are_followed_as_a_hubs_cache_is_made_of_them(model, tmp_path):
    expected = km.Embedder(model).encode(["a b c"], progress=False)
    shard(model)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for file in model.glob("*.safetensors"):
        file.rename(blobs / file.name)
        file.symlink_to(Path("..") / "blobs" / file.name)
    assert (km.Embedder(model).encode(["a b c"], progress=False) == expected).all()
    next(blobs.iterdir()).unlink()
    said(model, "which is not beside it")


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt", "model.ckpt", "pytorch_model-00001-of-2.bin"])
def test_pickles_are_refused_by_name_with_the_way_out(model, pickled):
    (model / "model.safetensors").rename(model / pickled)
    said(model, pickled, "run code", "safetensors")


def test_pickled_weights_of_a_module_are_refused_too(model):
    (model / "3_Dense" / "model.safetensors").rename(model / "3_Dense" / "pytorch_model.bin")
    said(model, "3_Dense", "pytorch_model.bin", "run code")


@pytest.mark.parametrize(("modules", "part"), [
    ({}, "not a JSON list"), ([], "no Pooling"), ([7], "not a JSON object"), ([{"path": ""}], "lacks its type"),
    ([{"type": "x.Transformer", "path": "../x"}], "leads out"),
    ([{"type": "x.Transformer", "path": 7}], "'path' is 7, not a string"),
    ([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "/etc"}], "leads out"),
    ([{"type": "x.Transformer", "path": ""}, {"type": "x.CNN", "path": "1"}], "'x.CNN' is not supported"),
], ids=str)
def test_modules_that_lie_are_refused(model, modules, part):
    (model / "modules.json").write_text(json.dumps(modules))
    said(model, "modules.json" if "modules.json" in said(model) else str(model), part)


def test_a_tokenizer_of_another_model_is_found_out_before_memory_is_read(model):
    file = json.loads((model / "tokenizer.json").read_text())
    file["model"]["vocab"] |= {"z": 16_000_000}
    (model / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(km.ModelError, match="do not belong together"):
        km.Embedder(model).encode(["a z"], progress=False)


def test_a_tokenizer_cut_at_every_byte_is_refused(model):
    file = model / "tokenizer.json"
    whole = file.read_bytes()
    for length in range(len(whole.rstrip())):
        with pytest.raises(km.TokenizerError):
            km.Tokenizer.from_json(whole[:length].decode())
    file.write_bytes(whole[:1000])
    said(model, str(file), "cut short", kind=km.TokenizerError)
