"""The motion expert: what is being done, by a video classifier over windows of frames (Kinetics-400).

A folder of weights, written by `save_motion`, read by `load_motion`:

    config.json         {"arch": "x3d_s", "arguments": {...}, "labels": [...],
                         "preparation": {"size": [182, 182], "scale": 182, "mean": [...], "std": [...]},
                         "window": {"length": 13, "step": 0.2}}
    model.safetensors   the state dict, float32 or float16

`arch` is a name of ARCHITECTURES: a builder of pytorchvideo's hub or of torchvision. `arguments` are
plain numbers for that builder ("model_num_class", "width_factor", "input_clip_length",
"input_crop_size", …; torchvision: "num_classes"). What is left out is as the architecture was published;
without `labels` a model of 400 classes knows Kinetics-400. A model may end in a softmax or in logits.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tagline.experts import devices
from tagline.experts.base import BaseExpert, labels
from tagline.experts.footage import Footage, Sampling, View, Windows
from tagline.experts.tags import Modality, Report, Sighting, to_spans
from tagline.experts.vision.frames import Preparation, batched, end_with_video, no_frames_note, top_classes
from tagline.experts.weights import check, registry

if TYPE_CHECKING:
    import torch

KINETICS = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
TORCHVISION = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))


@dataclass(frozen=True, slots=True)
class Window:
    """Which frames a model wants to see together."""

    length: int
    step: float  # seconds between neighbours


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a published model is built and what it was trained on. Sampling is at Kinetics' 30 fps."""

    library: str  # "pytorchvideo" or "torchvision"
    window: Window
    preparation: Preparation
    slow: int | None = None  # of SlowFast: one frame in so many goes the slow way


def _hub(length: int, every: int, side: int, slow: int | None = None) -> Architecture:
    """Of pytorchvideo's hub: the shorter side scaled, the middle square cut out."""
    prepared = Preparation((side, side), side, KINETICS[0], KINETICS[1], antialias=False)
    return Architecture("pytorchvideo", Window(length, every / 30), prepared, slow)


def _tv(length: int, every: int, scale: int | tuple[int, int], crop: int, stats: Any) -> Architecture:
    """Of torchvision, whose presets stretch to one size and cut to another."""
    prepared = Preparation((crop, crop), scale, stats[0], stats[1], antialias=False)
    return Architecture("torchvision", Window(length, every / 30), prepared)


ARCHITECTURES: dict[str, Architecture] = {
    "x3d_xs": _hub(4, 12, 182),
    "x3d_s": _hub(13, 6, 182),
    "x3d_m": _hub(16, 5, 256),
    "x3d_l": _hub(16, 5, 320),
    "slow_r50": _hub(8, 8, 256),
    "c2d_r50": _hub(8, 8, 256),
    "i3d_r50": _hub(8, 8, 256),
    "r2plus1d_r50": _hub(16, 4, 256),
    "csn_r101": _hub(32, 2, 256),
    "slowfast_r50": _hub(32, 2, 256, slow=4),
    "slowfast_r101": _hub(32, 2, 256, slow=4),
    "mvit_base_16x4": _hub(16, 4, 224),
    "mvit_base_32x3": _hub(32, 3, 224),
    "s3d": _tv(32, 2, (256, 256), 224, TORCHVISION),
    "r3d_18": _tv(16, 2, (128, 171), 112, TORCHVISION),
    "mc3_18": _tv(16, 2, (128, 171), 112, TORCHVISION),
    "r2plus1d_18": _tv(16, 2, (128, 171), 112, TORCHVISION),
    "mvit_v1_b": _tv(16, 4, 256, 224, KINETICS),
    "mvit_v2_s": _tv(16, 4, 256, 224, KINETICS),
}
# What the hub's builders of X3D fix, so that `arguments` may say otherwise.
X3D: dict[str, dict[str, Any]] = {
    "x3d_xs": {"input_clip_length": 4, "input_crop_size": 160},
    "x3d_s": {"input_clip_length": 13, "input_crop_size": 160},
    "x3d_m": {"input_clip_length": 16, "input_crop_size": 224},
    "x3d_l": {"input_clip_length": 16, "input_crop_size": 312, "depth_factor": 5.0},
}
DEFAULT_ARCHITECTURE = "x3d_m"


