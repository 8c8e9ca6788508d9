"""A tagger as a folder: weights, configuration, words, tags with frequencies, card; here or on the hub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tagline.experts.storage import hash_file, write_atomic
from tagline.experts.weights import check
from tagline.experts.weights.registry import weights_home
from tagline.tagging.generator.config import INSTALLED, TaggerConfig
from tagline.tagging.generator.data import Retriever, TaggerCollator
from tagline.tagging.generator.model import Tagger, TaggingModel
from tagline.tagging.ml.calibration import Calibration, calibration_from_json
from tagline.tagging.ml.config import BadConfig, as_dict, digest, from_dict
from tagline.tagging.ml.data import Example, Frames
from tagline.tagging.ml.hub import folder_of, load_weights, push, results_table, save_weights
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.neighbours import retriever as advising
from tagline.tagging.neighbours.retriever import MemoryRetriever

WEIGHTS, CONFIG, WORDS, TAGS, CARD = "model.safetensors", "config.json", "words.json", "tags.json", "card.md"
FILES = (WEIGHTS, CONFIG, WORDS, TAGS, CARD, *advising.FILES)
KIND = "tagline-tagger"
VERSION = 1  # of the folder's layout
KEYS = ("kind", "version", "model", "calibration", "frames_by", "towers", "language", "results")
WORD_KEYS = (
    "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model".split()
)
TAG_KEYS = ("tags", "frequency")


class NotATagger(BadConfig):
    """A folder that cannot be loaded. The message says why and what to do."""


@dataclass(slots=True)
class SavedTagger:
    """A tagger with everything that is known of it."""

    model: TaggingModel
    frequency: Sequence[int]
    calibration: Calibration = field(default_factory=Calibration)
    towers: str | None = None  # the towers' name, for whoever has to find them
    frames_by: str = ""  # and their hash; "": frames came from elsewhere, or there are none
    language: str = ""  # identity of the frozen language model
    results: dict[str, Any] = field(default_factory=dict)
    retriever: MemoryRetriever | None = None  # of the training videos, where it is told tags of similar ones

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, device: str = "cpu"
    ) -> SavedTagger:
        """A folder that `tagline train tagger` wrote, or a repository of the hub that was approved.

        tagger = tagline.Tagger.from_pretrained("models/mine")
        tagger.tag("a dog runs on the beach")
        """
        return from_pretrained(os.fspath(name), revision=revision, device=device)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> str:
        """Write everything that is needed to use or continue the tagger. Returns its fingerprint."""
        return save_pretrained(self, Path(folder))

    def tag(self, title: str = "", frames: Frames | None = None) -> list[tuple[str, float]]:
        """Tags of one video with how likely each is right, 0..1, in the order of writing.

        frames: vectors of its frames by the towers that the tagger was trained with, float32 [T, D].
        """
        from tagline.tagging.generator.predict import predict_all

        said = predict_all(self.model, self.collator(), [Example("", "", title, (), frames)])[0]
        return [(tag, self.calibration(score)) for tag, score in said]

    def collator(self, retriever: Retriever | None = None) -> TaggerCollator:
        return self.model.collator(retriever or self.retriever)


def save_pretrained(trained: SavedTagger, folder: Path) -> str:
    """Write everything that a user needs to use or continue the tagger. Returns its fingerprint."""
    folder.mkdir(parents=True, exist_ok=True)
    model = trained.model
    save_weights(model, folder / WEIGHTS)
    model.tokenizer.save(folder / WORDS)
    _write(folder / TAGS, {"tags": model.tags, "frequency": list(trained.frequency)})
    if trained.retriever is not None:
        trained.retriever.save(folder)
    (folder / CARD).write_text(card(trained), encoding="utf-8")
    # Last: a folder with a configuration is whole.
    _write(
        folder / CONFIG,
        {
            "kind": KIND,
            "version": VERSION,
            "model": as_dict(model.settings),
            "calibration": {k: list(v) for k, v in asdict(trained.calibration).items()},
            "towers": trained.towers,
            "frames_by": trained.frames_by,
            "language": trained.language,
            "results": trained.results,
        },
    )
    return fingerprint(folder)


def fingerprint(folder: Path) -> str:
    """sha256 over configuration, language model, towers, calibration, words, tags and weights."""
    config = _config(folder)
    facts = [config.get(key) for key in ("model", "calibration", "frames_by", "language")]
    files = [WEIGHTS, WORDS, TAGS]
    if config["model"].get("retrieved"):
        files += advising.FILES
    return digest(*facts, *(hash_file(folder / name) for name in files))


def from_pretrained(
    name: str | Path,
    *,
    make_model: Callable[..., TaggingModel] = Tagger,
    config_class: type[TaggerConfig] = TaggerConfig,
    revision: str | None = None,
    device: str = "cpu",
) -> SavedTagger:
    """Load a folder, or a repository of the hub by its name, which was approved (`tagline approve`).

    make_model, config_class: of another model than the tagger itself, see `generator.train.train`.
    """
    needed = (WEIGHTS, CONFIG, WORDS, TAGS)
    folder = folder_of(name, revision, FILES, "tagline train tagger", NotATagger, needed=needed)
    config = _config(folder)
    if "method" in config["model"] and config_class is TaggerConfig:
        raise NotATagger(
            f"{folder} holds a tagger of another kind ({config['model']['method']}), or of an older tagline; "
            "train one with `tagline train tagger`"
        )
    try:
        check.check_file(folder / WEIGHTS)
        check.read_config(folder / WORDS, allowed=WORD_KEYS)
        table = check.read_config(folder / TAGS, allowed=TAG_KEYS)
        tags, frequency = [str(tag) for tag in table["tags"]], [int(n) for n in table["frequency"]]
        if len(tags) != len(frequency):
            raise ValueError("as many frequencies as tags are needed")
        model_config: TaggerConfig = from_dict(config_class, config["model"])
        words = TagTokenizer.load(folder / WORDS)
        calibration = calibration_from_json(config.get("calibration") or {})
    except check.UnsafeWeights as error:
        raise NotATagger(str(error)) from error
    except BadConfig:
        raise
    except Exception as error:  # the tokenizers library raises plain ones
        raise NotATagger(f"{folder} cannot be read as a tagger ({error}); fetch it again") from error
    blank = torch.zeros(len(tags) + 1, model_config.tag_width)
    model = make_model(model_config, words, tags, blank, frequency)
    load_weights(model, folder / WEIGHTS, NotATagger)
    memory = None
    if model_config.retrieved:
        memory = MemoryRetriever.load(
            folder, neighbours=model_config.neighbours, most=model_config.retrieved, device=device
        )
    return SavedTagger(
        model.to(device).eval(),
        frequency,
        calibration,
        config.get("towers"),
        config.get("frames_by", ""),
        config.get("language", ""),
        config.get("results", {}),
        memory,
    )


def push_to_hub(folder: Path, repository: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a saved tagger; returns its address. Private unless told otherwise: a library's own."""
    fingerprint(folder)  # refuse what is no tagger before anything is created
    return push(folder, repository, FILES, private=private, token=token)


