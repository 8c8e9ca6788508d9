"""Read a checkpoint that torch saved, by `unpickle` and without torch: its tensors become arrays of NumPy.

Both forms of a file are known: the zip with one entry for each storage, and the older one, a row of
pickles with the storages behind them. NumPy has no bfloat16, so those become the floats that they are.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from tagline.experts.pickles.unpickle import Function, Kind, Record, Refused, plain_keys, shown, unpickle

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what the older form begins with
BFLOAT16 = np.dtype("V2")  # the upper half of a float32, as it lies in the file
DTYPES = {
    "Float": np.dtype("float32"), "Double": np.dtype("float64"), "Half": np.dtype("float16"),
    "BFloat16": BFLOAT16, "Long": np.dtype("int64"), "Int": np.dtype("int32"), "Short": np.dtype("int16"),
    "Char": np.dtype("int8"), "Byte": np.dtype("uint8"), "Bool": np.dtype("bool"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of numbers that tensors are cut from."""

    numbers: np.ndarray  # [count]


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
    kinds: dict[str, np.dtype] = {}

    def storage(saved: Any) -> Any:
        nonlocal room
        if type(saved) is tuple and saved[0] == "module" and type(saved[1]) is Kind:
            return saved[1]  # with the source of its class, which is not looked at
        key, dtype, count = _place(saved)
        if key not in held:
            room -= count * dtype.itemsize
            if room < 0:
                raise Refused("says that it holds more than it is large")
            held[key] = Storage(np.zeros(count, np.float32 if dtype == BFLOAT16 else dtype))
            kinds[key] = dtype
        return held[key]

    found = unpickle(file, names, storage)
    keys = unpickle(file, {})
    if type(keys) is not list or sorted(map(str, keys)) != sorted(held):
        raise Refused("lists other storages than it uses")
    for key in keys:
        numbers = held[key].numbers
        length = numbers.size * kinds[key].itemsize
        (count,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
        raw = file.read(length)
        if count != numbers.size or len(raw) != length:
            raise Refused("has a storage of another length than it says")
        numbers[:] = _numbers(raw, kinds[key])
    return found


def _place(saved: Any) -> tuple[str, np.dtype, int]:
    """Key, kind of number and count out of a storage's id: ("storage", kind, key, device, count)."""
    if type(saved) is not tuple or len(saved) not in (5, 6) or saved[0] != "storage" or saved[5:] > (None,):
        raise Refused("refers to something outside of itself that is no storage")
    dtype, key, count = saved[1], saved[2], saved[4]
    if not isinstance(dtype, np.dtype) or type(key) is not str or type(count) is not int or count < 0:
        raise Refused("describes a storage in a way that no reader knows")
    return key, dtype, count


def _numbers(raw: bytes, dtype: np.dtype) -> np.ndarray:
    if dtype == BFLOAT16:
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(bytearray(raw), dtype)


# What stands for torch's own functions


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """A window onto a storage that stays inside of it."""
    whole = [offset, *size, *stride]
    if type(storage) is not Storage or not all(type(number) is int and number >= 0 for number in whole):
        raise Refused("describes a tensor in a way that no reader knows")
    if len(size) != len(stride) or len(size) > 16:
        raise Refused("describes a tensor in a way that no reader knows")
    count, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        count, last = count * length, last + max(length - 1, 0) * step
    numbers = storage.numbers
    room = numbers.size
    if count > room or (count and last >= room) or offset > room or max(whole, default=0) >= 1 << 62:
        raise Refused("has a tensor that goes beyond its storage")
    if not count:
        return numbers[:0].reshape(size)
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps)


def _parameter(data: Any, *_: Any) -> np.ndarray:
    if not isinstance(data, np.ndarray):
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
    **{f"torch.{dtype}": dtype for dtype in DTYPES.values() if dtype != BFLOAT16},
    "torch.bfloat16": BFLOAT16,
}
