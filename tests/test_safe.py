"""What may be loaded: headers of tensors, pickles in any clothes, settings that name code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tagline.experts.weights import check


def write(path: Path, header: Any, data: bytes, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def tensor(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def test_what_the_library_writes_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.zeros((0, 4), np.int64),
        "scalar": np.array(1.5),
        "half": np.ones(3, np.float16),
        "flag": np.array([True]),
    }
    save_file(arrays, path, metadata={"format": "np"})
    header = check.check_safetensors(path)
    assert {name: tuple(facts["shape"]) for name, facts in header.items()} == {
        name: array.shape for name, array in arrays.items()
    }


def test_headers_of_every_length_are_let_through(tmp_path: Path) -> None:
    """The first byte of a file is the lowest of its header's length, which means nothing by itself."""
    path = tmp_path / "x.safetensors"
    for length in range(90, 90 + 256):
        header = json.dumps({"a": tensor(0, 4)}).encode().ljust(length)
        assert check.check_safetensors(write(path, header, b"1234"))


HOSTILE: dict[str, tuple[Any, bytes, int | None]] = {
    "giant header": ({}, b"", 1 << 60),
    "header longer than the file": ({}, b"xx", 500),
    "header of a hundred megabytes": (b"{" + b" " * (17 << 20) + b"}", b"", None),
    "no header": (b"", b"", 0),
    "not JSON": (b"hello there", b"", None),
    "not UTF-8": (b"\xff\xfe{}", b"", None),
    "a list": ([], b"", None),
    "nested until the reader breaks": (b"[" * 200_000, b"", None),
    "a tensor named twice": (b'{"a":' + json.dumps(tensor(0, 1)).encode() + b',"a":1}', b"x", None),
    "overlap": ({"a": tensor(0, 4), "b": tensor(2, 6)}, b"123456", None),
    "hole": ({"a": tensor(0, 2), "b": tensor(4, 6)}, b"123456", None),
    "past the end": ({"a": tensor(0, 10)}, b"123456", None),
    "bytes left over": ({"a": tensor(0, 4)}, b"123456", None),
    "negative": ({"a": tensor(-4, 0)}, b"", None),
    "shape says more than the bytes": ({"a": tensor(0, 4, [1 << 40])}, b"1234", None),
    "unknown kind of number": ({"a": tensor(0, 4, dtype="PICKLE")}, b"1234", None),
    "offsets that are no numbers": (
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [True, "1"]}},
        b"1",
        None,
    ),
    "metadata that is no text": ({"__metadata__": {"a": {"b": 1}}, "a": tensor(0, 1)}, b"1", None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(check.UnsafeWeights, match=r"x\.safetensors"):
        check.check_safetensors(write(tmp_path / "x.safetensors", *HOSTILE[case]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_let_through_the_library_reads_alike(tmp_path: Path, data: st.DataObject) -> None:
    """The other reader as an oracle: on damaged files, what we accept it accepts, with the same tensors."""
    path = tmp_path / "x.safetensors"
    save_file({"a": np.arange(4, dtype=np.int32), "b": np.ones((2, 2), np.float32)}, path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        header = check.check_safetensors(path)
    except check.UnsafeWeights:
        return
    with contextlib.suppress(SafetensorError), safe_open(path, "np") as file:  # it may be stricter still
        assert set(file.keys()) == set(header)
        for name in header:
            assert list(file.get_slice(name).get_shape()) == header[name]["shape"]


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/should-never-exist",)


def pickled() -> bytes:
    return pickle.dumps(Bomb())


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", pickled())
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["x.pt", "x.PTH", "x.pyth", "x.bin", "x.pkl", "x.ckpt", "x.npy", "x.joblib"])
def test_a_pickle_is_refused_by_its_name_and_let_through_when_a_person_says_so(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(pickled())
    with pytest.raises(check.UnsafeWeights, match="--allow-pickle"):
        check.check_path(path)
    check.check_path(path, allow_pickle=True)


@pytest.mark.parametrize("content", [pickled(), zipped()], ids=["pickle", "zip"])
@pytest.mark.parametrize("name", ["weights", "weights.dat", "weights.safetensors"])
def test_a_pickle_in_other_clothes_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(check.UnsafeWeights, match="pickle"):
        check.check_path(path)


def test_nothing_makes_a_pickle_a_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(pickled())
    with pytest.raises(check.UnsafeWeights):
        check.check_path(path, allow_pickle=True)


def test_a_file_that_is_safetensors_and_zip_at_once_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    hidden = zipped()
    # Inside the last tensor: the header is true to the byte, and zip readers look at the end.
    write(path, {"a": tensor(0, len(hidden))}, hidden)
    with pytest.raises(check.UnsafeWeights, match="zip"):
        check.check_safetensors(path)
    write(path, {"a": tensor(0, 4)}, b"1234" + hidden)
    with pytest.raises(check.UnsafeWeights, match="no tensor claims"):
        check.check_safetensors(path)


def test_a_folder_is_judged_by_all_that_could_be_loaded_from_it(tmp_path: Path) -> None:
    with pytest.raises(check.UnsafeWeights, match=r"no \.safetensors"):
        check.check_path(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(zipped())
    with pytest.raises(check.UnsafeWeights, match="--allow-pickle"):
        check.check_path(tmp_path)
    save_file({"a": np.zeros(1)}, tmp_path / "model.safetensors")
    check.check_path(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit", "auto_map": {"AutoModel": "x.Y"}}')
    with pytest.raises(check.UnsafeWeights, match="auto_map"):
        check.check_path(tmp_path)


def test_programs_and_pipes_are_no_weights(tmp_path: Path) -> None:
    code = tmp_path / "model.py"
    code.write_text("print()")
    with pytest.raises(check.UnsafeWeights, match="program"):
        check.check_path(code)
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    with pytest.raises(check.UnsafeWeights, match="plain file"):
        check.check_path(pipe)


TRUE_SETTINGS: dict[str, dict[str, Any]] = {
    "vit": {
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": 768,
        "id2label": {"0": "tench"}, "label2id": {"tench": 0}, "image_size": 224, "qkv_bias": True,
    },
    "open_clip": {
        "model_cfg": {"embed_dim": 512, "vision_cfg": {"layers": 12}, "text_cfg": {"heads": 8}},
        "preprocess_cfg": {"mean": [0.5], "std": [0.5]},
    },
    "tokenizer": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512},
    "processor": {"image_mean": [0.5], "image_std": [0.5], "size": 224, "do_resize": True, "resample": 2},
}  # fmt: skip


@pytest.mark.parametrize("kind", TRUE_SETTINGS)
def test_settings_as_published_are_let_through_and_any_other_key_is_not(kind: str) -> None:
    config = TRUE_SETTINGS[kind]
    check.check_config(config, where="config.json")
    for key in (
        "auto_map",
        "trust_remote_code",
        "_attn_implementation_internal",
        "tokenizer_kwargs",
        "novelty",
    ):
        with pytest.raises(check.UnsafeWeights, match=key):
            check.check_config({**config, key: "x"}, where="config.json")


@pytest.mark.parametrize("inner", ["text_config", "vision_config"])
def test_settings_inside_settings_count_as_well(inner: str) -> None:
    config = {"model_type": "clip", inner: {"hidden_size": 4}}
    check.check_config(config, where="config.json")
    for key in ("auto_map", "novelty"):
        with pytest.raises(check.UnsafeWeights, match=key):
            check.check_config({"model_type": "clip", inner: {key: 1}}, where="config.json")


def test_what_transformers_itself_writes_is_let_through(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for config in (
        transformers.ViTConfig(id2label={0: "a", 1: "b"}),
        transformers.BertConfig(),
        transformers.CLIPConfig(),
        transformers.ConvNextConfig(),
        transformers.SwinConfig(),
        transformers.ResNetConfig(),
    ):
        config.save_pretrained(tmp_path)
        check.read_config(tmp_path / "config.json")
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    check.read_config(tmp_path / "preprocessor_config.json")


def test_settings_of_our_own_are_held_to_the_list_that_the_caller_knows() -> None:
    check.check_config({"format": "x", "names": ["a"]}, where="c", allowed={"format", "names"})
    with pytest.raises(check.UnsafeWeights, match="other"):
        check.check_config({"format": "x", "other": 1}, where="c", allowed={"format", "names"})
    with pytest.raises(check.UnsafeWeights, match="trust_remote_code"):
        check.check_config({"deep": [{"down": {"trust_remote_code": True}}]}, where="c")


def test_a_sentence_model_may_be_made_of_known_parts_only(tmp_path: Path) -> None:
    path = tmp_path / "modules.json"
    good = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    path.write_text(json.dumps(good))
    check.read_config(path)
    for change in (
        {"type": "os.system"},
        {"type": "sentence_transformers.models.CLIPModel"},
        {"path": "../x"},
    ):
        path.write_text(json.dumps([{**good[0], **change}]))
        with pytest.raises(check.UnsafeWeights):
            check.read_config(path)


def test_settings_that_no_reader_should_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text in ("{", '{"a": 1, "a": 2}', "3", "[" * 100_000, '{"a":' * 30 + "1" + "}" * 30):
        path.write_text(text)
        with pytest.raises(check.UnsafeWeights, match=r"config\.json"):
            check.read_config(path)
