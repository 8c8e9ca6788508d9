"""Detectors of the YOLO family, and the only file that imports ultralytics.

ultralytics is under AGPL-3.0, and so are weights trained with it. Therefore it is an extra
(`tagline[yolo]`), never part of the base install, and `tagline models list` prints the licence.

A folder of weights, written by `save_yolo`, read by `load_yolo`, without any pickle:

    config.json         {"format": "tagline-yolo", "yaml": {...}, "names": [...], "imgsz": 640}
    model.safetensors   the state dict of the DetectionModel before fusing, float32 or float16

`yaml` is the architecture in ultralytics' own form (nc, scale, scales, backbone, head); `names` are
the classes in the order of the model's outputs; `imgsz` is the longer side that it was trained at.
`activations`, where it is there, names the activations that differ from what ultralytics builds today
from that architecture: {"model.9.cv1.act": "SiLU"}. It changed its mind about some layers.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.experts import devices, storage
from tagline.experts.footage import Pictures

if TYPE_CHECKING:
    import torch

    from tagline.experts.vision.pickled import Pickled

FORMAT = "tagline-yolo"

# What an architecture may say and which layers it may name. ultralytics evaluates some other keys as
# Python, and some other layers fetch weights.
_ARCHITECTURE_KEYS = """
nc scale scales depth_multiple width_multiple backbone head reg_max end2end ch channels
"""
_LAYERS = """
A2C2f AConv ADown Bottleneck BottleneckCSP C1 C2 C2f C2fCIB C2fPSA C2PSA C3 C3Ghost C3k2 C3x CBFuse
CBLinear Concat Conv ConvTranspose Detect DWConv DWConvTranspose2d ELAN1 Focus GhostBottleneck GhostConv
Index PSA RepC3 RepConv RepNCSPELAN4 SCDown SPP SPPELAN SPPF nn.ConvTranspose2d nn.Identity nn.Upsample
v10Detect
"""
ARCHITECTURE_KEYS = frozenset(_ARCHITECTURE_KEYS.split())
LAYERS = frozenset(_LAYERS.split())
TEXTS = frozenset(("None", "True", "False", "nc", "nearest", "bilinear", "bicubic"))
SCALE = re.compile(r"[A-Za-z0-9_]{0,20}")
ACTIVATIONS = frozenset(("Hardswish", "Identity", "Mish", "ReLU", "ReLU6", "SiLU", "Sigmoid"))
LAYERS_MOST, REPEATS_MOST, NUMBER_MOST = 500, 100, 1 << 16


class WrongArchitecture(ValueError):
    """A config.json that describes no detector we would build. The message is one sentence."""


@cache
def ultralytics() -> Any:
    """The library, kept off the network: no telemetry, no update check, no installing by itself."""
    os.environ["YOLO_OFFLINE"] = "True"
    os.environ["YOLO_AUTOINSTALL"] = "False"
    os.environ.setdefault("YOLO_VERBOSE", "False")
    first = "ultralytics" not in sys.modules
    if first:
        # Its own settings file, so that the user's stays as it is.
        folder = storage.cache_home() / "ultralytics"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["YOLO_CONFIG_DIR"] = str(folder)
    import ultralytics
    from PIL import Image
    from ultralytics import utils
    from ultralytics.utils import patches
    from ultralytics.utils.events import events

    if first and utils.SETTINGS["sync"]:
        utils.SETTINGS.update({"sync": False})
    # For a program that had imported it before us.
    events.enabled = False
    utils.AUTOINSTALL = utils.checks.AUTOINSTALL = False
    # Its way to open pictures wants to install a decoder for whatever is none, and fails in words of its own.
    Image.open = getattr(patches, "_image_open", Image.open)
    return ultralytics


def build_yolo(yaml: Mapping[str, Any] | str, classes: int | None = None) -> Any:
    """A DetectionModel with random weights, from a table or by ultralytics' name ("yolo11n.yaml")."""
    ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    if isinstance(yaml, str):
        return DetectionModel(yaml, nc=classes, verbose=False)
    check_yaml(yaml)
    return DetectionModel(json.loads(json.dumps(yaml)), ch=yaml.get("channels", 3), nc=classes, verbose=False)


