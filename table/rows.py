"""From the catalog to rows: which tags a model reads of a video, and which captions it has in a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tagline.experts.tags import Tag
from tagline.table.config import TagChoice
from tagline.tagging.ml.splits import hold_out, split_of, stable_hash

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Caption, Video
    from tagline.tagging.catalog.write import Catalog


@dataclass(frozen=True, slots=True)
class Row:
    """One video of a training or test set, as the model reads it."""

    name: str  # what people know it by: its path
    key: str  # of its frames
    texts: tuple[str, ...]
    tags: str  # "" : it has none
    path: Path | None = None


def tag_text(tags: Iterable[Tag], choice: TagChoice) -> str:
    """The tags that the model reads, as one text: modality by modality, the surest first, with commas.

    A tag that several spans have is named once, with its best score.
    """
    best: dict[str, dict[str, float]] = {modality: {} for modality in choice.modalities}
    for tag in tags:
        if tag.modality in best and tag.score >= choice.min_score:
            scores = best[tag.modality]
            scores[tag.text] = max(tag.score, scores.get(tag.text, 0.0))
    texts: list[str] = []
    for scores in best.values():
        surest = sorted(scores, key=lambda text: (-scores[text], text))
        texts += surest[: choice.most]
    return ", ".join(dict.fromkeys(texts))


def rows(catalog: Catalog, choice: TagChoice, split: str, protocol: str = "single") -> list[Row]:
    """The videos of a split that have captions of it.

    A video is of one split as a whole, "train" where nothing is said; its captions of another split are in
    none. A caption without a split is learned from with its video, and tested on where it has no other.

    protocol: "single", each caption is a text; "paragraph", all captions of a video, in the order of
    their times, are one text (DiDeMo).
    """
    found = []
    for video in catalog.videos():
        every = catalog.captions(video.id)
        named = any(c.split == split for c in every)
        wanted = (split,) if named and split != "train" else (split, "")
        captions = [c for c in every if c.split in wanted and c.text]
        if captions and video.paths and (split_of(catalog, video.id) or "train") == split:
            tags = tag_text(catalog.tags(video.id), choice)
            path = Path(video.paths[0])
            found.append(Row(str(path), frame_key(video, path), texts_of(captions, protocol), tags, path))
    return found


def texts_of(captions: Sequence[Caption], protocol: str) -> tuple[str, ...]:
    if protocol == "single":
        return tuple(caption.text for caption in captions)
    ordered = sorted(captions, key=lambda c: (c.start is None, c.start or 0.0, c.end or 0.0))
    return (" ".join(caption.text for caption in ordered),)


def frame_key(video: Video, path: Path) -> str:
    """What the frames of a video are kept under: its content.

    An imported data set may know its videos by name only; then size and time stand for the content.
    """
    is_hash = len(video.hash) == 64 and set(video.hash) <= set("0123456789abcdef")
    if is_hash or not path.exists():
        return video.hash
    facts = path.stat()
    return f"{video.hash}:{facts.st_size}:{facts.st_mtime_ns}"


def split_validation(
    whole: Sequence[Row], share: float, most: int, seed: int = 0
) -> tuple[list[Row], list[Row]]:
    """Split training videos into (train, validation).

    Of a validation video one text asks, chosen by its key as well: as in a test with one text to a video.
    """
    training, held = hold_out(whole, share, most, seed)
    return training, [one_text(row, seed) for row in held]


def one_text(row: Row, seed: int = 0) -> Row:
    return replace(row, texts=(row.texts[stable_hash(row.key, seed + 1) % len(row.texts)],))
