"""What a tagger learns from: examples out of a catalog, their splits, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from tagline.experts.footage import evenly
from tagline.tagging.generator.config import TaggerConfig, TaggerRunConfig
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.data import Example, Examples, Frames, read_frames
from tagline.tagging.ml.splits import hold_out, split_of, subset
from tagline.tagging.ml.tokenizer import TagTokenizer

if TYPE_CHECKING:
    from tagline.experts.clip import ClipEncoder
    from tagline.tagging.catalog.write import Catalog


FRAMES_PER_VIDEO, FRAME_SIDE = (
    60,
    256,
)  # frames a video, at one a second, and their shorter side, as the expert reads them

Said = list[tuple[str, float]]  # tags with how sure the model is, 0..1, not yet calibrated


def from_catalog(
    catalog: Catalog, config: TaggerRunConfig, device: str = "cpu", *, most: int | None = None
) -> Examples:
    """The examples of a library: titles, what people said, frame vectors.

    A video of the split "test" is never used, "val" is validation; where there
    is none, validation is carved from the rest. A video without frames that the model needs is left out.
    most: learn from so many videos at most, chosen by a hash of what they hold.
    """
    train = config.train
    chosen = _tagged_videos(catalog, config, ("train", "val"), most)
    if not chosen:
        raise BadConfig(
            f"{catalog.name} has no tags that people gave; add some with `tagline tags add`, "
            "or bring them in with `tagline import`"
        )
    found, left_out, made_by = _with_frames(catalog, config, chosen, device)
    sides: dict[str, list[Example]] = {"train": [], "val": []}
    for one, split in found:
        sides[split].append(one)
    if sides["val"]:
        return Examples(sides["train"], sides["val"], left_out, made_by)
    share, count = train.validation, train.validation_most
    return Examples(*hold_out(sides["train"], share, count, train.seed), left_out, made_by)


def examples_of_test(
    catalog: Catalog, config: TaggerRunConfig, device: str = "cpu", *, most: int | None = None
) -> tuple[list[Example], list[tuple[str, str]]]:
    """The tagged videos of the split "test", for measuring alone, and those that could not be read."""
    chosen = _tagged_videos(catalog, config, ("test",), most)
    found, left_out, _ = _with_frames(catalog, config, chosen, device)
    return [one for one, _ in found], left_out


def _tagged_videos(
    catalog: Catalog, config: TaggerRunConfig, splits: Sequence[str], most: int | None
) -> dict[int, tuple[Example, str]]:
    """The tagged videos of some splits, without their frames: (example, split) by video id."""
    chosen: dict[int, tuple[Example, str]] = {}
    for video in catalog.videos():
        split = split_of(catalog, video.id) or "train"
        said = dict.fromkeys(t.text for t in catalog.tags(video.id) if t.modality in config.train.modalities)
        if split not in splits or not said:
            continue
        name = video.paths[0] if video.paths else video.hash
        chosen[video.id] = (Example(name, video.hash, video.title or "", tuple(said)), split)
    return dict(subset(list(chosen.items()), most, key=lambda item: item[1][0].key))


def _with_frames(
    catalog: Catalog, config: TaggerRunConfig, chosen: dict[int, tuple[Example, str]], device: str
) -> tuple[list[tuple[Example, str]], list[tuple[str, str]], str]:
    """The chosen examples with frame vectors where the model reads them; those left out; the towers' hash."""
    source, made_by = config.train.vectors, ""
    left_out: list[tuple[str, str]] = []
    if not config.model.use_frames:
        return list(chosen.values()), [], ""
    if source == "appearance":
        made_by, left_out = embed_missing_frames(catalog, list(chosen), config, device)
    frames = read_frames(catalog, source, set(chosen), made_by)
    known = {name for name, _ in left_out}
    found = []
    for video_id, (one, split) in chosen.items():
        if video_id in frames:
            found.append((Example(one.name, one.key, one.title, one.tags, frames[video_id]), split))
        elif one.name not in known:
            left_out.append((one.name, f"the catalog has no {source} vectors of it"))
    return found, left_out, made_by


def embed_missing_frames(
    catalog: Catalog, wanted: Sequence[int], config: TaggerRunConfig, device: str
) -> tuple[str, list[tuple[str, str]]]:
    """Decode and encode the frames of videos that have no vectors of these towers yet.

    Returns the towers' hash, and the videos that could not be read, with the reason.
    """
    from tagline.experts.clip import clip_encoder
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import PerSecond, Unreadable

    found = clip_encoder(config.train.towers, device, collection=config.train.collection)
    have = set(catalog.vectors.read("appearance", fingerprint=found.fingerprint).ids.tolist())
    sampling = PerSecond(1.0, FRAMES_PER_VIDEO, FRAME_SIDE)
    of_path: dict[Path, int] = {}
    left_out = []
    for video_id in wanted:
        video = catalog.video(video_id)
        if video is None or video_id in have:
            continue
        if video.paths:
            of_path[Path(video.paths[0])] = video_id
        else:
            left_out.append((video.hash, "none of its files is there"))
    with Decoder() as decoder:
        for path, footage in decoder.read_all((path, (sampling,)) for path in of_path):
            if isinstance(footage, Unreadable):
                left_out.append((str(path), str(footage)))
                continue
            try:
                _store_frame_vectors(catalog, of_path[path], footage.view(sampling), found)
            finally:
                footage.close()
    return found.fingerprint, left_out


