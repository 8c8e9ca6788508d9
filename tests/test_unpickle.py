"""Pickles of tensors, read by a machine that calls nothing: as torch reads them, or not at all."""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tagline.experts.pickles.checkpoint import DTYPES, read_checkpoint
from tagline.experts.pickles.unpickle import Record, Refused, unpickle
from tagline.experts.vision.pickled import NAMES as YOLO
from tagline.experts.vision.pickled import plain, read_pickled

TORCH = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8,
    "Byte": torch.uint8, "Bool": torch.bool,
}  # fmt: skip


def saved(content: Any, *, old: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file


def in_zip(program: bytes, **entries: bytes) -> io.BytesIO:
    """A zip as torch saves it, around a pickle of one's own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": program, **entries}.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", content)
    return file


def same(one: Any, other: Any) -> None:
    if isinstance(other, torch.Tensor):
        # NumPy knows no bfloat16: those come as the floats that they are.
        other = (other.float() if other.dtype == torch.bfloat16 else other).detach().numpy()
        assert (type(one), one.dtype, one.shape) == (np.ndarray, other.dtype, other.shape)
        assert np.array_equal(one, other)
        return
    if isinstance(other, torch.dtype):
        assert str(other) == f"torch.{one}"
        return
    assert type(one) is type(other) or isinstance(other, collections.OrderedDict | torch.Size)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for inner, its in zip(one, other, strict=True):
            same(inner, its)
    else:
        assert one == other


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_a_checkpoint_is_read_as_torch_reads_it(old: bool) -> None:
    whole = torch.arange(60.0).reshape(3, 4, 5)
    layer = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    content = {
        "views": [whole, whole[1:, ::2, 1], whole.transpose(0, 2), whole[0, 0, 0]],
        "kinds": {kind: torch.tensor([1, 0, 3.14]).to(TORCH[kind]) for kind in DTYPES},
        "empty": (torch.empty(0, 4), torch.empty(0), torch.tensor(7)),
        "state": layer.state_dict(),
        "parameter": nn.Parameter(torch.rand(2, 2)),
        "plain": [None, True, -1, 1 << 40, 1 << 80, 2.5, float("inf"), "ä\n", b"\x00\xff"],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "size": whole.shape,
        "dtype": torch.float16,
        "set": {1, 2, "x"},
        7: {"deep": [{"er": [()]}]},
    }
    file = saved(content, old=old)
    found = read_checkpoint(file)
    file.seek(0)
    same(found, torch.load(file, weights_only=True))
    assert np.shares_memory(found["views"][0], found["views"][3])  # what shared numbers still does


def test_numbers_of_numpy_are_passed_over() -> None:
    assert type(read_checkpoint(saved({"fitness": np.float64(0.5)}))["fitness"]) is Record


class Reduced:
    """Pickled as whatever is wanted."""

    def __init__(self, *recipe: Any) -> None:
        self.recipe = recipe

    def __reduce__(self) -> tuple[Any, ...]:
        return self.recipe


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_objects_become_records_and_their_classes_are_never_called(old: bool) -> None:
    method = Reduced(getattr, (nn.Identity(), "forward"))
    found = read_checkpoint(saved({"layer": nn.Identity(), "method": method}, old=old), YOLO)
    assert (type(found["layer"]), found["layer"].kind) == (Record, "torch.nn.modules.linear.Identity")
    assert found["layer"].state["training"] is True
    assert type(found["method"]) is Record


PARAMETER = Reduced(torch._utils._rebuild_parameter, (torch.ones(1), 1, {}), (1,))
HOSTILE: dict[str, tuple[Any, str]] = {
    "a program": (Reduced(exec, ("open(MARK, 'w')",)), r"names \S*\.exec"),
    "a layer that is called": (Reduced(nn.Conv2d, (1, 1, 1)), "wants to call torch.nn.modules.conv.Conv2d"),
    "a layer called with nothing": (Reduced(nn.Identity, ()), "wants to call"),
    "a layer that is not listed": (nn.LSTM(1, 1), r"names torch\.nn\.modules\.rnn\.LSTM"),
    "numpy's reconstruct": (np.ones(3), r"names numpy\.\S*_reconstruct"),
    "a tensor's own state": (PARAMETER, "no layer"),
    "a tensor without an end": (
        Reduced(torch._utils._rebuild_tensor_v2, (torch.ones(1), 0, (1,), (1,), False, {})),
        "describes a tensor",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_plain_state_is_refused(case: str) -> None:
    content, says = HOSTILE[case]
    file = io.BytesIO()
    torch.save({"model": content}, file)
    with pytest.raises(Refused, match=says):
        read_checkpoint(file, YOLO)


IDENTITY = b"ctorch.nn.modules.linear\nIdentity\n"
RAW: dict[str, tuple[bytes, str]] = {
    "a layer made with arguments": (IDENTITY + b"K\x01\x85\x81.", "hands arguments to"),
    "a layer called with nothing": (IDENTITY + b")R.", "wants to call torch"),
    "what a method returns": (b"cbuiltins\ngetattr\n(NNtR)R.", "no function"),
    "an object of a function": (b"ccollections\nOrderedDict\n)\x81.", "no class"),
    "a function's own state": (b"ccollections\nOrderedDict\n}b.", "no layer"),
    "INST": (b"(itorch.nn.modules.linear\nIdentity\n.", "pickle's INST"),
    "OBJ": (b"(" + IDENTITY + b"o.", "pickle's OBJ"),
    "NEWOBJ_EX": (IDENTITY + b")}\x92.", "pickle's NEWOBJ_EX"),
    "EXT1": (b"\x82\x01.", "pickle's EXT1"),
    "PERSID": (b"Pstorage\n.", "pickle's PERSID"),
    "a buffer": (b"\x97.", "pickle's NEXT_BUFFER"),
    "a name with dots": (b"\x8c\x05torch\x8c\x10serialization.os\x93.", "names torch.serialization.os"),
    "a name that is no text": (b"K\x01K\x02\x93.", "names , which"),
    "a name that ends the line": (b"cos\x1b[31m\nsystem\n.", r"names os\?\[31m\.system"),
    "appending to a function": (b"ccollections\nOrderedDict\nK\x01a.", "damaged"),
    "keys that take for ever": (b"}))\x86N\x73.", "damaged"),
    "a stack that is empty": (b".", "damaged"),
    "what is not in the memo": (b"h\x07.", "damaged"),
    "a tuple of too few": (b"N\x87.", "damaged"),
    "no mark": (b"Nt.", "damaged"),
    "a text longer than the file": (b"\x8d" + (1 << 60).to_bytes(8, "little") + b"x.", "damaged"),
    "no end": (b"N", "damaged|ends early"),
    "nothing": (b"", "damaged|ends early"),
    "no pickle": (b"\xffhello", "damaged"),
    "changing a list": (b"]}b.", "no layer"),
    "something outside": (b"NQ.", "outside of itself"),
}  # fmt: skip


@pytest.mark.parametrize("case", RAW)
def test_every_other_operation_is_refused(case: str) -> None:
    program, says = RAW[case]
    with pytest.raises(Refused, match=says):
        read_checkpoint(in_zip(program), YOLO)


def place(kind: bytes = b"ctorch\nFloatStorage\n", count: int = 4, key: bytes = b"0") -> bytes:
    """The id of a storage, and the storage for it."""
    return b"(Vstorage\n" + kind + b"V" + key + b"\nVcpu\nI%d\ntQ" % count


def tensor(of: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    numbers = [b"(" + b"".join(b"L%dL\n" % n for n in row) + b"t" for row in (size, stride)]
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + of + b"I%d\n" % offset + b"".join(numbers) + b"I00\n}tR."


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (tensor(place(), 0, (5,), (1,)), "beyond its storage"),
        (tensor(place(), 1, (2, 2), (2, 1)), "beyond its storage"),
        (tensor(place(), -1, (2,), (1,)), "no reader knows"),
        (tensor(place(), 0, (2,), (-1,)), "no reader knows"),
        (tensor(place(), 0, (1 << 40,), (0,)), "beyond its storage"),
        (tensor(place(), 0, (0, 1 << 62), (1, 1)), "beyond its storage"),
        (tensor(place(), 0, (1,) * 20, (1,) * 20), "no reader knows"),
        (tensor(place(count=5), 0, (1,), (1,)), "another length"),
        (tensor(place(count=-1), 0, (1,), (1,)), "no reader knows"),
        (tensor(place(key=b"../0"), 0, (1,), (1,)), "holds no data"),
        (tensor(place(kind=b"N"), 0, (1,), (1,)), "no reader knows"),
        (tensor(b"N", 0, (1,), (1,)), "no reader knows"),
    ],
)
def test_a_tensor_stays_in_its_storage(program: bytes, says: str) -> None:
    good = tensor(place(), 0, (2, 2), (2, 1))
    assert np.array_equal(read_checkpoint(in_zip(good, data__0=bytes(16))), np.zeros((2, 2)))
    with pytest.raises(Refused, match=says):
        read_checkpoint(in_zip(program, data__0=bytes(16)))


def test_zips_that_torch_would_not_save() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"N." + bytes(1 << 20))
    for file, says in (
        (packed, "as torch saves it"),
        (in_zip(b"N.", byteorder=b"big"), "order of bytes"),
        (in_zip(b"N.", **{"constants.pkl": b"N."}), "TorchScript"),
        (in_zip(b"N.", **{"more__data.pkl": b"N."}), "not one that torch saves"),
        (io.BytesIO(b"PK\x03\x04" + bytes(100)), "damaged zip"),
    ):
        with pytest.raises(Refused, match=says):
            read_checkpoint(file)


def test_layers_without_end_have_one() -> None:
    """A thousand steps of doubling are a short file; whoever walks it must not walk all of it."""
    model = Record("ultralytics.nn.tasks.DetectionModel", {"names": ["a"]})
    model.state["_modules"] = {"again": model, "more": model}
    with pytest.raises(Refused, match="more layers"):
        read_pickled({"model": model})
    doubled: list[Any] = []
    for _ in range(1000):
        doubled = [doubled, doubled]
    with pytest.raises(Refused, match="larger than any"):
        plain(doubled)
    wide: list[Any] = [0] * 1000
    for _ in range(10):
        wide = [wide, wide, wide, wide]
    with pytest.raises(Refused, match="larger than any"):
        plain(wide)


@cache
def row() -> bytes:
    layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    return saved(
        {"model": layer, "args": {"a": [1, 2.0, None, (3,)]}, "names": {0: "a"}}, old=True
    ).getvalue()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(row()) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_pickle_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(row())
    for at, value in changes:
        raw[at] = value
    with contextlib.suppress(Refused):
        read_checkpoint(io.BytesIO(raw), YOLO)


def test_a_name_stands_for_what_the_list_says_and_nothing_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "surprise.py").write_text("open('touched', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refused, match="surprise"):
        unpickle(io.BytesIO(b"csurprise\nKind\n."), {})
    assert not (tmp_path / "touched").exists()
    assert pickle.loads(b"N.") is None
