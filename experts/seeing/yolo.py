"""Detectors of the YOLO family, and the only file that imports ultralytics.

ultralytics is under AGPL-3.0, and so are weights trained with it. Therefore it is an extra
(`tagline[yolo]`), never part of the base install, and `tagline models list` prints the licence.

A folder of weights, written by `save_yolo`, read by `load_yolo`, without any pickle:

    config.json         {"format": "tagline-yolo", "yaml": {...}, "names": [...], "imgsz": 640}
    model.safetensors   the state dict of the DetectionModel before fusing, float32 or float16

`yaml` is the architecture in ultralytics' own form (nc, scale, scales, backbone, head); `names` are
the classes in the order of the model's outputs; `imgsz` is the longer side that it was trained at.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from experts import devices
from experts.footage import Pictures
from experts.stock import digest

if TYPE_CHECKING:
    import torch

FORMAT = "tagline-yolo"

# What an architecture may say and which layers it may name. ultralytics evaluates some other keys as
# Python, and some other layers fetch weights.
_KEYS = """
nc scale scales depth_multiple width_multiple backbone head reg_max end2end ch channels
"""
_LAYERS = """
A2C2f AConv ADown Bottleneck BottleneckCSP C1 C2 C2f C2fCIB C2fPSA C2PSA C3 C3Ghost C3k2 C3x CBFuse
CBLinear Concat Conv ConvTranspose Detect DWConv DWConvTranspose2d ELAN1 Focus GhostBottleneck GhostConv
Index PSA RepC3 RepConv RepNCSPELAN4 SCDown SPP SPPELAN SPPF nn.ConvTranspose2d nn.Identity nn.Upsample
v10Detect
"""
KEYS = frozenset(_KEYS.split())
LAYERS = frozenset(_LAYERS.split())
WORD = re.compile(r"[A-Za-z0-9_]{1,20}")


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
        folder = digest.cache_home() / "ultralytics"
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
    yaml = {key: value for key, value in model.yaml.items() if key in KEYS}
    yaml["nc"] = len(ordered)
    check_yaml(yaml)
    kind = torch.float16 if half else torch.float32
    state = {
        key: (value.to(kind) if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
    }
    config = {"format": FORMAT, "yaml": yaml, "names": ordered, "imgsz": imgsz or _trained_at(model)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return folder


def load_yolo(folder: Path) -> tuple[Any, list[str], int]:
    """Read what `save_yolo` wrote: the DetectionModel in float32, its classes, its image size."""
    from safetensors.torch import load_file

    config = read_config(folder)
    model = build_yolo(config["yaml"], len(config["names"]))
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    model.float()
    return model, list(config["names"]), int(config["imgsz"])


def read_config(folder: Path) -> dict[str, Any]:
    """The checked config.json of a detector's folder. Raises WrongArchitecture."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongArchitecture(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise WrongArchitecture(f"{path} is not a detector's; it should say format {FORMAT!r}")
    names, size = config.get("names"), config.get("imgsz")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise WrongArchitecture(f"{path} names no classes")
    if not isinstance(size, int) or not 32 <= size <= 4096:
        raise WrongArchitecture(f"{path} gives no image size between 32 and 4096")
    check_yaml(config.get("yaml"))
    return config


def check_yaml(yaml: Any) -> None:
    """Let through only keys, layers and arguments that build layers and do nothing else."""
    if not isinstance(yaml, Mapping):
        raise WrongArchitecture("a detector's architecture should be a table")
    for key in yaml:
        if key not in KEYS:
            raise WrongArchitecture(f"a detector's architecture may not say {key!r}")
    for layer in [*yaml.get("backbone", ()), *yaml.get("head", ())]:
        if not isinstance(layer, list | tuple) or len(layer) != 4:
            raise WrongArchitecture(f"a layer should be [from, repeats, name, arguments], not {layer!r}")
        if layer[2] not in LAYERS:
            raise WrongArchitecture(f"a detector's architecture may not name the layer {layer[2]!r}")
        if not all(_harmless(value) for value in _flat(layer[3])):
            raise WrongArchitecture(f"the layer {layer[2]} has arguments that no detector needs")


def _unpickle(checkpoint: Path) -> tuple[Any, int]:
    ultralytics()
    from ultralytics.nn.tasks import load_checkpoint

    model, _ = load_checkpoint(str(checkpoint))
    return model, _trained_at(model)


def _trained_at(model: Any) -> int:
    """The image size that a model remembers from its training, or ultralytics' usual one."""
    args = getattr(model, "args", None) or {}
    size = args.get("imgsz") if isinstance(args, dict) else getattr(args, "imgsz", None)
    return int(max(size) if isinstance(size, list | tuple) else size or 640)


class Detector:
    """A detector at work: frames of many videos in, boxes out. Knows nothing of tags."""

    def __init__(self, model: Any, names: Sequence[str], imgsz: int, device: str) -> None:
        # Folding the batch norms into the convolutions first is how ultralytics predicts, too.
        self.model = devices.settle(model.eval().fuse(verbose=False), device)
        self.names = list(names)
        self.imgsz = imgsz
        self.device = device
        self.stride = int(max(model.stride))

    @classmethod
    def open(cls, path: Path, device: str, *, imgsz: int | None = None) -> Detector:
        """From a folder of `save_yolo`, its model.safetensors, or a pickle that the caller has allowed."""
        ultralytics()
        if path.suffix == ".pt":
            model, size = _unpickle(path)
            names = [model.names[i] for i in range(len(model.names))]
        else:
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

        with devices.computing(self.device):
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

    def shares(self, boxes: npt.NDArray[np.float32], frame: tuple[int, int]) -> npt.NDArray[np.float32]:
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
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def _flat(values: Any) -> Iterable[Any]:
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