@dataclass(frozen=True)
class MotionSettings:
    """What can be set of the motion expert."""

    collection: str = "public"
    weights: str | None = None
    windows: int = 4  # looked at in each video
    confidence: float = 0.3
    tags: int = 2  # motions a window at most
    min_windows: int = 1
    precision: str = "auto"  # "float32", "bfloat16"; "auto": the second where the hardware has it
    batch_size: int | None = None  # windows a forward pass
    allow_pickle: bool = False


class MotionExpert(BaseExpert):
    """Its windows are as long and as wide as its model was trained on, which its folder says."""

    name: ClassVar[str] = "motion"
    modality: ClassVar[Modality] = Modality.MOTION
    version: ClassVar[str] = "1"
    Settings: ClassVar[type] = MotionSettings
    roles: ClassVar[dict[str, str]] = {"classifier": "weights"}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            self.config = read_motion_config(self.find("classifier"))
        except registry.WeightsMissing:
            self.config = MotionConfig.published(DEFAULT_ARCHITECTURE)
        window, side = self.config.window, self.config.preparation.side
        self.sampling = Windows(self.settings.windows, window.length, window.step, side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def load(self, device: str) -> None:
        self.classifier = VideoClassifier.open(self.find("classifier"), device, self.settings.precision)
        self.batch_size = self.settings.batch_size or devices.batch_size(device, accelerator=16, cpu=2)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        views = [whole_windows(footage, self.sampling) for footage in batch]
        fitted = (self.classifier.fit(windows) for windows in views if windows)
        found = iter(batched(self.classifier, fitted, self.batch_size))
        return [
            self._report(footage, windows, next(found) if windows else [])
            for footage, windows in zip(batch, views, strict=True)
        ]

    def _report(self, footage: Footage, windows: Sequence[View], scores: Sequence[Any]) -> Report:
        s = self.settings
        starts = [float(window.times[0]) for window in windows]
        length = self.sampling.length * self.sampling.step
        sightings = [
            Sighting(self.classifier.labels[kind], score, start)
            for start, row in zip(starts, scores, strict=True)
            for kind, score in top_classes(row, s.tags, s.confidence)
        ]
        between = float(np.median(np.diff(starts))) if len(starts) > 1 else 0.0
        spans = to_spans(
            sightings,
            self.modality,
            self.name,
            # Neighbouring windows that say the same are one motion, whether they touch or not.
            gap=1.5 * max(between, length),
            tail=length,
            min_frames=max(1, min(s.min_windows, len(starts))),
        )
        duration = footage.facts.duration
        # The moment to show is the middle of the best window.
        middle = [replace(tag, best=(tag.best or 0.0) + length / 2) for tag in spans]
        tags = [end_with_video(tag, duration) for tag in middle]
        tags = [replace(tag, best=min(tag.best or 0.0, tag.end)) for tag in tags]
        return Report(tags=tags, sightings=sightings, notes=no_frames_note(len(starts), self.name))


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """What config.json says, with everything left out filled in."""

    arch: str
    arguments: dict[str, Any]
    labels: tuple[str, ...]  # empty: not said
    preparation: Preparation
    window: Window

    @classmethod
    def published(cls, arch: str) -> MotionConfig:
        known = motion_architecture(arch)
        return cls(arch, {}, (), known.preparation, known.window)


def motion_architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise ValueError(f"there is no motion model {name!r}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def read_motion_config(found: registry.LocalWeights | Path) -> MotionConfig:
    """Read a folder's config.json. Raises WeightsMissing if it describes no model that we know."""
    path = found if isinstance(found, Path) else found.path
    folder = path if path.is_dir() else path.parent
    file = folder / "config.json"
    try:
        config = check.read_config(file)
        # A converted public checkpoint says only which one it was.
        plan = MotionConfig.published(config.get("arch") or str(config.get("name", "")).replace("-", "_"))
        plain = all(_is_plain(value) for value in config.get("arguments", {}).values())
        if not plain or "pretrained" in config.get("arguments", {}):
            raise ValueError("its arguments are not plain numbers")
        return MotionConfig(
            plan.arch,
            dict(config.get("arguments", {})),
            tuple(str(name) for name in config.get("labels", ())),
            Preparation.of(config["preparation"]) if "preparation" in config else plan.preparation,
            Window(**config["window"]) if "window" in config else plan.window,
        )
    except (check.UnsafeWeights, TypeError, ValueError, AttributeError) as error:
        raise registry.WeightsMissing(f"{file} describes no motion model ({error})") from error


def build_motion(arch: str, arguments: Mapping[str, Any] | None = None) -> torch.nn.Module:
    """A model with random weights."""
    library = motion_architecture(arch).library
    if library == "torchvision":
        from torchvision.models import get_model

        return get_model(arch, weights=None, **(arguments or {}))
    with warnings.catch_warnings():
        # A library that it loads compiles two losses in a way that torch is about to give up.
        warnings.simplefilter("ignore", FutureWarning)
        from pytorchvideo.models import hub, x3d

    if arguments and arch in X3D:
        return x3d.create_x3d(**{**X3D[arch], **_as_tuples(arguments)})
    return getattr(hub, arch)(pretrained=False, **_as_tuples(arguments or {}))


def save_motion(
    model: Any,
    folder: Path,
    arch: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    preparation: Preparation | None = None,
    window: Window | None = None,
    half: bool = False,
) -> Path:
    """Write a motion model as a folder that `load_motion` reads. Returns the folder.

    `arch` and `arguments` are what it was built from by `build_motion`; the rest is as published where
    it is left out.
    """
    import torch
    from safetensors.torch import save_file

    known = motion_architecture(arch)
    kind = torch.float16 if half else torch.float32
    state = {
        key: (value.to(kind) if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for key, value in model.state_dict().items()
    }
    config = {
        "arch": arch,
        "arguments": dict(arguments or {}),
        "preparation": (preparation or known.preparation).as_json(),
        "window": asdict(window or known.window),
    }
    if labels is not None:
        config["labels"] = list(labels)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return folder


def load_motion(found: registry.LocalWeights) -> tuple[torch.nn.Module, MotionConfig]:
    """The model in float32 and what its folder says of it."""
    from safetensors.torch import load_file

    plan = read_motion_config(found)
    model = build_motion(plan.arch, plan.arguments)
    model.load_state_dict(load_file(found.model), strict=True)
    return model.float(), plan


class VideoClassifier:
    """A video classifier at work: windows in, scores out."""

    def __init__(self, model: Any, plan: MotionConfig, device: str, precision: str = "auto") -> None:
        self.model = devices.prepare_model(model, device)
        self.config = plan
        self.slow = motion_architecture(plan.arch).slow
        self.labels = list(plan.labels) or labels("kinetics400")
        self.device = device
        self.bfloat16 = devices.use_bfloat16(device, precision)

    @classmethod
    def open(cls, found: registry.LocalWeights, device: str, precision: str = "auto") -> VideoClassifier:
        model, plan = load_motion(found)
        return cls(model, plan, device, precision)

    def fit(self, windows: Sequence[View]) -> torch.Tensor:
        """Windows of one video to uint8 [n, 3, length, h, w]."""
        import torch

        fitted = [self.config.preparation.fit(window.frames) for window in windows]
        return torch.stack(fitted).transpose(1, 2)

    def __call__(self, windows: torch.Tensor) -> Any:
        """uint8 [n, 3, length, h, w] to scores [n, labels] that sum to 1."""
        import torch

        pictures = self.config.preparation.normalise(windows, self.device)
        pictures = pictures.contiguous(memory_format=torch.channels_last_3d)
        with devices.inference(self.device, autocast=self.bfloat16):
            answers = self.model(self.pathways(pictures)).float()
            if answers.shape[1] != len(self.labels):
                raise ValueError(
                    f"the motion model gives {answers.shape[1]} scores for {len(self.labels)} labels"
                )
            if not _are_probabilities(answers):
                answers = answers.softmax(dim=1)
        return answers.cpu().numpy()

    def pathways(self, pictures: torch.Tensor) -> Any:
        """SlowFast sees every frame one way and a few of them, evenly picked, the other."""
        if self.slow is None:
            return pictures
        import torch

        length = pictures.shape[2]
        picked = torch.linspace(0, length - 1, length // self.slow, device=pictures.device).long()
        return [pictures.index_select(2, picked), pictures]


def whole_windows(footage: Footage, sampling: Windows) -> list[View]:
    """The windows of which every frame could be read."""
    return [view for view in footage.windows(sampling) if len(view.times) == sampling.length]


def _are_probabilities(answers: torch.Tensor) -> bool:
    """Whether a model has already put a softmax on its answers, be it in bfloat16 (to half a percent)."""
    return bool((answers >= 0).all()) and bool(((answers.sum(dim=1) - 1).abs() < 0.01).all())


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    return isinstance(value, bool | int | float)


def _as_tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; the builders compare with tuples."""

    def tupled(value: Any) -> Any:
        return tuple(tupled(inner) for inner in value) if isinstance(value, list | tuple) else value

    return {key: tupled(value) for key, value in arguments.items()}
