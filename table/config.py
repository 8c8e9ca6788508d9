"""What a model is and how it is trained, as data: frozen dataclasses, JSON, key=value settings."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from importlib import resources
from typing import Any, get_type_hints

from experts.tags import Modality

PAPER_MODALITIES = ("object", "person", "scene", "motion", "speech")  # the paper's order of concatenation
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


class BadConfig(ValueError):
    """A configuration that cannot be used. The message says which key and what it may be."""


@dataclass(frozen=True, slots=True)
class TagChoice:
    """Which tags of a video the model reads. The same at training, indexing and search."""

    modalities: tuple[str, ...] = PAPER_MODALITIES  # () : a model that reads no tags
    most: int = 8  # of each modality, the surest first
    min_score: float = 0.0

    def __post_init__(self) -> None:
        for modality in self.modalities:
            if modality not in set(Modality):
                raise BadConfig(f"there is no modality {modality!r}; there are {', '.join(Modality)}")
        # TABLE reads them in one order, whichever way they were named.
        ordered = tuple(str(m) for m in Modality if m in self.modalities)
        object.__setattr__(self, "modalities", ordered)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network and what it reads. Saved beside the weights and part of their fingerprint."""

    # An open_clip architecture: its name, or the dictionary that stands in its JSON.
    architecture: str | dict[str, Any] = "ViT-B-32-quickgelu"
    frames: int = 12
    text_length: int = 32  # tokens, [SOS] and [EOS] counted
    tag_length: int = 32
    tags: TagChoice = field(default_factory=TagChoice)
    tag_tokens: str = "eos"  # "eos": one token says all tags; "all": every token of them (DiDeMo)

    layers: int = 4  # of the tag-guiding encoder; 0: none, frames are averaged (CLIP4Clip mean-pool)
    heads: int = 8
    residual: str = "mean"  # "mean": λ·g + mean(v), TABLE; "frame": mean(norm(v + g)), CLIP4Clip seqTransf
    residual_init: float = 0.1  # λ before training
    video_projection: bool = True  # φ, a linear map that starts as the identity

    vtm: bool = True
    mlm: bool = True
    vtm_text: str = "eos"  # what the joint encoder reads of the text for VTM: "eos" or "tokens"

    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD

    def __post_init__(self) -> None:
        _one_of("tag_tokens", self.tag_tokens, ("eos", "all"))
        _one_of("residual", self.residual, ("mean", "frame"))
        _one_of("vtm_text", self.vtm_text, ("eos", "tokens"))
        for key, least in (("frames", 1), ("text_length", 3), ("tag_length", 3), ("layers", 0), ("heads", 1)):
            if getattr(self, key) < least:
                raise BadConfig(f"{key} must be at least {least}, not {getattr(self, key)}")
        if self.layers == 0 and (self.tags.modalities or self.vtm or self.mlm):
            raise BadConfig("layers = 0 leaves nothing to read tags or learn VTM and MLM; turn those off")

    @property
    def tag_slots(self) -> int:
        """How many places of the tag-guiding encoder belong to tags."""
        if not self.tags.modalities:
            return 0
        return 1 if self.tag_tokens == "eos" else self.tag_length

    @property
    def text_slots(self) -> int:
        """How many places of the joint encoder belong to the text."""
        if self.mlm or (self.vtm and self.vtm_text == "tokens"):
            return self.text_length
        return 1 if self.vtm else 0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the network is trained."""

    # The start of the towers: a name of `tagline models list` or a file of safetensors; None: random.
    weights: str | None = "clip-vit-b-32-openai"
    epochs: int = 5
    batch: int = 128  # texts in a step, over all devices
    share: int = 1  # texts that share one pass of their video through the visual encoder
    lr_towers: float = 1e-7  # visual and text encoder
    lr_fusion: float = 1e-4  # everything that CLIP does not have
    warmup: float = 0.1  # share of all steps
    weight_decay: float = 0.0  # paper: Adam
    clip_norm: float = 1.0
    accumulate: int = 1
    vtm_weight: float = 1.0
    mlm_weight: float = 1.0
    protocol: str = "single"  # "single": each caption is a text; "paragraph": all of a video are one (DiDeMo)
    validation: float = 0.1  # share of the training videos that chooses the checkpoint
    validation_most: int = 1000  # videos
    evaluations: int = 1  # in an epoch
    seed: int = 0
    bf16: bool = True  # where the device can
    checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        _one_of("protocol", self.protocol, ("single", "paragraph"))
        for key in ("epochs", "batch", "share", "accumulate", "evaluations"):
            if getattr(self, key) < 1:
                raise BadConfig(f"{key} must be at least 1, not {getattr(self, key)}")
        if self.batch % self.share:
            raise BadConfig(f"batch {self.batch} is no multiple of share {self.share}")
        if not 0 < self.validation < 1:
            raise BadConfig(f"validation must lie between 0 and 1, not {self.validation}")


@dataclass(frozen=True, slots=True)
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadConfig(f"{key} must be one of {', '.join(allowed)}, not {value!r}")


# -- to and from data --------------------------------------------------------------------------------


def as_dict(config: Any) -> dict[str, Any]:
    """Plain JSON data: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return found


