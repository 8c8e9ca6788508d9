"""The scene expert: where it is, by an image classifier and CLIP, asked separately and believed together.

A folder of classifier weights is what transformers' `save_pretrained` writes:

    config.json               the architecture, and `id2label`: the categories
    model.safetensors         the state dict
    preprocessor_config.json  size, image_mean, image_std, resample (2 bilinear, 3 bicubic)

`save_classifier` writes one. CLIP's folder is described in clip.py.

Which categories there are: those of the classifier. ImageNet's thousand are mostly things, so the few
dozen of them that are places stand for the 365 of Places, which CLIP judges by their names. Labels in
Places' own spelling ("apartment_building/outdoor") are made readable. With CLIP alone it is Places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tagline.experts import devices
from tagline.experts.base import BaseExpert, labels
from tagline.experts.clip import ClipEncoder, clip_encoder
from tagline.experts.footage import Changes, Footage, Sampling, View
from tagline.experts.tags import Embedding, Modality, Report, Sighting
from tagline.experts.vision.frames import Preparation, batched, frame_ends, frame_spans, no_frames_note
from tagline.experts.weights import check, registry

if TYPE_CHECKING:
    import torch

Probabilities = npt.NDArray[np.float32]  # [T, K]: how much of each frame's belief goes to each category


@dataclass(frozen=True)
class SceneSettings:
    """What can be set of the scene expert."""

    collection: str = "public"
    classifier: str | None = None  # weights of the image classifier
    clip: str | None = None  # weights of the towers
    architecture: str | None = None  # open_clip's name, if `clip` is a file without a config
    categories: tuple[str, ...] = ()  # for CLIP to judge, instead of the classifier's or Places'
    prompts: tuple[str, ...] = ("a photo of a {}.", "a video frame of a {}.", "{}")
    confidence: float = 0.25  # for what both know: the geometric mean of the two beliefs
    confidence_alone: float = 0.5  # for what only one of them knows
    within: int = 5  # both must have it among their first so many
    tags: int = 3  # categories a frame at most
    min_frames: int = 2
    keep_vectors: bool = True  # hand CLIP's frame vectors on: whoever searches needs them anyway
    rate: float = 1.0  # frames a second, where something changes
    side: int | None = 256
    precision: str = "auto"  # "float32", "bfloat16"; "auto": the second where the hardware has it
    batch_size: int | None = None
    allow_pickle: bool = False


class SceneExpert(BaseExpert):
    """Each of the two may be absent: the other then answers alone, and the report says so."""

    name: ClassVar[str] = "scene"
    modality: ClassVar[Modality] = Modality.SCENE
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = SceneSettings
    roles: ClassVar[dict[str, str]] = {"classifier": "classifier", "zero-shot": "clip"}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        s = self.settings
        self.sampling = Changes(1 / s.rate, side=s.side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def missing(self) -> str | None:
        """None if at least one of the two can work."""
        if absent := self.missing_extra():
            return absent
        sentences = [said for said in map(self._why_not, self.roles) if said]
        return f"not run: {sentences[0]}" if len(sentences) == len(self.roles) else None

    def load(self, device: str) -> None:
        s = self.settings
        self.classifier: ImageClassifier | None = None
        self.clip: ClipEncoder | None = None
        self.notes = [f"{role} did not look: {said}" for role in self.roles if (said := self._why_not(role))]
        if not self._why_not("classifier"):
            self.classifier = ImageClassifier.open(self.find("classifier").path, device, s.precision)
        if not self._why_not("zero-shot"):
            chosen = s.clip or registry.for_expert(self.name, s.collection, role="zero-shot")
            self.clip = clip_encoder(
                chosen,
                device,
                architecture=s.architecture,
                precision=s.precision,
                allow_pickle=s.allow_pickle,
            )
        self.batch_size = s.batch_size or devices.batch_size(device, accelerator=64, cpu=8)
        self._settle_categories()

    def _settle_categories(self) -> None:
        """The list of categories, and what belongs to them of either judge's answers."""
        s = self.settings
        own = self.classifier.labels if self.classifier else []
        self.categories, into = label_matrix(own, s.categories)
        self.label_matrix = into  # [labels, K]
        # A category that no label of the classifier stands for is CLIP's alone.
        self.known = np.asarray(into.any(axis=0), dtype=np.bool_)
        if self.clip is not None:
            texts = [prompt.format(name) for name in self.categories for prompt in s.prompts]
            vectors = self.clip.encode_texts(texts).reshape(len(self.categories), len(s.prompts), -1)
            means = vectors.mean(axis=1)
            self.prompt_vectors = means / np.linalg.norm(means, axis=1, keepdims=True)  # [K, D]

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        views = [footage.view(self.sampling) for footage in batch]
        seen = self._classify(views)
        vectors = self._encode(batch)
        return [
            self._report(footage, view, shares, found)
            for footage, view, shares, found in zip(batch, views, seen, vectors, strict=True)
        ]

    def _classify(self, views: Sequence[View]) -> list[Probabilities | None]:
        judge = self.classifier
        if judge is None:
            return [None] * len(views)
        fitted = (judge.preparation.fit(view.frames) for view in views if len(view.times))
        found = iter(batched(judge, fitted, self.batch_size))
        return [np.stack(next(found)) @ self.label_matrix if len(view.times) else None for view in views]

    def _encode(self, batch: Sequence[Footage]) -> list[npt.NDArray[np.float32] | None]:
        if self.clip is None:
            return [None] * len(batch)
        return list(self.clip.embed_views(batch, self.sampling))

    def _report(
        self,
        footage: Footage,
        view: View,
        shares: Probabilities | None,
        vectors: npt.NDArray[np.float32] | None,
    ) -> Report:
        s = self.settings
        notes = [*self.notes, *no_frames_note(len(view.times), self.name)]
        if not len(view.times):
            return Report(notes=notes)
        by_name = None if vectors is None or self.clip is None else self._beliefs(vectors, self.clip.scale)
        found = joint_scores(shares, by_name, self.known, s)
        sightings = [
            Sighting(self.categories[kind], score, float(time))
            for time, frame in zip(view.times, found, strict=True)
            for kind, score in frame
        ]
        otherwise = 1 / s.rate
        tags = frame_spans(
            sightings,
            view,
            footage.facts.duration,
            self.modality,
            self.name,
            min_frames=s.min_frames,
            otherwise=otherwise,
        )
        report = Report(tags=tags, sightings=sightings, notes=notes)
        if s.keep_vectors and vectors is not None:
            ends = frame_ends(view, otherwise)
            report.vectors = [
                Embedding(float(t), float(end), v)
                for t, end, v in zip(view.times, ends, vectors, strict=True)
            ]
        return report

    def _beliefs(self, vectors: npt.NDArray[np.float32], scale: float) -> Probabilities:
        return softmax(scale * vectors @ self.prompt_vectors.T)

    def _why_not(self, role: str) -> str | None:
        try:
            self.find(role)
        except registry.WeightsMissing as error:
            return str(error)
        return None


