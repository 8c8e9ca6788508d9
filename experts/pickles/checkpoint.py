"""Read a checkpoint that torch saved, by `unpickle` and without torch's own loader.

Both forms of a file are known: the zip with one entry for each storage, and the older one, a row of
pickles with the storages behind them.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from tagline.experts.pickles.unpickle import Function, Kind, Record, Refused, plain_keys, shown, unpickle

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what the older form begins with
DTYPES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8,
    "Byte": torch.uint8, "Bool": torch.bool,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of numbers that tensors are cut from."""

    numbers: torch.Tensor  # [count]


def read_checkpoint(file: BinaryIO, more: Mapping[str, Any] | None = None) -> Any:
    """What `torch.load` would return, with a `Record` for each object. Raises Refused.

    more: what names beyond torch's tensors stand for, as `unpickle` takes them.
    """
    names = {**NAMES, **(more or {})}
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return _read_zip(file, names) if start == b"PK\x03\x04" else _read_row(file, names)


def _read_zip(file: BinaryIO, names: Mapping[str, Any]) -> Any:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Refused("is a damaged zip; fetch it again") from error
    room = file.seek(0, os.SEEK_END)
    entries = {entry.filename: entry for entry in archive.infolist()}
    roots = [name.removesuffix("/data.pkl") for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1 or len(entries) != len(archive.infolist()):
        raise Refused("is a zip, but not one that torch saves")
    root = roots[0]
    if f"{root}/constants.pkl" in entries:
        raise Refused("is a TorchScript program, not weights")
    held: dict[str, Storage] = {}

    def content(name: str) -> bytes:
        nonlocal room
        entry = entries.get(f"{root}/{name}")
        if entry is None or entry.compress_type != zipfile.ZIP_STORED:
            raise Refused(f"holds no {shown(name)} as torch saves it")
        room -= entry.file_size  # entries that share bytes would make much out of little
        if room < 0:
            raise Refused("says that it holds more than it is large")
        try:
            return archive.read(entry)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
            raise Refused("is a damaged zip; fetch it again") from error

    def storage(saved: Any) -> Any:
        key, dtype, count = _place(saved)
        if key not in held:
            raw = content(f"data/{key}")
            if len(raw) != count * dtype.itemsize:
                raise Refused("has a storage of another length than it says")
            held[key] = Storage(_numbers(raw, dtype))
        return held[key]

    if f"{root}/byteorder" in entries and content("byteorder") != b"little":
        raise Refused("was saved on a machine with another order of bytes")
    return unpickle(io.BytesIO(content("data.pkl")), names, storage)


def _read_row(file: BinaryIO, names: Mapping[str, Any]) -> Any:
    """The older form: magic number, version, machine, content, keys of the storages, storages."""
    if unpickle(file, {}) != MAGIC or unpickle(file, {}) != PROTOCOL:
        raise Refused("is a pickle, but not one that torch saves")
    machine = unpickle(file, {})
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise Refused("was saved on a machine with another order of bytes")
    at = file.tell()
    room = file.seek(0, os.SEEK_END) - at
    file.seek(at)
    held: dict[str, Storage] = {}

    def storage(saved: Any) -> Any:
        nonlocal room
        if type(saved) is tuple and saved[0] == "module" and type(saved[1]) is Kind:
            return saved[1]  # with the source of its class, which is not looked at
        key, dtype, count = _place(saved)
        if key not in held:
            room -= count * dtype.itemsize
            if room < 0:
                raise Refused("says that it holds more than it is large")
            held[key] = Storage(torch.zeros(count, dtype=dtype))
        return held[key]

    found = unpickle(file, names, storage)
    keys = unpickle(file, {})
    if type(keys) is not list or sorted(map(str, keys)) != sorted(held):
        raise Refused("lists other storages than it uses")
    for key in keys:
        numbers = held[key].numbers
        (count,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
        raw = file.read(numbers.numel() * numbers.element_size())
        if count != numbers.numel() or len(raw) != numbers.numel() * numbers.element_size():
            raise Refused("has a storage of another length than it says")
        numbers.copy_(_numbers(raw, numbers.dtype))
    return found


def _place(saved: Any) -> tuple[str, torch.dtype, int]:
    """Key, kind of number and count out of a storage's id: ("storage", kind, key, device, count)."""
    if type(saved) is not tuple or len(saved) not in (5, 6) or saved[0] != "storage" or saved[5:] > (None,):
        raise Refused("refers to something outside of itself that is no storage")
    dtype, key, count = saved[1], saved[2], saved[4]
    if not isinstance(dtype, torch.dtype) or type(key) is not str or type(count) is not int or count < 0:
        raise Refused("describes a storage in a way that no reader knows")
    return key, dtype, count


def _numbers(raw: bytes, dtype: torch.dtype) -> torch.Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)


# What stands for torch's own functions


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """A window onto a storage that stays inside of it."""
    whole = [offset, *size, *stride]
    if type(storage) is not Storage or not all(type(number) is int and number >= 0 for number in whole):
        raise Refused("describes a tensor in a way that no reader knows")
    if len(size) != len(stride) or len(size) > 16:
        raise Refused("describes a tensor in a way that no reader knows")
    count, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        count, last = count * length, last + max(length - 1, 0) * step
    room = storage.numbers.numel()
    if count > room or (count and last >= room) or offset > room or max(whole, default=0) >= 1 << 62:
        raise Refused("has a tensor that goes beyond its storage")
    return storage.numbers.as_strided(size, stride, offset) if count else storage.numbers[:0].reshape(size)


def _parameter(data: Any, *_: Any) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise Refused("has a parameter that is no tensor")
    return data


def _table(pairs: Any = ()) -> dict[Any, Any]:
    return dict(zip(plain_keys([key for key, _ in pairs]), [value for _, value in pairs], strict=True))


def _encoded(text: Any, coding: Any) -> bytes:
    if type(text) is not str or coding not in ("latin1", "latin-1"):
        raise Refused("has a text in a coding that weights have no need of")
    return text.encode("latin-1")


def ignored(kind: str) -> Function:
    """Something that files hold and nobody here needs: whatever it is made of, a `Record` without state."""
    return Function(lambda *_: Record(kind))


NAMES: dict[str, Any] = {
    "collections.OrderedDict": Function(_table),
    "torch._utils._rebuild_tensor": Function(_tensor),
    "torch._utils._rebuild_tensor_v2": Function(_tensor),
    "torch._utils._rebuild_parameter": Function(_parameter),
    "torch._utils._rebuild_parameter_with_state": Function(_parameter),
    "torch.Size": Function(lambda numbers=(): tuple(numbers)),
    "torch.device": Function(
        lambda *parts: ":".join(str(part) for part in parts if type(part) in (str, int))
    ),
    "_codecs.encode": Function(_encoded),
    **{
        f"{module}.set": Function(lambda items=(): set(plain_keys(list(items))))
        for module in ("builtins", "__builtin__")
    },
    # Single numbers of NumPy, which training leaves among its figures.
    "numpy.dtype": ignored("numpy.dtype"),
    "numpy.core.multiarray.scalar": ignored("a number of NumPy"),
    "numpy._core.multiarray.scalar": ignored("a number of NumPy"),
    **{f"torch.{name}Storage": dtype for name, dtype in DTYPES.items()},
    **{f"torch.cuda.{name}Storage": dtype for name, dtype in DTYPES.items()},
    **{str(dtype): dtype for dtype in DTYPES.values()},
}