def install_tagger(folder: Path) -> Path:
    """Make a saved tagger the one that `tagline tag` uses. Returns where it lies now."""
    target = weights_home() / INSTALLED
    fingerprint(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / CONFIG).unlink(missing_ok=True)  # without it the folder is none, until all of it is there
    for name in (WEIGHTS, WORDS, TAGS, CARD, *advising.FILES, CONFIG):
        if not (folder / name).exists():
            (target / name).unlink(missing_ok=True)  # of the tagger that was here before
            continue
        beside = target / f".{name}.part"
        shutil.copyfile(folder / name, beside)
        beside.replace(target / name)
    return target


def _config(folder: Path) -> dict[str, Any]:
    try:
        data = check.read_config(folder / CONFIG, allowed=KEYS)
    except check.UnsafeWeights as error:
        raise NotATagger(str(error)) from error
    if data.get("kind") != KIND:
        raise NotATagger(f"{folder} is no tagger; train one with `tagline train tagger`")
    if data.get("version", 0) > VERSION:
        raise NotATagger(f"{folder} was written by a newer tagline; update with `pip install -U tagline`")
    return data


def _write(path: Path, data: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def card(trained: SavedTagger) -> str:
    """The model card: what it is, what it learned from, how good it was, how to load it."""
    model, config = trained.model, trained.model.settings
    reads = [name for name, used in (("frames", config.use_frames), ("titles", config.use_title)) if used]
    lines = [
        "# A tagger",
        "",
        "Writes tags of videos in words of its own (Order-Prompted Tag Sequence Generation, 2023).",
        "",
        f"- order of tags: {config.order}",
        f"- reads: {' and '.join(reads)}",
        f"- learned: {len(model.tags):,} tags, {len(model.tokenizer):,} words",
        f"- parameters: {sum(p.numel() for p in model.parameters()):,}",
        f"- tags embedded by: {trained.language or 'nothing'}",
        "",
        "```python",
        "import tagline",
        "",
        'tagger = tagline.Tagger.from_pretrained("THIS FOLDER")',
        'tagger.tag("a dog runs on the beach")  # [(tag, how likely it is right), ...]',
        "```",
    ]
    lines += results_table(trained.results)
    return "\n".join(lines) + "\n"
