"""A model as a folder: weights, configuration, tokenizer, preprocessing, model card; here or on the hub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import Unreadable
from tagline.experts.storage import hash_file, write_atomic
from tagline.experts.tags import Tag
from tagline.experts.weights import check
from tagline.table.config import ModelConfig
from tagline.table.model import Table
from tagline.table.tokenizer import CLIP_VOCABULARY, OWN_TOKENIZER, Tokenizer
from tagline.tagging.ml.config import BadConfig, as_dict, digest, from_dict
from tagline.tagging.ml.hub import folder_of, load_weights, push, results_table, save_weights

WEIGHTS, CONFIG = "model.safetensors", "config.json"
TOKENIZER, PREPARATION, CARD = "tokenizer_config.json", "preprocessor_config.json", "README.md"
FILES = (WEIGHTS, CONFIG, CLIP_VOCABULARY, OWN_TOKENIZER, TOKENIZER, PREPARATION, CARD)
KIND = "tagline-table"
VERSION = 1  # of the folder's layout
KEYS = ("kind", "version", "model", "results")


class NotAModel(BadConfig):
    """A folder that cannot be loaded. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PretrainedTable:
    """A model as it comes out of a folder."""

    model: Table
    tokenizer: Tokenizer
    fingerprint: str
    results: dict[str, Any]  # the figures that stand in its card

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, device: str = "cpu"
    ) -> PretrainedTable:
        """A folder that `tagline train table` wrote, or a repository of the hub that was approved.

        model = tagline.TableModel.from_pretrained("models/mine")
        model.embed_texts(["a dog on the beach"]) @ model.embed_video("holiday.mp4")
        """
        return from_pretrained(os.fspath(name), revision=revision, device=device)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> str:
        """Write everything that is needed to use or continue the model. Returns its fingerprint."""
        return save_pretrained(self.model, Path(folder), self.tokenizer, results=self.results)

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Sentences as unit vectors: float32 [N, D]."""
        from tagline.table.evaluate import embed_texts

        return embed_texts(self.model.eval(), texts, self.tokenizer)

    def embed_video(self, path: str | os.PathLike[str], tags: Sequence[Tag] = ()) -> npt.NDArray[np.float32]:
        """A video file with its tags as a unit vector: float32 [D]. Raises Unreadable."""
        from tagline.experts.decode.decoder import Decoder
        from tagline.table.evaluate import embed_videos
        from tagline.table.frame_cache import FrameCache, FramesInMemory
        from tagline.table.rows import Row, tag_text

        settings = self.model.settings
        cache = FrameCache(settings.frames, self.model.image_size)
        with Decoder(jobs=1) as decoder, closing(decoder.read(Path(path), (cache.sampling,))) as footage:
            if not len(footage.view(cache.sampling).times):
                raise Unreadable("holds no frame that could be read")
            frames = FramesInMemory({"": cache.prepare(footage)})
        row = Row(str(path), "", (), tag_text(tags, settings.tags), Path(path))
        found: npt.NDArray[np.float32] = embed_videos(self.model.eval(), [row], frames, self.tokenizer)[0]
        return found


def save_pretrained(
    model: Table, folder: Path, tokenizer: Tokenizer, *, results: Mapping[str, Any] | None = None
) -> str:
    """Write everything that a user needs to use or continue the model. Returns its fingerprint."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder / WEIGHTS)
    shutil.copyfile(tokenizer.vocabulary, folder / tokenizer.file)
    config = model.settings
    kind = "PreTrainedTokenizerFast" if tokenizer.own else "CLIPTokenizer"
    _write(folder / TOKENIZER, {"tokenizer_class": kind, "model_max_length": config.text_length})
    size = {"height": model.image_size, "width": model.image_size}
    _write(
        folder / PREPARATION,
        {
            "image_processor_type": "CLIPImageProcessor",
            "image_mean": list(config.mean),
            "image_std": list(config.std),
            "resample": 3,
            "size": {"shortest_edge": model.image_size},
            "crop_size": size,
        },
    )
    # Last: a folder with a configuration is whole.
    _write(
        folder / CONFIG,
        {"kind": KIND, "version": VERSION, "model": as_dict(config), "results": dict(results or {})},
    )
    (folder / CARD).write_text(card(model, results or {}), encoding="utf-8")
    return fingerprint(folder)


def fingerprint(folder: Path) -> str:
    """sha256 over the configuration, the choice of tags in it, and the weights."""
    config = check.read_config(folder / CONFIG, allowed=KEYS)
    words = folder / (OWN_TOKENIZER if (folder / OWN_TOKENIZER).is_file() else CLIP_VOCABULARY)
    return digest(config["model"], hash_file(folder / WEIGHTS), hash_file(words))


def from_pretrained(name: str | Path, *, revision: str | None = None, device: str = "cpu") -> PretrainedTable:
    """Load a folder, or a repository of the hub by its name, which was approved (`tagline approve`)."""
    folder = folder_of(name, revision, FILES, "tagline train table", NotAModel, needed=(WEIGHTS, CONFIG))
    try:
        data = check.read_config(folder / CONFIG, allowed=KEYS)
        check.check_file(folder / WEIGHTS)
    except check.UnsafeWeights as error:
        raise NotAModel(str(error)) from error
    if data.get("kind") != KIND:
        raise NotAModel(f"{folder} is no TABLE model; train one with `tagline train table`")
    if data.get("version", 0) > VERSION:
        raise NotAModel(f"{folder} was written by a newer tagline; update with `pip install -U tagline`")
    config: ModelConfig = from_dict(ModelConfig, data["model"])
    model = Table(config)
    load_weights(model, folder / WEIGHTS, NotAModel)
    tokenizer = Tokenizer.of_folder(folder)
    return PretrainedTable(model.to(device).eval(), tokenizer, fingerprint(folder), data.get("results", {}))


def push_to_hub(folder: Path, repository: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a saved model; returns its address. Private by default: a library's own."""
    fingerprint(folder)  # refuse what is no model before anything is created
    return push(folder, repository, FILES, private=private, token=token)


def _write(path: Path, data: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def card(model: Table, results: Mapping[str, Any]) -> str:
    """The model card: what it is, what it read, how good it was, how to load it."""
    config = model.settings
    architecture = config.architecture if isinstance(config.architecture, str) else "a CLIP of its own"
    tags = ", ".join(config.tags.modalities) or "none"
    lines = [
        "---",
        "library_name: tagline",
        "tags: [video-text-retrieval, tagline]",
        "---",
        "# A TABLE model",
        "",
        "Finds videos by sentences and sentences by videos: CLIP's towers, and between them an encoder that",
        "reads what experts tagged in the video (Chen et al., Tagging before Alignment, 2023).",
        "",
        f"- towers: {architecture}; {config.frames} frames of {model.image_size} pixels",
        f"- tags read: {tags}; at most {config.tags.most} of each, from a score of {config.tags.min_score}",
        f"- parameters: {sum(p.numel() for p in model.parameters()):,}",
        "",
        "```python",
        "import tagline",
        "",
        'model = tagline.TableModel.from_pretrained("THIS FOLDER")',
        'model.embed_texts(["a dog on the beach"]) @ model.embed_video("holiday.mp4")',
        "",
        'library = tagline.open("~/Videos")',
        'library.index(model="THIS FOLDER")  # search by it from now on',
        'library.search("a dog on the beach")',
        "```",
    ]
    lines += results_table(results)
    return "\n".join(lines) + "\n"