def save_yolo(
    model: Any,
    folder: Path,
    *,
    names: Sequence[str] | None = None,
    imgsz: int | None = None,
    half: bool = False,
) -> Path:
    """Write a detector as a folder that `load_yolo` reads. Returns the folder.

    model: a DetectionModel or a `YOLO` around one, not fused; names: its classes, else the model's own;
    imgsz: the longer side it was trained at, else what the model remembers of its training.
    """
    import torch
    from safetensors.torch import save_file

    if not hasattr(model, "yaml") and hasattr(model, "model"):
        model = model.model
    if model.is_fused():
        raise ValueError("a fused detector cannot be saved; save it before it is used to predict")
    known = model.names if names is None else names
    ordered = [known[i] for i in range(len(known))]
    built = build_yolo(_architecture(model.yaml, len(ordered)), len(ordered))
    config = {
        "format": FORMAT,
        "yaml": _architecture(model.yaml, len(ordered)),
        "names": ordered,
        "imgsz": imgsz or _trained_at(model),
        **_other_activations({place: type(layer).__name__ for place, layer in _places(model).items()}, built),
    }
    kind = torch.float16 if half else torch.float32
    state = {
        key: (value.to(kind) if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return folder


def config_of(pickled: Pickled) -> dict[str, Any]:
    """The config.json of a pickled detector, built and compared with it. Raises WrongArchitecture."""
    yaml = _architecture(pickled.yaml, len(pickled.names))
    config = {"format": FORMAT, "yaml": yaml, "names": pickled.names, "imgsz": pickled.imgsz}
    check_config(config, "it")
    model = build_yolo(yaml, len(pickled.names))
    config.update(_other_activations(pickled.layers, model))
    layers = _places(model)
    for place, numbers in pickled.numbers.items():
        for key, value in numbers.items():
            built = getattr(layers.get(place), key, None)
            if value != (list(built) if isinstance(built, tuple) else built):
                raise WrongArchitecture(f"its layer {place} is not what ultralytics builds today ({key})")
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if wanted != {key: tuple(value.shape) for key, value in pickled.tensors.items()}:
        raise WrongArchitecture("its tensors do not fit its architecture, or it is fused")
    return config


def load_yolo(folder: Path) -> tuple[Any, list[str], int]:
    """Read what `save_yolo` wrote: the DetectionModel in float32, its classes, its image size."""
    from safetensors.torch import load_file

    config = read_yolo_config(folder)
    model = build_yolo(config["yaml"], len(config["names"]))
    _change_activations(model, config.get("activations", {}))
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    model.float()
    return model, list(config["names"]), int(config["imgsz"])


def read_yolo_config(folder: Path) -> dict[str, Any]:
    """The checked config.json of a detector's folder. Raises WrongArchitecture."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongArchitecture(f"{path} cannot be read as JSON ({error})") from error
    check_config(config, str(path))
    return config


def check_config(config: Any, where: str) -> None:
    """Let through what describes a detector and nothing else. Raises WrongArchitecture."""
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise WrongArchitecture(f"{where} is not a detector's; it should say format {FORMAT!r}")
    names, size = config.get("names"), config.get("imgsz")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise WrongArchitecture(f"{where} names no classes")
    if type(size) is not int or not 32 <= size <= 4096:
        raise WrongArchitecture(f"{where} gives no image size between 32 and 4096")
    activations = config.get("activations", {})
    if not isinstance(activations, dict) or not ACTIVATIONS.issuperset(map(str, activations.values())):
        raise WrongArchitecture(f"{where} names activations that no detector has")
    check_yaml(config.get("yaml"))


def check_yaml(yaml: Any) -> None:
    """Let through only keys, layers and arguments that build layers and do nothing else."""
    if not isinstance(yaml, Mapping):
        raise WrongArchitecture("a detector's architecture should be a table")
    for key, value in yaml.items():
        if key not in ARCHITECTURE_KEYS:
            raise WrongArchitecture(f"a detector's architecture may not say {key!r}")
        if key not in ("backbone", "head") and not _is_setting(key, value):
            raise WrongArchitecture(f"a detector's architecture may not set {key} to {value!r:.80}")
    layers = [*_list(yaml.get("backbone")), *_list(yaml.get("head"))]
    if len(layers) > LAYERS_MOST:
        raise WrongArchitecture(f"a detector has no more than {LAYERS_MOST} layers")
    for layer in layers:
        if not isinstance(layer, list | tuple) or len(layer) != 4:
            raise WrongArchitecture(f"a layer should be [from, repeats, name, arguments], not {layer!r:.80}")
        if not isinstance(layer[2], str) or layer[2] not in LAYERS:
            raise WrongArchitecture(f"a detector's architecture may not name the layer {layer[2]!r:.80}")
        if not all(type(place) is int and abs(place) <= LAYERS_MOST for place in _flat(layer[0])):
            raise WrongArchitecture(f"the layer {layer[2]} should come from layers by their numbers")
        if type(layer[1]) is not int or not 1 <= layer[1] <= REPEATS_MOST:
            raise WrongArchitecture(f"the layer {layer[2]} should be repeated 1 to {REPEATS_MOST} times")
        if not all(_harmless(value) for value in _flat(layer[3])):
            raise WrongArchitecture(f"the layer {layer[2]} has arguments that no detector needs")


def _architecture(yaml: Any, classes: int) -> dict[str, Any]:
    """What `check_yaml` lets through of a model's own table; ultralytics adds more when it builds one."""
    if not isinstance(yaml, Mapping):
        raise WrongArchitecture("a detector's architecture should be a table")
    kept = {**{key: value for key, value in yaml.items() if key in ARCHITECTURE_KEYS}, "nc": classes}
    check_yaml(kept)
    return kept


def _other_activations(layers: Mapping[str, str], model: Any) -> dict[str, dict[str, str]]:
    """`activations` for config.json: where a model has other ones than the one that was built.

    layers: the class of each of its layers by place. Any other difference is refused, as it would
    compute something else.
    """
    built = {place: type(layer).__name__ for place, layer in _places(model).items()}
    # The model and layers without numbers may have had other names.
    same = {"": built[""], **{place: "Identity" for place, name in layers.items() if name == "Silence"}}
    layers = {**layers, **same}
    other = {place: name for place, name in layers.items() if built.get(place) != name}
    for place, name in other.items():
        if not {name, built.get(place)} <= ACTIVATIONS:
            raise WrongArchitecture(
                f"its layer {place:.80} is {name} and not {built.get(place)}, as it is built today"
            )
    if missing := built.keys() - layers.keys():
        raise WrongArchitecture(f"its layer {min(missing)} is missing")
    return {"activations": other} if other else {}


def _places(model: Any) -> dict[str, Any]:
    """Every layer by its place. One activation serves many layers, so a layer may have many places."""
    return dict(model.named_modules(remove_duplicate=False))


def _change_activations(model: Any, activations: Mapping[str, str]) -> None:
    from torch import nn

    layers = _places(model)
    for place, name in activations.items():
        if type(layers.get(place)).__name__ not in ACTIVATIONS:
            raise WrongArchitecture(f"a detector's architecture has no activation at {place!r:.80}")
        above, _, last = place.rpartition(".")
        setattr(layers[above], last, getattr(nn, name)())


def _trained_at(model: Any) -> int:
    """The image size that a model remembers from its training, or ultralytics' usual one."""
    args = getattr(model, "args", None) or {}
    size = args.get("imgsz") if isinstance(args, dict) else getattr(args, "imgsz", None)
    return int(max(size) if isinstance(size, list | tuple) else size or 640)


class Detector:
    """A detector at work: frames of many videos in, boxes out. Knows nothing of tags."""

    def __init__(self, model: Any, names: Sequence[str], imgsz: int, device: str) -> None:
        # Folding the batch norms into the convolutions first is how ultralytics predicts, too.
        self.model = devices.prepare_model(model.eval().fuse(verbose=False), device)
        self.names = list(names)
        self.imgsz = imgsz
        self.device = device
        self.stride = int(max(model.stride))

    @classmethod
    def open(cls, path: Path, device: str, *, imgsz: int | None = None) -> Detector:
        """From a folder of `save_yolo`, or its model.safetensors."""
        ultralytics()
        model, names, size = load_yolo(path if path.is_dir() else path.parent)
        return cls(model, names, imgsz or size, device)

    def fit(self, frames: Pictures) -> torch.Tensor:
        """Scale and pad to the smallest rectangle the model takes: uint8 [T, H, W, 3] to [T, 3, h, w].

        The shape depends on the frames' own shape alone, so a video's boxes do not depend on its company.
        """
        import torch
        from ultralytics.data.augment import LetterBox

        box = LetterBox((self.imgsz, self.imgsz), auto=True, stride=self.stride)
        fitted = np.stack([np.asarray(box(image=frame)) for frame in frames])
        return torch.from_numpy(fitted).permute(0, 3, 1, 2)

    def detect(
        self, pictures: torch.Tensor, confidence: float, overlap: float
    ) -> list[npt.NDArray[np.float32]]:
        """For each fitted picture its boxes: float32 [n, 6]: left, top, right, bottom, score, class.

        Coordinates are pixels of the fitted picture. pictures: uint8 [N, 3, h, w].
        """
        # Where torchvision is not imported yet, ultralytics sorts boxes out in Python, ten times slower.
        import torchvision  # noqa: F401
        from ultralytics.utils.nms import non_max_suppression

        with devices.inference(self.device):
            found = self.model(pictures.to(self.device).float().div_(255))
            kept = non_max_suppression(
                found,
                confidence,
                overlap,
                nc=len(self.names),
                end2end=bool(getattr(self.model, "end2end", False)),
                # Its time limit drops pictures silently; a slow machine must not lose findings.
                max_time_img=60.0,
            )
        return [boxes.float().cpu().numpy() for boxes in kept]

    def relative_boxes(
        self, boxes: npt.NDArray[np.float32], frame: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Boxes of a fitted picture as x, y, width, height in shares of the frame. frame: height, width."""
        height, width = frame
        scale = min(self.imgsz / height, self.imgsz / width)
        inner = max(round(width * scale), 1), max(round(height * scale), 1)
        pad = [((self.imgsz - side) % self.stride) / 2 for side in inner]
        left, top = (round(side - 0.1) for side in pad)
        corners = (boxes[:, :4] - [left, top, left, top]) / [inner[0], inner[1], inner[0], inner[1]]
        corners = corners.clip(0.0, 1.0)
        corners[:, 2:] -= corners[:, :2]
        return corners.astype(np.float32)


def _harmless(value: Any) -> bool:
    return value is None or _is_number(value) or (isinstance(value, str) and value in TEXTS)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float) and math.isfinite(value) and abs(value) <= NUMBER_MOST


def _is_setting(key: str, value: Any) -> bool:
    if key == "scale":
        return value is None or (isinstance(value, str) and bool(SCALE.fullmatch(value)))
    if key == "scales":
        return isinstance(value, Mapping) and all(
            isinstance(name, str)
            and SCALE.fullmatch(name)
            and len(_list(of)) == 3
            and all(map(_is_number, of))
            for name, of in value.items()
        )
    return value is None or _is_number(value)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple | None):
        raise WrongArchitecture(f"a detector's architecture should have a list in the place of {value!r:.80}")
    return value or ()


def _flat(values: Any) -> Iterable[Any]:
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
