"""ONNX models in memory, written by hand: nodes and numpy tensors become the bytes of a ModelProto.

A graph of convolutions needs a dozen fields of ONNX's protocol buffers, so no library writes them. The
numbers of the fields are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = Sequence[int | str]  # a name stands for a length that is open, such as how many pictures

IR_VERSION, OPSET = 8, 13  # of 2021: every ONNX Runtime and OpenVINO of today reads them
FLOAT, UINT8, INT64 = 1, 2, 7  # TensorProto.DataType
_TYPES = {"float32": FLOAT, "uint8": UINT8, "int64": INT64}


class Graph:
    """A network being written. `add` gives the name of a node's output, for the next node to take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output. Attributes are whole numbers, lists of them, or words."""
        output = f"{operation.lower()}_{len(self.nodes)}"
        parts = [_bytes(1, name) for name in inputs]
        parts += [_bytes(2, output), _bytes(4, operation)]
        parts += [_bytes(5, _attribute(name, value)) for name, value in attributes.items()]
        self.nodes.append(b"".join(parts))
        return output

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """A tensor of weights."""
        array = np.ascontiguousarray(values)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        parts = [_number(1, length) for length in array.shape]
        parts += [_number(2, _TYPES[array.dtype.name]), _bytes(8, name), _bytes(9, little.tobytes())]
        self.tensors.append(b"".join(parts))
        return name

    def model(self, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, tuple[int, Shape]]) -> bytes:
        """The whole model. inputs, outputs: name to (data type, shape)."""
        graph = _repeated(1, self.nodes) + _bytes(2, self.name) + _repeated(5, self.tensors)
        graph += _repeated(11, (_value(name, *what) for name, what in inputs.items()))
        graph += _repeated(12, (_value(name, *what) for name, what in outputs.items()))
        opset = _bytes(1, "") + _number(2, OPSET)
        return _number(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, opset)


def _attribute(name: str, value: Any) -> bytes:
    """An AttributeProto: a whole number (type 2), a word (3) or a list of whole numbers (7)."""
    if isinstance(value, int):
        return _bytes(1, name) + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return _bytes(1, name) + _bytes(4, value) + _number(20, 3)
    return _bytes(1, name) + b"".join(_number(8, item) for item in value) + _number(20, 7)


def _value(name: str, kind: int, shape: Shape) -> bytes:
    """A ValueInfoProto: what goes in or comes out."""
    sizes = (_bytes(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
    tensor = _number(1, kind) + _bytes(2, _repeated(1, sizes))
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def _repeated(field: int, items: Iterable[bytes]) -> bytes:
    return b"".join(_bytes(field, item) for item in items)


def _bytes(field: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