def joint_scores(
    by_classifier: Probabilities | None,
    by_clip: Probabilities | None,
    known: npt.NDArray[np.bool_],
    settings: SceneSettings,
) -> list[list[tuple[int, float]]]:
    """What to believe of each frame: [(category, score)], best first.

    by_classifier, by_clip: the shares that each gives, [T, K] or None; known: which categories both can
    judge. What both know needs both: it is among the first few of each, and its score is the geometric
    mean. What one alone knows (or whose other judge is absent) must pass a higher threshold.
    """
    if by_classifier is None or by_clip is None:
        alone = by_classifier if by_classifier is not None else by_clip
        return [] if alone is None else [_best_of(row, settings.confidence_alone, settings) for row in alone]
    score = np.sqrt(np.clip(by_classifier, 0, 1) * by_clip)
    both = known & _in_top(np.where(known, by_classifier, -1.0), settings.within)
    both &= _in_top(by_clip, settings.within) & (score >= settings.confidence)
    lone = ~known & (by_clip >= settings.confidence_alone)
    combined = np.where(both, score, np.where(lone, by_clip, 0.0))
    return [_best_of(row, np.nextafter(0.0, 1.0), settings) for row in combined]


def _best_of(row: Probabilities, least: float, settings: SceneSettings) -> list[tuple[int, float]]:
    best = np.argsort(-row, kind="stable")[: settings.tags]
    return [(int(kind), float(row[kind])) for kind in best if row[kind] >= least]


def _in_top(rows: Probabilities, count: int) -> npt.NDArray[np.bool_]:
    """Which entries of each row are among its `count` largest; ties are let in."""
    count = min(count, rows.shape[1])
    least = np.partition(rows, rows.shape[1] - count, axis=1)[:, rows.shape[1] - count]
    return rows >= least[:, None]