def _store_frame_vectors(catalog: Catalog, video_id: int, view: object, towers: ClipEncoder) -> None:
    from tagline.experts.footage import View
    from tagline.experts.tags import Embedding

    assert isinstance(view, View)
    vectors = towers.encode_frames(view.frames)
    made = [Embedding(float(t), float(t) + 1.0, v) for t, v in zip(view.times, vectors, strict=True)]
    catalog.vectors.put(video_id, "appearance", towers.fingerprint, made)


# -- batches -----------------------------------------------------------------------------------------


class TaggerCollator:
    """Examples to one `Batch`. Tags that are not in the tagger's table are left out."""

    def __init__(self, config: TaggerConfig, words: TagTokenizer, tags: Sequence[str]) -> None:
        self.config, self.words = config, words
        self.number = {tag: i for i, tag in enumerate(tags)}

    def __call__(self, turns: Sequence[tuple[Example, int]]) -> dict[str, TaggerBatch]:
        """For training: with tags and chance numbers, in the form that a trainer hands on."""
        batch = self.batch([one for one, _ in turns])
        room = max(self.config.prompts, 1)
        chance = [torch.rand(room, generator=torch.Generator().manual_seed(seed)) for _, seed in turns]
        batch.shuffle_keys = torch.stack(chance)
        return {"batch": batch}

    def batch(self, examples: Sequence[Example]) -> TaggerBatch:
        """For reading: everything but chance numbers."""
        titles = [self.words.title(one.title, self.config.title_words) for one in examples]
        longest = max(map(len, titles))
        title = torch.full((len(titles), longest), self.words.pad)
        mask = torch.zeros(len(titles), longest, dtype=torch.bool)
        for row, ids in enumerate(titles):
            title[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = True
        frames, frame_mask = self._frames(examples)
        tags = [
            torch.tensor([self.number[t] for t in one.tags if t in self.number], dtype=torch.long)
            for one in examples
        ]
        return TaggerBatch(frames, frame_mask, title, mask, tags, names=[one.name for one in examples])

    def _frames(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        width = self.config.frame_width
        chosen = [self._spread(one) for one in examples] if self.config.use_frames else []
        longest = max((len(found) for found in chosen), default=0)
        frames = torch.zeros(len(examples), longest, width)
        mask = torch.zeros(len(examples), longest, dtype=torch.bool)
        for row, found in enumerate(chosen):
            frames[row, : len(found)] = torch.from_numpy(found)
            mask[row, : len(found)] = True
        return frames, mask

    def _spread(self, one: Example) -> Frames:
        """At most as many frames as the tagger has places, evenly spread."""
        if one.frames is None or len(one.frames) == 0:
            return np.zeros((0, self.config.frame_width), np.float32)
        found = np.asarray(one.frames, np.float32)
        if found.shape[1] != self.config.frame_width:
            raise BadConfig(
                f"{one.name} has frame vectors of {found.shape[1]} numbers, the tagger reads "
                f"{self.config.frame_width}; set model.frame_width, or tag with the towers it was trained on"
            )
        most = self.config.frames
        if len(found) > most:
            found = found[evenly(most, len(found))]
        return np.ascontiguousarray(found)


class Retriever(Protocol):
    """Whoever knows tagged videos. What it says of a video never comes from that video itself."""

    def retrieve(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
        """Tags of videos like each of these, the best first, with how much speaks for each: 0..1."""


class RetrievalCollator(TaggerCollator):
    """Batches with the words of the tags that an advisor gives. It is asked once for each video."""

    def __init__(
        self, config: TaggerConfig, words: TagTokenizer, tags: Sequence[str], retriever: Retriever
    ) -> None:
        super().__init__(config, words, tags)
        self.retriever = retriever
        self._retrieved: dict[str, list[tuple[int, float]]] = {}

    def batch(self, examples: Sequence[Example]) -> TaggerBatch:
        batch = super().batch(examples)
        self._retrieve(examples)
        rows = [self._retrieved[one.key] for one in examples]
        longest = max(1, *map(len, rows))
        batch.retrieved = torch.zeros(len(rows), longest, dtype=torch.long)
        batch.retrieved_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        batch.retrieved_scores = torch.zeros(len(rows), longest)
        for row, words in enumerate(rows):
            batch.retrieved[row, : len(words)] = torch.tensor([word for word, _ in words], dtype=torch.long)
            batch.retrieved_scores[row, : len(words)] = torch.tensor([score for _, score in words])
            batch.retrieved_mask[row, : len(words)] = True
        return batch

    def _retrieve(self, examples: Sequence[Example]) -> None:
        new = list({one.key: one for one in examples if one.key not in self._retrieved}.values())
        if not new:
            return
        for one, tags in zip(new, self.retriever.retrieve(new), strict=True):
            told = [(word, score) for tag, score in tags for word in self.words.encode(tag)]
            self._retrieved[one.key] = told[: self.config.retrieved_words]
