"""A YOLO checkpoint as ultralytics pickles it: which classes it may name, and what is read from its layers.

The layers come as records (`pickles/unpickle.py`), never as modules. Only their tensors, their names and
a few numbers are read; hooks, methods and whatever else the file hangs onto them are not looked at. The
detector is then built by `vision/yolo.py` from its architecture, and has to be the same layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagline.experts.pickles.checkpoint import ignored
from tagline.experts.pickles.unpickle import Kind, Record, Refused, shown

# The layers of the detectors that ultralytics has published, by module; at first all of its own lay in one.
_CONV = "Concat Conv ConvTranspose DWConv DWConvTranspose2d Focus GhostConv Index RepConv"
_BLOCK = """
A2C2f AAttn ABlock AConv ADown Attention Bottleneck BottleneckCSP C1 C2 C2PSA C2f C2fCIB C2fPSA C3 C3Ghost
C3k C3k2 C3x CBFuse CBLinear CIB DFL ELAN1 GhostBottleneck PSA PSABlock RepBottleneck RepC3 RepCSP
RepNCSPELAN4 RepVGGDW SCDown SPP SPPELAN SPPF Silence
"""
_HEAD = "Detect v10Detect"
_LAYERS = {
    "ultralytics.nn.modules.conv": _CONV,
    "ultralytics.nn.modules.block": _BLOCK,
    "ultralytics.nn.modules.head": _HEAD,
    "ultralytics.nn.modules": f"{_CONV} {_BLOCK} {_HEAD}",
    "torch.nn.modules.activation": "Hardswish Mish ReLU ReLU6 SiLU Sigmoid",
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.container": "ModuleList Sequential",
    "torch.nn.modules.conv": "Conv2d ConvTranspose2d",
    "torch.nn.modules.linear": "Identity",
    "torch.nn.modules.pooling": "MaxPool2d",
    "torch.nn.modules.upsampling": "Upsample",
}
_MODELS = ("ultralytics.nn.tasks.DetectionModel", "ultralytics.nn.tasks.YOLOv10DetectionModel")
# What training leaves beside the layers.
_LEAVINGS = {
    "ultralytics.utils": "IterableSimpleNamespace",
    "ultralytics.yolo.utils": "IterableSimpleNamespace",
    "ultralytics.utils.loss": "BboxLoss DFLoss E2EDetectLoss E2ELoss v10DetectLoss v8DetectionLoss",
    "ultralytics.utils.tal": "TaskAlignedAssigner",
    "torch.nn.modules.loss": "BCEWithLogitsLoss",
}
NAMES: dict[str, Any] = {
    **{
        f"{module}.{name}": Kind(f"{module}.{name}")
        for table in (_LAYERS, _LEAVINGS)
        for module, names in table.items()
        for name in names.split()
    },
    **{name: Kind(name) for name in _MODELS},
    # A method kept as an attribute, and the paths among the settings of the training.
    **{f"{module}.getattr": ignored("a method") for module in ("builtins", "__builtin__")},
    **{f"pathlib.{kind}Path": ignored("a path") for kind in ("Posix", "Windows", "PurePosix", "PureWindows")},
}

# Numbers of torch's layers that change what they compute and are in no tensor.
NUMBERS = {
    "BatchNorm2d": ("eps",),
    "Conv2d": ("kernel_size", "stride", "padding", "dilation", "groups"),
    "ConvTranspose2d": ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups"),
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "Upsample": ("size", "scale_factor", "mode", "align_corners"),
}
LAYERS_MOST, DEPTH_MOST, VALUES_MOST, NAMES_MOST = 20_000, 16, 20_000, 20_000


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a detector is, as its checkpoint says."""

    yaml: Any  # plain, not yet checked
    names: list[str]
    imgsz: int
    tensors: dict[str, np.ndarray]  # as its state dict names them
    layers: dict[str, str]  # the class of each layer, by its place: {"model.0.act": "SiLU"}
    numbers: dict[str, dict[str, Any]]  # of torch's layers, by their place


def read_pickled(content: Any) -> Pickled:
    """The averaged model of an ultralytics checkpoint if there is one, else the model. Raises Refused."""
    model = (content.get("ema") or content.get("model")) if type(content) is dict else None
    if type(model) is not Record or model.kind not in _MODELS or type(model.state) is not dict:
        raise Refused("holds no detector of ultralytics")
    tensors: dict[str, np.ndarray] = {}
    layers: dict[str, str] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for place, layer in _walk(model):
        kind = layers[place] = layer.kind.rpartition(".")[2]
        numbers[place] = {key: plain(layer.state.get(key)) for key in NUMBERS.get(kind, ())}
        prefix = f"{place}." if place else ""
        passing = layer.state.get("_non_persistent_buffers_set") or ()
        for table in ("_parameters", "_buffers"):
            for key, tensor in _table(layer, table).items():
                if isinstance(tensor, np.ndarray) and not (table == "_buffers" and key in passing):
                    tensors[prefix + key] = tensor
    state = model.state
    return Pickled(
        plain(state.get("yaml")), _names(state.get("names")), _size(content, state), tensors, layers, numbers
    )


def plain(value: Any) -> Any:
    """A copy that is nothing but numbers, texts, lists and tables, and not large."""
    budget = VALUES_MOST

    def copy(value: Any, depth: int) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0 or depth > DEPTH_MOST:
            raise Refused("has an architecture that is larger than any detector's")
        if type(value) in (list, tuple):
            return [copy(inner, depth + 1) for inner in value]
        if type(value) is dict:
            return {copy(key, depth + 1): copy(inner, depth + 1) for key, inner in value.items()}
        if value is None or type(value) in (bool, int, float) or (type(value) is str and len(value) <= 200):
            return value
        raise Refused("has an architecture with something in it that is neither number nor text")

    return copy(value, 0)


def _walk(model: Record) -> Iterator[tuple[str, Record]]:
    """Every layer with its place. A layer that contains itself has an end, too."""
    waiting, count = [("", model)], 0
    while waiting:
        place, layer = waiting.pop()
        count += 1
        if count > LAYERS_MOST or place.count(".") > DEPTH_MOST:
            raise Refused("has more layers than any detector")
        yield place, layer
        for key, inner in _table(layer, "_modules").items():
            if type(inner) is Record and type(inner.state) is dict:
                waiting.append((f"{place}.{key}" if place else key, inner))
            elif inner is not None:
                raise Refused("has a layer without a state")


def _table(layer: Record, name: str) -> dict[str, Any]:
    found = layer.state.get(name, {})
    if type(found) is not dict or not all(type(key) is str and len(key) <= 100 for key in found):
        raise Refused(f"has a layer of the kind {shown(layer.kind)} without {name}")
    return found


def _names(found: Any) -> list[str]:
    """The classes in the order of the outputs, from {0: "person", …} or a list."""
    if type(found) is dict:
        found = [found.get(i) for i in range(len(found))]
    if type(found) is not list or not 1 <= len(found) <= NAMES_MOST:
        raise Refused("does not name its classes")
    if not all(type(name) is str and len(name) <= 200 for name in found):
        raise Refused("does not name its classes by texts")
    return found


def _size(content: dict[Any, Any], state: dict[Any, Any]) -> int:
    """The longer side it was trained at, or ultralytics' usual one."""
    for args in (content.get("train_args"), state.get("args")):
        args = args.state if type(args) is Record else args
        size = plain(args.get("imgsz")) if type(args) is dict else None
        sides = [side for side in (size if type(size) is list else [size]) if type(side) is int]
        if sides:
            return max(sides)
    return 640
