"""Checks before anything is loaded: tensors that are only tensors, settings that only set.

Nothing here runs or unpickles what it looks at; a file is judged by its name, its header and its end.
"""

from __future__ import annotations

import json
import math
import struct
import tomllib
import zipfile
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

# Loading one of these runs whatever its maker wrote into it.
PICKLES = frozenset((".pt", ".pth", ".pyth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy"))
CODE = frozenset((".py", ".pyc", ".so", ".dll", ".dylib", ".pyd"))

HEADER_MOST = 16 << 20  # bytes; the largest public checkpoints need about one
JSON_MOST = 64 << 20  # bytes; tokenizers are the largest
DEPTH_MOST = 12
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class UnsafeWeights(Exception):
    """A file that must not be loaded. The message is one sentence for people."""


def check_path(path: Path, *, allow_pickle: bool = False) -> None:
    """Judge a file, or everything in a folder that a loader could pick up. Raises Unsafe."""
    if not path.is_dir():
        check_file(path, allow_pickle=allow_pickle)
        return
    tensors = [found for found in path.rglob("*.safetensors") if found.is_file()]
    if not tensors and not allow_pickle:
        pickles = [found for found in path.rglob("*") if found.suffix.lower() in PICKLES]
        if pickles:
            check_file(pickles[0])
        raise UnsafeWeights(f"{path} holds no .safetensors file; name a folder or a file of weights")
    # Pickles beside safetensors are left alone: our loaders read the safetensors only.
    for file in tensors:
        check_safetensors(file)
    for file in path.rglob("*.json"):
        if file.name in SETTINGS_FILES and file.is_file():
            read_config(file)


def check_file(path: Path, *, allow_pickle: bool = False, pinned: bool = False) -> None:
    """Judge one file by its name and its bytes. Raises Unsafe.

    pinned: the table of weights has the whole sha256 of this file, which the caller compares. It is then the
    very file that was looked at when the line was written, so other formats than safetensors are let
    through (CTranslate2's model.bin, ONNX, dlib's .dat): none of those is a program or a pickle, whatever
    the name. Code never is, and settings are judged as everywhere.
    """
    if not path.is_file():
        raise UnsafeWeights(f"{path} is not a plain file, so it cannot be weights")
    kind = path.suffix.lower()
    if kind == ".safetensors":
        check_safetensors(path)
    elif kind in CODE:
        raise UnsafeWeights(f"{path} is a program, not weights; name a .safetensors file")
    elif kind in PICKLES or (kind != ".json" and _looks_like_pickle(_first_bytes(path))):
        if not allow_pickle and not (pinned and not _looks_like_pickle(_first_bytes(path))):
            raise UnsafeWeights(
                f"{path} is a pickle, which can run any program when it is loaded; "
                "convert it to .safetensors, or add `--allow-pickle` if you trust whoever made it"
            )
    elif path.name in SETTINGS_FILES:
        read_config(path)