def label_matrix(own: Sequence[str], categories: Sequence[str] = ()) -> tuple[list[str], Probabilities]:
    """The categories, and a matrix [labels, categories] that sums a classifier's labels into them."""
    from_imagenet = len(own) == 1000 and own[0].startswith("tench")
    stands_for = _imagenet() if from_imagenet else {}
    targets = [stands_for.get(name, ()) if from_imagenet else (readable_label(name),) for name in own]
    if categories:
        names = list(dict.fromkeys(categories))
    elif from_imagenet or not own:
        names = list(_places().values())
    else:
        names = list(dict.fromkeys(name for group in targets for name in group))
    place = {name: column for column, name in enumerate(names)}
    into = np.zeros((len(own), len(names)), dtype=np.float32)
    for row, group in enumerate(targets):
        for name in group:
            if name in place:
                into[row, place[name]] = 1.0
    return names, into


def readable_label(label: str) -> str:
    """A class name as people write it: "/a/apartment_building/outdoor" is "apartment building"."""
    plain = re.sub(r"^/[a-z]/", "", label)
    return _places().get(plain) or plain.split(",")[0].replace("_", " ").replace("/", " ").strip()


class ImageClassifier:
    """An image classifier of transformers at work."""

    def __init__(
        self, model: Any, names: Sequence[str], preparation: Preparation, device: str, precision: str = "auto"
    ) -> None:
        self.bfloat16 = devices.use_bfloat16(device, precision)
        self.model = devices.prepare_model(model, device, bfloat16=self.bfloat16)
        self.labels = list(names)
        self.preparation = preparation
        self.device = device

    @classmethod
    def open(cls, path: Path, device: str, precision: str = "auto") -> ImageClassifier:
        """From a folder of `save_pretrained`, or the model.safetensors in it."""
        import torch
        from transformers import AutoModelForImageClassification
        from transformers.utils.logging import disable_progress_bar

        folder = path if path.is_dir() else path.parent
        check.read_config(folder / "config.json")
        disable_progress_bar()  # loading takes a moment only, and the command line shows progress itself
        model = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
        names = [model.config.id2label[i].split(",")[0] for i in range(model.config.num_labels)]
        return cls(model, names, classifier_preparation(folder), device, precision)

    def __call__(self, fitted: torch.Tensor) -> Probabilities:
        """uint8 [N, 3, h, w] to shares [N, labels]."""
        pictures = self.preparation.normalise(fitted, self.device)
        with devices.inference(self.device):
            pictures = pictures.bfloat16() if self.bfloat16 else pictures
            shares = self.model(pixel_values=pictures).logits.float().softmax(dim=-1)
        return shares.cpu().numpy()


def save_classifier(model: Any, folder: Path, preparation: Preparation) -> Path:
    """Write an image classifier of transformers with how it wants its pictures. Returns the folder."""
    model.save_pretrained(folder)
    height, width = preparation.size
    config: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preparation.mean),
        "image_std": list(preparation.std),
        "resample": {"bilinear": 2, "bicubic": 3}[preparation.interpolation],
        "size": {"height": height, "width": width},
    }
    if isinstance(preparation.scale, tuple):
        raise ValueError("transformers cannot stretch to one size and cut to another")
    if preparation.scale is not None:
        config["size"] = {"shortest_edge": preparation.scale}
        config |= {"do_center_crop": True, "crop_size": {"height": height, "width": width}}
    (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def classifier_preparation(folder: Path) -> Preparation:
    """What preprocessor_config.json says; without one, what ViT models usually want."""
    path = folder / "preprocessor_config.json"
    config = check.read_config(path) if path.is_file() else {}
    size = config.get("size", 224)
    shorter: int | None = None
    if isinstance(size, dict) and "shortest_edge" in size:
        shorter = int(size["shortest_edge"])
        crop = config.get("crop_size", shorter) if config.get("do_center_crop", True) else shorter
        size = crop
    pair = (size["height"], size["width"]) if isinstance(size, dict) else (int(size), int(size))
    return Preparation(
        size=pair,
        scale=shorter,
        mean=tuple(config.get("image_mean", (0.5, 0.5, 0.5))),
        std=tuple(config.get("image_std", (0.5, 0.5, 0.5))),
        interpolation="bicubic" if config.get("resample", 2) == 3 else "bilinear",
    )


def softmax(rows: npt.NDArray[np.float32]) -> Probabilities:
    raised = np.exp(rows - rows.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@cache
def _places() -> dict[str, str]:
    """Places' spelling of a category to the readable one, in the order of its class numbers."""
    return dict(line.split("\t") for line in labels("places365"))


@cache
def _imagenet() -> dict[str, tuple[str, ...]]:
    """Which ImageNet classes are places, and which of Places they stand for."""
    return {line.split("\t")[0]: tuple(line.split("\t")[1:]) for line in labels("imagenet_places")}