def from_dict(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """One of the dataclasses above from JSON data. A key that is not its own is refused, never ignored."""
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise BadConfig(f"{kind.__name__} has no key {key!r}{_did_you_mean(key, known)}")
        hint = hints[key]
        if hint in (TagChoice, ModelConfig, TrainConfig):
            values[key] = from_dict(hint, value)
        else:
            values[key] = _fit(key, value, hint)
    return kind(**values)


def _fit(key: str, value: Any, hint: Any) -> Any:
    """The value in the type that the key has, or a sentence."""
    text = str(hint)
    if text.startswith("tuple") and isinstance(value, list | tuple):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if value is None and "None" in text:
        return None
    wanted = (str, dict) if "dict" in text else str if "str" in text else hint
    # True is an int in Python; in a configuration it is a mistake.
    fits = isinstance(wanted, type | tuple) and isinstance(value, wanted)
    if not fits or (hint is int and isinstance(value, bool)):
        raise BadConfig(f"{key} cannot be {value!r}; it is {_plain(hint)}")
    return value


def _plain(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(hint, str(hint))


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(known))}"


# -- presets -----------------------------------------------------------------------------------------


def presets() -> list[str]:
    """The names of the presets that come with tagline."""
    folder = resources.files("table") / "presets"
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )


def preset(name: str) -> Config:
    """A preset by its name."""
    if name not in presets():
        raise BadConfig(f"there is no preset {name!r}; there are {', '.join(presets())}")
    text = (resources.files("table") / "presets" / f"{name}.json").read_text(encoding="utf-8")
    found: Config = from_dict(Config, json.loads(text))
    return found


def changed(config: Config, settings: Iterable[str]) -> Config:
    """The configuration with `key=value` settings applied.

    A key is `model.frames`, `train.batch`, `model.tags.most`, or its last part where only one key ends so.
    Values are JSON; what is no JSON is taken as a word, and words with commas as a list where one belongs.
    """
    data = as_dict(config)
    paths = {".".join(path): path for path in _paths(data)}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadConfig(f"a setting is key=value, not {setting!r}")
        found = [name for name in paths if name == key or name.endswith("." + key)]
        if not found:
            raise BadConfig(f"there is no key {key!r}{_did_you_mean(key, _short(paths))}")
        if len(found) > 1:
            raise BadConfig(f"{key!r} could be {' or '.join(found)}; write it in full")
        *above, last = paths[found[0]]
        target = data
        for part in above:
            target = target[part]
        target[last] = _value(value, target[last])
    done: Config = from_dict(Config, data)
    return done


def _paths(data: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in data.items():
        # A dictionary as architecture is one value.
        nested = isinstance(value, dict) and key != "architecture"
        found += _paths(value, (*above, key)) if nested else [(*above, key)]
    return found


def _short(paths: Iterable[str]) -> set[str]:
    return {path.rpartition(".")[2] for path in paths}


def _value(text: str, before: Any) -> Any:
    if isinstance(before, list) and not text.lstrip().startswith("["):
        return [part for part in (p.strip() for p in text.split(",")) if part]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def digest(*parts: Any) -> str:
    """sha256 over JSON data, keys sorted: the configuration's share of a fingerprint."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def without_tags(config: Config, *modalities: str) -> Config:
    """The same model reading only these modalities; none at all by default."""
    tags = replace(config.model.tags, modalities=modalities)
    return replace(config, model=replace(config.model, tags=tags))


assert all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(ModelConfig))