def check_safetensors(path: Path) -> dict[str, Any]:
    """Read and judge the header of a safetensors file; returns {tensor name: {dtype, shape, data_offsets}}.

    Refuses a header that is too long or says anything twice, tensors that overlap, leave holes or go
    past the end, bytes after the last tensor, and files that another loader would take for a zip.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(HEADER_MOST, size - 8):
            # Asked only now: an honest length may begin with the same bytes as a pickle.
            if _looks_like_pickle(start):
                raise UnsafeWeights(
                    f"{path} is a pickle in the clothes of a .safetensors file; do not use it"
                )
            raise UnsafeWeights(f"{path} is not a safetensors file: its header of {length} bytes cannot be")
        raw = file.read(length)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_refuse_duplicate_keys)
    except (ValueError, RecursionError) as error:
        raise UnsafeWeights(
            f"{path} is not a safetensors file: its header cannot be read ({error})"
        ) from error
    if not isinstance(header, dict):
        raise UnsafeWeights(f"{path} is not a safetensors file: its header is no table")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnsafeWeights(f"{path} has metadata that is no table of texts; fetch the file again")
    _check_tensors(path, header, size - 8 - length)
    if zipfile.is_zipfile(path):
        raise UnsafeWeights(
            f"{path} is a zip as well as a safetensors file, as no honest file is; do not use it"
        )
    return header


def _check_tensors(path: Path, header: dict[str, Any], room: int) -> None:
    """The tensors must fill the bytes after the header: no hole, no overlap, nothing left over."""
    spans = []
    for name, facts in header.items():
        try:
            begin, end = facts["data_offsets"]
            shape, bits = facts["shape"], BITS[facts["dtype"]]
            numbers = [begin, end, *shape]
        except (KeyError, TypeError, ValueError) as error:
            raise UnsafeWeights(f"{path} describes the tensor {name!r} in a way no reader knows") from error
        if not all(type(number) is int and 0 <= number < 1 << 53 for number in numbers) or len(shape) > 16:
            raise UnsafeWeights(f"{path} gives the tensor {name!r} an impossible shape or place")
        if math.prod(shape) * bits != (end - begin) * 8:
            raise UnsafeWeights(f"{path} gives the tensor {name!r} another length than its shape needs")
        spans.append((begin, end, name))
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            raise UnsafeWeights(
                f"{path} has a hole or an overlap before the tensor {name!r}; fetch the file again"
            )
        at = end
    if at != room:
        what = "ends early" if at > room else f"has {room - at} bytes that no tensor claims"
        raise UnsafeWeights(f"{path} {what}; fetch the file again")


def read_config(path: Path, *, allowed: Collection[str] | None = None) -> dict[str, Any]:
    """Read a JSON file of settings and judge it by `check_config`. Raises Unsafe."""
    try:
        if path.stat().st_size > JSON_MOST:
            raise UnsafeWeights(f"{path} is too large to be settings; do not use it")
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_refuse_duplicate_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise UnsafeWeights(f"{path} cannot be read as JSON ({error}); fetch it again") from error
    if isinstance(found, list):  # modules.json of sentence-transformers
        _check_parts(found, path)
        return {"parts": found}
    check_config(found, where=str(path), allowed=allowed)
    return found


def check_config(config: Any, *, where: str, allowed: Collection[str] | None = None) -> None:
    """Let settings through only if every key is known and none can name code to run. Raises Unsafe.

    `allowed` are the keys that the caller knows; left out, the list is chosen by what kind of settings
    it is: of a transformers model (`model_type`), of open_clip (`model_cfg`), of a tokenizer or an
    image processor. Settings of no known kind are only searched for keys that name code.
    """
    if not isinstance(config, Mapping):
        raise UnsafeWeights(f"{where} is no table of settings; do not use it")
    _refuse_code(config, where, 0)
    known = allowed if allowed is not None else _known_keys(config)
    if known is not None:
        _only(config, known, where)


def _check_parts(parts: list[Any], path: Path) -> None:
    """The list of a sentence model's parts: each names a class to import and a folder to read."""
    for part in parts:
        kind, place = (
            (str(part.get(key, "")) for key in ("type", "path")) if isinstance(part, dict) else ("", "")
        )
        package, _, name = kind.rpartition(".")
        if not f"{package}.".startswith("sentence_transformers.") or name not in SENTENCE_PARTS:
            raise UnsafeWeights(f"{path} wants the class {kind!r}, which is not on the list of harmless ones")
        if place.startswith(("/", "\\")) or ".." in place:
            raise UnsafeWeights(f"{path} points out of its folder, to {place!r}; do not use it")


def _only(config: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key, value in config.items():
        if key not in known:
            raise UnsafeWeights(f"{where} has the setting {key!r}, which is not on the list of harmless ones")
        if key in INNER and isinstance(value, Mapping):
            _only(value, known, f"{where} ({key})")


def _known_keys(config: Mapping[str, Any]) -> Collection[str] | None:
    if "model_type" in config:
        return _keys("model")
    if "model_cfg" in config or "preprocess_cfg" in config:
        return _keys("open_clip")
    if "tokenizer_class" in config:
        return _keys("tokenizer")
    if "image_processor_type" in config or "feature_extractor_type" in config or "image_mean" in config:
        return _keys("processor")
    return None


def _refuse_code(value: Any, where: str, depth: int) -> None:
    if depth > DEPTH_MOST:
        raise UnsafeWeights(f"{where} is nested too deep for settings; do not use it")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _keys("names_code"):
                raise UnsafeWeights(
                    f"{where} has the setting {key!r}, which can make a library load foreign code"
                )
            _refuse_code(inner, where, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _refuse_code(inner, where, depth + 1)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _looks_like_pickle(start: bytes) -> bool:
    return start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05")


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers disagree on which of two equal keys counts, so what was checked may not be what is used."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


SETTINGS_FILES = frozenset(
    (
        "config.json",
        "open_clip_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer_config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "generation_config.json",
        "modules.json",
    )
)

# Tables inside settings whose keys are settings, too; the keys of other tables (class names) are data.
INNER = frozenset(("text_config", "vision_config", "model_cfg", "vision_cfg", "text_cfg", "preprocess_cfg"))

# What a sentence model may be made of: its modules.json names classes to import.
SENTENCE_PARTS = frozenset(("Transformer", "Pooling", "Normalize"))


@cache
def _keys(kind: str) -> frozenset[str]:
    lists = tomllib.loads(Path(__file__).with_name("settings_keys.toml").read_text(encoding="utf-8"))
    return frozenset(lists[kind].split())
